"""The same images and weights give torch-fidelity's features, and features its scores."""

import numpy as np
import pytest

from sagan_tf.evaluation.extractor_base import resize_images
from sagan_tf.evaluation.frechet import frechet_distance, frechet_distance_to_rows
from sagan_tf.evaluation.inception import InceptionExtractor
from sagan_tf.evaluation.inception_score import inception_score
from sagan_tf.evaluation.kernel_distance import subset_kernel_distance
from sagan_tf.evaluation.manifold import manifold_scores
from sagan_tf.evaluation.moments import moments_of
from tests.support import fidelity, golden_scores

SIZES = [(32, 32), (64, 64), (128, 128), (299, 299), (512, 384)]


def noise(count, height, width):
    """Of every frequency, which resizing must treat alike."""
    return np.random.default_rng(height).integers(0, 256, (count, height, width, 3), np.uint8)


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_resizing_is_equal_bit_by_bit(size):
    images = noise(2, *size)
    ours = resize_images(images, (299, 299), "legacy")
    np.testing.assert_array_equal(ours, fidelity.resized(images, 299))


def assert_near(features, wanted, limit=1e-5):
    assert features.dtype == np.float32
    assert np.max(np.abs(features - wanted)) <= limit * np.max(np.abs(wanted))


def test_features_are_equal_but_for_rounding(inception_weights):
    ours = InceptionExtractor(inception_weights, taps=(*fidelity.TAPS, "spatial"))
    theirs = fidelity.Extractor(inception_weights)
    inside = []
    branch = theirs.module.Mixed_6d.branch1x1
    branch.register_forward_hook(lambda _, __, output: inside.append(output[:, :7]))
    for size in SIZES[0], SIZES[2], SIZES[4]:
        images = noise(2, *size)
        features = ours(images)
        for tap, wanted in theirs(images).items():
            assert_near(features[tap], wanted)
        assert_near(features["spatial"], inside.pop().permute(0, 2, 3, 1).flatten(1).numpy())


def spread(count, seed, shift=0.0):
    """Features like those of the network: correlated, not negative, on a spectrum that falls."""
    mixing = np.random.default_rng(0).normal(size=(256, 256)) / np.arange(1, 257)[:, None] ** 0.5
    rows = np.random.default_rng(seed).normal(size=(count, 256)) @ mixing + shift
    return np.maximum(rows, 0).astype(np.float32)


@pytest.fixture(scope="module")
def sides():
    return spread(1500, seed=1), spread(1200, seed=2, shift=0.1)


def test_frechet_distance_is_equal(sides):
    real, fake = sides
    ours = frechet_distance(moments_of(real), moments_of(fake))
    assert ours == pytest.approx(fidelity.fid(fake, real), rel=1e-6)
    few = fake[:100]  # fewer than columns, where theirs is left with rounding
    ours = frechet_distance_to_rows(real, few)
    assert ours == pytest.approx(fidelity.fid(few, real), rel=1e-5)


def test_inception_score_is_equal():
    logits = 3 * np.random.default_rng(0).normal(size=(1003, 50)).astype(np.float32)
    for splits, shuffled in ((10, True), (10, False), (1, True)):
        ours = inception_score(logits, splits, 2020 if shuffled else None)
        theirs = fidelity.isc(logits, splits, shuffled)
        assert ours == pytest.approx(theirs, rel=1e-8, abs=1e-8)


def test_kernel_distance_is_equal(sides):
    real, fake = sides
    ours = subset_kernel_distance(real, fake, subsets=20, subset_size=300)
    theirs = fidelity.kid(fake, real, subsets=20, subset_size=300)
    assert ours == pytest.approx(theirs, rel=1e-6, abs=1e-6)


def test_precision_and_recall_are_equal(sides):
    real, fake = sides
    ours = manifold_scores(real, fake)
    assert 0.1 < ours.recall < 0.9
    # Theirs are means in float32.
    assert np.float32([ours.precision, ours.recall]).tolist() == list(fidelity.prc(fake, real))


def test_recorded_scores_are_theirs():
    real, fake, logits = golden_scores.real(), golden_scores.fake(), golden_scores.logits()
    precision, recall = fidelity.prc(fake, real)
    theirs = {
        "fid": fidelity.fid(fake, real),
        "kid": fidelity.kid(fake, real, subsets=50, subset_size=200),
        "precision": precision,
        "recall": recall,
        "is": fidelity.isc(logits),
        "is_1split": fidelity.isc(logits, splits=1, shuffle=False),
    }
    for name, score in golden_scores.SCORES.items():
        assert theirs[name] == pytest.approx(score, rel=1e-6), name
