"""Checkpoints: every variable by a stable name, written whole, read back exactly."""

import errno
import json
import math
import os
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf
from absl import logging

from sagan_tf.output.files import must_exist
from sagan_tf.run.finite import check_variables

# What a damaged or foreign file raises when it is read: bad checksum, cut short, gone, misfit.
_UNREADABLE = (tf.errors.OpError, ValueError, AssertionError, IndexError)
_UNFINISHED = "unfinished"
# What TensorFlow makes of the numbers of errors of writing.
_ERROR_NUMBERS = {
    tf.errors.ResourceExhaustedError: errno.ENOSPC,
    tf.errors.OutOfRangeError: errno.EFBIG,
    tf.errors.NotFoundError: errno.ENOENT,
    tf.errors.PermissionDeniedError: errno.EACCES,
}


class Checkpoints:
    """The checkpoints of one run.

    Variables go into an explicit map from name to variable: Keras' own tracking loses layers kept
    in lists. TensorFlow keeps a checksum of every tensor, which is verified on reading, but writes
    the file that makes a checkpoint in place: so all is written under another name, and that file
    renamed last. What a killed process left half written is removed.

    Args:
        directory: where they lie.
        owners: networks and optimizers; a variable's name is its Keras path.
        settings: JSON that is kept in each checkpoint: the run's settings and, under "data", its
            data set (see `run.data_set`).
        max_to_keep: older ones are removed.
        read_only: whether another process writes them: `save` only checks then.

    Attributes:
        directory: where they lie.
        variables: what is saved, by name.
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
        """The size of one checkpoint."""
        return sum(
            math.prod(variable.shape) * variable.dtype.size for variable in self.variables.values()
        )

    def save(self, step: int) -> str:
        """Writes all variables as the checkpoint of `step` and returns its path.

        Raises:
            NotFiniteError: if a variable is not finite; nothing is written then.
            OSError: if writing fails; the checkpoints before are whole then.
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
        Path(f"{path}.index").unlink(missing_ok=True)  # of a damaged one
        # In the order of their names: the index is last.
        for part in sorted(self.directory.glob(f"{_UNFINISHED}.*")):
            part.replace(path.with_suffix(part.suffix))
        self._remove_old(step)
        return str(path)

    def restore_newest(self) -> int | None:
        """Reads the newest readable checkpoint; names and skips those that are damaged.

        Returns:
            Its step, or `None` if there are no checkpoints.

        Raises:
            ValueError: if there are checkpoints but none is readable.
        """
        step = _restore_newest(self._checkpoint, _paths(self.directory))
        self._kept.assign(self._settings)  # the next one tells of now, not of then
        return step

    def remove_all_but(self, step: int) -> None:
        """Keeps the checkpoint of one step, older or newer than others."""
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
        """Keeps the newest up to `step`: damaged ones may lie beyond and must not displace them."""
        good = [path for path in _paths(self.directory) if _step(path) <= step]
        for path in good[self._max_to_keep :]:
            self._remove(path)

    def _remove(self, path: str) -> None:
        Path(f"{path}.index").unlink()  # first, so that what is left is no damaged checkpoint
        for part in self.directory.glob(f"{Path(path).name}.data-*"):
            part.unlink()


def as_os_error(error: tf.errors.OpError, path: str | os.PathLike) -> OSError:
    """What Python would have raised where TensorFlow could not write."""
    number = _ERROR_NUMBERS.get(type(error), errno.EIO)
    return OSError(number, os.strerror(number), str(path))


def saved_settings(directory: str | os.PathLike) -> dict[str, Any] | None:
    """The settings that `Checkpoints` kept in `directory`; `None` if there are no checkpoints.

    Raises:
        ValueError: if there are checkpoints but none is readable.
    """
    if not _paths(directory):
        return None
    return json.loads(_read_variables(directory, "settings")["settings"])


def checkpoint_steps(directory: str | os.PathLike) -> list[int]:
    """The steps of a run's checkpoints, ascending."""
    return sorted(_step(path) for path in _paths(directory))


