"""Which requests pass the gateway: everything is checked against the model's own signatures.

Pure functions of the request; `gateway` has the network, keys and rates. What is admitted is
written anew from what was understood, so that no byte of a caller reaches the model's server.
"""

import dataclasses
import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from sagan_tf.serving.json_inputs import TensorError, read_columns, read_rows
from sagan_tf.serving.rest import RequestError

# NumPy's names of what a signature may take through the gateway.
_DTYPES = {
    "DT_BOOL": "bool",
    "DT_FLOAT": "float32",
    "DT_DOUBLE": "float64",
    "DT_INT32": "int32",
    "DT_INT64": "int64",
    "DT_STRING": "string",
}
_KEYS = {"signature_name", "instances", "inputs"}
# TensorFlow Serving writes each number on a line of its own, with up to 30 spaces before it.
_NUMBER_TEXT_BYTES = 48
_ROW_TEXT_BYTES = 256
# Beyond this, JavaScript and many others cannot tell integers apart.
_LARGEST_SEED = 2**53 - 1


@dataclasses.dataclass(frozen=True)
class Limits:
    """What a request may hold.

    Attributes:
        max_body_bytes: of the body.
        max_depth: of lists and objects within one another.
        max_rows: images asked for at a time.
    """

    max_body_bytes: int = 256 * 1024
    max_depth: int = 8
    max_rows: int = 64


@dataclasses.dataclass(frozen=True)
class Input:
    """What one input of a signature takes.

    Attributes:
        dtype: NumPy's name, or "string".
        shape: of a row.
        low: the least value, `None` for none.
        high: the largest value, likewise.
    """

    dtype: str
    shape: tuple[int, ...]
    low: float | None = None
    high: float | None = None


Signatures = Mapping[str, Mapping[str, Input]]


def read_signatures(metadata: Any, num_classes: int | None) -> dict[str, dict[str, Input]]:
    """The signatures of a model that an export wrote.

    Args:
        metadata: as the model's server gives it.
        num_classes: as the signature `class_names` gives it; `None` without classes.

    Returns:
        Inputs by name, by signature. Signatures that take other kinds of values are left out.

    Raises:
        ValueError: if it is no metadata.
    """
    try:
        definitions = metadata["metadata"]["signature_def"]["signature_def"]
        size = _image_size(definitions)
        signatures = {}
        for name, definition in definitions.items():
            tensors = definition["inputs"]
            if tensors and all(tensor["dtype"] in _DTYPES for tensor in tensors.values()):
                signatures[name] = {
                    key: _input(key, tensor, num_classes, size) for key, tensor in tensors.items()
                }
        return signatures
    except (KeyError, TypeError, AttributeError, ValueError, IndexError) as error:
        raise ValueError(f"This is no model's metadata: {error!r}") from None


def row_bytes(metadata: Any) -> dict[str, int]:
    """How long the answer's text may be for one image, by signature; an upper bound.

    Raises:
        ValueError: if it is no metadata.
    """
    try:
        definitions = metadata["metadata"]["signature_def"]["signature_def"]
        size = _image_size(definitions) or 0
        return {
            name: _ROW_TEXT_BYTES
            + sum(_output_bytes(tensor, size) for tensor in definition["outputs"].values())
            for name, definition in definitions.items()
        }
    except (KeyError, TypeError, AttributeError, ValueError, IndexError) as error:
        raise ValueError(f"This is no model's metadata: {error!r}") from None


def _output_bytes(tensor: Mapping[str, Any], size: int) -> int:
    if tensor["dtype"] == "DT_STRING":  # a PNG as base64, or a name
        return 4 * size * size + _ROW_TEXT_BYTES
    shape = [max(1, int(axis["size"])) for axis in tensor["tensor_shape"]["dim"]]
    return _NUMBER_TEXT_BYTES * math.prod(shape[1:])


def _image_size(definitions: Mapping[str, Any]) -> int | None:
    if "images" not in definitions:
        return None
    return int(definitions["images"]["outputs"]["images"]["tensor_shape"]["dim"][1]["size"])


def _input(
    name: str, tensor: Mapping[str, Any], num_classes: int | None, size: int | None
) -> Input:
    _, *shape = (int(axis["size"]) for axis in tensor["tensor_shape"]["dim"])
    ranges: dict[str, tuple[float | None, float | None]] = {
        "seed": (0, _LARGEST_SEED),
        "seed_to": (0, _LARGEST_SEED),
        "truncation": (float(np.finfo(np.float32).tiny), None),
        "fraction": (0, 1),
    }
    if num_classes is not None:
        ranges |= dict.fromkeys(("class_id", "class_id_to"), (0, num_classes - 1))
    if size is not None:
        ranges |= dict.fromkeys(("row", "col"), (0, size - 1))
    return Input(_DTYPES[tensor["dtype"]], tuple(shape), *ranges.get(name, (None, None)))


