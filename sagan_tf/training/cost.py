"""What a configuration costs, counted before anything is trained."""

import math
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from sagan_tf.architecture import DISCRIMINATOR_FILTERS, GENERATOR_FILTERS
from sagan_tf.losses import (
    consistency_loss,
    discriminator_hinge_loss,
    generator_hinge_loss,
)
from sagan_tf.training.liveness import TRACED_BATCH, live_bytes
from sagan_tf.training.moving_average import STATISTICS_BATCH_SIZE

BYTES_PER_FLOAT = 4
# As the benchmark's processes measured at seven sizes from 32 to 128 pixels: what the traced step
# itself takes, with its kernels and threads, ...
PROGRAM_BYTES = 260 * 2**20
# ... and how much more memory than their size the tensors of a step take: gaps in the
# allocator's regions, scratch memory of convolutions, operations that run ahead of their turn.
OVERHEAD = 1.3
# How often as much as all maps together is alive at most: 2.3 to 4.6 times at 18 configurations
# from 16 to 128 pixels; that, and something to be safe.
_FLOATS_PER_MAP = 6


def parameters(network: keras.Model) -> int:
    """Trainable parameters."""
    return sum(math.prod(variable.shape) for variable in network.trainable_variables)


def multiply_accumulates(network: keras.Model) -> int:
    """Multiply-accumulates of convolutions and matrix products per image, forward.

    Counted in the traced graph, as the difference that one more image makes: what a batch shares
    (spectral norms, kernel transforms) does not count, nor do look-ups by one-hot products.
    """
    graphs = [_trace(network, batch_size) for batch_size in (1, 2)]
    counts = [sum(map(_operation_cost, graph.get_operations())) for graph in graphs]
    return counts[1] - counts[0]


def exchanged_bytes(
    generator: keras.Model, discriminator: keras.Model, d_steps: int, workers: int
) -> int:
    """Bytes that each of several workers sends, and receives, in a training step.

    Gradients of every update and the batch norms' moving statistics, summed around a ring: of n
    workers each sends 2 (n - 1) / n times as much (Patarasuk and Yuan, "Bandwidth optimal
    all-reduce algorithms", 2009). Replicas on one machine add nothing to what leaves it.

    Args:
        generator: a built `Generator`.
        discriminator: a built `Discriminator`.
        d_steps: discriminator updates per step.
        workers: n.
    """
    statistics = sum(
        math.prod(variable.shape)
        for variable in generator.non_trainable_variables
        if variable.path.rpartition("/")[2].startswith("moving_")
    )
    floats = parameters(generator) + d_steps * parameters(discriminator) + statistics
    return BYTES_PER_FLOAT * floats * 2 * (workers - 1) // workers


def training_bytes(
    generator: keras.Model, discriminator: keras.Model, batch_size: int, ema: bool, copies: int = 0
) -> int:
    """Memory one replica needs to train, estimated as `training_memory` does."""
    return training_memory(generator, discriminator, ema, copies)(batch_size)


def training_memory(
    generator: keras.Model, discriminator: keras.Model, ema: bool, copies: int = 0
) -> Callable[[int], int]:
    """Memory in bytes that one replica needs to train, as a function of the batch size.

    Counted are weights, Adam's two moments, the averaged generator, and the tensors alive at the
    fullest moment of a traced step, or of generating images to look at, with what is lost around
    them. Not counted are Python with TensorFlow, as they are after a first operation (0.6 GiB),
    images read ahead, and what XLA does differently.

    Args:
        generator: a built `Generator`.
        discriminator: a built `Discriminator`.
        ema: whether an averaged generator is kept.
        copies: how many augmented copies of each real image the discriminator judges beside it.

    Returns:
        A function of the batch size, of one part of an update on one replica. Tracing takes
        seconds, calling it none.
    """
    weights = parameters(generator) * (4 if ema else 3) + parameters(discriminator) * 3
    step = live_bytes(_trace_step(generator, discriminator, copies))
    sampling = live_bytes(_trace(generator, TRACED_BATCH, training=True))

    def needed(batch_size: int) -> int:
        live = max(step(batch_size), sampling(STATISTICS_BATCH_SIZE))
        return PROGRAM_BYTES + weights * BYTES_PER_FLOAT + int(OVERHEAD * live)

    return needed


