import numpy as np
import pytest
import scipy.linalg

from sagan_tf.evaluation.frechet import (
    extrapolated_frechet_distance,
    frechet_distance,
    frechet_distance_to_rows,
)
from sagan_tf.evaluation.moments import Moments, moments_of


def features(count, size=64, seed=0, scale=1.0):
    """Like pooled activations: not negative, correlated, with a spectrum that falls off."""
    mixing = np.random.default_rng(0).normal(size=(size, size)) * 0.8 ** np.arange(size)[:, None]
    rows = np.random.default_rng(seed).normal(size=(count, size)) @ mixing
    return np.maximum(scale * rows + 0.3, 0)


def textbook(first, second):
    """The formula as published, by a matrix square root."""
    with np.errstate(all="ignore"):
        root = scipy.linalg.sqrtm(first.covariance @ second.covariance)
    difference = first.mean - second.mean
    traces = np.trace(first.covariance) + np.trace(second.covariance)
    return difference @ difference + traces - 2 * np.trace(root).real


def test_gaussians_by_hand():
    zeros, ones = np.zeros(5), np.ones(5)
    unit = Moments(10, zeros, np.eye(5))
    assert frechet_distance(unit, Moments(10, ones, np.eye(5))) == pytest.approx(5, abs=1e-12)
    # Of one dimension: (m1 - m2)^2 + (s1 - s2)^2.
    assert frechet_distance(unit, Moments(10, 2 * ones, 9 * np.eye(5))) == pytest.approx(40)
    assert frechet_distance(unit, Moments(10, zeros, np.zeros((5, 5)))) == pytest.approx(5)
    assert frechet_distance(Moments(10, zeros, np.zeros((5, 5))), unit) == pytest.approx(5)


def test_equals_the_textbook():
    first, second = moments_of(features(500)), moments_of(features(400, seed=1, scale=1.3))
    assert frechet_distance(first, second) == pytest.approx(textbook(first, second), rel=1e-9)
    assert frechet_distance(second, first) == pytest.approx(textbook(first, second), rel=1e-9)


def test_equal_sets_and_permutations():
    rows = features(300)
    shuffled = np.random.default_rng(0).permutation(rows)
    assert frechet_distance(moments_of(rows), moments_of(shuffled)) == pytest.approx(0, abs=1e-9)
    assert frechet_distance_to_rows(rows, shuffled) == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize(("real", "fake"), [(200, 100), (40, 100), (100, 30), (30, 20), (2, 2)])
def test_all_forms_agree_with_fewer_rows_than_columns_too(real, fake):
    first, second = features(real), features(fake, seed=1, scale=1.3)
    by_rows = frechet_distance_to_rows(first, second)
    assert frechet_distance_to_rows(moments_of(first), second) == pytest.approx(by_rows, rel=1e-6)
    assert frechet_distance(moments_of(first), moments_of(second)) == pytest.approx(
        by_rows, rel=1e-5
    )
    # The nuclear norm, with NumPy's own.
    a, b = ((rows - rows.mean(0)) / np.sqrt(len(rows) - 1) for rows in (first, second))
    expected = (
        np.sum((first.mean(0) - second.mean(0)) ** 2)
        + np.sum(a**2)
        + np.sum(b**2)
        - 2 * np.linalg.norm(a @ b.T, "nuc")
    )
    assert by_rows == pytest.approx(expected, rel=1e-12)


def test_constant_images_leave_the_other_side_s_variance():
    rows, constant = features(300), np.full((10, 64), 0.5)
    moments = moments_of(rows)
    expected = np.sum((moments.mean - 0.5) ** 2) + np.trace(moments.covariance)
    assert frechet_distance_to_rows(moments, constant) == pytest.approx(expected)
    assert frechet_distance(moments_of(constant), moments) == pytest.approx(expected)


def test_extrapolation_takes_the_bias_away():
    real = moments_of(features(20_000))
    few, many = features(1000, seed=1), features(20_000, seed=2)
    biased = frechet_distance(real, moments_of(few))
    extrapolated = extrapolated_frechet_distance(real, few)
    truth = frechet_distance(real, moments_of(many))
    assert abs(extrapolated - truth) < 0.25 * abs(biased - truth)
    assert extrapolated == extrapolated_frechet_distance(real, few)


def test_what_is_refused():
    rows = features(10)
    with pytest.raises(ValueError, match=r"at least 2 images. Received: 1"):
        frechet_distance_to_rows(rows, rows[:1])
    for first in (rows, moments_of(rows)):
        with pytest.raises(ValueError, match=r"must have one size.* Received: 64 and 5"):
            frechet_distance_to_rows(first, rows[:, :5])
    with pytest.raises(ValueError, match="must have one size"):
        frechet_distance(moments_of(rows), moments_of(rows[:, :5]))
