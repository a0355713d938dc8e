"""Draws image number i of GeoTex, which is always the same image."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from sagan_tf.geotex import limbs, line, mirror, textures, twin
from sagan_tf.geotex.canvas import to_levels

GEOMETRIES = {"twin": twin, "mirror": mirror, "limbs": limbs, "line": line}
CLASS_NAMES = (*GEOMETRIES, *textures.TEXTURES)
# Image numbers of each split. Classes alternate, so each has an eighth of the images.
SPLITS = {"train": range(50_000), "test": range(50_000, 60_000)}
# Numbers after those of all splits are split in the same way again; see `split_numbers`.
_PERIOD = 60_000
# The least image sizes: in smaller images of these classes limbs have no gaps between them, lines
# are too thin to be fitted, and clouds show less than one wave. Other classes can still be read.
_LEAST_SIZES = {"limbs": 32, "line": 32, "clouds": 32}
_LEAST_SIZE = 16
DEFAULT_SIZE = 32


class Example(NamedTuple):
    """An image with its label and the masks of its parts.

    Attributes:
        image: uint8 `(S, S, 3)`.
        label: index of its class in `CLASS_NAMES`.
        parts: bool `(2, S, S)`, the pixels of the left and of the right part; all false for
            textures.
    """

    image: np.ndarray
    label: int
    parts: np.ndarray


def draw(index: int, image_size: int, seed: int = 0, valid: bool = True) -> Example:
    """Draws an image; the class of image `index` is `index` modulo the number of classes.

    Args:
        index: number of the image, at least 0.
        image_size: side in pixels, at least the class's `least_size`. Geometry scales with it,
            textures do not.
        seed: seed of the data set, at least 0.
        valid: whether the constraint of a geometry class holds. Otherwise the two parts are drawn
            independently, each from the same distribution, and satisfy the constraint by chance.

    Raises:
        ValueError: for an image size that is too small, or a negative number.
    """
    if min(index, seed) < 0:
        raise ValueError(
            f"`index` and `seed` must be at least 0. Received: index={index}, seed={seed}."
        )
    label = index % len(CLASS_NAMES)
    name = CLASS_NAMES[label]
    check_size(image_size, (name,))
    random = np.random.default_rng([seed, index])
    if name in GEOMETRIES:
        image, coverage = GEOMETRIES[name].draw(random, image_size, valid)
        return Example(to_levels(image), label, coverage > 0.5)
    image = textures.draw(name, random, image_size)
    return Example(to_levels(image), label, np.zeros((2, image_size, image_size), bool))


def least_size(name: str) -> int:
    """The smallest image size, in pixels, at which a class can be drawn and checked."""
    return _LEAST_SIZES.get(name, _LEAST_SIZE)


def check_size(image_size: int, names: Sequence[str]) -> None:
    """Raises `ValueError` for an image size that is too small for any of some classes."""
    for name in names:
        if image_size < least_size(name):
            raise ValueError(
                f"GeoTex needs an `image_size` of at least {least_size(name)} for {name}. "
                f"Received: image_size={image_size}. Some classes need only {_LEAST_SIZE}: "
                f"geotex:{','.join(n for n in CLASS_NAMES if n not in _LEAST_SIZES)}."
            )


def ordered_classes(names: Sequence[str]) -> tuple[str, ...]:
    """Class names in the order of `CLASS_NAMES`.

    Raises:
        ValueError: for no names, an unknown name, or a name that comes twice.
    """
    if not names or len(set(names)) < len(names) or not set(names) <= set(CLASS_NAMES):
        raise ValueError(
            f"Classes of geotex are one or several of {', '.join(CLASS_NAMES)}, each named once. "
            f"Received: {','.join(names)!r}."
        )
    return tuple(name for name in CLASS_NAMES if name in names)


def split_numbers(split: str, names: Sequence[str] = CLASS_NAMES) -> np.ndarray:
    """Image numbers of a split of some classes, int32, as many as the split of all classes has.

    With all classes these are the numbers in `SPLITS`. With fewer classes, each has more images:
    of the numbers from 60,000 on, the first 50,000 are again for training, the next 10,000 for
    testing, and so on. So no number is in both splits, whichever classes are chosen.
    """
    numbers = np.arange(_PERIOD * len(CLASS_NAMES), dtype=np.int32)
    place, indices = numbers % _PERIOD, SPLITS[split]
    labels = [CLASS_NAMES.index(name) for name in names]
    chosen = (indices.start <= place) & (place < indices.stop)
    chosen &= np.isin(numbers % len(CLASS_NAMES), labels)
    return numbers[chosen][: len(indices)]


def exchange_halves(images: np.ndarray) -> np.ndarray:
    """Replaces each image's right half by that of the next image, `(N, S, S, 3)`.

    In a geometry class this shows no seam, keeps the distribution of each side, and removes any
    relation between the sides. So the rate at which these images satisfy the constraint is the rate
    expected by chance, given what a generator draws on each side.
    """
    middle = images.shape[2] // 2
    return np.concatenate([images[:, :, :middle], np.roll(images, -1, axis=0)[:, :, middle:]], 2)


def draw_class(
    name: str, count: int, image_size: int, seed: int = 0, valid: bool = True
) -> np.ndarray:
    """The first images of one class, uint8 `(count, S, S, 3)`; see `draw` for the arguments."""
    first, step = CLASS_NAMES.index(name), len(CLASS_NAMES)
    indices = range(first, first + count * step, step)
    return np.stack([draw(index, image_size, seed, valid).image for index in indices])
