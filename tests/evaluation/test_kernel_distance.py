import numpy as np
import pytest

from sagan_tf.evaluation import kernel_distance as module
from sagan_tf.evaluation.kernel_distance import kernel_distance, subset_kernel_distance


def rows(count, seed, size=6):
    return np.random.default_rng(seed).normal(size=(count, size)) + seed


def test_by_hand():
    # k(x, y) = (x y + 1)^3 in one dimension.
    real, fake = np.array([[0.0], [1.0]]), np.array([[2.0], [3.0]])
    within_real, within_fake = 1, 7**3
    between = (1 + 1 + 3**3 + 4**3) / 4
    assert kernel_distance(real, fake) == pytest.approx(within_real + within_fake - 2 * between)


def test_equals_the_sum_over_pairs_in_any_block(monkeypatch):
    real, fake = rows(13, 0), rows(9, 1)

    def kernel(x, y):
        return (x @ y / 6 + 1) ** 3

    def within(side):
        count = len(side)
        pairs = [(i, j) for i in range(count) for j in range(count) if i != j]
        return np.mean([kernel(side[i], side[j]) for i, j in pairs])

    expected = within(real) + within(fake) - 2 * np.mean([kernel(x, y) for x in real for y in fake])
    assert kernel_distance(real, fake) == pytest.approx(expected, rel=1e-12)
    monkeypatch.setattr(module, "_BLOCK", 4)
    assert kernel_distance(real, fake) == pytest.approx(expected, rel=1e-12)


def test_has_no_bias():
    """Of samples of one distribution, distances lie around 0, on both sides of it."""
    random = np.random.default_rng(0)
    distances = [kernel_distance(*random.normal(size=(2, 50, 6))) for _ in range(100)]
    assert abs(np.mean(distances)) < 4 * np.std(distances) / np.sqrt(len(distances))
    assert min(distances) < 0 < max(distances)


def test_subsets():
    real, fake = rows(40, 0), rows(30, 1)
    mean, deviation = subset_kernel_distance(real, fake, subsets=50, subset_size=20)
    assert mean == pytest.approx(kernel_distance(real, fake), rel=0.1)
    assert deviation > 0
    assert subset_kernel_distance(real, fake, 50, 20) == (mean, deviation)


def test_what_is_refused():
    with pytest.raises(ValueError, match=r"at least 2 images. Received: 1"):
        kernel_distance(rows(5, 0), rows(1, 0))
    with pytest.raises(ValueError, match=r"`subset_size` must be in \[2, 5\], .* Received: 1000"):
        subset_kernel_distance(rows(5, 0), rows(9, 0))
