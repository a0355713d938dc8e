"""Reads JSON into arrays, by the rules of TensorFlow Serving's REST API.

The rules are those of its `json_tensor.cc`, and of RapidJSON as it is set up there: the first of
equal keys counts, text after the document is ignored, `NaN` and `Inf` are numbers.
"""

import base64
import binascii
import functools
import json
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

# Range of each dtype, its end excluded; smaller integers are read as int32 and wrap around.
_INTEGERS = {"int64": (-(2**63), 2**63), "uint32": (0, 2**32), "uint64": (0, 2**64)}
_INT32 = (-(2**31), 2**31)
# They go through 64 bits, because NumPy refuses values that would wrap around.
_WRAPPED = frozenset({"int8", "uint8", "int16", "uint16"})
# JSON has no text for them.
NO_JSON_DTYPES = frozenset({"float16", "bfloat16", "complex64", "complex128"})
_LONGEST_VALUE_IN_MESSAGE = 80
_MOST_AXES = 16
# A quoted string, or `Inf`, which RapidJSON reads as infinity and Python does not.
_STRING_OR_INF = re.compile(r'"(?:[^"\\]|\\.)*"|\bInf\b', re.DOTALL)


class TensorError(ValueError):
    """A request's values do not fit the signature, or an answer cannot be written."""


def parse(body: bytes) -> Any:
    """Parses a document.

    Bytes that are not UTF-8 are kept in strings, as surrogates.

    Raises:
        TensorError: if the body is empty, is not JSON or is nested too deep for Python.
    """
    text = body.decode("utf-8-sig", errors="surrogateescape").lstrip(" \t\r\n")
    if not text:
        raise TensorError("The body is empty.")
    if "Inf" in text:
        text = _STRING_OR_INF.sub(lambda match: "Infinity" if match[0] == "Inf" else match[0], text)
    try:
        document, _ = _DECODER.raw_decode(text)
    except (ValueError, RecursionError) as error:
        raise TensorError(f"The body is not JSON: {error}") from None
    return document


def read_rows(instances: Any, dtypes: Mapping[str, str]) -> dict[str, np.ndarray]:
    """Reads inputs from `"instances"`, a list with one object, or one value, for each row.

    Args:
        instances: the parsed list.
        dtypes: dtypes of the signature's inputs by name: NumPy's names, or "string".

    Returns:
        Arrays by name, rows first; strings are bytes in arrays of dtype object.

    Raises:
        TensorError: if rows do not fit the inputs or each other.
    """
    _must_have_inputs(dtypes)
    if not isinstance(instances, list) or not instances:
        raise TensorError("`instances` must be a list of at least one row.")
    named = _is_named(instances[0], dtypes)
    if not named and len(dtypes) > 1:
        raise TensorError(f"A row must be an object with the keys {listed(dtypes)}.")
    rows = []
    for index, row in enumerate(instances):
        if _is_named(row, dtypes) != named:
            raise TensorError(f"Row {index} is not of the same kind as row 0: {shown(row)}")
        if not named:
            row = {next(iter(dtypes)): row}
        elif row.keys() != dtypes.keys():
            raise TensorError(
                f"Row {index} must have the keys {listed(dtypes)}. Received: {shown(sorted(row))}"
            )
        rows.append(row)
    return {
        name: read_array([row[name] for row in rows], dtype, name) for name, dtype in dtypes.items()
    }


def read_columns(inputs: Any, dtypes: Mapping[str, str]) -> dict[str, np.ndarray]:
    """Reads inputs from `"inputs"`, an object with an array for each, or the array of the only one.

    Arguments, result and errors are those of `read_rows`; keys that the signature does not have
    are ignored.
    """
    _must_have_inputs(dtypes)
    if not _is_named(inputs, dtypes):
        if len(dtypes) > 1:
            raise TensorError(f"`inputs` must be an object with the keys {listed(dtypes)}.")
        inputs = {next(iter(dtypes)): inputs}
    missing = dtypes.keys() - inputs.keys()
    if missing:
        raise TensorError(f"`inputs` lacks {listed(missing)}.")
    return {name: read_array(inputs[name], dtype, name) for name, dtype in dtypes.items()}


