"""Versions of models on disk, kept loaded: a new one is there before the old one goes."""

import contextlib
import dataclasses
import gc
import os
import re
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from absl import logging
from google.protobuf import json_format, text_format

from sagan_tf.serving.joining import JoinChecks
from sagan_tf.serving.lint import compiled_by_xla, read_meta_graph
from sagan_tf.serving.messages import ModelServerConfig
from sagan_tf.serving.rest import RequestError
from sagan_tf.serving.saved_model import versions_in
from sagan_tf.serving.warmup import read_requests

# By the names of TensorFlow's codes, as TensorFlow Serving's `http_server.cc` maps them.
_HTTP_STATUS = {
    tf.errors.INVALID_ARGUMENT: 400,
    tf.errors.FAILED_PRECONDITION: 400,
    tf.errors.OUT_OF_RANGE: 400,
    tf.errors.UNAUTHENTICATED: 401,
    tf.errors.PERMISSION_DENIED: 403,
    tf.errors.NOT_FOUND: 404,
    tf.errors.ALREADY_EXISTS: 409,
    tf.errors.ABORTED: 409,
    tf.errors.RESOURCE_EXHAUSTED: 429,
    tf.errors.CANCELLED: 499,
    tf.errors.UNIMPLEMENTED: 501,
    tf.errors.UNAVAILABLE: 503,
    tf.errors.DEADLINE_EXCEEDED: 504,
}


# After which a version that was refused is tried again: memory, or a disk, may be back.
RETRY_SECONDS = 60.0

_Files = set[tuple[str, int, int]]


@dataclasses.dataclass(frozen=True)
class ModelConfig:
    """One model to serve.

    Attributes:
        name: in addresses.
        base_path: holds the versions.
        num_versions: how many of the newest that can be loaded are served; `None` for all.
        versions: the only ones to serve, if not all.
        labels: names of versions in addresses.
    """

    name: str
    base_path: Path
    num_versions: int | None = 1
    versions: tuple[int, ...] | None = None
    labels: Mapping[str, int] = dataclasses.field(default_factory=dict)

    def candidates(self) -> list[int]:
        """The versions on disk that may be served, newest first."""
        present = versions_in(self.base_path)[::-1]
        if self.versions is None:
            return present
        return [version for version in present if version in self.versions]


