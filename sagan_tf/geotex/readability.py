"""Images of one class -> numbers that tell how well it was learned."""

from collections.abc import Callable
from typing import SupportsFloat

import numpy as np

from sagan_tf.geotex import twin
from sagan_tf.geotex.agreement import cohen_kappa, mutual_information
from sagan_tf.geotex.checks import check
from sagan_tf.geotex.drawing import GEOMETRIES, exchange_halves
from sagan_tf.geotex.outcome import Outcome


def class_scores(name: str, images: np.ndarray) -> dict[str, float]:
    """How often images of one class are readable and as they should be.

    Args:
        name: one of `CLASS_NAMES`.
        images: uint8 `(N, S, S, 3)`, in an order that has no meaning.

    Returns:
        `readable`, `satisfied`, `satisfied_if_readable`; for geometry also `chance`, what
        `satisfied_if_readable` would be were the two sides unrelated, and of the readable images:
        `kappa` and `mutual_information` (of 3 bits) of twin, `agreement` of mirror's cells,
        `count_error` (mean, without sign) of limbs, `miss` (median, pixels) of line; and `graded`,
        that measure (kappa of twin's) on the way from 0, unrelated sides, to 1, as drawn. NaN
        where nothing is readable; `graded` is 0, then, as where all images are one.

    Raises:
        ValueError: as `check`.
    """
    outcome = check(name, images)
    scores = outcome.rates()
    if name not in GEOMETRIES:
        return scores
    exchanged = check(name, exchange_halves(images))
    scores["chance"] = exchanged.rates()["satisfied_if_readable"]
    measures, unrelated = _measures(name, outcome), _measures(name, exchanged)
    measure, drawn = _GRADED[name]
    way = drawn - unrelated[measure]
    graded = (measures[measure] - unrelated[measure]) / way if way else 0.0
    return scores | measures | {"graded": float(np.nan_to_num(graded))}


def _measures(name: str, outcome: Outcome) -> dict[str, float]:
    values = outcome.value[outcome.readable]
    return {
        measure: float(of(values)) if len(values) else float("nan")
        for measure, of in _MEASURES[name].items()
    }


# Which measure of a class is graded, and what it is of images as drawn.
_GRADED = {"twin": ("kappa", 1), "mirror": ("agreement", 1), "limbs": ("count_error", 0)}
_GRADED["line"] = ("miss", 0)
_MEASURES: dict[str, dict[str, Callable[[np.ndarray], SupportsFloat]]] = {
    "twin": {
        "kappa": lambda colours: cohen_kappa(colours, twin.NUM_COLOURS),
        "mutual_information": lambda colours: mutual_information(colours, twin.NUM_COLOURS),
    },
    "mirror": {"agreement": np.mean},
    "limbs": {"count_error": lambda excess: np.abs(excess).mean()},
    "line": {"miss": np.median},
}
