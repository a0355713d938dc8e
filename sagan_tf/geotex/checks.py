"""Images -> do they show what their class asks for?"""

import numpy as np

from sagan_tf.geotex import textures
from sagan_tf.geotex.drawing import CLASS_NAMES, GEOMETRIES, LEAST_SIZE
from sagan_tf.geotex.outcome import Outcome


def check(name: str, images: np.ndarray) -> Outcome:
    """Reads images of one class.

    Args:
        name: one of `CLASS_NAMES`.
        images: uint8 `(N, S, S, 3)`, drawn or generated.

    Raises:
        ValueError: for another class, or images of another form.
    """
    _must_be_images(images)
    if name not in CLASS_NAMES:
        raise ValueError(f"A class of GeoTex is one of {CLASS_NAMES}. Received: {name!r}.")
    if name in GEOMETRIES:
        return GEOMETRIES[name].check(images)
    return textures.check(name, images)


def locate_parts(name: str, images: np.ndarray) -> np.ndarray:
    """Where the left and the right part are, read from the pixels alone.

    Args:
        name: a geometry class.
        images: uint8 `(N, S, S, 3)`, drawn or generated.

    Returns:
        bool `(N, 2, S, S)`; all false where an image is not readable.

    Raises:
        ValueError: for a class without parts, or images of another form.
    """
    if name not in GEOMETRIES:
        raise ValueError(f"A class with parts is one of {tuple(GEOMETRIES)}. Received: {name!r}.")
    readable = check(name, images).readable
    return GEOMETRIES[name].parts_in(images) & readable[:, np.newaxis, np.newaxis, np.newaxis]


def _must_be_images(images: np.ndarray) -> None:
    shape = images.shape
    square = len(shape) == 4 and shape[1] == shape[2] >= LEAST_SIZE and shape[3] == 3
    if images.dtype != np.uint8 or not square:
        raise ValueError(
            f"`images` must be uint8 (N, S, S, 3) with S of at least {LEAST_SIZE}. Received: "
            f"{images.dtype} {shape}."
        )
