import numpy as np
import pytest

from sagan_tf.evaluation.inception_score import inception_score


def test_by_hand():
    sure = np.where(np.eye(4, dtype=bool), 1e4, 0)  # each image another class, without doubt
    assert inception_score(sure, splits=1) == (pytest.approx(4), 0)
    assert inception_score(np.zeros((8, 4)), splits=1) == (pytest.approx(1), 0)  # no idea
    assert inception_score(sure[[0, 0, 0]], splits=1) == (pytest.approx(1), 0)  # no variety
    # Half the images of one class, half of another.
    assert inception_score(sure[[0, 0, 1, 1]], splits=1)[0] == pytest.approx(2)


def test_splits_are_of_consecutive_images_in_shuffled_order():
    sure = np.where(np.eye(2, dtype=bool), 1e4, 0)[np.arange(40) // 20]  # sorted by class
    assert inception_score(sure, splits=2, shuffle_seed=None) == (pytest.approx(1), 0)
    mean, deviation = inception_score(sure, splits=2)
    assert 1.9 < mean <= 2
    assert deviation < 0.1


def test_mean_and_deviation_over_uneven_splits():
    logits = np.random.default_rng(0).normal(size=(11, 5))
    scores = [
        inception_score(logits[start:stop], 1, None)[0] for start, stop in ((0, 3), (3, 7), (7, 11))
    ]
    mean, deviation = inception_score(logits, splits=3, shuffle_seed=None)
    assert mean == pytest.approx(np.mean(scores), rel=1e-14)
    assert deviation == pytest.approx(np.std(scores), rel=1e-12)


def test_what_is_refused():
    with pytest.raises(ValueError, match=r"`splits` must be in \[1, 3\], the images. Received: 10"):
        inception_score(np.zeros((3, 5)))
