"""Scores how well a generator has learned a class, from images of the class."""

from collections.abc import Callable
from typing import SupportsFloat

import numpy as np

from sagan_tf.geotex import twin
from sagan_tf.geotex.agreement import cohen_kappa, mutual_information
from sagan_tf.geotex.checks import check
from sagan_tf.geotex.closeness import measure_closeness
from sagan_tf.geotex.drawing import GEOMETRIES, exchange_halves
from sagan_tf.geotex.outcome import Outcome


def class_scores(name: str, images: np.ndarray) -> dict[str, float]:
    """Rates of readable and of correct images of one class, and how closely its sides are related.

    Args:
        name: class name, one of `CLASS_NAMES`.
        images: uint8 `(N, S, S, 3)`, in an order without meaning.

    Returns:
        The rates `readable`, `satisfied` and `satisfied_if_readable`. Geometry classes also have
        `chance`, the value of `satisfied_if_readable` if the two sides were unrelated; and a
        measure over readable images: `kappa` and `mutual_information` (of 3 bits) for twin,
        `agreement` of the cells for mirror, `count_error` (mean absolute error) for limbs, `miss`
        (median, in pixels) for line. `graded` is that measure (kappa for twin), rescaled so that
        unrelated sides have 0 and drawn images 1. Measures are NaN if no image is readable;
        `graded` is then 0, as it is if all images are the same. `closeness` and `located` are those
        of `measure_closeness`, which needs no readable image.

    Raises:
        ValueError: in the same cases as `check`.
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
    scores |= measures | {"graded": float(np.nan_to_num(graded))}
    return scores | measure_closeness(name, images)._asdict()


def _measures(name: str, outcome: Outcome) -> dict[str, float]:
    values = outcome.value[outcome.readable]
    return {
        measure: float(of(values)) if len(values) else float("nan")
        for measure, of in _MEASURES[name].items()
    }


# The measure of a class that is graded, and its value for drawn images.
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
