"""Starts TensorFlow for commands: with its fast kernels, and without its startup messages."""

import contextlib
import faulthandler
import gc
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Iterator
from typing import IO

from sagan_tf.machine.processors import has_gpu

_UNUSED_PACKAGES = {"IPython", "jax", "matplotlib", "pandas", "sklearn"}


def set_environment() -> None:
    """Sets environment variables that TensorFlow reads when it is imported, unless they are set.

    On processors without AVX-512, TensorFlow leaves oneDNN's kernels off by default; with them a
    training step at 64 pixels is 1.65 times faster on such a processor.
    """
    # Warnings are shown if there is a GPU, as they say why TensorFlow does not see it.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "1" if has_gpu() else "2")
    if platform.machine().lower() in ("x86_64", "amd64"):
        os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")


@contextlib.contextmanager
def without_unused_packages() -> Iterator[None]:
    """Hides packages that Keras and TensorFlow Lite import if they find them: a third of the time.

    They need them for plots, data frames and wrappers that no command uses. For the commands alone,
    which own their process; a package can be imported as ever afterwards.
    """
    hidden = _UNUSED_PACKAGES - sys.modules.keys()
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type] # None: not to be found
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]


def import_tensorflow() -> None:
    """Imports TensorFlow and lets it look for GPUs.

    TensorFlow's messages (that it found no GPU, which kernels it uses) are shown only if the import
    fails, or if the machine has an NVIDIA GPU that TensorFlow does not see.
    """
    with _errors_kept() as kept, _no_search_for_garbage():
        import tensorflow as tf

        gpus = tf.config.list_physical_devices("GPU")
        if gpus or not has_gpu():
            kept.truncate(0)


@contextlib.contextmanager
def _no_search_for_garbage() -> Iterator[None]:
    """Leaves what imports make out of this and later searches: nearly all of it stays for ever.

    Python would search it again and again, a tenth of the time that importing TensorFlow takes.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


@contextlib.contextmanager
def _errors_kept() -> Iterator[IO[bytes]]:
    """Collects what C++ code writes to standard error in a file, and shows it at the end.

    Python's own messages, and its traceback if the process crashes, are shown at once.

    Yields:
        The file; truncate it to show nothing.
    """
    sys.stderr.flush()
    before = sys.stderr
    with tempfile.TemporaryFile() as kept, open(os.dup(2), "w", buffering=1) as terminal:
        os.dup2(kept.fileno(), 2)
        sys.stderr = terminal
        faulthandler.enable(terminal)
        try:
            yield kept
        finally:
            faulthandler.disable()
            sys.stderr = before
            os.dup2(terminal.fileno(), 2)
            kept.seek(0)
            shutil.copyfileobj(kept, terminal.buffer)
