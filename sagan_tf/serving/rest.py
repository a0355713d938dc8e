"""TensorFlow Serving's REST API as one function from a request to its answer.

Addresses, statuses and bodies are those of TensorFlow Serving (`http_rest_api_handler.cc`,
`http_rest_api_util.cc`); the words of an error are our own. Nothing here needs TensorFlow or a
network: `models` runs the model, `server` speaks HTTP.
"""

import dataclasses
import re
import urllib.parse
import zlib
from collections.abc import Callable, Mapping
from typing import Any, Protocol, TypeVar

import numpy as np
from absl import logging

from sagan_tf.serving.json_inputs import TensorError, parse, read_columns, read_rows, shown
from sagan_tf.serving.json_outputs import dump, write_columns, write_rows

# TensorFlow Serving takes 100 MiB, which keep others waiting for seconds while they are parsed.
MAX_INFLATED_BYTES = 4 * 2**20

_PREFIX = re.compile(r"/v1/.+", re.IGNORECASE)
_WHICH = r"(?:/versions/(?P<version>[0-9]+)|/labels/(?P<label>[^/:]+))?"
# Words of a path may be in capitals, but not the verb.
_POST = re.compile(
    rf"(?i:/v1/models)/(?P<name>[^/:]+)(?i:{_WHICH}):(?P<verb>predict|classify|regress)"
)
_GET = re.compile(rf"(?i:/v1/models(?:/(?P<name>[^/:]+){_WHICH}(?P<metadata>/metadata)?)?)")
_ORIGIN = re.compile(r"https?://")

# What a browser of another site is told, as TensorFlow Serving words it.
_CORS_HEADERS = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Methods": "POST, GET",
    "Access-Control-Allow-Headers": "Content-Type",
}
_NOT_FOUND = (
    b"<HTML><HEAD><TITLE>404 Not Found</TITLE></HEAD><BODY><H1>Not Found</H1></BODY></HTML>"
)


@dataclasses.dataclass(frozen=True)
class Response:
    """An answer: status, headers and body."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class RequestError(Exception):
    """What a caller is told as `{"error": message}`.

    Attributes:
        status: of HTTP.
        retry_after: seconds after which it is worth another try; `None` if it is not known.
    """

    def __init__(self, status: int, message: str, retry_after: int | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.retry_after = retry_after


class Model(Protocol):
    """One loaded version of a model."""

    version: int

    def input_dtypes(self, signature_name: str) -> Mapping[str, str]:
        """NumPy's dtype names, or "string", by input.

        Raises:
            RequestError: for a signature that there is not, or that cannot be called.
        """

    def predict(
        self, signature_name: str, inputs: Mapping[str, np.ndarray]
    ) -> Mapping[str, np.ndarray]:
        """Runs a signature.

        Raises:
            RequestError: if the model refuses the inputs.
        """

    def joins(self, signature_name: str, inputs: Mapping[str, np.ndarray]) -> bool:
        """Whether a call's rows may be run together with those of other calls."""

    def metadata(self) -> Any:
        """The signatures, as TensorFlow Serving's protocol buffers write them in JSON."""


class Models(Protocol):
    """What is served."""

    def find(self, name: str, version: int | None, label: str | None) -> Model:
        """The version asked for, or else the newest.

        Raises:
            RequestError: if it is not served.
        """

    def status(self, name: str, version: int | None) -> list[dict[str, Any]]:
        """The state of one version or all, newest first.

        Raises:
            RequestError: if there is none.
        """


@dataclasses.dataclass(frozen=True)
class Call:
    """A call of a model, read but not run.

    Attributes:
        model: what is called.
        signature_name: of the model.
        inputs: by name.
        by_row: whether the answer has a row for each of the request's, or else columns.
        headers: of the answer.
    """

    model: Model
    signature_name: str
    inputs: Mapping[str, np.ndarray]
    by_row: bool
    headers: Mapping[str, str]

    def run(self) -> Response:
        """Runs the model, and answers."""
        return self.answer(lambda: self.model.predict(self.signature_name, self.inputs))

    def answer(self, outputs: Callable[[], Mapping[str, np.ndarray]]) -> Response:
        """The answer that holds `outputs()`, or the error that it raises."""
        write = write_rows if self.by_row else write_columns
        return _answered(lambda: Response(200, self.headers, dump(write(outputs()))), self.headers)


def handle(
    method: str,
    path: str,
    headers: Mapping[str, str],
    body: bytes,
    models: Models,
    enable_cors: bool = False,
) -> Response:
    """Reads a request and answers it, running the model; arguments as of `read`."""
    found = read(method, path, headers, body, models, enable_cors)
    return found.run() if isinstance(found, Call) else found


