"""Makes pictures from several images, and writes them to files."""

import base64
import contextlib
import functools
import io
import math
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from sagan_tf.output.files import replacing

# Height in pixels of the row above a grid with its columns' titles.
TITLE_HEIGHT = 12
# Fonts for letters that Pillow's own font lacks, found by name on Linux, macOS and Windows.
_SYSTEM_FONTS = (
    "DejaVuSans.ttf",
    "NotoSans-Regular.ttf",
    "Arial Unicode.ttf",
    "arial.ttf",
    "NotoSansCJK-Regular.ttc",
    "msyh.ttc",
)
Font = ImageFont.FreeTypeFont | ImageFont.ImageFont
_NO_CHARACTER = "\uffff"
# Number of letters after which a title is cut off.
LONGEST_TITLE = 24


def image_grid(
    images: Sequence[np.ndarray], columns: int, titles: Sequence[str] = ()
) -> np.ndarray:
    """Arranges images row by row, with one grey pixel between them.

    Args:
        images: uint8 `(H, W, C)`, all of the same shape.
        columns: images per row.
        titles: one per column, written above it, all rotated if one is wider than its column;
            empty for no margin.

    Returns:
        uint8 `(rows * (H + 1) - 1 + margin, columns * (W + 1) - 1, C)`.
    """
    height, width, channels = images[0].shape
    rows = -(-len(images) // columns)
    grid = np.full((rows * (height + 1), columns * (width + 1), channels), 64, np.uint8)
    for index, image in enumerate(images):
        top, left = (index // columns) * (height + 1), (index % columns) * (width + 1)
        grid[top : top + height, left : left + width] = image
    if titles:
        grid = np.concatenate([_title_row(titles, width + 1, channels), grid])
    return grid[:-1, :-1]


def grid_scale(image_size: int, least_width: int = 48) -> int:
    """The factor by which to enlarge images so that they are at least `least_width` pixels wide."""
    return -(-least_width // image_size)


def to_picture(image: np.ndarray, scale: int = 1) -> Image.Image:
    """A uint8 image `(H, W, C)` as a Pillow image, enlarged by the factor `scale`."""
    picture = Image.fromarray(image.squeeze(-1) if image.shape[-1] == 1 else image)
    return picture.resize((picture.width * scale, picture.height * scale), Image.Resampling.NEAREST)


def save_png(image: np.ndarray, path: str | os.PathLike, scale: int = 1) -> None:
    """Writes a uint8 image `(H, W, C)`, enlarged by `scale`, as a PNG, whole or not at all."""
    path = Path(path)
    if path.is_dir():
        raise ValueError(f"A picture cannot be written over a directory. Received: {path}")
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        to_picture(image, scale).save(temporary, format="PNG")


def png_address(picture: Image.Image) -> str:
    """A picture as a data URL, so that a page needs no other file."""
    data = io.BytesIO()
    picture.save(data, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(data.getvalue()).decode("ascii")


def _drawable(titles: Sequence[str]) -> tuple[Font, list[str]]:
    """A font, and the titles; a title that no font can draw becomes its column's number."""
    fonts = _fonts()
    lacking = [[title for title in titles if not _draws(font, title)] for font in fonts]
    best = min(range(len(fonts)), key=lambda index: len(lacking[index]))
    return fonts[best], [
        f"column {column}" if title in lacking[best] else title
        for column, title in enumerate(titles)
    ]


@functools.cache
def _fonts() -> list[Font]:
    """Pillow's own font, which has English letters only, and fonts of the system."""
    found: list[Font] = [ImageFont.load_default(10)]
    for name in _SYSTEM_FONTS:
        with contextlib.suppress(OSError):
            found.append(ImageFont.truetype(name, 10))
    return found


def _draws(font: Font, text: str) -> bool:
    """Whether a font has every letter; missing letters look like a character no font has."""
    missing = bytes(font.getmask(_NO_CHARACTER))
    return all(
        bytes(font.getmask(letter)) != missing for letter in set(text) if not letter.isspace()
    )


def _title_row(titles: Sequence[str], width: int, channels: int) -> np.ndarray:
    """The titles side by side, or all of them rotated if one is wider than its column."""
    titles = [
        title if len(title) <= LONGEST_TITLE else f"{title[:LONGEST_TITLE]}…" for title in titles
    ]
    font, titles = _drawable(titles)
    longest = 3 + math.ceil(max(font.getlength(title) for title in titles))
    upright = longest > width
    length = longest if upright else width
    row = Image.new("L", (width * len(titles), length if upright else TITLE_HEIGHT))
    for index, title in enumerate(titles):
        written = Image.new("L", (length, TITLE_HEIGHT))
        ImageDraw.Draw(written).text((2, 0), title, fill=255, font=font)
        if upright:
            written = written.rotate(90, expand=True)
        row.paste(written, (index * width + (width - written.width) // 2, 0))
    return np.repeat(np.asarray(row)[..., np.newaxis], channels, axis=-1)
