"""How sure the study can be: intervals of rates, and a test of paired runs."""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
import scipy.stats

# Sign patterns that are tried; with 16 pairs or fewer that is every one.
_PATTERNS = 2**16


def wilson_interval(successes: int, count: int) -> tuple[float, float]:
    """The 95 % interval of a rate, which stays within [0, 1] (Wilson 1927, JASA 22).

    Args:
        successes: how many.
        count: of how many, at least 1.

    Raises:
        ValueError: for other numbers.
    """
    if not 0 <= successes <= count or count < 1:
        raise ValueError(
            "`successes` must be in [0, count] and `count` positive. Received: "
            f"successes={successes}, count={count}"
        )
    interval = scipy.stats.binomtest(successes, count).proportion_ci(method="wilson")
    return float(interval.low), float(interval.high)


@dataclasses.dataclass(frozen=True)
class Difference:
    """Of paired values.

    Attributes:
        mean: of the differences.
        p_value: how likely a mean as far from 0 is, were each difference as likely the other way
            round. Of `n` pairs it cannot be below `2 / 2**n`.
        pairs: how many.
    """

    mean: float
    p_value: float
    pairs: int


def sign_flip_test(differences: Sequence[float]) -> Difference:
    """The paired permutation test: are differences around 0, whatever their distribution?

    Two-sided. If an arm changes nothing, its name could as well be the other's, so every difference
    could have either sign (Fisher 1935, The Design of Experiments, section 21).

    Args:
        differences: one per pair; those that are not finite leave no result.

    Raises:
        ValueError: for none.
    """
    values = np.asarray(differences, np.float64)
    if not len(values):
        raise ValueError("A test needs at least one pair. Received: none.")
    if not np.isfinite(values).all():
        return Difference(float("nan"), float("nan"), len(values))
    if len(values) == 1:  # either sign is as far from 0
        return Difference(float(values[0]), 1.0, 1)
    test = scipy.stats.permutation_test(
        (values,),
        np.mean,
        permutation_type="samples",  # of one sample: signs
        n_resamples=_PATTERNS,
        rng=np.random.default_rng(0),
    )
    return Difference(float(values.mean()), float(test.pvalue), len(values))


def interaction(
    gains: Mapping[str, Sequence[float]], geometry: Sequence[str], texture: Sequence[str]
) -> Difference:
    """Is the gain in geometry larger than in texture?

    Args:
        gains: by class, what one arm has over the other in each pair of runs, in units that
            compare between classes.
        geometry: names of classes.
        texture: likewise.

    Returns:
        The test of, per pair, the mean gain of geometry classes minus that of texture classes.
    """
    sides = [np.mean([gains[name] for name in names], axis=0) for names in (geometry, texture)]
    return sign_flip_test(sides[0] - sides[1])