def read_array(value: Any, dtype: str, name: str) -> np.ndarray:
    """Converts nested lists to an array.

    Args:
        value: nested lists, or a single value.
        dtype: NumPy's name of the dtype, or "string".
        name: name of the input, for messages.

    Returns:
        An array of that dtype, of dtype object with bytes for "string".

    Raises:
        TensorError: for values of another type or out of range, and lists of unequal lengths.
    """
    shape: list[int] = []
    values = [value]
    # One axis at a time, so that no depth can exhaust the stack.
    while values and isinstance(values[0], list):
        length = len(values[0])
        for item in values:
            if not isinstance(item, list) or len(item) != length:
                raise TensorError(
                    f"`{name}` must have lists of one length. Received {shown(item)} where others "
                    f"have {length} values."
                )
        shape.append(length)
        if len(shape) > _MOST_AXES:
            raise TensorError(f"`{name}` must have at most {_MOST_AXES} axes.")
        values = [element for item in values for element in item]
    convert = _converter(dtype)
    try:
        values = [convert(element) for element in values]
    except TensorError as error:
        raise TensorError(f"`{name}`: {error}") from None
    if dtype == "string":
        array = np.array(values, object)
    elif dtype == "float32":
        with np.errstate(over="ignore"):  # 1e39 is infinite as float32
            array = np.array(values, dtype)
    elif dtype in _WRAPPED:
        array = np.array(values, np.int64).astype(dtype)
    else:
        array = np.array(values, dtype)
    return array.reshape(shape)


def _first_of_equal_keys(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    return dict(reversed(pairs))


def _finite_float(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError(f"the number {text[:_LONGEST_VALUE_IN_MESSAGE]} is too big")
    return number


_DECODER = json.JSONDecoder(
    object_pairs_hook=_first_of_equal_keys, parse_float=_finite_float, strict=True
)


def _must_have_inputs(dtypes: Mapping[str, str]) -> None:
    if not dtypes:
        raise TensorError("The signature has no inputs; this API cannot call it.")


def _is_named(value: Any, dtypes: Mapping[str, str]) -> bool:
    """Returns whether a value is an object with inputs in it; `{"b64": ...}` is a value itself."""
    return isinstance(value, dict) and (value.keys() != {"b64"} or "b64" in dtypes)


@functools.cache
def _converter(dtype: str) -> Callable[[Any], Any]:
    if dtype in NO_JSON_DTYPES:
        raise TensorError(f"Values of {dtype} cannot be written as JSON.")
    if dtype == "string":
        return _to_bytes
    if dtype == "bool":
        return _to_bool
    if dtype.startswith("float"):
        return _to_float
    low, high = _INTEGERS.get(dtype, _INT32)

    def to_integer(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise TensorError(f"expected a whole number ({dtype}). Received: {shown(value)}")
        if not low <= value < high:
            raise TensorError(f"expected {dtype}, in [{low}, {high - 1}]. Received: {shown(value)}")
        return value

    return to_integer


def _to_float(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TensorError(f"expected a number. Received: {shown(value)}")
    try:
        return float(value)
    except OverflowError:
        raise TensorError(f"the number {shown(value)} is too big") from None


def _to_bool(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TensorError(f"expected true or false. Received: {shown(value)}")
    return value


def _to_bytes(value: Any) -> bytes:
    try:
        if isinstance(value, str):
            return value.encode("utf-8", errors="surrogateescape")
        if isinstance(value, dict) and value.keys() == {"b64"} and isinstance(value["b64"], str):
            text = value["b64"].rstrip("=")
            return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except UnicodeEncodeError:
        raise TensorError(f"half of a surrogate pair in {shown(value)}") from None
    except (binascii.Error, ValueError):
        raise TensorError(f"expected base64. Received: {shown(value)}") from None
    raise TensorError(f'expected a string or {{"b64": ...}}. Received: {shown(value)}')


def listed(names: Iterable[Any]) -> str:
    """Returns names for a message, in order."""
    return ", ".join(map(str, sorted(names)))


def shown(value: Any) -> str:
    """Returns a value as JSON for a message, cut after 80 characters."""
    text = ""
    for part in json.JSONEncoder().iterencode(value):  # no more of it than is shown
        text += part
        if len(text) > _LONGEST_VALUE_IN_MESSAGE:
            return text[:_LONGEST_VALUE_IN_MESSAGE] + "..."
    return text
