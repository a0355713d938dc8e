import math

import numpy as np
import pytest
import scipy.stats

from sagan_tf.study.significance import interaction, sign_flip_test, wilson_interval


def test_wilson_by_hand_and_by_scipy():
    # Of none in ten: 0 to z^2 / (n + z^2).
    low, high = wilson_interval(0, 10)
    assert low == 0
    assert high == pytest.approx(3.8415 / 13.8415, abs=1e-4)
    for successes, count in ((1, 10), (50, 100), (1999, 2000)):
        expected = scipy.stats.binomtest(successes, count).proportion_ci(method="wilson")
        assert wilson_interval(successes, count) == pytest.approx(tuple(expected), abs=1e-6)


@pytest.mark.parametrize(("successes", "count"), [(1, 0), (3, 2), (-1, 2)])
def test_no_interval_of_other_numbers(successes, count):
    with pytest.raises(ValueError, match="`successes` must be in"):
        wilson_interval(successes, count)


def test_signs_by_hand():
    # Of eight sign patterns, +++ and --- reach the mean of 2.
    found = sign_flip_test([1, 2, 3])
    assert (found.mean, found.p_value, found.pairs) == (2, 2 / 8, 3)
    # +-: |1 - 2| is reached by all four, as |3| is more.
    assert sign_flip_test([1, -2]).p_value == 1
    assert sign_flip_test([0, 0, 0]).p_value == 1
    assert math.isnan(sign_flip_test([1, math.nan]).p_value)
    with pytest.raises(ValueError, match="at least one pair"):
        sign_flip_test([])


def test_interval_by_hand():
    """Standard deviation 1, so 4.303 / sqrt(3) around 2: of Student's table, two degrees."""
    found = sign_flip_test([1, 2, 3])
    assert (found.low, found.high) == pytest.approx((2 - 2.4841, 2 + 2.4841), abs=1e-4)
    assert math.isnan(sign_flip_test([1]).low)


def test_many_pairs_are_drawn_and_agree_with_scipy():
    values = np.random.default_rng(0).normal(0.4, 1, 20)
    expected = scipy.stats.permutation_test(
        (values, np.zeros(20)), lambda a, b: np.mean(a - b), permutation_type="samples", rng=0
    )
    assert sign_flip_test(values).p_value == pytest.approx(expected.pvalue, abs=0.01)


GEOMETRY, TEXTURE = ("twin", "line"), ("fur", "cells")


def simulated(random, effect, pairs=8):
    """Gains of runs that share a seed's luck, with noise that is not normal."""
    luck = random.normal(0, 2, pairs)
    gains = {
        name: luck + random.exponential(1, pairs) - random.exponential(1, pairs) + shift
        for names, shift in ((GEOMETRY, effect), (TEXTURE, 0.0))
        for name in names
    }
    return [dict(zip(gains, of_pair, strict=True)) for of_pair in zip(*gains.values(), strict=True)]


def test_the_interaction_errs_as_often_as_it_says():
    random = np.random.default_rng(0)
    runs = 2000
    p_values = np.array(
        [interaction(simulated(random, 0), GEOMETRY, TEXTURE).p_value for _ in range(runs)]
    )
    for level in (0.05, 0.2, 0.5):
        # Whole numbers of 2^8 patterns: at most the level, and near to it.
        deviation = math.sqrt(level * (1 - level) / runs)
        assert level - 0.01 - 4 * deviation < np.mean(p_values <= level) < level + 4 * deviation


def test_the_interaction_finds_what_is_there():
    random = np.random.default_rng(1)
    found = [interaction(simulated(random, 2.5), GEOMETRY, TEXTURE) for _ in range(200)]
    assert np.mean([one.p_value <= 0.05 for one in found]) > 0.9
    assert np.mean([one.mean for one in found]) == pytest.approx(2.5, abs=0.2)


def test_a_gain_of_all_classes_is_no_interaction():
    random = np.random.default_rng(2)
    gains = [{name: gain + 5 for name, gain in of_pair.items()} for of_pair in simulated(random, 0)]
    assert interaction(gains, GEOMETRY, TEXTURE).p_value > 0.05
