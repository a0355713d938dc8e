"""TensorFlow Serving's REST API as one function from a request to its answer.

Addresses, statuses and bodies are those of TensorFlow Serving (`http_rest_api_handler.cc`,
`http_rest_api_util.cc`); error messages are our own. Nothing here needs TensorFlow or a network: a
`Model` runs the signatures, and `app` speaks HTTP.
"""

import dataclasses
import re
import urllib.parse
import zlib
from collections.abc import Callable, Mapping
from typing import Any, Protocol, TypeVar

import numpy as np
from absl import logging

from sagan_tf.serving.server.json_inputs import TensorError, parse, read_columns, read_rows, shown
from sagan_tf.serving.server.json_outputs import dump, write_columns, write_rows

# TensorFlow Serving takes 100 MiB, but parsing that much would hold up other callers for seconds.
MAX_INFLATED_BYTES = 4 * 2**20

_PREFIX = re.compile(r"/v1/.+", re.IGNORECASE)
_WHICH = r"(?:/versions/(?P<version>[0-9]+)|/labels/(?P<label>[^/:]+))?"
# The words of a path, but not its verb, may be in capitals.
_POST = re.compile(
    rf"(?i:/v1/models)/(?P<name>[^/:]+)(?i:{_WHICH}):(?P<verb>predict|classify|regress)"
)
_GET = re.compile(rf"(?i:/v1/models(?:/(?P<name>[^/:]+){_WHICH}(?P<metadata>/metadata)?)?)")
_ORIGIN = re.compile(r"https?://")

# They let pages of other sites read answers; the values are those of TensorFlow Serving.
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
    """An HTTP answer: status, headers and body."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class RequestError(Exception):
    """Becomes the answer `{"error": message}`.

    Attributes:
        status: HTTP status.
        retry_after: seconds after which the caller should try again; `None` if unknown.
    """

    def __init__(self, status: int, message: str, retry_after: int | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.retry_after = retry_after


class Model(Protocol):
    """One loaded version of a model."""

    version: int

    def input_dtypes(self, signature_name: str) -> Mapping[str, str]:
        """Returns NumPy's names of dtypes, or "string", by name of the input.

        Raises:
            RequestError: for a signature that does not exist or cannot be called.
        """

    def predict(
        self, signature_name: str, inputs: Mapping[str, np.ndarray]
    ) -> Mapping[str, np.ndarray]:
        """Runs a signature on inputs by name, and returns its outputs by name.

        Strings are bytes in arrays of dtype object.

        Raises:
            RequestError: if the model refuses the inputs.
        """

    def joins(self, signature_name: str) -> bool:
        """Returns whether rows of several calls of a signature may run together."""

    def accepts(self, signature_name: str, inputs: Mapping[str, np.ndarray]) -> bool:
        """Returns whether a signature that is joined can run rows without an error."""

    def metadata(self) -> Any:
        """Returns the signatures in the form of TensorFlow Serving's protocol buffer in JSON."""


class Models(Protocol):
    """All models of a server."""

    def find(self, name: str, version: int | None, label: str | None) -> Model:
        """Returns the version with that number or label; without either, the newest.

        Raises:
            RequestError: if it is not served.
        """

    def status(self, name: str, version: int | None) -> list[dict[str, Any]]:
        """Returns the state of one version or of all, newest first.

        Raises:
            RequestError: if there is no such model or version.
        """


@dataclasses.dataclass(frozen=True)
class Call:
    """A call of a model that was read but did not run yet.

    Attributes:
        model: the version to call.
        signature_name: name of the signature to call.
        inputs: arrays by name.
        by_row: whether the answer has the row format, `predictions`, or the column format,
            `outputs`.
        headers: headers of the answer.
    """

    model: Model
    signature_name: str
    inputs: Mapping[str, np.ndarray]
    by_row: bool
    headers: Mapping[str, str]

    def run(self) -> Response:
        """Runs the model and returns the answer."""
        return self.answer(lambda: self.model.predict(self.signature_name, self.inputs))

    def answer(self, outputs: Callable[[], Mapping[str, np.ndarray]]) -> Response:
        """Returns the answer with `outputs()`, or with the error that it raises."""
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
    """Answers a request, and runs the model for it; see `read` for the arguments."""
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
    """Answers a request that needs no model, or returns the call of the model.

    Args:
        method: HTTP method, in capitals.
        path: path and query as they were sent, still quoted.
        headers: values by name in lower case.
        body: body as it was sent.
        models: the models of the server.
        enable_cors: whether pages of other sites may read the answers.
        max_inflated_bytes: most bytes of a gzip body after it is inflated; `None` for
            `MAX_INFLATED_BYTES`.

    Returns:
        The answer, also to a request with an error; or the call.
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
    except Exception:  # a defect of ours; the caller learns no details
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
    if not match["metadata"]:  # Here a label is ignored, as by TensorFlow Serving.
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
        raise RequestError(400, f"The body is not gzip: {error}") from None
    if not inflate.eof:
        raise RequestError(
            400, f"The body is cut short, or larger than {max_bytes} bytes when inflated."
        )
    if inflate.unused_data:
        raise RequestError(400, "The body has data after its gzip stream.")
    return inflated
