"""The benchmarks of reading images, and of a command's start."""

import io
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from sagan_tf.benchmark.timing import Case, Prepared
from sagan_tf.data import batches, load_source

JPEG_SIZE = 500, 375

JPEG_COUNT = 256


def input_cases(sizes: dict[str, int]) -> list[Case]:
    """Cases for batches from JPEG files, and from a prepared data set."""
    sizes = {name: sizes[name] for name in ("image_size", "batch_size")}
    return [
        Case("JPEG", prepare_input, "images", {**sizes, "prepared": False}),
        Case("prepared", prepare_input, "images", {**sizes, "prepared": True}),
    ]


def start_cases() -> list[Case]:
    """Cases for commands from their start to their first result."""
    return [
        Case("train --help", prepare_help, "starts"),
        Case("train, one step of digits", prepare_first_step, "starts"),
    ]


def prepare_input(image_size: int, batch_size: int, prepared: bool) -> Prepared:
    """Reads batches of JPEGs with ImageNet's usual size, or of the same images prepared."""
    folder = Path(tempfile.mkdtemp())
    write_jpegs(folder / "jpeg" / "all")
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
        keep_bytes=0,  # every epoch is read
    )
    iterator = iter(data)
    calls = -(-JPEG_COUNT // batch_size)

    def read() -> None:
        for _ in range(calls):
            next(iterator)

    return read, calls * batch_size


def prepare_help() -> Prepared:
    """Prints `--help` of the largest command."""
    return lambda: _run("train", "--help"), 1


def prepare_first_step() -> Prepared:
    """Trains a single step on the digits, from the command's start to checkpoint and grid."""

    def start() -> None:
        with tempfile.TemporaryDirectory() as workdir:
            _run("train", "--dataset=digits", "--steps=1", f"--workdir={workdir}")

    return start, 1


def _run(name: str, *arguments: str, status: int = 0) -> None:
    """Runs a command of this package; raises `RuntimeError` for another exit status."""
    process = subprocess.run(
        [sys.executable, "-m", f"sagan_tf.{name}", *arguments], capture_output=True, text=True
    )
    if process.returncode != status:
        raise RuntimeError(f"sagan_tf.{name} failed: {process.stderr[-500:]}")


def write_jpegs(folder: Path) -> None:
    """Writes 256 pictures of 500x375 pixels that compress like photographs."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for index in range(JPEG_COUNT):
        # Blurred noise; white noise would make decoding dominate.
        small = rng.integers(0, 256, (JPEG_SIZE[1] // 8, JPEG_SIZE[0] // 8, 3), np.uint8)
        picture = Image.fromarray(small).resize(JPEG_SIZE, Image.Resampling.BICUBIC)
        data = io.BytesIO()
        picture.save(data, "JPEG", quality=90)
        (folder / f"{index}.jpg").write_bytes(data.getvalue())
