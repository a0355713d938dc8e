"""Checkpoints: all variables by stable names, written whole or not at all, restored exactly."""

import errno
import json
import math
import os
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

import keras
import tensorflow as tf
from absl import logging

from sagan_tf.output.files import must_exist
from sagan_tf.run.finite import check_variables

# Exceptions for a file that is damaged, cut short, missing, or of other variables.
_UNREADABLE = (tf.errors.OpError, ValueError, AssertionError, IndexError)
_UNFINISHED = "unfinished"
_Read = TypeVar("_Read")
# Error numbers of the exceptions that TensorFlow raises if it cannot write.
_ERROR_NUMBERS = {
    tf.errors.ResourceExhaustedError: errno.ENOSPC,
    tf.errors.OutOfRangeError: errno.EFBIG,
    tf.errors.NotFoundError: errno.ENOENT,
    tf.errors.PermissionDeniedError: errno.EACCES,
}


class Checkpoints:
    """The checkpoints of one run.

    Variables are saved in an explicit map from name to variable, as Keras' own tracking loses
    layers that are kept in lists. TensorFlow stores a checksum of every tensor and verifies it on
    reading. But it writes the index file, which makes a checkpoint complete, in place. So all files
    are written under another name, and the index is renamed last. Files that a killed process left
    half written are removed.

    Args:
        directory: directory of the checkpoints.
        owners: networks and optimizers; a variable's name is its Keras path.
        settings: JSON that is stored in each checkpoint: the run's settings and, under "data", its
            data set (see `run.data_set`).
        max_to_keep: number of checkpoints to keep; older ones are removed.
        read_only: whether another process writes the checkpoints; `save` then only checks the
            variables.

    Attributes:
        directory: directory of the checkpoints.
        variables: the saved variables, by name.
    """

    def __init__(
        self,
        directory: str | os.PathLike,
        owners: Iterable[Any],
        settings: str = "{}",
        max_to_keep: int = 3,
        read_only: bool = False,
    ) -> None:
        variables = [variable for owner in owners for variable in owner.variables]
        values = {variable.path: variable.value for variable in variables}
        if len(values) != len(variables):
            raise ValueError("Two variables have the same path; give networks different names.")
        self.variables = values
        self._settings, self._kept = settings, tf.Variable(settings)
        self._checkpoint = tf.train.Checkpoint(v={**values, "settings": self._kept})
        self.directory = Path(directory)
        self._max_to_keep = max_to_keep
        self._read_only = read_only
        if not read_only:
            self.directory.mkdir(parents=True, exist_ok=True)
            self._remove_half_written()

    def bytes_needed(self) -> int:
        """The size of one checkpoint, in bytes."""
        return sum(
            math.prod(variable.shape) * variable.dtype.size for variable in self.variables.values()
        )

    def save(self, step: int) -> str:
        """Writes all variables as the checkpoint of `step` and returns its path.

        Raises:
            NotFiniteError: if a variable is not finite; nothing is written then.
            OSError: if writing fails; earlier checkpoints stay whole.
        """
        check_variables(step, self.variables)
        path = self.directory / f"step-{step}"
        if self._read_only:
            return str(path)
        must_exist(self.directory)
        try:
            self._checkpoint.write(str(self.directory / _UNFINISHED))
        except tf.errors.OpError as error:
            self._remove_half_written()
            raise as_os_error(error, path) from error
        Path(f"{path}.index").unlink(missing_ok=True)  # there may be a damaged checkpoint
        # In the order of their names, in which the index is last.
        for part in sorted(self.directory.glob(f"{_UNFINISHED}.*")):
            part.replace(path.with_suffix(part.suffix))
        self._remove_old(step)
        return str(path)

    def restore_newest(self) -> int | None:
        """Reads the newest readable checkpoint; logs and skips damaged ones.

        Returns:
            The checkpoint's step, or `None` if there are no checkpoints.

        Raises:
            ValueError: if there are checkpoints but none is readable.
        """
        step = _restore_newest(self._checkpoint, _paths(self.directory))
        self._kept.assign(self._settings)  # the next checkpoint stores the current settings
        return step

    def remove_all_but(self, step: int) -> None:
        """Removes all checkpoints except that of one step."""
        for path in _paths(self.directory):
            if _step(path) != step:
                self._remove(path)

    def _remove_half_written(self) -> None:
        for path in self.directory.glob(f"{_UNFINISHED}*"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        for path in self.directory.glob("step-*.data-*"):
            if not path.with_suffix(".index").exists():
                path.unlink()

    def _remove_old(self, step: int) -> None:
        """Keeps the newest up to `step`; damaged ones of later steps must not displace them."""
        good = [path for path in _paths(self.directory) if _step(path) <= step]
        for path in good[self._max_to_keep :]:
            self._remove(path)

    def _remove(self, path: str) -> None:
        Path(f"{path}.index").unlink()  # removed first, so that no damaged checkpoint remains
        for part in self.directory.glob(f"{Path(path).name}.data-*"):
            part.unlink()


def as_os_error(error: tf.errors.OpError, path: str | os.PathLike) -> OSError:
    """The `OSError` that corresponds to TensorFlow's error of writing."""
    number = _ERROR_NUMBERS.get(type(error), errno.EIO)
    return OSError(number, os.strerror(number), str(path))


def saved_settings(directory: str | os.PathLike) -> dict[str, Any] | None:
    """The settings stored by `Checkpoints` in `directory`; `None` if there are no checkpoints.

    Raises:
        ValueError: if there are checkpoints but none is readable.
    """
    if not _paths(directory):
        return None
    return json.loads(read_variables(directory, "settings")["settings"])


def checkpoint_steps(directory: str | os.PathLike) -> list[int]:
    """The steps of a run's checkpoints, ascending."""
    return sorted(_step(path) for path in _paths(directory))


def restore_network(
    directory: str | os.PathLike, network: keras.Model, step: int | None = None
) -> int:
    """Reads one network's variables from a checkpoint of a run.

    Args:
        directory: the run's checkpoints.
        network: a built network with the name under which it was saved.
        step: step of the checkpoint; `None` for the newest readable one.

    Returns:
        The checkpoint's step.

    Raises:
        ValueError: if there is no readable checkpoint.
    """
    checkpoint = tf.train.Checkpoint(
        v={variable.path: variable.value for variable in network.variables}
    )
    paths = [path for path in _paths(directory) if step in (None, _step(path))]
    restored = _restore_newest(checkpoint, paths, whole=False)
    if restored is None:
        which = "" if step is None else f" of step {step}"
        raise ValueError(f"No checkpoint{which} in {directory}; the run has not saved one yet.")
    return restored


def read_variables(directory: str | os.PathLike, first: str = "") -> dict[str, Any]:
    """NumPy arrays by name of the variables whose names begin with `first`.

    Raises:
        ValueError: if no checkpoint in `directory` is readable; else the newest one is read.
    """
    suffix = "/.ATTRIBUTES/VARIABLE_VALUE"

    def read(path: str) -> dict[str, Any]:
        reader = tf.train.load_checkpoint(path)
        names = [name for name in reader.get_variable_to_shape_map() if name.endswith(suffix)]
        return {
            # TensorFlow writes a slash inside a key as ".S".
            name.removeprefix("v/").removesuffix(suffix).replace(".S", "/"): reader.get_tensor(name)
            for name in names
            if name.startswith(f"v/{first}")
        }

    variables = _first_readable(_paths(directory), read)
    if variables is None:
        raise ValueError(f"No readable checkpoint in {directory}.")
    return variables


def _paths(directory: str | os.PathLike) -> list[str]:
    """Paths of the checkpoints, newest first, found by their files instead of TensorFlow's list."""
    paths = [path.with_suffix("") for path in Path(directory).glob("step-*.index")]
    return [str(path) for path in sorted(paths, key=_step, reverse=True)]


def _step(path: str | os.PathLike) -> int:
    return int(Path(path).name.removeprefix("step-"))


def _restore_newest(
    checkpoint: tf.train.Checkpoint, paths: list[str], whole: bool = True
) -> int | None:
    def restore(path: str) -> int:
        status = checkpoint.read(path)
        status.assert_existing_objects_matched()
        if whole:
            status.assert_consumed()
        else:
            status.expect_partial()
        return _step(path)

    step = _first_readable(paths, restore)
    if paths and step is None:
        raise ValueError(
            f"None of the {len(paths)} checkpoints in {Path(paths[0]).parent} can be read."
        )
    return step


def _first_readable(paths: list[str], read: Callable[[str], _Read]) -> _Read | None:
    """What `read` gives of the first path that it can read; the damaged ones are reported."""
    for path in paths:
        try:
            return read(path)
        except _UNREADABLE as error:
            reason = str(error).strip().splitlines()[0][:200]
            logging.warning(
                "Checkpoint %s cannot be read, trying the one before it: %s", path, reason
            )
    return None
