"""One stored image -> one square of pixels, as the published ImageNet pipeline cut it.

Pillow decodes whole images: on 500x375 JPEGs `tf.io.decode_and_crop_jpeg`, which skips what the
crop drops, gives the same pixels and is slower (320 against 420 images/s on one core), and Pillow's
`draft` mode changes them by up to 23 levels. Pillow frees Python's global lock while it works.
"""

import io

import numpy as np
from PIL import Image, UnidentifiedImageError


def decode_square(image: bytes | np.ndarray, image_size: int, channels: int) -> np.ndarray:
    """The largest centre square of an image, resized.

    Resizing is bilinear with antialiasing: `scipy.misc.imresize` of the published pipeline
    (openai/improved-gan, convert_imagenet_to_records.py) is the same Pillow call.
    Orientation tags are ignored, as there.

    Args:
        image: an encoded file of any format Pillow knows, told by its first bytes and not by its
            name (ImageNet holds a PNG named .JPEG); or pixels, uint8 `(H, W, C)`, C of 1, 3 or 4.
        image_size: side of the result.
        channels: 3 for RGB (grey is repeated, alpha dropped, CMYK converted), 1 for grey.

    Returns:
        uint8 `(image_size, image_size, channels)`.

    Raises:
        Whatever Pillow raises for a damaged file: OSError, SyntaxError, ValueError and others.
    """
    picture = _open(image)
    if picture.mode == "I;16":  # 16-bit grey, which `convert` would clip instead of scale
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


def _open(image: bytes | np.ndarray) -> Image.Image:
    if isinstance(image, bytes):
        try:
            return Image.open(io.BytesIO(image))
        except UnidentifiedImageError:
            raise ValueError("no image format that Pillow knows") from None
    return Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image)