@dataclasses.dataclass(frozen=True)
class Admitted:
    """A request that may pass.

    Attributes:
        signature_name: what it calls.
        rows: how many images it asks for.
        body: JSON, written anew.
    """

    signature_name: str
    rows: int
    body: bytes


def admit(body: bytes, signatures: Signatures, limits: Limits) -> Admitted:
    """Checks the body of a `:predict` request.

    Raises:
        RequestError: 413 for a body too large, else 400; the message names what is wrong.
    """
    if len(body) > limits.max_body_bytes:
        raise RequestError(413, f"The body must be at most {limits.max_body_bytes} bytes.")
    request = _parse(body, limits.max_depth)
    if not isinstance(request, dict):
        raise RequestError(400, "The body must be a JSON object.")
    unknown = request.keys() - _KEYS
    if unknown:
        raise RequestError(400, f"The body has unknown keys; it may have {sorted(_KEYS)}.")
    if ("instances" in request) == ("inputs" in request):
        raise RequestError(400, "The body must have one of `instances` and `inputs`.")
    name = request.get("signature_name", "serving_default")
    if not isinstance(name, str) or name not in signatures:
        raise RequestError(400, f"`signature_name` must be one of {sorted(signatures)}.")
    inputs = signatures[name]
    dtypes = {key: value.dtype for key, value in inputs.items()}
    try:
        if "instances" in request:
            arrays = read_rows(request["instances"], dtypes)
        else:
            columns = request["inputs"]
            # `{"b64": ...}` alone is no column but the value of the only input.
            is_value = isinstance(columns, dict) and columns.keys() == {"b64"}
            if isinstance(columns, dict) and not is_value and columns.keys() != inputs.keys():
                raise RequestError(400, f"`inputs` must have the keys {sorted(inputs)}.")
            arrays = read_columns(columns, dtypes)
    except TensorError as error:
        raise RequestError(400, str(error)) from None
    rows = check_rows(arrays, inputs)
    if rows > limits.max_rows:
        raise RequestError(400, f"At most {limits.max_rows} images at a time. Received: {rows}")
    # Names of the format, so that the answer has the format that was asked for.
    kind = "instances" if "instances" in request else "inputs"
    clean = {"signature_name": name, kind: request[kind]}
    return Admitted(name, rows, json.dumps(clean, allow_nan=False).encode())


def check_rows(arrays: Mapping[str, np.ndarray], inputs: Mapping[str, Input]) -> int:
    """The number of rows, after a look at shapes and ranges.

    Raises:
        RequestError: 400 if an array is not what the input takes.
    """
    lengths = {name: array.shape[0] if array.ndim else 0 for name, array in arrays.items()}
    if len(set(lengths.values())) != 1 or not all(lengths.values()):
        raise RequestError(400, f"Each input needs one value per image. Received: {lengths}")
    rows = next(iter(lengths.values()))
    for name, array in arrays.items():
        expected = inputs[name]
        row = array.shape[1:]
        if len(row) != len(expected.shape) or any(
            side not in (-1, length) for side, length in zip(expected.shape, row, strict=True)
        ):
            raise RequestError(
                400, f"`{name}` must have the shape {list(expected.shape)}. Received: {list(row)}"
            )
        if expected.dtype.startswith("float") and not np.isfinite(array).all():
            raise RequestError(400, f"`{name}` must be finite.")
        _check_range(name, array, expected)
    return rows


def _check_range(name: str, array: np.ndarray, expected: Input) -> None:
    low = -math.inf if expected.low is None else expected.low
    high = math.inf if expected.high is None else expected.high
    if array.dtype != object and ((array < low) | (array > high)).any():
        raise RequestError(400, f"`{name}` must be in [{low:.17g}, {high:.17g}].")


def _parse(body: bytes, max_depth: int) -> Any:
    """JSON as its standard has it: no `NaN`, no key twice, nothing after the document."""
    try:
        document = json.loads(
            body.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_no_constant
        )
        document_is_text = json.dumps(document, ensure_ascii=False).encode("utf-8")
    except (ValueError, RecursionError) as error:
        reason = "too deep" if isinstance(error, RecursionError) else _plain(error)
        raise RequestError(400, f"The body is no JSON: {reason}") from None
    del document_is_text  # was only to find half surrogate pairs
    level, depth = [document], 0
    while level:
        depth += 1
        if depth > max_depth + 1:
            raise RequestError(400, f"The body may be nested {max_depth} deep.")
        level = [
            child
            for value in level
            if isinstance(value, dict | list)
            for child in (value.values() if isinstance(value, dict) else value)
        ]
    return document


def _plain(error: ValueError) -> str:
    """What is wrong, without the bytes of the body."""
    if isinstance(error, UnicodeError):
        return "it is not UTF-8"
    return str(error).split(":")[0]


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands twice in an object")
    return found


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")
