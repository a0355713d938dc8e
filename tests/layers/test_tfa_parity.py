"""Parity with `tfa.layers.SpectralNormalization`, by vectors recorded from tensorflow-addons."""

from pathlib import Path

import keras
import numpy as np
import pytest

from sagan_tf.layers.spectral_norm import SpectralConv2D, SpectralDense

VECTORS = np.load(Path(__file__).parents[1] / "vectors/spectral_norm/tfa_spectral_norm.npz")


def make_conv2d(power_iterations):
    return SpectralConv2D(6, 3, use_bias=False, power_iterations=power_iterations)


def make_dense(power_iterations):
    return SpectralDense(5, use_bias=False, power_iterations=power_iterations)


def unit_inputs(kernel_shape):
    """One input per entry of a kernel's column: the layer's outputs are then its kernel."""
    return np.eye(np.prod(kernel_shape[:-1]), dtype="float32").reshape(-1, *kernel_shape[:-1])


@pytest.mark.parametrize("call", [0, 1])
@pytest.mark.parametrize("power_iterations", [1, 3])
@pytest.mark.parametrize(("name", "make_layer"), [("conv2d", make_conv2d), ("dense", make_dense)])
def test_normalized_kernel_and_u_equal_those_of_tensorflow_addons(
    name, make_layer, power_iterations, call
):
    expected = {
        key: VECTORS[f"{name}/{power_iterations}/{call}/{key}"]
        for key in ("kernel", "u", "normalized_kernel", "next_u")
    }
    inputs = unit_inputs(expected["kernel"].shape)
    layer = make_layer(power_iterations)
    layer.build(inputs.shape)
    layer.kernel.assign(expected["kernel"])
    layer.vector_u.assign(expected["u"])

    outputs = keras.ops.convert_to_numpy(layer(inputs, training=True))
    normalized_kernel = outputs.reshape(expected["kernel"].shape)

    np.testing.assert_allclose(
        normalized_kernel, expected["normalized_kernel"], rtol=2e-6, atol=1e-7
    )
    np.testing.assert_allclose(layer.vector_u.numpy(), expected["next_u"], rtol=2e-6, atol=1e-7)
    np.testing.assert_array_equal(layer.kernel.numpy(), expected["kernel"])  # unlike theirs