def restore_network(
    directory: str | os.PathLike, network: keras.Model, step: int | None = None
) -> int:
    """Reads one network's variables from a checkpoint of a run.

    Args:
        directory: the run's checkpoints.
        network: a built network of the name under which it was saved.
        step: of the checkpoint; without it the newest that is readable.

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


def init_from(
    directory: str | os.PathLike,
    networks: Iterable[keras.Model],
    shared_classes: Mapping[int, int] | None = None,
) -> None:
    """Gives networks the weights of another run's newest readable checkpoint.

    Args:
        directory: the other run's checkpoints.
        networks: built networks of the architecture saved there. An averaged generator takes the
            other run's average, or its generator if it kept none.
        shared_classes: of each class that both runs have, its label here -> its label there; `None`
            if all are the same or there are none. What belongs to another class (scales and
            offsets, embeddings) keeps its fresh value.

    Raises:
        ValueError: if there is no readable checkpoint, or a variable is missing in it or has
            another shape.
    """
    saved = _read_variables(directory)
    if not any(name.startswith("ema_generator/") for name in saved):
        saved.update(
            {f"ema_{name}": v for name, v in saved.items() if name.startswith("generator/")}
        )
    misfits = []
    for variable in (variable for network in networks for variable in network.variables):
        value = saved.get(variable.path)
        if shared_classes is not None and _belongs_to_classes(variable.path):
            if value is not None and _has_row_per_class(variable.path):
                rows = variable.numpy()
                rows[list(shared_classes)] = value[list(shared_classes.values())]
                variable.assign(rows)
            continue
        if value is None or value.shape != tuple(variable.shape):
            found = "missing" if value is None else f"of shape {value.shape}"
            misfits.append(f"{variable.path} {tuple(variable.shape)} is {found}")
        else:
            variable.assign(value)
    if misfits:
        raise ValueError(
            f"The run in {Path(directory).parent} has other networks; use its settings. "
            f"{len(misfits)} variables do not fit: {'; '.join(misfits[:3])}"
        )


def _belongs_to_classes(path: str) -> bool:
    *_, layer, name = path.split("/")
    return layer == "embedding" or (layer in ("norm_0", "norm_1") and name in ("gamma", "beta"))


def _has_row_per_class(path: str) -> bool:
    # The right singular vector alone belongs to all classes; training soon finds the new one.
    return not path.endswith("/vector_u")


def _read_variables(directory: str | os.PathLike, first: str = "") -> dict[str, Any]:
    """Variables whose names begin with `first`, as NumPy, from the newest readable checkpoint."""
    suffix = "/.ATTRIBUTES/VARIABLE_VALUE"
    for path in _paths(directory):
        try:
            reader = tf.train.load_checkpoint(path)
            names = [name for name in reader.get_variable_to_shape_map() if name.endswith(suffix)]
            return {
                # TensorFlow writes a slash inside a key as ".S".
                name.removeprefix("v/").removesuffix(suffix).replace(".S", "/"): (
                    reader.get_tensor(name)
                )
                for name in names
                if name.startswith(f"v/{first}")
            }
        except _UNREADABLE as error:
            _warn(path, error)
    raise ValueError(f"No readable checkpoint in {directory}.")


def _paths(directory: str | os.PathLike) -> list[str]:
    """Checkpoints, newest first; listed from the files, which a damaged list cannot hide."""
    paths = [path.with_suffix("") for path in Path(directory).glob("step-*.index")]
    return [str(path) for path in sorted(paths, key=_step, reverse=True)]


def _step(path: str | os.PathLike) -> int:
    return int(Path(path).name.removeprefix("step-"))


def _restore_newest(
    checkpoint: tf.train.Checkpoint, paths: list[str], whole: bool = True
) -> int | None:
    for path in paths:
        try:
            status = checkpoint.read(path)
            status.assert_existing_objects_matched()
            if whole:
                status.assert_consumed()
            else:
                status.expect_partial()
            return _step(path)
        except _UNREADABLE as error:
            _warn(path, error)
    if paths:
        raise ValueError(
            f"None of the {len(paths)} checkpoints in {Path(paths[0]).parent} can be read."
        )
    return None


def _warn(path: str, error: Exception) -> None:
    reason = str(error).strip().splitlines()[0][:200]
    logging.warning("Checkpoint %s cannot be read, trying the one before it: %s", path, reason)
