"""One stored image -> one square of pixels: as published ImageNet code cut it, or as seen.

Pillow decodes whole images: on 500x375 JPEGs `tf.io.decode_and_crop_jpeg`, which skips what the
crop drops, gives the same pixels and is slower (320 against 420 images/s on one core), and Pillow's
`draft` mode changes them by up to 23 levels. Pillow frees Python's global lock while it works.
"""

import contextlib
import io
from typing import Any

import numpy as np
from PIL import Image, ImageColor, ImageFile, ImageOps, UnidentifiedImageError

WHITE = (255, 255, 255)
# Pillow brings levels of few bits to 0-255, but not the level that a PNG calls transparent.
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
        image: an encoded file of any format Pillow knows, told by its first bytes and not by its
            name (ImageNet holds a PNG named .JPEG); or pixels, uint8 `(H, W, C)`, C of 1, 3 or 4.
        image_size: side of the result.
        channels: 3 for RGB (grey is repeated, CMYK converted), 1 for grey.
        background: RGB, 0 to 255, to see the image as a viewer shows it: turned as its EXIF data
            say, and with this colour behind what is transparent. Without it, as the published
            pipeline did: orientation is ignored and alpha dropped.

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
    elif picture.mode == "P":  # only RGBA holds every kind of transparency a palette may have
        picture = picture.convert("RGBA")
    picture = picture.convert("RGB" if channels == 3 else "L")
    width, height = picture.size
    side = min(width, height)
    left, top = round((width - side) / 2), round((height - side) / 2)
    # Not `resize(box=...)`: that blends pixels from outside the box into the edges.
    square = picture.crop((left, top, left + side, top + side))
    resized = square.resize((image_size, image_size), Image.Resampling.BILINEAR)
    return np.asarray(resized).reshape(image_size, image_size, channels)


def parse_background(text: str) -> tuple[int, int, int]:
    """The RGB of a colour's name or #rrggbb.

    Raises:
        ValueError: for anything that is no opaque colour.
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
    """Turned, opaque, and of 8 bits."""
    if picture.has_transparency_data:
        shown = _with_alpha(picture)
        shown = Image.alpha_composite(Image.new("RGBA", shown.size, background), shown)
        shown = shown.convert("RGB")
    else:
        shown = _eight_bits(picture)
    # What says how to turn it; of what it calls transparent nothing is left.
    shown.info = {key: value for key, value in picture.info.items() if key != "transparency"}
    try:
        return ImageOps.exif_transpose(shown)
    except Exception:  # damaged EXIF data, which Pillow meets with several exceptions
        return shown


def _with_alpha(picture: Image.Image) -> Image.Image:
    """As RGBA, where Pillow's `convert` gets PNGs of few or of 16 bits wrong."""
    tiles = picture.tile if isinstance(picture, ImageFile.ImageFile) else []
    rawmode = tiles[0].args if tiles else None
    key: Any = picture.info.get("transparency")  # of a type that follows from the mode
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
