"""What a configuration costs, counted before anything is trained."""

import math

import keras
import numpy as np
import tensorflow as tf

BYTES_PER_FLOAT = 4
# Operations whose result a backward pass keeps; others are views or fused away.
_KEPT = {
    "AddV2",
    "AvgPool",
    "BatchMatMulV2",
    "Conv2D",
    "Conv2DBackpropInput",
    "MatMul",
    "MaxPool",
    "Mul",
    "RealDiv",
    "Relu",
    "Softmax",
    "SpaceToDepth",
    "Sub",
    "Tanh",
}


def parameters(network: keras.Model) -> int:
    """Trainable parameters."""
    return sum(math.prod(variable.shape) for variable in network.trainable_variables)


def multiply_accumulates(network: keras.Model) -> int:
    """Multiply-accumulates of convolutions and matrix products per image, forward.

    Counted in the traced graph, as the difference that one more image makes: what a batch shares
    (spectral norms, kernel transforms) does not count, nor do look-ups by one-hot products.
    """
    counts = [sum(map(_operation_cost, _operations(network, batch))) for batch in (1, 2)]
    return counts[1] - counts[0]


def activation_bytes(network: keras.Model) -> int:
    """Bytes of activations per image that a float32 training pass keeps, estimated."""
    sizes = [
        sum(
            math.prod(output.shape) * output.dtype.size
            for operation in _operations(network, batch, training=True)
            if operation.type in _KEPT
            for output in operation.outputs
        )
        for batch in (1, 2)
    ]
    return sizes[1] - sizes[0]


def training_bytes(
    generator: keras.Model, discriminator: keras.Model, batch_size: int, ema: bool
) -> int:
    """Memory one replica needs to train, estimated.

    Weights with gradients and Adam's two moments, the averaged generator, and the larger of the
    two updates' activations: the discriminator's on real and fake images, the generator's through
    the discriminator.

    Args:
        generator: a built `Generator`.
        discriminator: a built `Discriminator`.
        batch_size: of one part of an update on one replica.
        ema: whether an averaged generator is kept.
    """
    weights = parameters(generator) * (5 if ema else 4) + parameters(discriminator) * 4
    g, d = activation_bytes(generator), activation_bytes(discriminator)
    return weights * BYTES_PER_FLOAT + batch_size * max(2 * d, g + d)


def _operations(
    network: keras.Model, batch_size: int, training: bool = False
) -> list[tf.Operation]:
    labels = None if network.num_classes is None else tf.TensorSpec((batch_size,), tf.int32)
    side = network.image_size
    shape = (network.latent_dim,) if hasattr(network, "latent_dim") else (
        side, side, network.channels
    )  # fmt: skip
    traced = tf.function(lambda inputs, labels: network(inputs, labels, training=training))
    inputs = tf.TensorSpec((batch_size, *shape), tf.float32)
    return traced.get_concrete_function(inputs, labels).graph.get_operations()


def _operation_cost(operation: tf.Operation) -> int:
    if operation.type == "Conv2D":
        kernel = operation.inputs[1].shape
        return int(np.prod(operation.outputs[0].shape) * np.prod(kernel[:3]))
    if operation.type == "Conv2DBackpropInput":  # a transposed convolution
        kernel = operation.inputs[1].shape
        return int(np.prod(operation.inputs[2].shape) * np.prod(kernel[:3]))
    if operation.type in ("MatMul", "BatchMatMulV2") and not _is_lookup(operation):
        transposed = operation.type == "MatMul" and operation.get_attr("transpose_a")
        inner = operation.inputs[0].shape[-2 if transposed else -1]
        return int(np.prod(operation.outputs[0].shape)) * inner
    return 0


def _is_lookup(operation: tf.Operation) -> bool:
    origin = operation.inputs[0].op
    return "OneHot" in (origin.type, *(source.op.type for source in origin.inputs))
