"""Loads a version of a model, warms it up, and calls its signatures by name."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from google.protobuf import json_format

from sagan_tf.serving.exporting.lint import compiled_by_xla, read_meta_graph
from sagan_tf.serving.exporting.warmup import read_requests
from sagan_tf.serving.server.joining import JoinChecks
from sagan_tf.serving.server.json_inputs import listed
from sagan_tf.serving.server.rest import RequestError

# HTTP status of each error code of TensorFlow, as in TensorFlow Serving's `http_server.cc`.
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
_ASSERTION = "assertion failed: "
# A number as TensorFlow prints it; dots stand for those that it leaves out.
_VALUE = re.compile(r"[-+]?(?:\d[\d.e+-]*|nan|inf)(?:\.\.\.)?")


class LoadedVersion:
    """A loaded and warmed-up version of a model, see `rest.Model`.

    Args:
        directory: directory of the version.
        version: number of the version.

    Raises:
        Exception: of any type, if the version cannot be loaded or a warm-up request fails.
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
                f"There is no signature {signature_name!r}. There are: {listed(self._signatures)}",
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
            raise RequestError(status, error_message(error)) from error

    def joins(self, signature_name: str) -> bool:
        """See `rest.Model`."""
        return signature_name in self._join_checks.signatures

    def accepts(self, signature_name: str, inputs: Mapping[str, np.ndarray]) -> bool:
        """See `rest.Model`."""
        return self._join_checks.accept(signature_name, inputs)

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


def error_message(error: tf.errors.OpError) -> str:
    """Returns what went wrong, without the places in the graph that TensorFlow adds to it."""
    message = error.message.split("<stack traces unavailable>")[-1].split("\n\t [[")[0]
    message = re.sub(r"\{\{function_node .*?\}\} |\[Op:\w+\]", "", message)
    message = message.strip()
    if message.startswith(_ASSERTION):
        return _without_brackets(message.removeprefix(_ASSERTION))
    return message


def _without_brackets(assertion: str) -> str:
    """Returns the text of a failed `tf.debugging.Assert`, which has brackets around each part.

    Only values keep them: `[A seed must be positive. Received:] [-1 -2]` becomes
    `A seed must be positive. Received: [-1 -2]`.
    """
    parts = assertion.removeprefix("[").removesuffix("]").split("] [")
    shown = [
        f"[{part}]" if all(map(_VALUE.fullmatch, part.split(" "))) else part.strip()
        for part in parts
    ]
    return " ".join(filter(None, shown))
