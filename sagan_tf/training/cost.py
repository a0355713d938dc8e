"""Estimates parameters, computation, memory and network traffic before a run starts."""

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
# Measured with the benchmark's processes at seven sizes from 32 to 128 pixels, and again at two of
# them with `FusedAdam`, which takes less: memory of the traced step, its kernels and threads, ...
PROGRAM_BYTES = 230 * 2**20
# ... and memory that the tensors of a step take, in multiples of their size. It includes gaps in
# the allocator's regions, scratch memory of convolutions, and operations that run early.
OVERHEAD = 1.3
# Largest scratch memory of cuDNN's float32 convolutions beyond that, which TensorFlow gives as much
# as the fastest kernel asks for: measured on an H200 at 128 pixels (docs/performance.md).
SCRATCH_BYTES = 3 * 2**30
# Upper bound on the activations alive at once, in multiples of all feature maps: measured 2.3 to
# 4.6 at 18 configurations from 16 to 128 pixels, plus a margin.
_FLOATS_PER_MAP = 6


def parameters(network: keras.Model) -> int:
    """Number of trainable parameters."""
    return sum(math.prod(variable.shape) for variable in network.trainable_variables)


def multiply_accumulates(network: keras.Model) -> int:
    """Multiply-accumulates of convolutions and matrix products per image in the forward pass.

    They are counted in the traced graph, as the difference that one more image makes. So work that
    a batch shares (spectral norms, kernel transforms) does not count, nor do look-ups by one-hot
    products.
    """
    graphs = [_trace(network, batch_size) for batch_size in (1, 2)]
    counts = [sum(map(_operation_cost, graph.get_operations())) for graph in graphs]
    return counts[1] - counts[0]


def exchanged_bytes(
    generator: keras.Model, discriminator: keras.Model, d_steps: int, workers: int
) -> int:
    """Bytes that each of several workers sends, and receives, in a training step.

    Workers exchange the gradients of every update and the batch norms' moving statistics by a ring
    all-reduce, in which each of n workers sends 2 (n - 1) / n times their size (Patarasuk and Yuan,
    "Bandwidth optimal all-reduce algorithms", 2009). Further replicas on one machine do not add to
    its network traffic.

    Args:
        generator: a built `Generator`.
        discriminator: a built `Discriminator`.
        d_steps: discriminator updates per step.
        workers: number of workers, n.
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
    """Memory in bytes that one replica needs to train at a batch size, see `training_memory`."""
    return training_memory(generator, discriminator, ema, copies)(batch_size)


def training_memory(
    generator: keras.Model, discriminator: keras.Model, ema: bool, copies: int = 0
) -> Callable[[int], int]:
    """Memory in bytes that one replica needs to train, as a function of the batch size.

    The estimate includes weights, Adam's two moments, the averaged generator, and the peak of the
    tensors alive in a traced step, or while sample images are generated, with the allocator's
    overhead; on a GPU in float32 also scratch memory of convolutions. It does not include Python
    and TensorFlow after a first operation (0.6 GiB), prefetched images, or differences that XLA
    makes.

    Args:
        generator: a built `Generator`.
        discriminator: a built `Discriminator`.
        ema: whether an averaged generator is kept.
        copies: number of augmented copies of each real image that the discriminator sees as well.

    Returns:
        A function of the number of images in one part of an update on one replica. Tracing takes
        seconds; calling the function takes no time.
    """
    weights = parameters(generator) * (4 if ema else 3) + parameters(discriminator) * 3
    step = live_bytes(_trace_step(generator, discriminator, copies))
    sampling = live_bytes(_trace(generator, TRACED_BATCH, training=True))

    def needed(batch_size: int) -> int:
        live = max(step(batch_size), sampling(STATISTICS_BATCH_SIZE))
        tensors = int(OVERHEAD * live) + _scratch_bytes(generator, live)
        return PROGRAM_BYTES + weights * BYTES_PER_FLOAT + tensors

    return needed


def training_bytes_at_most(
    generator: keras.Model, discriminator: keras.Model, batch_size: int, ema: bool, copies: int = 0
) -> int:
    """Upper bound on `training_bytes`, 1.5 to 3 times as high, from the feature maps' sizes alone.

    It needs no tracing. If this much memory is available, no better estimate is needed.
    """
    size = generator.image_size
    generated = sum(side**2 * multiple for side, multiple in GENERATOR_FILTERS[size])
    # A block's convolutions work on the map before pooling, for real and for generated images.
    judged = sum(4 * side**2 * multiple for side, multiple in DISCRIMINATOR_FILTERS[size])
    judged *= 2 + copies
    scores = sum(side**4 // generator.pool_size**2 for side in generator.attention_resolutions)
    maps = generator.base_filters * generated + discriminator.base_filters * judged + 3 * scores
    weights = parameters(generator) * (4 if ema else 3) + parameters(discriminator) * 3
    batch_size = max(batch_size, STATISTICS_BATCH_SIZE)
    tensors = batch_size * _FLOATS_PER_MAP * maps * BYTES_PER_FLOAT
    scratch = _scratch_bytes(generator, tensors)
    return PROGRAM_BYTES + weights * BYTES_PER_FLOAT + tensors + scratch


def _scratch_bytes(generator: keras.Model, live: int) -> int:
    """Scratch memory of convolutions that `OVERHEAD` lacks; small maps need little."""
    on_gpu = tf.config.get_visible_devices("GPU") and generator.compute_dtype == "float32"
    return min(SCRATCH_BYTES, live) if on_gpu else 0


def _trace_step(generator: keras.Model, discriminator: keras.Model, copies: int) -> Any:
    """The graph of both updates' gradients, in the order of TensorFlow's executor.

    Nothing delays the forward pass of the generator's update, so its activations are alive when
    the discriminator's update reaches its peak.
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
    """Specs of a network's inputs: latents or images, and labels or `None`."""
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
