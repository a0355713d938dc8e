"""Decodes a stored image to a square of pixels, like the published ImageNet code or as displayed.

Pillow decodes whole images. On 500x375 JPEGs, `tf.io.decode_and_crop_jpeg`, which decodes the crop
alone, gives the same pixels and is slower (320 against 420 images/s on one core); Pillow's `draft`
mode changes pixels by up to 23 levels. Pillow releases Python's global lock while it works.
"""

import contextlib
import io
from typing import Any

import numpy as np
from PIL import Image, ImageColor, ImageFile, ImageOps, UnidentifiedImageError

WHITE = (255, 255, 255)
# Pillow scales 2-bit and 4-bit levels to 0-255, but not a PNG's transparent level.
_LEVEL_SCALES = {"L;2": 85, "L;4": 17}


def decode_square(
    image: bytes | np.ndarray,
    image_size: int,
    channels: int,
    background: tuple[int, int, int] | None = None,
) -> np.ndarray:
    """The largest centre square of an image, resized.

    Resizing is bilinear with antialiasing: `scipy.misc.imresize` of the published pipeline
    (openai/improved-gan, convert_imagenet_to_records.py) is the same Pillow call.

    Args:
        image: an encoded file of any format that Pillow knows, recognised by its first bytes and
            not by its name (ImageNet holds a PNG named .JPEG); or pixels, uint8 `(H, W, C)`, with
            C of 1, 3 or 4.
        image_size: side of the result.
        channels: 3 for RGB (grey is repeated, CMYK converted), 1 for grey.
        background: RGB, 0 to 255, to decode the image as a viewer shows it: rotated by its EXIF
            orientation, and with this colour behind transparent pixels. `None` decodes like the
            published pipeline, which ignores the orientation and drops alpha.

    Returns:
        uint8 `(image_size, image_size, channels)`.

    Raises:
        Whatever Pillow raises for a damaged file: OSError, SyntaxError, ValueError and others.
    """
    picture = _open(image)
    if background is not None:
        picture = _as_shown(picture, background)
    elif picture.mode == "I;16":  # 16-bit grey, which `convert` would clip instead of scale
        picture = Image.fromarray((np.asarray(picture) >> 8).astype(np.uint8))
    elif picture.mode == "P":  # only RGBA can hold every kind of a palette's transparency
        picture = picture.convert("RGBA")
    picture = picture.convert("RGB" if channels == 3 else "L")
    width, height = picture.size
    side = min(width, height)
    left, top = round((width - side) / 2), round((height - side) / 2)
    # `resize(box=...)` would blend pixels from outside the box into the edges.
    square = picture.crop((left, top, left + side, top + side))
    resized = square.resize((image_size, image_size), Image.Resampling.BILINEAR)
    return np.asarray(resized).reshape(image_size, image_size, channels)


def parse_background(text: str) -> tuple[int, int, int]:
    """The RGB values of a colour given by its name or as #rrggbb.

    Raises:
        ValueError: if the text is not an opaque colour.
    """
    colour: tuple[()] | tuple[int, int, int] | tuple[int, int, int, int] = ()
    with contextlib.suppress(ValueError):
        colour = ImageColor.getrgb(text)
    if len(colour) != 3:
        raise ValueError(
            f"`--background` expects a colour by name or as #rrggbb, such as white or #808080. "
            f"Received: {text!r}."
        )
    return colour


def is_transparent(image: bytes | np.ndarray) -> bool:
    """Whether any pixel of an image lets the background through."""
    picture = _open(image)
    if not picture.has_transparency_data:
        return False
    return bool(np.asarray(_with_alpha(picture).getchannel("A")).min() < 255)


def _as_shown(picture: Image.Image, background: tuple[int, int, int]) -> Image.Image:
    """The picture as a viewer shows it: rotated, opaque and with 8 bits per channel."""
    if picture.has_transparency_data:
        shown = _with_alpha(picture)
        shown = Image.alpha_composite(Image.new("RGBA", shown.size, background), shown)
        shown = shown.convert("RGB")
    else:
        shown = _eight_bits(picture)
    # Keeps the EXIF data with the orientation; no transparent colour is left.
    shown.info = {key: value for key, value in picture.info.items() if key != "transparency"}
    try:
        return ImageOps.exif_transpose(shown)
    except Exception:  # damaged EXIF data, for which Pillow raises several exceptions
        return shown


def _with_alpha(picture: Image.Image) -> Image.Image:
    """The picture as RGBA; corrects Pillow's `convert` for PNGs with 2, 4 or 16 bits."""
    tiles = picture.tile if isinstance(picture, ImageFile.ImageFile) else []
    rawmode = tiles[0].args if tiles else None
    key: Any = picture.info.get("transparency")  # its type depends on the mode
    if picture.mode == "I;16":
        levels = np.asarray(picture)
        alpha = np.where(levels == key, 0, 255).astype(np.uint8)
        grey = (levels >> 8).astype(np.uint8)
        return Image.merge("LA", [Image.fromarray(grey), Image.fromarray(alpha)]).convert("RGBA")
    picture.load()
    if rawmode in _LEVEL_SCALES:
        picture.info["transparency"] = key * _LEVEL_SCALES[rawmode]
    elif rawmode == "RGB;16B":
        picture.info["transparency"] = tuple(level >> 8 for level in key)
    return picture.convert("RGBA")


def _eight_bits(picture: Image.Image) -> Image.Image:
    picture.load()
    if picture.mode.startswith("I;16") or (picture.mode == "I" and picture.format == "PPM"):
        return Image.fromarray((np.asarray(picture) >> 8).astype(np.uint8))
    if picture.mode in ("I", "F"):
        raise ValueError(
            "levels of 32 bits have no range that viewers agree on; save it with 8 or 16 bits"
        )
    return picture


def _open(image: bytes | np.ndarray) -> Image.Image:
    if isinstance(image, bytes):
        try:
            return Image.open(io.BytesIO(image))
        except UnidentifiedImageError:
            raise ValueError("no image format that Pillow knows") from None
    return Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image)
