"""The same images and weights give torch-fidelity's features."""

import fidelity
import numpy as np
import pytest

from sagan_tf.evaluation.extraction import resize_images
from sagan_tf.evaluation.inception import InceptionExtractor

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
