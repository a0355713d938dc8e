import numpy as np
import pytest

from sagan_tf.geotex import (
    CLASS_NAMES,
    GEOMETRIES,
    SPLITS,
    draw,
    draw_class,
    exchange_halves,
)
from sagan_tf.geotex.drawing import split_numbers


def test_an_image_is_a_function_of_index_and_seed():
    example, again = draw(11, 32), draw(11, 32)
    np.testing.assert_array_equal(example.image, again.image)
    assert (example.image.shape, example.image.dtype, example.label) == ((32, 32, 3), np.uint8, 3)
    assert (example.image != draw(11, 32, seed=1).image).any()
    assert (example.image != draw(19, 32).image).any()


def test_classes_come_in_turn():
    assert [draw(index, 32).label for index in range(16)] == [*range(8), *range(8)]
    np.testing.assert_array_equal(draw_class("line", 2, 32)[1], draw(11, 32).image)


def test_no_image_is_in_both_splits():
    assert not set(SPLITS["train"]) & set(SPLITS["test"])
    numbers = {
        (split, names): split_numbers(split, names)
        for split in SPLITS
        for names in (CLASS_NAMES, ("twin",), ("twin", "cells"), CLASS_NAMES[1:])
    }
    train, test = (
        set(np.concatenate([n for (of, _), n in numbers.items() if of == split]))
        for split in SPLITS
    )
    assert not train & test
    for (split, names), chosen in numbers.items():
        assert len(np.unique(chosen)) == len(SPLITS[split])
        # All images of a class are there, whatever else is.
        whole = {number for number in SPLITS[split] if CLASS_NAMES[number % 8] in names}
        assert whole <= set(chosen)
    np.testing.assert_array_equal(split_numbers("test"), SPLITS["test"])
    # Nor do two indices give one image, where there are enough to choose from.
    images = {draw(index, 32).image.tobytes() for index in range(800)}
    assert len(images) == 800


@pytest.mark.parametrize("name", GEOMETRIES)
def test_geometry_grows_with_the_image(name):
    small, large = (draw_class(name, 20, size).astype(float) for size in (32, 64))
    shrunk = large.reshape(20, 32, 2, 32, 2, 3).mean(axis=(2, 4))
    assert np.abs(shrunk - small).mean() < 1
    assert np.abs(shrunk - small).max() < 25


@pytest.mark.parametrize("name", GEOMETRIES)
def test_without_the_constraint_each_part_stays_as_it_was_drawn(name):
    """What is drawn on one side has the same frequencies, whether the constraint holds or not."""
    bound, broken = (draw_class(name, 600, 32, seed, seed == 0).astype(float) for seed in (0, 1))
    for side in (slice(0, 8), slice(24, 32)):
        difference = bound[:, :, side].mean(axis=0) - broken[:, :, side].mean(axis=0)
        error = np.sqrt((bound[:, :, side].var(axis=0) + broken[:, :, side].var(axis=0)) / 600)
        assert (np.abs(difference) <= 4.5 * error + 0.5).all()


@pytest.mark.parametrize("name", GEOMETRIES)
def test_nothing_between_the_parts_tells_of_them(name):
    """The middle is the same in every image, so that no chain of neighbours relates the parts."""
    images = draw_class(name, 50, 64)
    middle = images[:, :, int(64 * 0.32) : int(64 * 0.68)]
    assert (middle == middle[0]).all()


@pytest.mark.parametrize("name", GEOMETRIES)
def test_parts_are_far_apart(name):
    parts = np.stack([draw(CLASS_NAMES.index(name) + 8 * i, 64).parts for i in range(50)])
    left, right = parts.any(axis=(0, 2))
    gap = np.flatnonzero(right).min() - np.flatnonzero(left).max() - 1
    assert gap / 64 >= (0.37 if name == "line" else 0.55)


def test_textures_have_no_parts():
    assert not draw(CLASS_NAMES.index("fur"), 32).parts.any()


def test_halves_are_exchanged_in_a_ring():
    images = np.arange(3, dtype=np.uint8)[:, None, None, None] * np.ones((1, 4, 4, 3), np.uint8)
    np.testing.assert_array_equal(
        exchange_halves(images)[:, 0, :, 0], [[0, 0, 1, 1], [1, 1, 2, 2], [2, 2, 0, 0]]
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"index": 2, "image_size": 31}, "at least 32 for limbs. Received: image_size=31"),
        ({"index": 0, "image_size": 15}, "at least 16 for twin. Received: image_size=15"),
        ({"index": -1, "image_size": 32}, "must be at least 0. Received: index=-1, seed=0"),
        ({"index": 0, "image_size": 32, "seed": -1}, "must be at least 0.*seed=-1"),
    ],
)
def test_what_cannot_be_drawn(arguments, message):
    with pytest.raises(ValueError, match=message):
        draw(**arguments)
