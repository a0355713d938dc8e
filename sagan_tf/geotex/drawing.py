"""Image number i of GeoTex, the same in every batch and at every time."""

from typing import NamedTuple

import numpy as np

from sagan_tf.geotex import limbs, line, mirror, textures, twin
from sagan_tf.geotex.canvas import to_levels

GEOMETRIES = {"twin": twin, "mirror": mirror, "limbs": limbs, "line": line}
CLASS_NAMES = (*GEOMETRIES, *textures.TEXTURES)
# Which images are whose; classes come in turn, so each has an eighth.
SPLITS = {"train": range(50_000), "test": range(50_000, 60_000)}
# Below, cells and limbs are less than two pixels wide.
LEAST_SIZE = 32


class Example(NamedTuple):
    """One image with what is known of it.

    Attributes:
        image: uint8 `(S, S, 3)`.
        label: its place in `CLASS_NAMES`.
        parts: bool `(2, S, S)`, the pixels of the left and of the right part; none in textures.
    """

    image: np.ndarray
    label: int
    parts: np.ndarray


def draw(index: int, image_size: int, seed: int = 0, valid: bool = True) -> Example:
    """Draws an image; the classes come in turn.

    Args:
        index: at least 0.
        image_size: side in pixels, at least 32. Geometry grows with it, textures do not.
        seed: of the data set, at least 0.
        valid: whether the constraint of a geometry class holds. Else its parts are drawn
            independently, each as before, and meet it by chance.

    Raises:
        ValueError: for an image that is too small, or a number below 0.
    """
    check_size(image_size)
    if min(index, seed) < 0:
        raise ValueError(
            f"`index` and `seed` must be at least 0. Received: index={index}, seed={seed}."
        )
    label = index % len(CLASS_NAMES)
    name = CLASS_NAMES[label]
    random = np.random.default_rng([seed, index])
    if name in GEOMETRIES:
        image, coverage = GEOMETRIES[name].draw(random, image_size, valid)
        return Example(to_levels(image), label, coverage > 0.5)
    image = textures.draw(name, random, image_size)
    return Example(to_levels(image), label, np.zeros((2, image_size, image_size), bool))


def check_size(image_size: int) -> None:
    """Raises a `ValueError` for images that are too small to be drawn."""
    if image_size < LEAST_SIZE:
        raise ValueError(
            f"GeoTex needs an `image_size` of at least {LEAST_SIZE}. "
            f"Received: image_size={image_size}."
        )


def exchange_halves(images: np.ndarray) -> np.ndarray:
    """Gives each image of a class the right half of the next one, `(N, S, S, 3)`.

    In a geometry class no seam shows, each side is as likely as before, and any relation between
    the sides is gone. So how often these meet the constraint is the chance of a generator, for
    what it draws on each side.
    """
    middle = images.shape[2] // 2
    return np.concatenate([images[:, :, :middle], np.roll(images, -1, axis=0)[:, :, middle:]], 2)


def draw_class(
    name: str, count: int, image_size: int, seed: int = 0, valid: bool = True
) -> np.ndarray:
    """The first images of one class, uint8 `(count, S, S, 3)`; arguments as for `draw`."""
    first, step = CLASS_NAMES.index(name), len(CLASS_NAMES)
    indices = range(first, first + count * step, step)
    return np.stack([draw(index, image_size, seed, valid).image for index in indices])
