"""Keeps the versions of models on disk loaded; a new one is served before the old one goes."""

import contextlib
import gc
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import tensorflow as tf
from absl import logging

from sagan_tf.serving.server.json_inputs import listed
from sagan_tf.serving.server.loaded_version import LoadedVersion, error_message
from sagan_tf.serving.server.model_config import ModelConfig
from sagan_tf.serving.server.rest import RequestError

# Seconds after which a refused version is tried again: memory, or a disk, may be available then.
RETRY_SECONDS = 60.0

_Files = set[tuple[str, int, int]]


def settle_memory() -> None:
    """Excludes what is loaded from garbage collection, which would hold up calls for 0.3 s."""
    gc.collect()
    gc.freeze()


class ServedModels:
    """The models of a server, see `rest.Models`; `update` loads and drops versions as on disk.

    Args:
        configs: one for each model, with different names.
        batch_sizes: see `LoadedVersion`.
    """

    def __init__(self, configs: Sequence[ModelConfig], batch_sizes: Sequence[int] = ()) -> None:
        self._models = {config.name: _ServedModel(config, batch_sizes) for config in configs}

    def update(self) -> None:
        """Loads and drops versions until all are served that should be and can be loaded."""
        for name, model in self._models.items():
            try:
                model.update()
            except OSError as error:  # loaded versions stay
                logging.error("The base path of %s cannot be read: %s", name, error)

    def watch(self, seconds: float, stop: threading.Event) -> None:
        """Calls `update` every `seconds` until `stop` is set."""
        while not stop.wait(seconds):
            self.update()

    def available(self) -> dict[str, list[int]]:
        """Returns the served versions of each model, ascending."""
        return {name: sorted(model.loaded) for name, model in self._models.items()}

    def find(self, name: str, version: int | None, label: str | None) -> LoadedVersion:
        """See `rest.Models`."""
        if name not in self._models:
            raise RequestError(404, f"There is no model {name!r}.")
        return self._models[name].find(version, label)

    def status(self, name: str, version: int | None) -> list[dict[str, Any]]:
        """See `rest.Models`."""
        statuses = self._models[name].status() if name in self._models else []
        if version is not None:
            statuses = [status for status in statuses if status["version"] == str(version)]
        if not statuses:
            which = "" if version is None else f" of version {version}"
            raise RequestError(404, f"There is no model {name!r}{which}.")
        return statuses


class _ServedModel:
    """The versions of one model. A call that runs keeps its version in memory when it is dropped.

    Dictionaries are replaced and never changed, so that other threads can read them without a lock.
    """

    def __init__(self, config: ModelConfig, batch_sizes: Sequence[int]) -> None:
        self._config, self._batch_sizes = config, batch_sizes
        self.loaded: dict[int, LoadedVersion] = {}
        # State and error by version, also of dropped versions, as in TensorFlow Serving.
        self._states: dict[int, tuple[str, str]] = {}
        # The files of a version when it was last loaded or refused, and the time.
        self._seen: dict[int, tuple[_Files, float]] = {}

    def update(self) -> None:
        wanted: set[int] = set()
        for version in self._config.candidates():
            if len(wanted) == self._config.num_versions:
                break
            self._load(version)
            if version in self.loaded:
                wanted.add(version)
        # If nothing can replace them, the served versions stay.
        for version in self.loaded.keys() - wanted if wanted else ():
            self._drop(version)

    def _load(self, version: int) -> None:
        """Loads a version that is new, has changed, or was refused a minute ago."""
        directory = self._config.base_path / str(version)
        files = _files(directory)
        seen, since = self._seen.get(version, (None, 0.0))
        patient = version in self.loaded or time.monotonic() - since < RETRY_SECONDS
        if seen == files and patient:
            return
        self._seen[version] = files, time.monotonic()
        if version not in self.loaded:
            self._set_state(version, "LOADING")
        try:
            loaded = LoadedVersion(directory, version, self._batch_sizes)
        except Exception as error:  # a version may be broken in any way
            text = (
                error_message(error) if isinstance(error, tf.errors.OpError) else str(error).strip()
            )
            message = (text or repr(error)).splitlines()[0]
            logging.error("%s version %d is refused: %s", self._config.name, version, message)
            if version not in self.loaded:
                self._set_state(version, "END", message)
            return
        self.loaded = {**self.loaded, version: loaded}
        self._set_state(version, "AVAILABLE")
        print(f"{self._config.name} version {version} is served.", flush=True)

    def _drop(self, version: int) -> None:
        self.loaded = {number: model for number, model in self.loaded.items() if number != version}
        self._seen.pop(version)
        self._set_state(version, "END")
        gc.unfreeze()
        settle_memory()  # a loaded model has reference cycles, so it must be collected
        logging.warning("%s version %d is not served any more.", self._config.name, version)

    def _set_state(self, version: int, state: str, error: str = "") -> None:
        self._states = {**self._states, version: (state, error)}

    def find(self, version: int | None, label: str | None) -> LoadedVersion:
        loaded = self.loaded
        if label is not None:
            if label not in self._config.labels:
                raise RequestError(
                    400, f"There is no label {label!r}. There are: {listed(self._config.labels)}"
                )
            version = self._config.labels[label]
        if version is None:
            if not loaded:
                raise RequestError(404, f"No version of {self._config.name!r} is served.")
            version = max(loaded)
        if version not in loaded:
            raise RequestError(
                404,
                f"Version {version} of {self._config.name!r} is not served. There are: "
                f"{listed(loaded)}",
            )
        return loaded[version]

    def status(self) -> list[dict[str, Any]]:
        return [
            {
                "version": str(version),
                "state": state,
                "status": {"error_code": "UNKNOWN" if error else "OK", "error_message": error},
            }
            for version, (state, error) in sorted(self._states.items(), reverse=True)
        ]


def _files(directory: Path) -> _Files:
    """Returns names, sizes and times of a version's files, which show whether it has changed."""
    found = set()
    for path in directory.rglob("*"):
        with contextlib.suppress(FileNotFoundError):  # it is being deleted
            status = path.stat()
            found.add((str(path), status.st_size, status.st_mtime_ns))
    return found
