"""Writes files whole or not at all, and locks directories for one process."""

import contextlib
import errno
import fcntl
import os
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from absl import logging

LOCK = ".lock"
# Error numbers of file systems without locks, such as some network file systems.
_NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP}
_REMEDIES = {
    errno.ENOSPC: "Free space on that disk",
    errno.EDQUOT: "Free space or have the quota raised",
    errno.EFBIG: "Have the limit of file sizes raised (`ulimit -f`)",
    errno.ENOTDIR: "Name a directory",
    errno.ENOENT: "If it was moved, put it back; if its name is wrong, correct it",
    errno.EACCES: "Make it writable",
    errno.EPERM: "Make it writable",
    errno.EROFS: "Make it writable",
}


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yields a temporary path, which is renamed to `path` at the end, or removed after an error."""
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        yield temporary
        temporary.replace(path)
    except BaseException:  # also after an interrupt
        temporary.unlink(missing_ok=True)
        raise


def write_text(path: Path, text: str) -> None:
    """Writes a file whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(text)


def must_exist(directory: Path) -> None:
    """Raises `FileNotFoundError` for a missing directory, before a writer would create it again."""
    if not directory.is_dir():
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(directory))


def check_space(directory: Path, needed: int, what: str) -> None:
    """Raises `OSError` if fewer than the `needed` bytes are free; the message names `what`."""
    free = shutil.disk_usage(directory).free
    if free < needed:
        raise OSError(
            f"{what} need {needed / 2**20:.1f} MiB in {directory}. "
            f"Received: {free / 2**20:.1f} MiB free. Free space, or choose another disk."
        )


@contextlib.contextmanager
def explained(
    directory: Path, flag: str, ending: str = "again: it goes on from what was saved before."
) -> Iterator[None]:
    """Re-raises an error of writing with advice, as an `OSError` without error number.

    Args:
        directory: directory that is written to.
        flag: command-line flag that named the directory.
        ending: end of the advice to give the same command.
    """
    try:
        yield
    except OSError as error:
        if error.errno is None:
            raise
        where = f" ({error.filename})" if error.filename else ""
        raise OSError(
            f"`--{flag}` {directory} cannot be written: {error.strerror}{where}. "
            f"{_REMEDIES.get(error.errno, 'Look at that disk')}, then give the same command "
            f"{ending}"
        ) from error


class InUse(ValueError):  # noqa: N818 - the name says what happened
    """Another process has claimed the directory."""


@contextlib.contextmanager
def claimed(directory: Path, flag: str) -> Iterator[None]:
    """Creates a directory if needed, and locks it against other processes.

    The lock is a kernel lock, which ends with the process, even if that is killed. A directory that
    was created here and is empty at the end is removed.

    Args:
        directory: directory to lock.
        flag: command-line flag that named the directory.

    Raises:
        InUse: if another process has locked it.
        ValueError: if it is not a directory.
        OSError: if it cannot be written.
    """
    if directory.exists() and not directory.is_dir():
        raise ValueError(f"`--{flag}` {directory} is not a directory.")
    made = not directory.exists()
    with explained(directory, flag):
        directory.mkdir(parents=True, exist_ok=True)
        file = (directory / LOCK).open("a+")
    with file:
        with explained(directory, flag):
            _lock(file, directory, flag)
        try:
            yield
        finally:
            file.truncate(0)
            if made and directory.exists() and os.listdir(directory) == [LOCK]:
                (directory / LOCK).unlink()
                directory.rmdir()


def _lock(file: TextIO, directory: Path, flag: str) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.seek(0)
        holder = file.read() or "another process"
        raise InUse(
            f"`--{flag}` {directory} is in use by {holder}. Wait for it or stop it, or choose "
            "another directory."
        ) from None
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        logging.warning("%s cannot be locked: start no second process on it.", directory)
    file.truncate(0)
    file.write(f"process {os.getpid()} on {socket.gethostname()}")
    file.flush()
