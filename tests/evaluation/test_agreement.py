import numpy as np
import pytest

from sagan_tf.evaluation.agreement import label_agreement, relative_spread


def two_classes(rng, count):
    """Dark and bright noise."""
    labels = np.arange(count) % 2
    images = rng.integers(0, 60, (count, 4, 4, 1)) + 150 * labels[:, None, None, None]
    return images.astype(np.uint8), labels


def test_agreement_is_the_share_recognised():
    rng = np.random.default_rng(0)
    real, fake = two_classes(rng, 40), two_classes(rng, 20)
    assert label_agreement(*real, *fake) == 1.0
    assert label_agreement(*real, fake[0], 1 - fake[1]) == 0.0
    asked = fake[1].copy()
    asked[:5] = 1 - asked[:5]
    assert label_agreement(*real, fake[0], asked) == pytest.approx(0.75)


def test_spread_by_hand():
    # Per class two images that differ in one pixel by 255: distance 1. The fakes differ by 51.
    images = np.zeros((4, 2, 2, 1), np.uint8)
    real = images.copy()
    real[1, 0, 0], real[3, 1, 1] = 255, 255
    fake = images.copy()
    fake[1, 0, 0], fake[3, 1, 1] = 51, 51
    labels = np.array([0, 0, 1, 1])
    assert relative_spread(real, labels, fake, labels) == pytest.approx(0.2)
    assert relative_spread(real, labels, images, labels) == 0.0
    assert relative_spread(real, labels, real, labels) == 1.0