def read(
    method: str,
    path: str,
    headers: Mapping[str, str],
    body: bytes,
    models: Models,
    enable_cors: bool = False,
    max_inflated_bytes: int | None = None,
) -> Response | Call:
    """Answers a request, or finds the call that will.

    Args:
        method: of HTTP, in capitals.
        path: as it was sent: quoted, with the query if there is one.
        headers: names in lower case.
        body: as it was sent.
        models: what is served.
        enable_cors: whether pages of other sites may read the answers.
        max_inflated_bytes: of a compressed body; `None` for `MAX_INFLATED_BYTES`.
    """
    headers_out = {"Content-Type": "application/json", **(_CORS_HEADERS if enable_cors else {})}

    def answer() -> Response | Call:
        if method == "OPTIONS":
            allowed = _ORIGIN.match(headers.get("origin", ""))
            return Response(200 if allowed else 400, headers_out, b"")
        if not _PREFIX.fullmatch(path):
            return Response(404, {**headers_out, "Content-Type": "text/html"}, _NOT_FOUND)
        if method == "POST" and (match := _POST.fullmatch(path)):
            inflated = _inflated(headers, body, max_inflated_bytes or MAX_INFLATED_BYTES)
            return _read_call(match, inflated, models, headers_out)
        if method == "GET" and (match := _GET.fullmatch(path)):
            return Response(200, headers_out, dump(_describe(match, models)))
        raise RequestError(400, f"Malformed request: {method} {path}")

    return _answered(answer, headers_out)


_Found = TypeVar("_Found", Response, Response | Call)


def _answered(answer: Callable[[], _Found], headers: Mapping[str, str]) -> _Found | Response:
    try:
        return answer()
    except RequestError as error:
        return Response(error.status, headers, dump({"error": str(error)}))
    except TensorError as error:
        return Response(400, headers, dump({"error": str(error)}))
    except Exception:  # a defect of ours, of which the caller learns nothing more
        logging.exception("A request failed")
        return Response(500, headers, dump({"error": "Internal error; see the server's log."}))


def _read_call(
    match: re.Match[str], body: bytes, models: Models, headers: Mapping[str, str]
) -> Call:
    model = models.find(_name(match), _version(match), match["label"])
    if match["verb"] != "predict":
        raise RequestError(400, f"`:{match['verb']}` takes tf.Example; use `:predict`.")
    request = parse(body)
    if not isinstance(request, dict):
        raise RequestError(400, "The body must be a JSON object.")
    if ("instances" in request) == ("inputs" in request):
        raise RequestError(400, "The body must have one of `instances` and `inputs`.")
    signature_name = request.get("signature_name", "")
    if not isinstance(signature_name, str):
        raise RequestError(
            400, f"`signature_name` must be a string. Received: {shown(signature_name)}"
        )
    signature_name = signature_name or "serving_default"
    dtypes = model.input_dtypes(signature_name)
    by_row = "instances" in request
    if by_row:
        inputs = read_rows(request["instances"], dtypes)
    else:
        inputs = read_columns(request["inputs"], dtypes)
    return Call(model, signature_name, inputs, by_row, headers)


def _describe(match: re.Match[str], models: Models) -> dict[str, Any]:
    if not match["name"]:
        raise RequestError(400, "Missing model name in request.")
    name, version = _name(match), _version(match)
    if not match["metadata"]:  # An unknown label is passed over, as TensorFlow Serving does.
        return {"model_version_status": models.status(name, version)}
    model = models.find(name, version, match["label"])
    spec = {"name": name, "version": str(model.version), "signature_name": ""}
    return {"model_spec": spec, "metadata": {"signature_def": model.metadata()}}


def _name(match: re.Match[str]) -> str:
    return urllib.parse.unquote(match["name"])


def _version(match: re.Match[str]) -> int | None:
    if match["version"] is None:
        return None
    digits = match["version"].lstrip("0") or "0"
    if len(digits) > 19 or int(digits) >= 2**63:
        raise RequestError(400, f"A version must be under 2^63. Received: {digits[:30]}")
    return int(digits)


def _inflated(headers: Mapping[str, str], body: bytes, max_bytes: int) -> bytes:
    if "gzip" not in headers.get("content-encoding", ""):
        return body
    inflate = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
    try:
        inflated = inflate.decompress(body, max_bytes)
    except zlib.error as error:
        raise RequestError(400, f"The body is no gzip: {error}") from None
    if not inflate.eof:
        raise RequestError(
            400, f"The body is cut short, or larger than {max_bytes} bytes when inflated."
        )
    if inflate.unused_data:
        raise RequestError(400, "The body has more after its gzip.")
    return inflated
