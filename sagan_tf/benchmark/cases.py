"""What is timed. A `prepare` function runs in the case's own process."""

import atexit
import concurrent.futures
import io
import itertools
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import ops
from PIL import Image

from sagan_tf import sampling
from sagan_tf.benchmark.score_cases import score_cases
from sagan_tf.benchmark.timing import Case
from sagan_tf.data import batches, load_source
from sagan_tf.layers import SelfAttention2D
from sagan_tf.layers.spectral_norm import SpectralNormalization
from sagan_tf.models import Discriminator, Generator
from sagan_tf.run.checkpoint import Checkpoints
from sagan_tf.serving.client import Client
from sagan_tf.serving.folding import FoldedGenerator
from sagan_tf.serving.saved_model import write_version
from sagan_tf.training import cost, loop
from sagan_tf.training.trainer import SAGAN

Prepared = tuple[Callable[[], Any], float]

# Side of the square matrices whose product shows what the processor can do at most.
MATRIX_SIZE = 2048
# Of one round of the server.
CALLS = 64
JPEG_SIZE = 500, 375
JPEG_COUNT = 256


def groups(sizes: dict[str, int]) -> dict[str, Callable[[], list[Case]]]:
    """The comparisons by name; a case is compared with the first one if it names no other.

    Args:
        sizes: `image_size`, `base_filters`, `num_classes` and `batch_size`.
    """
    return {
        "train": lambda: _train_cases(sizes),
        "loop": _loop_cases,
        "sampling": lambda: _sampling_cases(sizes),
        "folding": lambda: _folding_cases(sizes),
        "serving": lambda: _serving_cases(sizes),
        "attention": lambda: _attention_cases(sizes),
        "input": lambda: _input_cases(sizes),
        "checkpoint": lambda: _checkpoint_cases(sizes),
        "scores": score_cases,
        "start": _start_cases,
    }


def _train_cases(sizes: dict[str, int]) -> list[Case]:
    def case(name: str, resampling: str = "auto", **arguments: Any) -> Case:
        arguments = {**sizes, "resampling": resampling, **arguments}
        macs = _macs_per_image(resampling, sizes)
        return Case(name, prepare_step, "images", arguments, macs)

    return [
        case("as it is"),
        case("plain convolutions", "plain"),
        case("XLA", xla=True),
        case("bfloat16", dtype="mixed_bfloat16"),
        case("deterministic", deterministic=True),
        case("without spectral norm", spectral_norm=False),
        Case("matrix product", prepare_matrix_product, "MAC", macs_per_unit=1.0),
    ]


def _loop_cases() -> list[Case]:
    # Of the size of the digits, where what is around the step weighs most.
    sizes = {"image_size": 16, "base_filters": 16, "num_classes": 10, "batch_size": 32}
    return [
        Case("10 steps per call", prepare_loop, "images", {**sizes, "steps_per_call": 10}),
        Case("1 step per call", prepare_loop, "images", {**sizes, "steps_per_call": 1}),
        Case("Keras fit", prepare_fit, "images", sizes),
    ]


def _sampling_cases(sizes: dict[str, int]) -> list[Case]:
    sizes = {name: size for name, size in sizes.items() if name != "batch_size"}
    return [
        Case(f"batch {size}", prepare_sampling, "images", {**sizes, "batch_size": size})
        for size in (1, 16, 64)
    ]


def _folding_cases(sizes: dict[str, int]) -> list[Case]:
    cases = []
    for batch_size in (1, 16):
        arguments = {**sizes, "batch_size": batch_size}
        trained, folded = (f"{name}, batch {batch_size}" for name in ("generator", "folded"))
        cases += [
            Case(
                name,
                prepare_generator,
                "images",
                {**arguments, "folded": name == folded},
                against=trained,
            )
            for name in (trained, folded)
        ]
    return cases


def _serving_cases(sizes: dict[str, int]) -> list[Case]:
    sizes = {name: size for name, size in sizes.items() if name != "batch_size"}
    return [
        Case(name, prepare_serving, "images", {**sizes, "callers": callers}, gives_latencies=True)
        for name, callers in (("1 caller", 1), ("8 callers", 8))
    ]


def _attention_cases(sizes: dict[str, int]) -> list[Case]:
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


def _input_cases(sizes: dict[str, int]) -> list[Case]:
    sizes = {name: sizes[name] for name in ("image_size", "batch_size")}
    return [
        Case("JPEG", prepare_input, "images", {**sizes, "prepared": False}),
        Case("prepared", prepare_input, "images", {**sizes, "prepared": True}),
    ]


def _checkpoint_cases(sizes: dict[str, int]) -> list[Case]:
    return [
        Case("write", prepare_checkpoint, "MiB", {**sizes, "write": True}),
        Case("read", prepare_checkpoint, "MiB", {**sizes, "write": False}),
    ]


def _start_cases() -> list[Case]:
    return [
        Case("train --help", prepare_help, "starts"),
        Case("train, one step of digits", prepare_first_step, "starts"),
    ]


