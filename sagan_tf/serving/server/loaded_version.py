"""Loads a version of a model, warms it up, and calls its signatures by name."""

import contextlib
import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from google.protobuf import json_format
from tensorflow.core.protobuf import config_pb2, meta_graph_pb2, rewriter_config_pb2

from sagan_tf.serving.exporting.lint import (
    INIT_SIGNATURE,
    compiled_by_xla,
    read_meta_graph,
    unrestored,
)
from sagan_tf.serving.exporting.warmup import Inputs, read_requests
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
# Of TensorFlow's simplifications of a graph, those that make calls of a generator faster. With all
# of them a version takes longer to load.
_OPTIMIZERS = ("pruning", "function", "constfold", "arithmetic", "layout", "remap", "dependency")
_ASSERTION = "assertion failed: "
# A number as TensorFlow prints it; dots stand for those that it leaves out.
_VALUE = re.compile(r"[-+]?(?:\d[\d.e+-]*|nan|inf)(?:\.\.\.)?")


class LoadedVersion:
    """A loaded and warmed-up version of a model, see `rest.Model`.

    Args:
        directory: directory of the version.
        version: number of the version.
        batch_sizes: numbers of rows with which calls will be joined. The version warms up with
            these, too, as a GPU's first call with another number of rows is slow.

    Raises:
        Exception: of any type, if the version cannot be loaded or a warm-up request fails.
    """

    def __init__(self, directory: Path, version: int, batch_sizes: Sequence[int] = ()) -> None:
        self.version = version
        self._meta_graph = read_meta_graph(directory)
        signatures = dict(self._meta_graph.signature_def)
        signatures.pop(INIT_SIGNATURE, None)
        for name in signatures:
            if missing := unrestored(self._meta_graph, name):
                raise ValueError(
                    f"Signature {name!r} reads variables that the checkpoint does not restore: "
                    f"{listed(missing)}. Save Keras models by their method `export`."
                )
        # A session, as in TensorFlow Serving: calls of a function from `tf.saved_model.load` take
        # longer.
        session = _open_session(directory)
        self._signatures = {
            name: _Signature(session, signature) for name, signature in signatures.items()
        }
        self._compiled_by_xla = {
            name for name in self._signatures if compiled_by_xla(self._meta_graph, name)
        }
        requests = list(read_requests(directory))
        for name, inputs in requests:
            self._run(name, inputs)
        self._join_checks = JoinChecks(self.metadata(), self._run, requests)
        joined = {name: inputs for name, inputs in requests if self.joins(name)}
        for name, inputs in joined.items():
            for size in batch_sizes:
                self._run(name, {key: _repeated(rows, size) for key, rows in inputs.items()})

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
        return self._signatures[signature_name].input_dtypes

    def predict(self, signature_name: str, inputs: Inputs) -> Mapping[str, np.ndarray]:
        """See `rest.Model`."""
        try:
            return self._run(signature_name, inputs)
        except tf.errors.OpError as error:
            status = _HTTP_STATUS.get(error.error_code, 500)
            raise RequestError(status, error_message(error)) from error

    def joins(self, signature_name: str) -> bool:
        """See `rest.Model`."""
        return signature_name in self._join_checks.signatures

    def accepts(self, signature_name: str, inputs: Inputs) -> bool:
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

    def _run(self, signature_name: str, inputs: Inputs) -> dict[str, np.ndarray]:
        return self._signatures[signature_name](inputs)


class _Signature:
    """A signature that a session runs.

    Attributes:
        input_dtypes: NumPy's names of dtypes, or "string", by name of the input.
    """

    def __init__(
        self, session: tf.compat.v1.Session, signature: meta_graph_pb2.SignatureDef
    ) -> None:
        self.input_dtypes = {
            name: tf.as_dtype(tensor.dtype).name for name, tensor in signature.inputs.items()
        }
        self._inputs = _numpy_dtypes(signature.inputs)
        self._outputs = _numpy_dtypes(signature.outputs)
        # Not `session.run`: it takes longer than a small model, and refuses shapes that TensorFlow
        # Serving leaves to the graph.
        self._call = session._make_callable_from_options(
            config_pb2.CallableOptions(
                feed=[tensor.name for tensor in signature.inputs.values()],
                fetch=[tensor.name for tensor in signature.outputs.values()],
            )
        )

    def __call__(self, inputs: Inputs) -> dict[str, np.ndarray]:
        given: list[Any] = [
            inputs[name].astype(dtype, casting="same_kind", copy=False)
            for name, dtype in self._inputs.items()
        ]
        # A session gives scalars that are no arrays.
        outputs = zip(self._outputs.items(), self._call(*given), strict=True)
        return {name: np.asarray(value, dtype) for (name, dtype), value in outputs}


def _repeated(rows: np.ndarray, size: int) -> np.ndarray:
    return np.resize(rows, (size, *rows.shape[1:]))


def _numpy_dtypes(tensors: Mapping[str, meta_graph_pb2.TensorInfo]) -> dict[str, type]:
    return {name: tf.as_dtype(tensor.dtype).as_numpy_dtype for name, tensor in tensors.items()}


def _open_session(directory: Path) -> tf.compat.v1.Session:
    """Opens a session with the graph and the variables of a SavedModel."""
    options = tf.config.optimizer.get_experimental_options()
    rewriting = rewriter_config_pb2.RewriterConfig(
        meta_optimizer_iterations=rewriter_config_pb2.RewriterConfig.ONE,
        optimizers=_OPTIMIZERS,
        disable_meta_optimizer=options.get("disable_meta_optimizer", False),
    )
    config = config_pb2.ConfigProto(
        device_count={"GPU": len(tf.config.get_visible_devices("GPU"))},
        gpu_options=config_pb2.GPUOptions(allow_growth=True),
        intra_op_parallelism_threads=tf.config.threading.get_intra_op_parallelism_threads(),
        inter_op_parallelism_threads=tf.config.threading.get_inter_op_parallelism_threads(),
        graph_options=config_pb2.GraphOptions(rewrite_options=rewriting),
    )
    with tf.Graph().as_default() as graph, _no_advice():
        session = tf.compat.v1.Session(graph=graph, config=config)
        tf.compat.v1.saved_model.load(session, [tf.saved_model.SERVING], str(directory))
    return session


@contextlib.contextmanager
def _no_advice() -> Iterator[None]:
    """Drops TensorFlow's advice to use `tf.saved_model.load`, which gives no session."""
    logger = tf.get_logger()
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


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
