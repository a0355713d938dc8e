"""Attention maps as in the paper's figure: an image, then the map of each of its points."""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from sagan_tf.attention.overlay import overlay
from sagan_tf.output.pictures import grid_scale, image_grid
from sagan_tf.sampling import from_uint8, to_uint8

# The points' colours, in turn. Colour-blind readers can tell them apart (the first three are from
# Okabe and Ito, 2008), and none is the red or yellow of an overlay.
COLOURS = ((86, 180, 233), (0, 158, 115), (204, 121, 167), (255, 255, 255), (0, 0, 0))
_IMAGE_WIDTH = 128


def attention_figure(images: np.ndarray, points: np.ndarray, maps: np.ndarray) -> np.ndarray:
    """One row per image: the image with its points marked, then each point's map over the image.

    A point is marked in the same colour in the image and in its own overlay.

    Args:
        images: uint8 `(N, H, W, 1 or 3)`.
        points: `(N, P, 2)`, row and column in pixels.
        maps: `(N, P, Hk, Wk)`, as `attention_maps` returns them.

    Returns:
        uint8 `(H', W', 3)`; images narrower than 128 pixels are enlarged.
    """
    scale = grid_scale(images.shape[2], _IMAGE_WIDTH)
    # Images are enlarged before they are tinted, so that the overlay is smooth.
    images = images.repeat(scale, axis=1).repeat(scale, axis=2)
    centres = (points + 0.5) * scale
    colours = [COLOURS[index % len(COLOURS)] for index in range(points.shape[1])]
    cells = []
    for image, places, seen in zip(images, centres, maps, strict=True):
        cells.append(_marked(image.repeat(3 // image.shape[-1], axis=-1), places, colours))
        copies = np.repeat(from_uint8(image[None]), len(seen), axis=0)
        cells += [
            _marked(tinted, place[None], [colour])
            for tinted, place, colour in zip(
                to_uint8(overlay(copies, seen)), places, colours, strict=True
            )
        ]
    return image_grid(cells, 1 + points.shape[1])


def _marked(
    image: np.ndarray, centres: np.ndarray, colours: Sequence[tuple[int, int, int]]
) -> np.ndarray:
    """An image with a disc around each centre (row, column)."""
    picture = Image.fromarray(image)
    draw = ImageDraw.Draw(picture)
    radius = picture.width // 24
    for (row, column), colour in zip(centres, colours, strict=True):
        # Two rings, so that one of them is visible on any background.
        draw.circle((column, row), radius + 2, fill="black")
        draw.circle((column, row), radius + 1, fill="white")
        draw.circle((column, row), radius - 1, fill=colour)
    return np.asarray(picture)
