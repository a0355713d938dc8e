"""Can the checks be trusted? `tests/by_hand/geotex_validity.py` prints the same as a table."""

import functools

import numpy as np
import pytest
from scipy.stats import binomtest

from sagan_tf import geotex
from sagan_tf.evaluation.moments import moments_of
from sagan_tf.geotex import CLASS_NAMES, GEOMETRIES, check, exchange_halves, locate_parts
from sagan_tf.geotex.drawing import least_size
from sagan_tf.study.patches import patch_distance, patches
from tests.by_hand.geotex_validity import blurred, noisy

COUNT = 500
# How often parts that know nothing of one another fit: of eight colours, eight bits, and four of
# eight limbs; the last as measured from 16,000.
CHANCE = {"twin": 1 / 8, "mirror": 2**-8, "limbs": 70 / 256, "line": 0.039}


@functools.cache
def draw_class(name, image_size=32, seed=0, valid=True):
    return geotex.draw_class(name, COUNT, image_size, seed, valid)


def assert_rate(outcome, expected):
    """The rate may be `expected`, by an exact interval that holds all but one time in 10,000."""
    hits = int(outcome.satisfied.sum())
    interval = binomtest(hits, COUNT).proportion_ci(1 - 1e-4)
    assert interval.low <= expected <= interval.high


@pytest.mark.parametrize("image_size", ["least", 37, 64])
@pytest.mark.parametrize("name", CLASS_NAMES)
def test_what_is_drawn_is_right(name, image_size):
    image_size = least_size(name) if image_size == "least" else image_size
    outcome = check(name, draw_class(name, image_size))
    assert outcome.satisfied.mean() >= 0.99
    assert (outcome.readable >= outcome.satisfied).all()


@pytest.mark.parametrize("image_size", ["least", 64])
@pytest.mark.parametrize("name", GEOMETRIES)
def test_independent_parts_fit_by_chance(name, image_size):
    image_size = least_size(name) if image_size == "least" else image_size
    outcome = check(name, draw_class(name, image_size, seed=1, valid=False))
    assert outcome.readable.mean() >= 0.99
    assert_rate(outcome, CHANCE[name])


@pytest.mark.parametrize("name", GEOMETRIES)
def test_halves_of_different_images_fit_by_chance(name):
    outcome = check(name, exchange_halves(draw_class(name)))
    assert outcome.readable.mean() >= 0.99
    # Two and two limbs are likelier in both halves where there are four in all.
    of_limbs = (1**2 + 16**2 + 36**2 + 16**2 + 1**2) / 70**2
    assert_rate(outcome, of_limbs if name == "limbs" else CHANCE[name])


@pytest.mark.parametrize("name", CLASS_NAMES)
def test_noise_and_blur_break_no_constraint(name):
    images = draw_class(name)
    assert check(name, noisy(images)).satisfied.mean() >= 0.95
    assert check(name, blurred(images)).satisfied.mean() >= 0.95


@pytest.mark.parametrize("name", CLASS_NAMES)
def test_no_other_class_passes(name):
    for other in set(CLASS_NAMES) - {name}:
        assert check(name, draw_class(other)[:200]).satisfied.mean() <= 0.01


@pytest.mark.parametrize("name", CLASS_NAMES)
def test_neither_noise_nor_one_colour_passes(name):
    noise = np.random.default_rng(0).integers(0, 256, (50, 32, 32, 3), np.uint8)
    assert not check(name, noise).satisfied.any()
    for level in (0, 128, 255):
        outcome = check(name, np.full((2, 32, 32, 3), level, np.uint8))
        assert not outcome.readable.any()


@pytest.mark.parametrize("name", GEOMETRIES)
def test_local_statistics_do_not_see_what_is_broken(name):
    """8x8 patches of broken images are those of real ones; a slight blur moves them far more."""
    real, others = draw_class(name), draw_class(name, seed=2)
    broken = draw_class(name, seed=1, valid=False)
    moments = moments_of(patches(real))
    between_real, to_broken, to_blurred = (
        patch_distance(moments, images) for images in (others, broken, blurred(others, 0.6))
    )
    assert to_broken < 1.5 * between_real
    assert to_blurred > 1.5 * to_broken
    assert check(name, broken).satisfied.mean() < 0.4
    assert check(name, blurred(others, 0.6)).satisfied.mean() > 0.99


def test_values():
    """One image of each class that breaks its constraint by a known amount."""
    colours = check("twin", draw_class("twin", valid=False)).value
    np.testing.assert_array_equal(np.unique(colours), range(8))
    agreement = check("mirror", draw_class("mirror", valid=False)).value
    assert agreement.mean() == pytest.approx(0.5, abs=0.05)
    excess = check("limbs", draw_class("limbs", valid=False)).value
    assert (excess.min(), excess.max()) == (-4, 4)
    assert excess.var() == pytest.approx(8 / 4, rel=0.25)  # binomial
    line = draw_class("line", 64)
    moved = line.copy()
    moved[:, :, 44:] = np.roll(line, 4, axis=1)[:, :, 44:]  # the right piece, down by 4 pixels
    np.testing.assert_allclose(check("line", moved).value, 4, atol=0.8)


@pytest.mark.parametrize("image_size", [32, 50])
@pytest.mark.parametrize("name", GEOMETRIES)
def test_parts_are_found_where_they_were_drawn(name, image_size):
    examples = [
        geotex.draw(CLASS_NAMES.index(name) + 8 * number, image_size) for number in range(50)
    ]
    drawn = np.stack([example.parts for example in examples])
    images = np.stack([example.image for example in examples])
    for found in (locate_parts(name, images), locate_parts(name, noisy(images))):
        overlap = (drawn & found).sum(axis=(2, 3)) / (drawn | found).sum(axis=(2, 3))
        assert overlap.min() >= 0.8
        assert overlap.mean() >= 0.95


def test_no_parts_where_nothing_is_readable():
    assert not locate_parts("twin", draw_class("mirror")).any()


@pytest.mark.parametrize(
    ("function", "name", "shape", "message"),
    [
        (check, "cat", (1, 32, 32, 3), "is one of .*'twin'.*Received: 'cat'"),
        (check, "twin", (1, 32, 32, 1), r"must be uint8 \(N, S, S, 3\).*Received: uint8 \(1, 32,"),
        (check, "twin", (32, 32, 3), r"Received: uint8 \(32, 32, 3\)"),
        (check, "twin", (1, 15, 15, 3), "of twin must be .* at least 16"),
        (check, "limbs", (1, 16, 16, 3), "of limbs must be .* at least 32"),
        (locate_parts, "fur", (1, 32, 32, 3), "with parts is one of .*'line'.*Received: 'fur'"),
    ],
)
def test_what_cannot_be_checked(function, name, shape, message):
    with pytest.raises(ValueError, match=message):
        function(name, np.zeros(shape, np.uint8))


def test_levels_must_be_bytes():
    with pytest.raises(ValueError, match="Received: float64"):
        check("twin", np.zeros((1, 32, 32, 3)))
