"""Records what `tfa.layers.SpectralNormalization` computes, into `tfa_spectral_norm.npz`.

tensorflow-addons ended with TensorFlow 2.15, so it needs an environment of its own, with Python 3.9
to 3.11:

    python3.11 -m venv .venv-tfa
    .venv-tfa/bin/pip install tensorflow-cpu==2.15.1 tensorflow-addons==0.23.0
    .venv-tfa/bin/python tests/vectors/spectral_norm/make_tfa_spectral_norm.py

The file holds two calls with `training=True` in a row for each layer and number of iterations, as
`<layer>/<power_iterations>/<call>/<array>`: `kernel` and `u` before the call, `normalized_kernel`
and `next_u` after it. tensorflow-addons overwrites its kernel, so the second call starts from the
first one's results.
"""

from pathlib import Path

import numpy as np
import tensorflow as tf
import tensorflow_addons as tfa


def record(layer, inputs, power_iterations):
    """Returns the arrays of two calls, by `<call>/<array>`."""
    wrapper = tfa.layers.SpectralNormalization(layer, power_iterations=power_iterations)
    wrapper.build(inputs.shape)
    arrays = {}
    for call in range(2):
        arrays[f"{call}/kernel"] = wrapper.w.numpy()
        arrays[f"{call}/u"] = wrapper.u.numpy()
        wrapper(inputs, training=True)
        arrays[f"{call}/normalized_kernel"] = wrapper.w.numpy()
        arrays[f"{call}/next_u"] = wrapper.u.numpy()
    return arrays


def main():
    cases = {
        "conv2d": (lambda: tf.keras.layers.Conv2D(6, 3), (1, 5, 5, 4)),
        "dense": (lambda: tf.keras.layers.Dense(5), (1, 7)),
    }
    vectors = {}
    for name, (make_layer, input_shape) in cases.items():
        for power_iterations in (1, 3):
            tf.keras.utils.set_random_seed(power_iterations)
            recorded = record(make_layer(), tf.ones(input_shape), power_iterations)
            vectors |= {f"{name}/{power_iterations}/{key}": a for key, a in recorded.items()}
    np.savez_compressed(Path(__file__).with_name("tfa_spectral_norm.npz"), **vectors)


if __name__ == "__main__":
    main()
