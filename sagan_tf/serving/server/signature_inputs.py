"""What the signatures of an exported generator take, and checks of a call's inputs by it.

It is read from the metadata that servers give, so that the gateway, which has no model, knows it
too.
"""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from sagan_tf.serving.server.rest import RequestError

# NumPy's names of the dtypes that inputs may have, by TensorFlow's.
_DTYPES = {
    "DT_BOOL": "bool",
    "DT_FLOAT": "float32",
    "DT_DOUBLE": "float64",
    "DT_INT32": "int32",
    "DT_INT64": "int64",
    "DT_STRING": "string",
}
# TensorFlow Serving writes each number on a line of its own, with up to 30 spaces before it.
_NUMBER_TEXT_BYTES = 48
_ROW_TEXT_BYTES = 256
# JavaScript and many other readers of JSON cannot tell larger integers apart.
_LARGEST_SEED = 2**53 - 1


@dataclasses.dataclass(frozen=True)
class Input:
    """Describes an input of a signature.

    Attributes:
        dtype: NumPy's name of the dtype, or "string".
        shape: shape of one row; -1 stands for any length.
        low: smallest value that is allowed; `None` for no bound.
        high: largest value that is allowed; `None` for no bound.
    """

    dtype: str
    shape: tuple[int, ...]
    low: float | None = None
    high: float | None = None


Signatures = Mapping[str, Mapping[str, Input]]


def read_signatures(metadata: Any, num_classes: int | None) -> dict[str, dict[str, Input]]:
    """Reads the signatures of an exported model, with the ranges that their inputs may have.

    Args:
        metadata: parsed answer of the model's server to `GET /v1/models/<name>/metadata`.
        num_classes: number of classes, as the signature `class_names` gives it; `None` for a
            generator without classes.

    Returns:
        By name of the signature, an `Input` by name. Signatures with inputs of a dtype that the
        gateway does not let through are left out.

    Raises:
        ValueError: if `metadata` does not have the form of metadata.
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
    """Returns an upper bound of the bytes of JSON that one image takes in an answer, by signature.

    Args:
        metadata: see `read_signatures`.

    Raises:
        ValueError: if `metadata` does not have the form of metadata.
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


def check_rows(arrays: Mapping[str, np.ndarray], inputs: Mapping[str, Input]) -> int:
    """Checks shapes and ranges of a call's inputs, and returns their number of rows.

    Args:
        arrays: inputs by name, rows first.
        inputs: description of each.

    Raises:
        RequestError: 400 if an array has another shape, a value out of range or one that is not
            finite, or if numbers of rows differ or are 0.
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
        if array.dtype != object and array.size:
            _check_range(name, array, expected)
    return rows


def _check_range(name: str, array: np.ndarray, expected: Input) -> None:
    least, greatest = array.min(), array.max()  # which are NaN if any value is
    if not math.isfinite(least) or not math.isfinite(greatest):
        raise RequestError(400, f"`{name}` must be finite.")
    low = -math.inf if expected.low is None else expected.low
    high = math.inf if expected.high is None else expected.high
    if least < low or greatest > high:
        raise RequestError(400, f"`{name}` must be in [{low:.17g}, {high:.17g}].")


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
