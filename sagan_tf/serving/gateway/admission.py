"""Decides which requests pass the gateway, by the signatures of the model behind it.

The functions are pure; `app` has the network, keys and quotas. An admitted request is
serialized anew from its parsed values, so that no byte of a caller reaches the model's server.
"""

import dataclasses
import json
from typing import Any

from sagan_tf.serving.server.json_inputs import TensorError, listed, read_columns, read_rows
from sagan_tf.serving.server.rest import RequestError
from sagan_tf.serving.server.signature_inputs import Signatures, check_rows

_KEYS = {"signature_name", "instances", "inputs"}


@dataclasses.dataclass(frozen=True)
class Limits:
    """Limits of a single request.

    Attributes:
        max_body_bytes: largest body, in bytes.
        max_depth: deepest nesting of lists and objects.
        max_rows: most images that a request may ask for.
    """

    max_body_bytes: int = 256 * 1024
    max_depth: int = 8
    max_rows: int = 64


@dataclasses.dataclass(frozen=True)
class Admitted:
    """A request that may pass.

    Attributes:
        signature_name: name of the signature that it calls.
        rows: number of images that it asks for.
        body: JSON for the model's server, serialized anew.
    """

    signature_name: str
    rows: int
    body: bytes


def admit(body: bytes, signatures: Signatures, limits: Limits) -> Admitted:
    """Checks the body of a `:predict` request.

    Args:
        body: as it was received.
        signatures: see `signature_inputs`.
        limits: of the request.

    Returns:
        The request, ready to be sent on.

    Raises:
        RequestError: 413 for a body that is too large, else 400; the message says what is wrong.
    """
    if len(body) > limits.max_body_bytes:
        raise RequestError(413, f"The body must be at most {limits.max_body_bytes} bytes.")
    request = _parse(body, limits.max_depth)
    if not isinstance(request, dict):
        raise RequestError(400, "The body must be a JSON object.")
    unknown = request.keys() - _KEYS
    if unknown:
        raise RequestError(400, f"The body has unknown keys; it may have {listed(_KEYS)}.")
    if ("instances" in request) == ("inputs" in request):
        raise RequestError(400, "The body must have one of `instances` and `inputs`.")
    name = request.get("signature_name", "serving_default")
    if not isinstance(name, str) or name not in signatures:
        raise RequestError(400, f"`signature_name` must be one of {listed(signatures)}.")
    inputs = signatures[name]
    dtypes = {key: value.dtype for key, value in inputs.items()}
    try:
        if "instances" in request:
            arrays = read_rows(request["instances"], dtypes)
        else:
            columns = request["inputs"]
            # `{"b64": ...}` alone names no input: it is the value of the only one.
            is_value = isinstance(columns, dict) and columns.keys() == {"b64"}
            if isinstance(columns, dict) and not is_value and columns.keys() != inputs.keys():
                raise RequestError(400, f"`inputs` must have the keys {listed(inputs)}.")
            arrays = read_columns(columns, dtypes)
    except TensorError as error:
        raise RequestError(400, str(error)) from None
    rows = check_rows(arrays, inputs)
    if rows > limits.max_rows:
        raise RequestError(400, f"At most {limits.max_rows} images at a time. Received: {rows}")
    # Row or column format is kept: it decides the format of the answer.
    kind = "instances" if "instances" in request else "inputs"
    clean = {"signature_name": name, kind: request[kind]}
    return Admitted(name, rows, json.dumps(clean, allow_nan=False).encode())


def _parse(body: bytes, max_depth: int) -> Any:
    """Parses strict JSON: no `NaN`, no key twice in an object, nothing after the document."""
    try:
        document = json.loads(
            body.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_no_constant
        )
        document_is_text = json.dumps(document, ensure_ascii=False).encode("utf-8")
    except (ValueError, RecursionError) as error:
        reason = "too deep" if isinstance(error, RecursionError) else _plain(error)
        raise RequestError(400, f"The body is not JSON: {reason}") from None
    del document_is_text  # it was only made to find unpaired surrogates
    level, depth = [document], 0
    while level:
        depth += 1
        if depth > max_depth + 1:
            raise RequestError(400, f"The body may be nested at most {max_depth} deep.")
        level = [
            child
            for value in level
            if isinstance(value, dict | list)
            for child in (value.values() if isinstance(value, dict) else value)
        ]
    return document


def _plain(error: ValueError) -> str:
    """Returns what is wrong, without bytes of the body."""
    if isinstance(error, UnicodeError):
        return "it is not UTF-8"
    return str(error).split(":")[0]


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("an object has a key twice")
    return found


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not a number of JSON")
