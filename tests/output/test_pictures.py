import numpy as np
from PIL import Image

from sagan_tf.output import pictures


def test_grid_places_images_row_by_row():
    images = [np.full((2, 2, 1), value, np.uint8) for value in (1, 2, 3)]
    grid = pictures.image_grid(images, columns=2)
    np.testing.assert_array_equal(
        grid[..., 0],
        [
            [1, 1, 64, 2, 2],
            [1, 1, 64, 2, 2],
            [64, 64, 64, 64, 64],
            [3, 3, 64, 64, 64],
            [3, 3, 64, 64, 64],
        ],
    )
    titled = pictures.image_grid([np.zeros((32, 32, 3), np.uint8)] * 2, 2, ["cat", "dog"])
    assert titled.shape == (44, 65, 3)
    assert titled[:12, :33].any()
    assert titled[:12, 33:].any()


def test_png_is_written_whole_and_enlarged(tmp_path):
    path = tmp_path / "new" / "image.png"
    pictures.save_png(np.array([[[0], [255]]], np.uint8), path, scale=3)
    picture = Image.open(path)
    assert picture.size == (6, 3)
    assert picture.getpixel((2, 0)) == 0
    assert picture.getpixel((3, 2)) == 255
    assert [file.name for file in path.parent.iterdir()] == ["image.png"]


def test_titles_that_are_wider_than_their_columns_stand_upright():
    images = [np.zeros((16, 16, 1), np.uint8)] * 2
    assert pictures.image_grid(images, 2, ["a", "b"]).shape == (16 + 12, 33, 1)
    grid = pictures.image_grid(images, 2, ["monster", "monsters"])
    margin = grid[: len(grid) - 16, :, 0] > 127
    assert len(margin) > 40
    # The whole word is there: its last letter makes the difference, at the upper end.
    first, second = margin[:, :16], margin[:, 17:]
    assert np.flatnonzero(second.any(1))[0] + 4 < np.flatnonzero(first.any(1))[0]
    assert np.flatnonzero(second.any(1))[-1] == np.flatnonzero(first.any(1))[-1]
    longest = pictures.image_grid(images, 2, ["x" * 25, "x" * 200])
    assert longest.shape == pictures.image_grid(images, 2, ["x" * 25, "x" * 25]).shape


def test_titles_beyond_english_letters_are_drawn_or_numbered(monkeypatch):
    images = [np.zeros((40, 60, 1), np.uint8)] * 2

    def titles_drawn(*titles):
        return pictures.image_grid(images, 2, titles)[: pictures.TITLE_HEIGHT]

    # Each letter has a shape of its own, and none is the box that stands for a missing one.
    assert len({titles_drawn(letter, "x").tobytes() for letter in "aäAÄ"}) == 4
    assert (titles_drawn("\ue123", "x") == titles_drawn("column 0", "x")).all()
    monkeypatch.setattr(pictures, "_SYSTEM_FONTS", ())
    pictures._fonts.cache_clear()
    try:
        assert (titles_drawn("Ж", "x") == titles_drawn("column 0", "x")).all()
    finally:
        pictures._fonts.cache_clear()
