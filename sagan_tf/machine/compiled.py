"""Keeps what XLA compiles for a GPU on disk, so that the next run of the same networks starts soon.

On an H200 the training step at 128 pixels took six minutes to compile beside other programs, and a
minute to start from what was kept.
"""

import contextlib
import importlib.metadata
import os
import re
from collections.abc import Iterator
from pathlib import Path

import tensorflow as tf
from absl import logging
from google.protobuf.empty_pb2 import Empty
from google.protobuf.message import DecodeError

_FLAG = "--tf_xla_persistent_cache_directory"
_CUDNN = ("nvidia-cudnn-cu12", "nvidia-cudnn-cu13")


@contextlib.contextmanager
def kept(cache: Path, device: str) -> Iterator[None]:
    """Lets XLA keep what it compiles from now on in a folder of `cache`, and use what is there.

    Call it before XLA compiles anything in this process. XLA compares all of what it would compile
    with what was kept, but not the versions of GPU, TensorFlow and cuDNN: each of their
    combinations has a folder of its own. If `TF_XLA_FLAGS` names another directory, or if the
    folder cannot be written, nothing changes.

    Args:
        cache: directory of files that can be made again.
        device: the GPU, as in `devices.in_words`.

    Raises:
        ValueError: if what is compiled cannot be written, as on a full disk.
    """
    given = os.environ.get("TF_XLA_FLAGS", "")
    folder = cache / "xla" / re.sub(r"[^\w.-]+", "-", "-".join([device, *_versions()]))
    if _FLAG in given or not _is_usable(folder):
        yield
        return
    quoted = re.sub(r'(["\\])', r"\\\1", str(folder))
    os.environ["TF_XLA_FLAGS"] = f'{given} {_FLAG}="{quoted}"'.strip()
    try:
        yield
    except tf.errors.OpError as error:
        if str(folder) not in error.message:
            raise
        raise ValueError(
            f"What XLA compiled cannot be kept in {folder}: {error.message.splitlines()[0]}. Make "
            "room on that disk, or name another directory by `--cache_dir`."
        ) from error


def _versions() -> list[str]:
    versions = [f"tensorflow-{tf.__version__}"]
    for name in _CUDNN:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions.append(f"cudnn-{importlib.metadata.version(name)}")
    return versions


def _is_usable(folder: Path) -> bool:
    """Makes the folder, and deletes damaged files, with which XLA would fail."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path in folder.glob("*.pb"):
            if not _is_whole(path.read_bytes()):
                path.unlink()
    except OSError as error:
        logging.warning("What XLA compiles is not kept: %s", error)
        return False
    return os.access(folder, os.W_OK)


def _is_whole(message: bytes) -> bool:
    """Whether these bytes are a protocol buffer, of any type, that was written to its end."""
    try:
        Empty().ParseFromString(message)
    except DecodeError:
        return False
    return bool(message)
