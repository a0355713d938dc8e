"""What every layer and model computes on one Keras backend; `test_backends.py` compares them.

    KERAS_BACKEND=jax python -m tests.conformance.backend_outputs FOLDER

loads the apps that the test saved under TensorFlow from the folder, and writes their outputs,
gradients and state to `jax.npz` beside them.
"""

import sys
from pathlib import Path

import keras
import numpy as np
from keras import ops

from sagan_tf.losses import discriminator_hinge_loss, generator_hinge_loss
from tests.conformance.descriptors import DESCRIPTORS, Descriptor


@keras.saving.register_keras_serializable("sagan_tf_tests")
class HingeLosses(keras.layers.Layer):
    """Both losses, as a layer, to go through the same comparison."""

    def call(self, real, fake):
        return ops.stack([discriminator_hinge_loss(real, fake), generator_hinge_loss(fake)])


COMPARED = [*DESCRIPTORS, Descriptor("Losses", HingeLosses, ((1,), (1,)))]


def record(app, inputs):
    """Arrays by name: outputs, gradients and what a training call leaves in the state.

    The gradients are those of a call in inference and one in training, in this order, so that the
    second one's writing must leave alone what the first one's gradient needs.
    """
    run = {"tensorflow": run_tensorflow, "jax": run_jax, "torch": run_torch}
    outputs, gradients, state = run[keras.backend.backend()](app, inputs)
    sources = [variable.path for variable in app.trainable_variables]
    sources += [f"input {i}" for i, value in enumerate(inputs) if is_float(value)]
    arrays = dict(zip(["output/inference", "output/training"], outputs, strict=True))
    arrays |= {f"gradient/{name}": x for name, x in zip(sources, gradients, strict=True)}
    variables = app.non_trainable_variables
    arrays |= {f"state/{v.path}": x for v, x in zip(variables, state, strict=True)}
    return {name: ops.convert_to_numpy(value) for name, value in arrays.items()}


def is_float(value):
    return value.dtype == np.float32


def weighted_sum(outputs):
    """A scalar in which every output has a weight of its own."""
    rng = np.random.default_rng(2)
    weights = [rng.normal(size=tensor.shape).astype("float32") for tensor in outputs]
    return sum(ops.sum(ops.multiply(*pair)) for pair in zip(outputs, weights, strict=True))


def run_tensorflow(app, inputs):
    import tensorflow as tf

    inputs = [tf.constant(value) for value in inputs]
    floats = [value for value in inputs if value.dtype == tf.float32]
    with tf.GradientTape() as tape:
        tape.watch(floats)
        outputs = [app(inputs, training=training) for training in (False, True)]
        loss = weighted_sum(outputs)
    variables = [variable.value for variable in app.trainable_variables]
    gradients = tape.gradient(loss, [*variables, *floats])
    return outputs, gradients, [variable.value for variable in app.non_trainable_variables]


def run_jax(app, inputs):
    import jax

    def loss_of(trainable, inputs, state):
        in_inference, _ = app.stateless_call(trainable, state, inputs, training=False)
        in_training, state = app.stateless_call(trainable, state, inputs, training=True)
        outputs = in_inference, in_training
        return weighted_sum(outputs), (outputs, state)

    trainable, state = (
        [variable.value for variable in variables]
        for variables in (app.trainable_variables, app.non_trainable_variables)
    )
    # Labels are among the inputs: their gradients are of no type that counts.
    gradients_of = jax.jit(jax.grad(loss_of, argnums=(0, 1), has_aux=True, allow_int=True))
    (of_weights, of_inputs), (outputs, state) = gradients_of(trainable, list(inputs), state)
    return outputs, [*of_weights, *filter(is_float, of_inputs)], state


def run_torch(app, inputs):
    import torch

    inputs = [torch.tensor(value, requires_grad=is_float(value)) for value in inputs]
    outputs = [app(inputs, training=training) for training in (False, True)]
    variables = [variable.value for variable in app.trainable_variables]
    floats = [value for value in inputs if value.requires_grad]
    gradients = torch.autograd.grad(weighted_sum(outputs), [*variables, *floats])
    return outputs, gradients, [variable.value for variable in app.non_trainable_variables]


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    arrays = {
        f"{descriptor.name}/{name}": value
        for descriptor in COMPARED
        for name, value in record(
            keras.models.load_model(folder / f"{descriptor.name}.keras"), descriptor.inputs()
        ).items()
    }
    np.savez(folder / keras.backend.backend(), **arrays)
