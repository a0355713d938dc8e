"""Statistics of a study: confidence intervals of rates, and a test for paired runs."""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
import scipy.stats

# Number of sign patterns to try; with 16 pairs or fewer these are all patterns.
_PATTERNS = 2**16


def wilson_interval(successes: int, count: int) -> tuple[float, float]:
    """Wilson's 95 % confidence interval of a rate, within [0, 1] (Wilson 1927, JASA 22).

    Args:
        successes: number of successes.
        count: number of trials, at least 1.

    Raises:
        ValueError: if `successes` is not in [0, count] or `count` is not positive.
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
    """The mean difference of paired values, and its significance.

    Attributes:
        mean: mean of the differences.
        p_value: probability of a mean at least as far from 0 if each difference had either sign
            with equal probability. With `n` pairs it cannot be below `2 / 2**n`.
        pairs: number of pairs.
        low: lower end of Student's 95 % confidence interval of the mean. Unlike the p-value it
            assumes that differences are normally distributed. NaN with a single pair.
        high: its upper end.
    """

    mean: float
    p_value: float
    pairs: int
    low: float = float("nan")
    high: float = float("nan")


def sign_flip_test(differences: Sequence[float]) -> Difference:
    """Two-sided paired permutation test of whether differences are symmetric around 0.

    If two arms are equivalent, their names can be exchanged in each pair, so every difference could
    have either sign (Fisher 1935, The Design of Experiments, section 21). The test assumes no
    distribution.

    Args:
        differences: one difference per pair; if one is not finite, the result is NaN.

    Raises:
        ValueError: if there are no differences.
    """
    values = np.asarray(differences, np.float64)
    if not len(values):
        raise ValueError("A test needs at least one pair. Received: none.")
    if not np.isfinite(values).all():
        return Difference(float("nan"), float("nan"), len(values))
    if len(values) == 1:  # both signs are equally far from 0
        return Difference(float(values[0]), 1.0, 1)
    test = scipy.stats.permutation_test(
        (values,),
        np.mean,
        permutation_type="samples",  # with one sample, this permutes signs
        n_resamples=_PATTERNS,
        rng=np.random.default_rng(0),
    )
    mean, error = values.mean(), scipy.stats.sem(values)
    half = scipy.stats.t.ppf(0.975, len(values) - 1) * error
    return Difference(
        float(mean), float(test.pvalue), len(values), float(mean - half), float(mean + half)
    )


def interaction(
    gains: Sequence[Mapping[str, float]], geometry: Sequence[str], texture: Sequence[str]
) -> Difference:
    """Tests whether the gain in geometry is larger than the gain in texture.

    Args:
        gains: for each pair of runs, the gain of one arm over the other by class, in units that are
            comparable between classes. Pairs may have learned different classes; those without
            a geometry class or without a texture class have no part in the test.
        geometry: names of the geometry classes.
        texture: names of the texture classes.

    Returns:
        The test of the mean gain of the geometry classes minus that of the texture classes, per
        pair.
    """
    known = [
        of_pair for of_pair in gains if set(of_pair) & set(geometry) and set(of_pair) & set(texture)
    ]
    return _test([_mean_gain(one, geometry) - _mean_gain(one, texture) for one in known])


def mean_gain(gains: Sequence[Mapping[str, float]], names: Sequence[str]) -> Difference:
    """Tests the mean gain of some classes, over the pairs of runs that learned any of them.

    Args:
        gains: see `interaction`.
        names: names of the classes.
    """
    return _test([_mean_gain(one, names) for one in gains if set(one) & set(names)])


def _mean_gain(gains: Mapping[str, float], names: Sequence[str]) -> float:
    """The mean gain of those of the classes that a pair of runs learned."""
    return float(np.mean([gains[name] for name in names if name in gains]))


def _test(differences: Sequence[float]) -> Difference:
    if not differences:
        return Difference(float("nan"), float("nan"), 0)
    return sign_flip_test(differences)
