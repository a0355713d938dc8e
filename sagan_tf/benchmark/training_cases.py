"""The benchmarks of training. `prepare` functions run in the case's own process."""

import itertools
import tempfile
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from sagan_tf.benchmark.networks import make_networks, make_sagan, random_batches
from sagan_tf.benchmark.timing import Case, Prepared
from sagan_tf.layers import SelfAttention2D
from sagan_tf.run.checkpoint import Checkpoints
from sagan_tf.training import build, cost, loop
from sagan_tf.training.trainer import SAGAN

# Side of the square matrices whose product shows the peak performance of the device.
MATRIX_SIZE = 2048


def train_cases(sizes: dict[str, int]) -> list[Case]:
    """Cases for a training step, with one change each."""

    def case(name: str, resampling: str = "auto", **arguments: Any) -> Case:
        arguments = {**sizes, "resampling": resampling, **arguments}
        macs = macs_per_image(resampling, sizes)
        one_thread = _one_thread(**sizes) and not arguments.get("xla")
        return Case(name, prepare_step, "images", arguments, macs, one_thread=one_thread)

    return [
        case("as it is"),
        case("plain convolutions", "plain"),
        case("XLA", xla=True),
        case("bfloat16", dtype="mixed_bfloat16"),
        case("deterministic", deterministic=True),
        case("without spectral norm", spectral_norm=False),
        Case("matrix product", prepare_matrix_product, "MAC", macs_per_unit=1.0),
    ]


def loop_cases() -> list[Case]:
    """Cases for the loop around the training step."""
    # At the size of the digits, where the overhead around the step is largest.
    sizes = {"image_size": 16, "base_filters": 16, "num_classes": 10, "batch_size": 32}
    ten, one = ({**sizes, "steps_per_call": steps} for steps in (10, 1))
    one_thread = _one_thread(**sizes)
    return [
        Case("10 steps per call", prepare_loop, "images", ten, one_thread=one_thread),
        Case("all cores share an operation", prepare_loop, "images", ten),
        Case("1 step per call", prepare_loop, "images", one, one_thread=one_thread),
        Case("Keras fit", prepare_fit, "images", sizes, one_thread=one_thread),
    ]


def checkpoint_cases(sizes: dict[str, int]) -> list[Case]:
    """Cases for writing and reading checkpoints."""
    return [
        Case("write", prepare_checkpoint, "MiB", {**sizes, "write": True}),
        Case("read", prepare_checkpoint, "MiB", {**sizes, "write": False}),
    ]


def attention_cases(sizes: dict[str, int]) -> list[Case]:
    """Cases for attention over large feature maps, at once and in chunks."""
    maps = {"map_size": sizes["image_size"], "channels": 64, "batch_size": 4}
    return [
        Case(name, prepare_attention, "maps", {**maps, "query_chunk_size": chunk, "xla": xla})
        for name, chunk, xla in (
            ("plain", None, False),
            ("chunks of 1024", 1024, False),
            ("plain, XLA", None, True),
            ("chunks of 1024, XLA", 1024, True),
        )
    ]


def prepare_step(batch_size: int, deterministic: bool = False, **settings: Any) -> Prepared:
    """Runs a training step on a batch that is already in memory."""
    keras.utils.set_random_seed(0)
    if deterministic:
        tf.config.experimental.enable_op_determinism()
    sagan = make_sagan(**settings)
    batch = next(random_batches(sagan, batch_size))
    run_steps = loop.make_run_steps(sagan, tf.distribute.get_strategy())
    repeated = iter(tf.data.Dataset.from_tensors(batch).repeat())
    return lambda: _finish(run_steps(repeated, tf.constant(1))), batch_size


def prepare_matrix_product() -> Prepared:
    """Computes a product of two square float32 matrices."""
    matrix = tf.random.normal((MATRIX_SIZE, MATRIX_SIZE))
    product = tf.function(lambda: tf.reduce_sum(matrix @ matrix))
    return lambda: product().numpy(), MATRIX_SIZE**3


def prepare_loop(batch_size: int, steps_per_call: int, **settings: Any) -> Prepared:
    """Runs ten training steps with this package's loop."""
    sagan = make_sagan(**settings)
    run_steps = loop.make_run_steps(sagan, tf.distribute.get_strategy())
    data = iter(_dataset(sagan, batch_size))

    def ten_steps() -> None:
        for _ in range(10 // steps_per_call):
            _finish(run_steps(data, tf.constant(steps_per_call)))

    return ten_steps, 10 * batch_size


def prepare_fit(batch_size: int, **settings: Any) -> Prepared:
    """Runs ten training steps with Keras' `fit` on the same model."""
    sagan = make_sagan(**settings)
    data = _dataset(sagan, batch_size)
    return lambda: sagan.fit(data, steps_per_epoch=10, epochs=1, verbose=0), 10 * batch_size


def prepare_checkpoint(write: bool, batch_size: int, **settings: Any) -> Prepared:
    """Writes or reads a checkpoint of both networks, the optimizers and the average."""
    sagan = make_sagan(**settings)
    owners = (sagan, sagan.generator_optimizer, sagan.discriminator_optimizer)
    folder = tempfile.mkdtemp()
    checkpoints = Checkpoints(folder, owners)
    checkpoints.save(0)
    size = sum(path.stat().st_size for path in Path(folder).iterdir()) / 2**20
    steps = itertools.count(1)
    if write:
        return lambda: checkpoints.save(next(steps)), size
    return checkpoints.restore_newest, size


def prepare_attention(
    map_size: int, channels: int, batch_size: int, query_chunk_size: int | None, xla: bool
) -> Prepared:
    """Computes the forward pass and the gradients of a `SelfAttention2D` layer."""
    layer = SelfAttention2D(query_chunk_size=query_chunk_size)
    inputs = tf.random.normal((batch_size, map_size, map_size, channels))
    layer.build(inputs.shape)
    layer.gamma.assign(1.0)

    @tf.function(jit_compile=xla)
    def gradients() -> tf.Tensor:
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            loss = tf.reduce_sum(tf.square(layer(inputs)))
        return tape.gradient(loss, [inputs, *(v.value for v in layer.trainable_variables)])

    return lambda: gradients()[-1].numpy(), batch_size


def macs_per_image(resampling: str, sizes: dict[str, int]) -> float:
    """Multiply-accumulates of a training step per image.

    A forward pass costs one unit, and so does the gradient with respect to inputs or to weights.
    The generator runs forward twice and backward once (4 units). The discriminator runs forward and
    backward on real and generated images (6 units), then forward on generated images and backward
    to the images only (2 units).
    """
    sizes = {name: size for name, size in sizes.items() if name != "batch_size"}
    generator, discriminator = make_networks(resampling=resampling, **sizes)
    return 4.0 * cost.multiply_accumulates(generator) + 8.0 * cost.multiply_accumulates(
        discriminator
    )


def _one_thread(image_size: int, base_filters: int, batch_size: int, **_: Any) -> bool:
    """Whether `train` would compute each operation on one core."""
    return build.are_small(image_size, base_filters, batch_size)


def _dataset(sagan: SAGAN, batch_size: int) -> tf.data.Dataset:
    return tf.data.Dataset.from_tensors(next(random_batches(sagan, batch_size))).repeat()


def _finish(losses: dict[str, tf.Tensor]) -> None:
    """Waits until the device has computed the losses."""
    for loss in losses.values():
        loss.numpy()
