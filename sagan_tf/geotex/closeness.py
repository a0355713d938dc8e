"""How near the two sides of images are to one another, relative to sides of different images.

The measure sees a constraint that is learned in part. A check accepts only images whose parts can
be read exactly; this measure also takes discs of mixed colours, or columns with a few grey cells.
"""

from typing import NamedTuple

import numpy as np

from sagan_tf.geotex.checks import check_images
from sagan_tf.geotex.drawing import GEOMETRIES


class Closeness(NamedTuple):
    """Closeness of the sides of many images.

    Attributes:
        closeness: 1 for sides that fit perfectly, 0 for sides that fit no better than those of
            different images; NaN for fewer than two images with both parts.
        located: fraction of the images in which both parts were found.
    """

    closeness: float
    located: float


def measure_closeness(name: str, images: np.ndarray) -> Closeness:
    """Closeness of the sides of a geometry class: 1 - distance within images / distance across.

    The distance is that of the discs' colours for twin, the share of unequal cells for mirror, the
    difference from four limbs for limbs, and the pieces' miss for line. The first mean is over
    images, the second over all pairs of a left side and another image's right side. A generator
    that draws the same image over and over has a closeness of 0.

    Args:
        name: name of a geometry class.
        images: uint8 `(N, S, S, 3)`, drawn or generated.

    Raises:
        ValueError: for images of another shape or dtype.
    """
    check_images(name, images)
    of_class = GEOMETRIES[name]
    sides = of_class.read_sides(images)
    left, right = sides.left[sides.located], sides.right[sides.located]
    count = len(left)
    located = float(sides.located.mean())
    if count < 2:
        return Closeness(float("nan"), located)
    distances = of_class.side_distance(left[:, np.newaxis], right[np.newaxis])  # (N, N)
    within = np.trace(distances) / count
    across = (distances.sum() - np.trace(distances)) / (count * (count - 1))
    return Closeness(float(1 - within / across) if across > 0 else 0.0, located)
