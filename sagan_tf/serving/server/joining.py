"""Decides which calls can be joined: each signature is tried once, and rows are checked."""

import io
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
from absl import logging
from PIL import Image

from sagan_tf.serving.server import signature_inputs
from sagan_tf.serving.server.rest import RequestError

Inputs = Mapping[str, np.ndarray]
Run = Callable[[str, Inputs], Mapping[str, np.ndarray]]

# Rows that run alone, to be compared with the same rows in a joined call.
_COMPARED_ROWS = 3
# Largest differences, of 255 levels and in [-1, 1]: kernels may sum in another order for more rows.
_LEVELS = 1
_TOLERANCE = 2 / 255


class JoinChecks:
    """Finds out for which signatures a row's outputs do not depend on the other rows of a call.

    A signature without a warm-up request of several rows is not tried, and not joined.

    Args:
        metadata: see `rest.Model.metadata`.
        run: runs a signature.
        requests: warm-up requests, as pairs of signature name and inputs.

    Attributes:
        signatures: what the signatures that can be joined take, by name.
    """

    def __init__(self, metadata: Any, run: Run, requests: Iterable[tuple[str, Inputs]]) -> None:
        largest: dict[str, Inputs] = {}
        for name, inputs in requests:
            if _rows(inputs) > max(1, _rows(largest.get(name, {}))):
                largest[name] = inputs
        joinable = {name for name, inputs in largest.items() if _gives_the_same(run, name, inputs)}
        num_classes = None
        if "class_names" in joinable:
            num_classes = int(run("class_names", largest["class_names"])["num_classes"][0])
        try:
            known = signature_inputs.read_signatures(
                {"metadata": {"signature_def": metadata}}, num_classes
            )
        except ValueError:  # a model that `sagan_tf.export` did not write
            known = {}
        self.signatures = {name: known[name] for name in joinable & known.keys()}

    def accept(self, signature_name: str, inputs: Inputs) -> bool:
        """Returns whether shapes and values of rows are right, for one of `signatures`."""
        try:
            signature_inputs.check_rows(inputs, self.signatures[signature_name])
        except RequestError:  # which the model explains to the caller
            return False
        return True


def _rows(inputs: Inputs) -> int:
    lengths = {len(value) if value.ndim else 0 for value in inputs.values()}
    return lengths.pop() if len(lengths) == 1 else 0


def _gives_the_same(run: Run, name: str, inputs: Inputs) -> bool:
    try:
        joined = run(name, inputs)
        for row in range(min(_rows(inputs), _COMPARED_ROWS)):
            alone = run(name, {key: value[row : row + 1] for key, value in inputs.items()})
            for key, value in alone.items():
                if not _is_same(value, joined[key][row : row + 1]):
                    return False
    except Exception as error:  # a model may do anything
        logging.warning("Calls of %s are not joined: %s", name, error)
        return False
    return True


def _is_same(alone: np.ndarray, joined: np.ndarray) -> bool:
    if alone.shape != joined.shape:
        return False
    if alone.dtype == object:
        pairs = zip(alone.ravel(), joined.ravel(), strict=True)
        return all(one == other or _is_same_image(one, other) for one, other in pairs)
    if alone.dtype.kind == "f":
        return bool(np.allclose(alone, joined, rtol=1e-3, atol=_TOLERANCE))
    return bool((alone == joined).all())


def _is_same_image(png: bytes, other: bytes) -> bool:
    try:
        first, second = (np.asarray(Image.open(io.BytesIO(data)), int) for data in (png, other))
    except OSError:
        return False
    return first.shape == second.shape and bool(np.abs(first - second).max() <= _LEVELS)
