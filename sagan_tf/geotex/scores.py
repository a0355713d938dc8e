"""Images of one class -> numbers that tell how well it was learned."""

import numpy as np

from sagan_tf.geotex import twin
from sagan_tf.geotex.agreement import cohen_kappa, mutual_information
from sagan_tf.geotex.checks import check
from sagan_tf.geotex.drawing import GEOMETRIES, exchange_halves


def class_scores(name: str, images: np.ndarray) -> dict[str, float]:
    """How often images of one class are readable and as they should be.

    Args:
        name: one of `CLASS_NAMES`.
        images: uint8 `(N, S, S, 3)`, in an order that has no meaning.

    Returns:
        `readable`, `satisfied`, `satisfied_if_readable`; for geometry also `chance`, what
        `satisfied_if_readable` would be were the two sides unrelated, and of the readable images:
        `kappa` and `mutual_information` (of 3 bits) of twin, `agreement` of mirror's cells,
        `count_error` (mean, without sign) of limbs, `miss` (median, pixels) of line. NaN where
        nothing is readable.

    Raises:
        ValueError: as `check`.
    """
    outcome = check(name, images)
    scores = outcome.rates()
    if name not in GEOMETRIES:
        return scores
    exchanged = check(name, exchange_halves(images)).rates()
    scores["chance"] = exchanged["satisfied_if_readable"]
    values = outcome.value[outcome.readable]
    if not len(values):
        return scores | dict.fromkeys(_MEASURES[name], float("nan"))
    return scores | {measure: float(of(values)) for measure, of in _MEASURES[name].items()}


_MEASURES = {
    "twin": {
        "kappa": lambda colours: cohen_kappa(colours, twin.NUM_COLOURS),
        "mutual_information": lambda colours: mutual_information(colours, twin.NUM_COLOURS),
    },
    "mirror": {"agreement": np.mean},
    "limbs": {"count_error": lambda excess: np.abs(excess).mean()},
    "line": {"miss": np.median},
}