def prepare_step(batch_size: int, deterministic: bool = False, **settings: Any) -> Prepared:
    """A training step on one batch that is there already."""
    keras.utils.set_random_seed(0)
    if deterministic:
        tf.config.experimental.enable_op_determinism()
    sagan = _sagan(**settings)
    batch = next(_random_batches(sagan, batch_size))
    run_steps = loop.make_run_steps(sagan, tf.distribute.get_strategy())
    repeated = iter(tf.data.Dataset.from_tensors(batch).repeat())
    return lambda: _finish(run_steps(repeated, tf.constant(1))), batch_size


def prepare_matrix_product() -> Prepared:
    """A product of two square float32 matrices."""
    matrix = tf.random.normal((MATRIX_SIZE, MATRIX_SIZE))
    product = tf.function(lambda: tf.reduce_sum(matrix @ matrix))
    return lambda: product().numpy(), MATRIX_SIZE**3


def prepare_loop(batch_size: int, steps_per_call: int, **settings: Any) -> Prepared:
    """Ten training steps of our own loop."""
    sagan = _sagan(**settings)
    run_steps = loop.make_run_steps(sagan, tf.distribute.get_strategy())
    data = iter(_dataset(sagan, batch_size))

    def ten_steps() -> None:
        for _ in range(10 // steps_per_call):
            _finish(run_steps(data, tf.constant(steps_per_call)))

    return ten_steps, 10 * batch_size


def prepare_fit(batch_size: int, **settings: Any) -> Prepared:
    """Ten training steps of Keras' `fit` on the same model."""
    sagan = _sagan(**settings)
    data = _dataset(sagan, batch_size)
    return lambda: sagan.fit(data, steps_per_epoch=10, epochs=1, verbose=0), 10 * batch_size


def prepare_sampling(batch_size: int, num_classes: int, **settings: Any) -> Prepared:
    """Images of seeds, as `sagan_tf.sample` makes them."""
    generator, _ = _networks(num_classes=num_classes, **settings)
    labels = [index % num_classes for index in range(batch_size)]
    return lambda: list(sampling.sample(generator, range(batch_size), labels)), batch_size


def prepare_generator(batch_size: int, folded: bool, **settings: Any) -> Prepared:
    """Images of latents, by the generator as it is trained or as it is exported."""
    generator = _generator(**settings)
    latents = tf.random.normal((batch_size, generator.latent_dim))
    labels = tf.range(batch_size) % generator.num_classes
    if folded:
        folded_generator = FoldedGenerator(generator)

        @tf.function
        def images() -> tf.Tensor:
            rows = tf.gather(folded_generator.table, labels)
            return folded_generator.images(latents, rows)
    else:

        @tf.function
        def images() -> tf.Tensor:
            return generator(latents, labels)

    calls = max(1, 16 // batch_size)

    def generate() -> None:
        for _ in range(calls):
            images().numpy()

    return generate, calls * batch_size


def prepare_serving(callers: int, num_classes: int, **settings: Any) -> Prepared:
    """Calls of `Client.sample`, one image each, of the REST server in a process of its own."""
    generator = _generator(num_classes=num_classes, **settings)
    base_path = Path(tempfile.mkdtemp())
    names = [str(label) for label in range(num_classes)]
    write_version(base_path, 1, generator, names, {}, "")
    command = [sys.executable, "-m", "sagan_tf.serve", f"--model_base_path={base_path}"]
    server = subprocess.Popen(
        [*command, "--rest_api_port=0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    atexit.register(server.kill)
    assert server.stdout is not None  # a pipe
    server.stdout.readline()  # says what is being loaded
    url = server.stdout.readline().removeprefix("serving: ").split("/v1/")[0]
    clients = [Client(url) for _ in range(callers)]

    def call(index: int) -> list[float]:
        seconds = []
        for seed in range(index, CALLS, callers):
            start = time.perf_counter()
            clients[index].sample(seed % num_classes, seed)
            seconds.append(time.perf_counter() - start)
        return seconds

    def calls() -> list[float]:
        with concurrent.futures.ThreadPoolExecutor(callers) as threads:
            return [seconds for own in threads.map(call, range(callers)) for seconds in own]

    return calls, CALLS


def prepare_attention(
    map_size: int, channels: int, batch_size: int, query_chunk_size: int | None, xla: bool
) -> Prepared:
    """Forward pass and gradients of a `SelfAttention2D` layer."""
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


def prepare_input(image_size: int, batch_size: int, prepared: bool) -> Prepared:
    """Batches of JPEGs of ImageNet's usual size, or of the same images prepared once."""
    folder = Path(tempfile.mkdtemp())
    _write_jpegs(folder / "jpeg" / "all")
    name = f"folder:{folder / 'jpeg'}"
    if prepared:
        _run(
            "prepare", f"--dataset={name}", f"--image_size={image_size}", f"--out={folder / 'out'}"
        )
        name = f"prepared:{folder / 'out'}"
    data = batches(
        load_source(name),
        image_size=image_size,
        seed=0,
        start_step=0,
        global_batch_size=batch_size,
    )
    iterator = iter(data)
    calls = -(-JPEG_COUNT // batch_size)

    def read() -> None:
        for _ in range(calls):
            next(iterator)

    return read, calls * batch_size


def prepare_checkpoint(write: bool, batch_size: int, **settings: Any) -> Prepared:
    """A checkpoint of both networks, optimizers and the average, written or read."""
    sagan = _sagan(**settings)
    owners = (sagan, sagan.generator_optimizer, sagan.discriminator_optimizer)
    folder = tempfile.mkdtemp()
    checkpoints = Checkpoints(folder, owners)
    checkpoints.save(0)
    size = sum(path.stat().st_size for path in Path(folder).iterdir()) / 2**20
    steps = itertools.count(1)
    if write:
        return lambda: checkpoints.save(next(steps)), size
    return checkpoints.restore_newest, size


def prepare_help() -> Prepared:
    """`--help` of the largest command."""
    return lambda: _run("train", "--help"), 1


def prepare_first_step() -> Prepared:
    """A run of a single step on the digits, from nothing to its checkpoint and grid."""

    def start() -> None:
        with tempfile.TemporaryDirectory() as workdir:
            _run("train", "--dataset=digits", "--steps=1", f"--workdir={workdir}")

    return start, 1


def _run(name: str, *arguments: str, status: int = 0) -> None:
    """A command of this package."""
    process = subprocess.run(
        [sys.executable, "-m", f"sagan_tf.{name}", *arguments], capture_output=True, text=True
    )
    if process.returncode != status:
        raise RuntimeError(f"sagan_tf.{name} failed: {process.stderr[-500:]}")


def _networks(image_size: int, base_filters: int, **kwargs: Any) -> tuple[Generator, Discriminator]:
    settings: dict[str, Any] = {
        "attention_resolutions": (image_size // 2,),
        "query_key_ratio": min(8, base_filters),
        **kwargs,
    }
    generator = Generator(image_size, base_filters=base_filters, **settings)
    discriminator = Discriminator(image_size, base_filters=base_filters, **settings)
    generator.build()
    discriminator.build()
    return generator, discriminator


def _generator(**settings: Any) -> Generator:
    """A generator whose spectral norms and moving statistics are those of its weights."""
    generator, _ = _networks(**settings)
    for _ in range(10):
        latents = tf.random.normal((16, generator.latent_dim))
        generator(latents, tf.range(16) % generator.num_classes, training=True)
    return generator


def _sagan(
    xla: bool = False,
    spectral_norm: bool = True,
    gradient_accumulation: int = 1,
    ema_decay: float = 0.999,
    **settings: Any,
) -> SAGAN:
    if not spectral_norm:
        # The process is this case's own, so the class may lose its method.
        SpectralNormalization.normalized = (  # type: ignore[method-assign]
            lambda self, weight, training=False: ops.cast(weight, self.compute_dtype)
        )
    sagan = SAGAN(
        *_networks(**settings), gradient_accumulation=gradient_accumulation, ema_decay=ema_decay
    )
    sagan.compile(
        keras.optimizers.Adam(1e-4, beta_1=0.0, name="generator_optimizer"),
        keras.optimizers.Adam(4e-4, beta_1=0.0, name="discriminator_optimizer"),
        xla=xla,
    )
    return sagan


def _macs_per_image(resampling: str, sizes: dict[str, int]) -> float:
    """Of a step: a forward pass costs one unit, the gradient by input or by weights another.

    The generator runs forward twice and back once (4 units), the discriminator forward and back
    on real and generated images (6 units), then on generated ones, back to the images only (2).
    """
    sizes = {name: size for name, size in sizes.items() if name != "batch_size"}
    generator, discriminator = _networks(resampling=resampling, **sizes)
    return 4.0 * cost.multiply_accumulates(generator) + 8.0 * cost.multiply_accumulates(
        discriminator
    )


def _random_batches(sagan: SAGAN, batch_size: int) -> Iterator[tuple[tf.Tensor, tf.Tensor]]:
    side, classes = sagan.generator.image_size, sagan.generator.num_classes
    while True:
        images = tf.random.uniform((batch_size, side, side, 3), -1.0, 1.0)
        yield images, tf.random.uniform((batch_size,), 0, classes, tf.int32)


def _dataset(sagan: SAGAN, batch_size: int) -> tf.data.Dataset:
    return tf.data.Dataset.from_tensors(next(_random_batches(sagan, batch_size))).repeat()


def _finish(losses: dict[str, tf.Tensor]) -> None:
    """Waits until a device is done."""
    for loss in losses.values():
        loss.numpy()


def _write_jpegs(folder: Path) -> None:
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for index in range(JPEG_COUNT):
        # Blurred noise compresses as photographs do; white noise would be all work of decoding.
        small = rng.integers(0, 256, (JPEG_SIZE[1] // 8, JPEG_SIZE[0] // 8, 3), np.uint8)
        picture = Image.fromarray(small).resize(JPEG_SIZE, Image.Resampling.BICUBIC)
        data = io.BytesIO()
        picture.save(data, "JPEG", quality=90)
        (folder / f"{index}.jpg").write_bytes(data.getvalue())
