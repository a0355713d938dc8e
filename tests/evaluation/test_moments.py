import numpy as np
import pytest

from sagan_tf.evaluation.moments import MomentsStream, moments_of


def features(count, size=7, seed=0):
    """Correlated rows far from 0, where naive sums lose digits."""
    random = np.random.default_rng(seed)
    rows = random.normal(size=(count, size)) @ random.normal(size=(size, size))
    return (rows + 1000 * random.normal(size=size)).astype(np.float32)


@pytest.mark.parametrize("sizes", [[50], [1, 1, 48], [3000], [1023, 1, 2000], [2, 0, 3]])
def test_equals_numpy_however_the_rows_arrive(sizes):
    rows = features(sum(sizes))
    stream = MomentsStream(7)
    for part in np.split(rows, np.cumsum(sizes)[:-1]):
        stream.update(part)
    moments = stream.result()
    assert moments.count == len(rows)
    np.testing.assert_allclose(moments.mean, rows.mean(axis=0, dtype=np.float64), rtol=1e-13)
    expected = np.cov(rows.astype(np.float64), rowvar=False)
    np.testing.assert_allclose(moments.covariance, expected, rtol=0, atol=1e-12 * expected.max())


@pytest.mark.parametrize("cut", [0, 1, 1500, 2999, 3000])
def test_parts_merge_into_the_whole(cut):
    rows = features(3000)
    first, second = MomentsStream(7), MomentsStream(7)
    first.update(rows[:cut])
    second.update(rows[cut:])
    first.merge(second)
    whole = moments_of(rows)
    merged = first.result()
    assert merged.count == 3000
    np.testing.assert_allclose(merged.mean, whole.mean, rtol=1e-14)
    np.testing.assert_allclose(
        merged.covariance, whole.covariance, rtol=0, atol=1e-12 * whole.covariance.max()
    )
    first.update(features(5, seed=1))  # and goes on
    assert first.result().count == 3005


def test_by_hand():
    moments = moments_of(np.array([[0.0, 1.0], [2.0, 5.0]]))
    assert moments.mean.tolist() == [1, 3]
    assert moments.covariance.tolist() == [[2, 4], [4, 8]]


def test_what_is_refused():
    with pytest.raises(ValueError, match=r"at least 2 images. Received: 1"):
        moments_of(np.zeros((1, 3)))
    stream = MomentsStream(3)
    with pytest.raises(ValueError, match=r"must have the shape \(N, 3\). Received: \(2, 4\)"):
        stream.update(np.zeros((2, 4)))
    stream.update(np.zeros((2, 3)))
    with pytest.raises(ValueError, match=r"must be finite. .* in row 3 of the stream"):
        stream.update(np.array([[0, 0, 0], [0, np.nan, 0]]))
