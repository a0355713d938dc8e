"""Checks whether images satisfy the constraint of their class."""

import numpy as np

from sagan_tf.geotex import textures
from sagan_tf.geotex.drawing import CLASS_NAMES, GEOMETRIES, least_size
from sagan_tf.geotex.outcome import Outcome


def check(name: str, images: np.ndarray) -> Outcome:
    """Reads images of one class, and checks its constraint.

    Args:
        name: class name, one of `CLASS_NAMES`.
        images: uint8 `(N, S, S, 3)`, drawn or generated.

    Raises:
        ValueError: for an unknown class, or images of another shape or dtype.
    """
    if name not in CLASS_NAMES:
        raise ValueError(f"A class of GeoTex is one of {CLASS_NAMES}. Received: {name!r}.")
    check_images(name, images)
    if name in GEOMETRIES:
        return GEOMETRIES[name].check(images)
    return textures.check(name, images)


def locate_parts(name: str, images: np.ndarray) -> np.ndarray:
    """Masks of the left and the right part, found from the pixels alone.

    Args:
        name: name of a geometry class.
        images: uint8 `(N, S, S, 3)`, drawn or generated.

    Returns:
        bool `(N, 2, S, S)`; all false for an unreadable image.

    Raises:
        ValueError: for a class without parts, or images of another shape or dtype.
    """
    if name not in GEOMETRIES:
        raise ValueError(f"A class with parts is one of {tuple(GEOMETRIES)}. Received: {name!r}.")
    readable = check(name, images).readable
    return GEOMETRIES[name].parts_in(images) & readable[:, np.newaxis, np.newaxis, np.newaxis]


def check_images(name: str, images: np.ndarray) -> None:
    """Raises `ValueError` if images have another shape or dtype than those of the class."""
    shape = images.shape
    square = len(shape) == 4 and shape[1] == shape[2] >= least_size(name) and shape[3] == 3
    if images.dtype != np.uint8 or not square:
        raise ValueError(
            f"`images` of {name} must be uint8 (N, S, S, 3) with S of at least {least_size(name)}. "
            f"Received: {images.dtype} {shape}."
        )