def read_model_configs(path: str | os.PathLike) -> list[ModelConfig]:
    """Reads a `ModelServerConfig` in text format, as `tensorflow_model_server` does.

    Raises:
        ValueError: if it cannot be read, or names no model, or one twice.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
        parsed = text_format.Parse(text, ModelServerConfig(), allow_unknown_field=True)
    except (OSError, UnicodeDecodeError, text_format.ParseError) as error:
        raise ValueError(f"`--model_config_file` {path} cannot be read: {error}") from None
    configs = [_model_config(config) for config in parsed.model_config_list.config]
    names = {config.name for config in configs}
    if not configs or len(names) < len(configs) or "" in names:
        raise ValueError(
            f"`--model_config_file` {path} must name each of its models, and no two alike. "
            f"Received: {[config.name for config in configs]}"
        )
    return configs


def _model_config(config: Any) -> ModelConfig:
    policy = config.model_version_policy
    specific = policy.HasField("specific")
    return ModelConfig(
        config.name,
        Path(config.base_path),
        None if specific or policy.HasField("all") else policy.latest.num_versions or 1,
        tuple(policy.specific.versions) if specific else None,
        dict(config.version_labels),
    )


class LoadedVersion:
    """A version in memory, warmed up.

    Args:
        directory: the version's.
        version: its number.

    Raises:
        Exception: of whatever kind, if it cannot be loaded or a warm-up request fails.
    """

    def __init__(self, directory: Path, version: int) -> None:
        self.version = version
        self._meta_graph = read_meta_graph(directory)
        self._loaded = tf.saved_model.load(str(directory))
        self._signatures = dict(self._loaded.signatures)
        self._compiled_by_xla = {
            name for name in self._signatures if compiled_by_xla(self._meta_graph, name)
        }
        self._input_dtypes = {
            name: {
                key: tf.as_dtype(tensor.dtype)
                for key, tensor in self._meta_graph.signature_def[name].inputs.items()
            }
            for name in self._signatures
        }
        requests = list(read_requests(directory))
        for name, inputs in requests:
            self._run(name, inputs)
        self._join_checks = JoinChecks(self.metadata(), self._run, requests)

    def input_dtypes(self, signature_name: str) -> Mapping[str, str]:
        """See `rest.Model`."""
        if signature_name not in self._signatures:
            raise RequestError(
                400,
                f"There is no signature {signature_name!r}. There are: {sorted(self._signatures)}",
            )
        if signature_name in self._compiled_by_xla:
            raise RequestError(
                500, f"Signature {signature_name!r} needs XLA, which TensorFlow Serving disables."
            )
        dtypes = self._input_dtypes[signature_name]
        return {name: dtype.name for name, dtype in dtypes.items()}

    def predict(
        self, signature_name: str, inputs: Mapping[str, np.ndarray]
    ) -> Mapping[str, np.ndarray]:
        """See `rest.Model`."""
        try:
            return self._run(signature_name, inputs)
        except tf.errors.OpError as error:
            status = _HTTP_STATUS.get(error.error_code, 500)
            raise RequestError(status, _message(error)) from error

    def joins(self, signature_name: str, inputs: Mapping[str, np.ndarray]) -> bool:
        """See `rest.Model`."""
        return self._join_checks.allow(signature_name, inputs)

    def metadata(self) -> Any:
        """See `rest.Model`."""
        return {
            "signature_def": {
                name: json_format.MessageToDict(
                    signature,
                    always_print_fields_with_no_presence=True,
                    preserving_proto_field_name=True,
                )
                for name, signature in self._meta_graph.signature_def.items()
            }
        }

    def _run(self, signature_name: str, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        dtypes = self._input_dtypes[signature_name]
        tensors = {name: tf.constant(value, dtypes[name]) for name, value in inputs.items()}
        outputs = self._signatures[signature_name](**tensors)
        return {name: np.asarray(value) for name, value in outputs.items()}


def _message(error: tf.errors.OpError) -> str:
    """What went wrong, without the places in the graph before and after it."""
    message = error.message.split("<stack traces unavailable>")[-1].split("\n\t [[")[0]
    message = re.sub(r"\{\{function_node .*?\}\} |\[Op:\w+\]", "", message)
    return message.strip().removeprefix("assertion failed: ")


def settle_memory() -> None:
    """Lets the garbage collector pass by what is loaded, which holds calls up for 0.3 seconds."""
    gc.collect()
    gc.freeze()


class ServedModels:
    """The models of a server; `update` makes what is loaded follow what is on disk.

    Args:
        configs: one per model, of different names.
    """

    def __init__(self, configs: Sequence[ModelConfig]) -> None:
        self._models = {config.name: _ServedModel(config) for config in configs}

    def update(self) -> None:
        """Loads and drops versions; returns when all is as on disk, or could not be loaded."""
        for name, model in self._models.items():
            try:
                model.update()
            except OSError as error:  # what is loaded stays
                logging.error("The base path of %s cannot be read: %s", name, error)

    def watch(self, seconds: float, stop: threading.Event) -> None:
        """Updates every so many seconds until `stop` is set."""
        while not stop.wait(seconds):
            self.update()

    def available(self) -> dict[str, list[int]]:
        """The versions served of each model, ascending."""
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
    """One model's versions. Calls that run keep a version that is dropped alive to their end.

    Dictionaries are replaced, never changed: the threads that answer see one or the other.
    """

    def __init__(self, config: ModelConfig) -> None:
        self._config = config
        self.loaded: dict[int, LoadedVersion] = {}
        # With an error; of versions that are gone, too, as in TensorFlow Serving.
        self._states: dict[int, tuple[str, str]] = {}
        # The files that were looked at, and when.
        self._seen: dict[int, tuple[_Files, float]] = {}

    def update(self) -> None:
        wanted: set[int] = set()
        for version in self._config.candidates():
            if len(wanted) == self._config.num_versions:
                break
            self._load(version)
            if version in self.loaded:
                wanted.add(version)
        # If there are none to take their place, those that are served stay.
        for version in self.loaded.keys() - wanted if wanted else ():
            self._drop(version)

    def _load(self, version: int) -> None:
        """Loads a version that is new, was replaced, or was refused a while ago."""
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
            loaded = LoadedVersion(directory, version)
        except Exception as error:  # a version may be broken in any way
            text = _message(error) if isinstance(error, tf.errors.OpError) else str(error).strip()
            message = (text or repr(error)).splitlines()[0]
            logging.error("%s version %d is refused: %s", self._config.name, version, message)
            if version not in self.loaded:
                self._set_state(version, "END", message)
            return
        self.loaded = {**self.loaded, version: loaded}
        self._set_state(version, "AVAILABLE")
        logging.warning("%s version %d is served.", self._config.name, version)

    def _drop(self, version: int) -> None:
        self.loaded = {number: model for number, model in self.loaded.items() if number != version}
        self._seen.pop(version)
        self._set_state(version, "END")
        gc.unfreeze()
        settle_memory()  # a loaded model refers to itself
        logging.warning("%s version %d is not served any more.", self._config.name, version)

    def _set_state(self, version: int, state: str, error: str = "") -> None:
        self._states = {**self._states, version: (state, error)}

    def find(self, version: int | None, label: str | None) -> LoadedVersion:
        loaded = self.loaded
        if label is not None:
            if label not in self._config.labels:
                raise RequestError(
                    400, f"There is no label {label!r}. There are: {sorted(self._config.labels)}"
                )
            version = self._config.labels[label]
        if version is None and loaded:
            version = max(loaded)
        if version not in loaded:
            raise RequestError(
                404,
                f"Version {version} of {self._config.name!r} is not served. There are: "
                f"{sorted(loaded)}",
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
    """Names, sizes and times of all files below, which show whether a version was changed."""
    found = set()
    for path in directory.rglob("*"):
        with contextlib.suppress(FileNotFoundError):  # on its way out
            status = path.stat()
            found.add((str(path), status.st_size, status.st_mtime_ns))
    return found
