"""Pictures of several images, and their files."""

import base64
import io
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from sagan_tf.files import replacing

# Of the row above a grid that holds its columns' titles.
TITLE_HEIGHT = 12


def image_grid(
    images: Sequence[np.ndarray], columns: int, titles: Sequence[str] = ()
) -> np.ndarray:
    """Lays images out row by row, one grey pixel between them.

    Args:
        images: uint8 `(H, W, C)`, all of one shape.
        columns: images per row.
        titles: one per column, written above it; none leaves no margin.

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
    """How many times to enlarge a grid so that its images are at least so many pixels wide."""
    return -(-least_width // image_size)


def to_picture(image: np.ndarray, scale: int = 1) -> Image.Image:
    """Uint8 `(H, W, C)` as a Pillow image, each pixel `scale` wide."""
    picture = Image.fromarray(image.squeeze(-1) if image.shape[-1] == 1 else image)
    return picture.resize((picture.width * scale, picture.height * scale), Image.Resampling.NEAREST)


def save_png(image: np.ndarray, path: str | os.PathLike, scale: int = 1) -> None:
    """Writes uint8 `(H, W, C)` as a PNG, each pixel `scale` wide, whole or not at all."""
    path = Path(path)
    if path.is_dir():
        raise ValueError(f"A picture cannot be written over a directory. Received: {path}")
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        to_picture(image, scale).save(temporary, format="PNG")


def png_address(picture: Image.Image) -> str:
    """A picture within an address, so that a page needs no file beside it."""
    data = io.BytesIO()
    picture.save(data, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(data.getvalue()).decode("ascii")


def _title_row(titles: Sequence[str], width: int, channels: int) -> np.ndarray:
    row = Image.new("L", (width * len(titles), TITLE_HEIGHT))
    draw = ImageDraw.Draw(row)
    for index, title in enumerate(titles):
        draw.text((index * width + 2, 0), title[: max(1, width // 6)], fill=255)
    return np.repeat(np.asarray(row)[..., np.newaxis], channels, axis=-1)
