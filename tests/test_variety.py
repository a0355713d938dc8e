import numpy as np
import pytest

from sagan_tf.data import load_source
from sagan_tf.evaluation.images import RealImages
from sagan_tf.variety import NARROW_SPREAD, Variety


def flat(*levels):
    return np.stack([np.full((4, 4, 1), level, np.uint8) for level in levels])


def test_numbers_known_by_hand():
    # Class 0: 0 and 200; class 1: 0 and 100, the third is beyond what a grid shows.
    variety = Variety(flat(0, 0, 200, 100, 255), [0, 1, 0, 1, 1], 2)
    samples, labels = flat(50, 0, 150, 20), [0, 1, 0, 1]
    assert variety.see(0, list(samples), labels) == {"variety/relative_spread": 120 / 300}
    # Class 1 alone is in this grid.
    assert variety.see(1, list(flat(0, 25)), [1, 1]) == {"variety/relative_spread": 0.25}


def test_without_classes():
    variety = Variety(flat(0, 100), None, 8)
    assert variety.see(0, list(flat(0, 50)), None) == {"variety/relative_spread": 0.5}


def test_real_images_that_do_not_differ_say_nothing():
    for images, labels in ((flat(7, 7), [0, 0]), (flat(7, 8), [0, 1])):
        assert Variety(images, labels, 8).see(0, list(flat(0, 50)), [0, 0]) == {}


@pytest.fixture(scope="module")
def digits():
    real = RealImages(load_source("digits"), "train", 16, 1797)
    return real.read(0, 1797)


def grid(images, labels, first):
    """Eight images of each of ten classes, from the `first` of each on, row by row."""
    places = [np.flatnonzero(labels == label)[first : first + 8] for label in range(10)]
    return list(images[np.transpose(places).ravel()]), [label % 10 for label in range(80)]


def test_other_real_images_are_as_varied(digits):
    variety = Variety(*digits, 8)
    found = [variety.see(0, *grid(*digits, first)) for first in range(8, 160, 8)]
    ratios = [scalars["variety/relative_spread"] for scalars in found]
    assert np.mean(ratios) == pytest.approx(1, abs=0.05)
    assert min(ratios) > 0.9
    assert max(ratios) < 1.15


def test_samples_that_look_alike_are_reported_once(digits, caplog):
    variety = Variety(*digits, 8)
    samples, labels = grid(*digits, 8)
    faded = [np.uint8(image * 0.5) for image in samples]  # half as varied
    for step in range(4):
        variety.see(step, faded, labels)
    variety.see(4, faded, labels)
    variety.see(5, samples, labels)  # it has recovered
    variety.see(6, faded, labels)
    variety.see(7, faded, labels)
    assert not caplog.records
    for step in range(8, 20):
        variety.see(step, faded, labels)
    (record,) = caplog.records
    assert record.message.startswith("Step 8: samples of a class have looked alike in 3 grids")
    for flag in ("d_steps=2", "nodense_bias", "discriminator_base_filters", "augment"):
        assert f"--{flag}" in record.message


def test_a_varied_run_is_not_reported(digits, caplog):
    variety = Variety(*digits, 8)
    samples, labels = grid(*digits, 8)
    faded = [np.uint8(image * (NARROW_SPREAD + 0.1)) for image in samples]
    for step in range(20):
        variety.see(step, faded, labels)
    assert not caplog.records
