"""Writes arrays as JSON, by the rules of TensorFlow Serving's REST API (its `json_tensor.cc`)."""

import base64
import json
import math
import secrets
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import orjson

from sagan_tf.serving.server.json_inputs import NO_JSON_DTYPES, TensorError

# Fewest floats that are worth writing all at once.
_LONG = 32
# Below and from these on, Python or orjson writes numbers with an exponent.
_SMALL, _LARGE = 1e-4, 1e13


def write_rows(outputs: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Makes `{"predictions": ...}` from outputs that all have one row per instance.

    Args:
        outputs: arrays by name, rows first; strings are bytes in arrays of dtype object.

    Returns:
        A document for `dump`.

    Raises:
        TensorError: if outputs have different numbers of rows, or none, or a dtype that JSON
            cannot carry.
    """
    lengths = {name: value.shape[0] if value.ndim else None for name, value in outputs.items()}
    if None in lengths.values() or len(set(lengths.values())) != 1:
        raise TensorError(
            "Every output must have the same number of rows for the row format. Received (None "
            f"for no axis): {lengths}. Use the columnar format, `inputs`."
        )
    columns = {name: _as_json(value, name, by_row=True) for name, value in outputs.items()}
    if len(columns) == 1:
        return {"predictions": next(iter(columns.values()))}
    rows = zip(*columns.values(), strict=True)
    return {"predictions": [dict(zip(columns, row, strict=True)) for row in rows]}


def write_columns(outputs: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Makes `{"outputs": ...}` from the only output, or from an object of all by name.

    Args:
        outputs: arrays by name; strings are bytes in arrays of dtype object.

    Returns:
        A document for `dump`.

    Raises:
        TensorError: if an output has a dtype that JSON cannot carry.
    """
    columns = {name: _as_json(value, name) for name, value in outputs.items()}
    return {"outputs": next(iter(columns.values())) if len(columns) == 1 else columns}


def dump(document: Any) -> bytes:
    """Serializes a document; bytes that were not UTF-8 when they were read stay as they were.

    Args:
        document: values of JSON's types, and arrays of finite floats.
    """
    texts: list[bytes] = []
    place = secrets.token_hex(16)  # stands for an array; no caller can guess it

    def put_aside(array: np.ndarray) -> str:
        texts.append(_float_text(array))
        return place

    text = json.dumps(document, ensure_ascii=False, separators=(",", ":"), default=put_aside)
    parts = text.encode("utf-8", errors="surrogateescape").split(f'"{place}"'.encode())
    return _between(parts, texts)


def _float_text(array: np.ndarray) -> bytes:
    """Writes nested lists of the shortest numbers that read back as the same, as Python does.

    orjson writes very small and very large numbers in another form than Python. A placeholder
    stands for these, the only number here that orjson writes with an exponent, and is replaced.
    """
    size = np.abs(array)
    odd = ((size < _SMALL) & (size != 0)) | (size >= _LARGE)
    if not odd.any():
        return orjson.dumps(np.ascontiguousarray(array), option=orjson.OPT_SERIALIZE_NUMPY)
    stand_in = np.array([1.5e30], array.dtype)
    text = orjson.dumps(np.where(odd, stand_in, array), option=orjson.OPT_SERIALIZE_NUMPY)
    parts = text.split(orjson.dumps(stand_in, option=orjson.OPT_SERIALIZE_NUMPY)[1:-1])
    return _between(parts, [repr(_shortest(value)).encode() for value in array[odd]])


def _between(parts: Sequence[bytes], texts: Sequence[bytes]) -> bytes:
    """Joins `parts` with `texts` between them."""
    joined = [piece for pair in zip(parts, texts, strict=False) for piece in pair]
    return b"".join([*joined, parts[-1]])


def _as_json(array: np.ndarray, name: str, by_row: bool = False) -> Any:
    if array.dtype.kind in "biu":
        return array.tolist()
    if array.dtype == object:
        convert: Callable[[Any], Any] = _to_base64 if name.endswith("_bytes") else _to_text
    elif array.dtype.name in NO_JSON_DTYPES:
        raise TensorError(f"The output `{name}` is of {array.dtype}, which JSON cannot carry.")
    elif array.dtype in (np.float32, np.float64) and _is_long(array, by_row):
        return list(array) if by_row else array
    elif array.dtype == np.float32:
        convert = _shortest
    else:
        return array.tolist()
    values = [convert(value) for value in array.ravel()]
    return np.array(values, object).reshape(array.shape).tolist()


def _is_long(array: np.ndarray, by_row: bool) -> bool:
    """Returns whether floats are worth writing at once; those that are not finite cannot be."""
    length = math.prod(array.shape[1:]) if by_row else array.size
    return array.ndim > by_row and length >= _LONG and bool(np.isfinite(array).all())


def _shortest(value: np.float32) -> float:
    """Returns the number with the shortest text that reads back as the same float32."""
    return float(str(value))


def _to_base64(value: bytes) -> dict[str, str]:
    return {"b64": base64.b64encode(value).decode("ascii")}


def _to_text(value: bytes) -> str:
    return value.decode("utf-8", errors="surrogateescape")
