import numpy as np
import pytest
from sklearn.metrics import pairwise_distances

from sagan_tf.evaluation import neighbours
from sagan_tf.evaluation.manifold import ManifoldScores, manifold_scores


def plain(real, fake, precision_k=3, density_k=5):
    """The definitions word for word, on whole matrices of float64."""

    def radii(rows, k):
        return np.sort(pairwise_distances(rows), axis=1)[:, k]

    between = pairwise_distances(fake, real)
    balls = between < radii(real, density_k)
    return (
        (between <= radii(real, precision_k)).any(axis=1).mean(),
        (between <= radii(fake, precision_k)[:, None]).any(axis=0).mean(),
        balls.sum() / density_k / len(fake),
        balls.any(axis=0).mean(),
    )


@pytest.mark.parametrize("block", [1024, 7])
def test_equals_the_definitions(block, monkeypatch):
    monkeypatch.setattr(neighbours, "_BLOCK", block)
    random = np.random.default_rng(0)
    real = random.normal(size=(60, 4)) + 100
    fake = 0.7 * random.normal(size=(45, 4)) + 100.5
    scores = manifold_scores(real, fake)
    expected = plain(real, fake)
    assert 0.1 < expected[0] != expected[1] < 0.9  # else the test would tell little
    assert (scores.precision, scores.recall, scores.density, scores.coverage) == pytest.approx(
        expected
    )
    as_float32 = manifold_scores(real.astype(np.float32), fake.astype(np.float32))
    assert as_float32 == scores


def test_by_hand():
    real = np.array([[0.0], [1.0], [9.0]])
    fake = np.array([[1.5], [20.0], [21.0], [24.0]])
    scores = manifold_scores(real, fake, precision_k=1, density_k=1)
    # Real radii 1, 1, 8: of the fakes, 1.5 is in the balls around 1 and 9; none else is in any.
    assert scores.precision == 0.25
    assert scores.density == 2 / 4
    assert scores.coverage == 2 / 3
    # Fake radii 18.5, 1, 1, 3: the first ball holds all real ones.
    assert scores.recall == 1


def test_equal_sets_and_sets_apart():
    rows = np.random.default_rng(0).normal(size=(200, 8)).astype(np.float32)
    same = manifold_scores(rows, rows)
    assert (same.precision, same.recall, same.coverage) == (1, 1, 1)
    # Each point is in its own ball and in about k - 1 others': on its rim is not in it.
    assert same.density == pytest.approx(1, abs=0.2)
    apart = manifold_scores(rows, rows + 1000)
    assert apart == ManifoldScores(0, 0, 0, 0)


def test_one_image_again_and_again_has_no_recall():
    rows = np.random.default_rng(0).normal(size=(100, 8))
    scores = manifold_scores(rows, np.repeat(rows[:1], 100, axis=0))
    assert scores.precision == 1
    assert scores.recall == 0.01
    assert scores.coverage < 0.2


def test_what_is_refused():
    rows = np.zeros((5, 2))
    with pytest.raises(ValueError, match=r"of 5 need at least 6 images. Received: 5"):
        manifold_scores(rows, rows)


@pytest.mark.parametrize("block", [1024, 7])
def test_nearest(block, monkeypatch):
    monkeypatch.setattr(neighbours, "_BLOCK", block)
    random = np.random.default_rng(0)
    rows, others = random.normal(size=(20, 4)), random.normal(size=(50, 4))
    distances, indices = neighbours.nearest(rows, others, 3)
    plain = pairwise_distances(rows, others)
    np.testing.assert_array_equal(indices, np.argsort(plain, axis=1)[:, :3])
    np.testing.assert_allclose(distances, np.sort(plain, axis=1)[:, :3], rtol=1e-5)
