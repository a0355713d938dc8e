"""Spread: how varied the images of one class are relative to real images (1: equal, 0: not at all).

The spread of a class is the mean distance between two of its images. The distance is the root mean
square difference of their pixels, in levels of 255: the Euclidean distance divided by the square
root of the number of pixel values. Its expectation does not depend on the number of images, and
gray images have the same spread as colour images with three equal channels. Scores that compare
features can be good although a generator shows the same image of each class again and again; this
score cannot.
"""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
from scipy.spatial.distance import pdist

from sagan_tf.evaluation.images import Images, as_uint8

# Largest number of images of a class to compare; more change a class's mean by a few percent.
_CLASS_IMAGES = 100
# Largest number of pixel values in memory (256 MiB), unless two images of each class need more.
_VALUES = 2**28
# Images to read at a time.
_BATCH_SIZE = 64


@dataclasses.dataclass(frozen=True)
class RelativeSpread:
    """The spread of generated images relative to the spread of real images.

    Attributes:
        ratio: mean spread of the generated classes divided by that of the real classes.
        by_class: the ratio of each class.
    """

    ratio: float
    by_class: Mapping[int, float]


def class_spread(
    images: np.ndarray, labels: Sequence[int] | np.ndarray | None = None
) -> dict[int, float]:
    """Computes the spread of each class that has two images or more.

    Args:
        images: uint8 `(N, H, W, C)`.
        labels: `(N,)`; `None` treats all images as class 0.

    Returns:
        The spread by class, in levels of 255.
    """
    images = np.asarray(images)
    labels = np.zeros(len(images), np.int64) if labels is None else np.asarray(labels)
    rows = images.reshape(len(images), -1)
    spread = {}
    for label in np.unique(labels).tolist():
        of_class = rows[labels == label]
        if len(of_class) >= 2:
            distances = pdist(of_class.astype(np.float64))
            spread[label] = float(distances.mean() / np.sqrt(rows.shape[1]))
    return spread


def relative_spread(
    real: Mapping[int, float], generated: Mapping[int, float]
) -> RelativeSpread | None:
    """Compares spreads over the classes that both sides have and whose real images differ.

    Args:
        real: spreads of real images, from `class_spread`.
        generated: spreads of generated images, from `class_spread`.

    Returns:
        The comparison; `None` if there is no such class.
    """
    shared = [label for label in generated if real.get(label, 0) > 0]
    if not shared:
        return None
    return RelativeSpread(
        float(
            np.mean([generated[label] for label in shared])
            / np.mean([real[label] for label in shared])
        ),
        {label: generated[label] / real[label] for label in shared},
    )


def spread_of_images(
    real: Images,
    real_labels: np.ndarray | None,
    generated: Images,
    labels: np.ndarray | None,
) -> RelativeSpread | None:
    """Reads the first images of each class of both sides and compares their spreads.

    Up to 100 images of each class are read, fewer if there are many classes of large images. The
    number is the same on both sides, if both have as many.

    Args:
        real: the real images.
        real_labels: int `(N,)`, classes of the real images, or `None`.
        generated: the images to score.
        labels: int `(N,)`, classes of the images to score, or `None`. If either side has no
            classes, all images of both sides are treated as one class.

    Returns:
        The comparison; `None` if no class has two images on both sides.
    """
    if real_labels is None or labels is None:
        real_labels = np.zeros(real.num_images, np.int64)
        labels = np.zeros(generated.num_images, np.int64)
    classes = np.intersect1d(real_labels, labels)
    if not len(classes):
        return None
    values = max(images.read(0, 1)[0].size for images in (real, generated))
    count = int(np.clip(_VALUES // (2 * len(classes) * values), 2, _CLASS_IMAGES))
    sides = []
    for images, of_side in ((real, real_labels), (generated, labels)):
        chosen = first_of_each_class(of_side, classes, count)
        sides.append(class_spread(_read(images, chosen), of_side[chosen]))
    return relative_spread(*sides)


def first_of_each_class(labels: np.ndarray, classes: np.ndarray, count: int) -> np.ndarray:
    """The indices, in ascending order, of the first `count` labels of each class."""
    found = [np.flatnonzero(labels == label)[:count] for label in classes]
    return np.sort(np.concatenate(found))


def _read(images: Images, numbers: np.ndarray) -> np.ndarray:
    """Reads the images with some numbers, in batches: uint8 `(N, H, W, C)`."""
    parts = []
    for start in range(0, int(numbers[-1]) + 1, _BATCH_SIZE):
        wanted = numbers[(numbers >= start) & (numbers < start + _BATCH_SIZE)]
        if len(wanted):
            first = int(wanted[0])
            read, _ = images.read(first, int(wanted[-1]) + 1)
            parts.append(as_uint8(read[wanted - first]))
    return np.concatenate(parts)