def training_bytes_at_most(
    generator: keras.Model, discriminator: keras.Model, batch_size: int, ema: bool, copies: int = 0
) -> int:
    """More than `training_bytes`, one and a half to three times, from the sizes of maps alone.

    It takes no tracing: where so much is available, nobody needs to know better.
    """
    size = generator.image_size
    generated = sum(side**2 * multiple for side, multiple in GENERATOR_FILTERS[size])
    # A block's convolutions see the map before it is pooled, of real and generated images.
    judged = sum(4 * side**2 * multiple for side, multiple in DISCRIMINATOR_FILTERS[size])
    judged *= 2 + copies
    scores = sum(side**4 // generator.pool_size**2 for side in generator.attention_resolutions)
    maps = generator.base_filters * generated + discriminator.base_filters * judged + 4 * scores
    weights = parameters(generator) * (4 if ema else 3) + parameters(discriminator) * 3
    batch_size = max(batch_size, STATISTICS_BATCH_SIZE)
    floats = weights + batch_size * _FLOATS_PER_MAP * maps
    return PROGRAM_BYTES + floats * BYTES_PER_FLOAT


def _trace_step(generator: keras.Model, discriminator: keras.Model, copies: int) -> Any:
    """The graph of both updates' gradients, in the order of TensorFlow's executor.

    Nothing holds the generator's own pass back: its activations are there before the
    discriminator's update comes to its fullest moment.
    """

    def step(images: Any, labels: Any, latents: Any) -> list[Any]:
        variables = [variable.value for variable in generator.trainable_variables]
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(variables)
            fake_images = generator(latents, labels, training=True)
            with tape.stop_recording():
                judged = [images, fake_images, *[images] * copies]
                gradients = _discriminator_gradients(discriminator, judged, labels)
            loss = generator_hinge_loss(discriminator(fake_images, labels))
        return gradients + tape.gradient(loss, variables)

    images, labels = _inputs(discriminator, TRACED_BATCH)
    latents, _ = _inputs(generator, TRACED_BATCH)
    return tf.function(step, autograph=False).get_concrete_function(images, labels, latents).graph


def _discriminator_gradients(
    discriminator: keras.Model, judged: list[Any], labels: Any
) -> list[Any]:
    variables = [variable.value for variable in discriminator.trainable_variables]
    images = tf.concat(judged, axis=0)
    all_labels = None if labels is None else tf.concat([labels] * len(judged), axis=0)
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(variables)
        logits = tf.split(discriminator(images, all_labels, training=True), len(judged))
        loss = discriminator_hinge_loss(*logits[:2])
        for copy_logits in logits[2:]:
            loss += consistency_loss(logits[0], copy_logits)
    return tape.gradient(loss, variables)


def _trace(network: keras.Model, batch_size: int, training: bool = False) -> Any:
    traced = tf.function(
        lambda inputs, labels: network(inputs, labels, training=training), autograph=False
    )
    return traced.get_concrete_function(*_inputs(network, batch_size)).graph


def _inputs(network: keras.Model, batch_size: int) -> tuple[tf.TensorSpec, tf.TensorSpec | None]:
    """Latents or images, and labels if the network takes them."""
    side = network.image_size
    is_generator = hasattr(network, "latent_dim")
    shape = (network.latent_dim,) if is_generator else (side, side, network.channels)
    labels = None if network.num_classes is None else tf.TensorSpec((batch_size,), tf.int32)
    return tf.TensorSpec((batch_size, *shape), tf.float32), labels


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
