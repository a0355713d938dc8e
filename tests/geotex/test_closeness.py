import numpy as np
import pytest

from sagan_tf.geotex import GEOMETRIES, check, draw_class, exchange_halves
from sagan_tf.geotex.canvas import to_levels, to_tones
from sagan_tf.geotex.closeness import measure_closeness
from tests.by_hand.geotex_validity import noisy


@pytest.mark.parametrize("image_size", [32, 64])
@pytest.mark.parametrize("name", GEOMETRIES)
def test_drawn_images_are_close_and_exchanged_halves_are_not(name, image_size):
    images = draw_class(name, 300, image_size)
    for shown in (images, noisy(images)):
        found = measure_closeness(name, shown)
        assert found.closeness == pytest.approx(1, abs=0.05)
        assert found.located == 1
    unrelated = measure_closeness(name, exchange_halves(images))
    assert unrelated.closeness == pytest.approx(0, abs=0.1)
    assert unrelated.located >= 0.99


@pytest.mark.parametrize("name", GEOMETRIES)
def test_one_image_over_and_over_is_not_close(name):
    images = np.repeat(draw_class(name, 1, 32), 20, axis=0)
    assert measure_closeness(name, images).closeness == pytest.approx(0, abs=1e-6)


def test_colours_that_are_partly_moved_are_partly_close():
    """Right discs in colours between their own and another image's, which no check accepts."""
    images = draw_class("twin", 400, 32)
    colours = 2.0 * (check("twin", images).value[:, 1, np.newaxis] >> np.arange(3) & 1) - 1
    tones = to_tones(images[:, :, 16:])
    found = []
    for share in (0, 0.25, 0.5, 1):
        mixed = (1 - share) * colours + share * np.roll(colours, 1, axis=0)
        # All channels of a disc have the same coverage.
        right = to_levels(np.abs(tones) * mixed[:, np.newaxis, np.newaxis])
        moved = np.concatenate([images[:, :, :16], right], axis=2)
        found.append(measure_closeness("twin", moved).closeness)
    assert found[0] > 0.95 > found[1] > 0.6 > found[2] > 0.35 > 0.1 > abs(found[3])
    assert check("twin", moved).satisfied.mean() < 0.25


def test_cells_and_lines_that_are_partly_right():
    mirror = draw_class("mirror", 400, 32)
    mirror[:, :8, 16:] = 255 - mirror[:, :8, 16:]  # two of eight cells
    assert measure_closeness("mirror", mirror).closeness == pytest.approx(0.5, abs=0.05)
    assert not check("mirror", mirror).satisfied.any()
    line = draw_class("line", 400, 64)
    moved = line.copy()
    moved[:, :, 44:] = np.roll(line, 6, axis=1)[:, :, 44:]
    assert 0.3 < measure_closeness("line", moved).closeness < 0.8
    assert check("line", moved).satisfied.mean() < 0.1


def test_nothing_located():
    found = measure_closeness("twin", np.full((5, 32, 32, 3), 128, np.uint8))
    assert np.isnan(found.closeness)
    assert found.located == 0
    noise = np.random.default_rng(0).integers(0, 256, (50, 32, 32, 3), np.uint8)
    for name in GEOMETRIES:
        assert measure_closeness(name, noise).located == 0
