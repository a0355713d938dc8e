import io

import numpy as np
import pytest
from PIL import Image

from sagan_tf.data.decode import decode_square, is_transparent

rng = np.random.default_rng(0)
PIXELS = rng.integers(0, 256, (40, 61, 3), dtype=np.uint8)


def encoded(image, file_format, **options):
    buffer = io.BytesIO()
    image.save(buffer, file_format, **options)
    return buffer.getvalue()


def cropped_then_resized(image, image_size):
    """The same in separate steps: crop whole pixels, then resize."""
    width, height = image.size
    side = min(width, height)
    left, top = round((width - side) / 2), round((height - side) / 2)
    square = image.crop((left, top, left + side, top + side))
    return np.asarray(square.resize((image_size, image_size), Image.Resampling.BILINEAR))


@pytest.mark.parametrize("size", [(61, 40), (40, 61), (33, 33), (2, 9)])
@pytest.mark.parametrize("image_size", [8, 16, 64])
def test_largest_centre_square(size, image_size):
    image = Image.fromarray(PIXELS).resize(size)
    decoded = decode_square(encoded(image, "PNG"), image_size, 3)
    np.testing.assert_array_equal(decoded, cropped_then_resized(image, image_size))


def test_offsets_round_as_published():
    """Width 5, height 2: round((5 - 2) / 2) = 2, so columns 2 and 3 remain."""
    pixels = np.arange(10, dtype=np.uint8).reshape(2, 5, 1)
    assert decode_square(pixels, 2, 1)[..., 0].tolist() == [[2, 3], [7, 8]]


def test_shrinking_averages_and_does_not_skip():
    stripes = np.tile(np.array([0, 255], np.uint8), (64, 32))[..., np.newaxis]
    assert np.abs(decode_square(stripes, 8, 1).astype(int) - 128).max() <= 6


@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP"])
def test_formats_are_told_by_content(file_format):
    data = encoded(Image.fromarray(PIXELS), file_format)
    expected = cropped_then_resized(Image.open(io.BytesIO(data)).convert("RGB"), 16)
    np.testing.assert_array_equal(decode_square(data, 16, 3), expected)


def test_cmyk_jpeg_becomes_its_rgb():
    image = Image.new("RGB", (16, 16), (200, 40, 90))
    decoded = decode_square(encoded(image.convert("CMYK"), "JPEG", quality=100), 8, 3)
    assert np.abs(decoded.astype(int) - [200, 40, 90]).max() <= 3


def test_grey_is_repeated_and_colour_greyed():
    grey = Image.fromarray(PIXELS).convert("L")
    decoded = decode_square(encoded(grey, "PNG"), 16, 3)
    for channel in range(3):
        np.testing.assert_array_equal(decoded[..., channel], cropped_then_resized(grey, 16))
    assert decode_square(encoded(Image.fromarray(PIXELS), "PNG"), 16, 1).shape == (16, 16, 1)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_alpha_is_dropped(mode):
    image = Image.new("RGB", (8, 8), (51, 51, 51)).convert(mode)
    options = {"transparency": b"\x00\x80"} if mode == "P" else {}
    assert (decode_square(encoded(image, "PNG", **options), 8, 3) == 51).all()


def test_sixteen_bit_grey_is_scaled():
    image = Image.fromarray(np.full((8, 8), 0x4080, np.uint16))
    assert (decode_square(encoded(image, "PNG"), 8, 3) == 0x40).all()


def test_arrays_of_one_three_and_four_channels():
    alpha = np.concatenate([PIXELS, PIXELS[..., :1]], axis=-1)
    np.testing.assert_array_equal(decode_square(alpha, 8, 3), decode_square(PIXELS, 8, 3))
    grey = decode_square(PIXELS[..., :1], 8, 3)
    np.testing.assert_array_equal(grey[..., 0], decode_square(PIXELS[..., :1], 8, 1)[..., 0])


def test_arrays_show_the_background_where_they_are_transparent():
    pixels = np.zeros((8, 8, 4), np.uint8)
    pixels[:, :4, 3] = 255  # black on the left, nothing on the right
    shown = decode_square(pixels, 8, 3, background=(255, 0, 0))
    assert (shown[:, :4] == 0).all()
    assert (shown[:, 4:] == (255, 0, 0)).all()
    assert is_transparent(pixels)
    assert not is_transparent(PIXELS)


def test_damage_is_an_error():
    data = encoded(Image.fromarray(PIXELS), "JPEG")
    with pytest.raises(OSError, match="truncated"):
        decode_square(data[: len(data) // 2], 8, 3)
    with pytest.raises(ValueError, match="no image format that Pillow knows"):
        decode_square(b"no image", 8, 3)
