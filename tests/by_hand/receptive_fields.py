"""Tables of how far the discriminator's features see, and how far apart a geometry's parts are.

python -m tests.by_hand.receptive_fields [image size] [image size] ...
"""

import sys

import numpy as np

from sagan_tf import geotex
from sagan_tf.architecture import DISCRIMINATOR_FILTERS
from sagan_tf.geotex import CLASS_NAMES, GEOMETRIES
from sagan_tf.geotex.drawing import least_size


def receptive_fields(image_size):
    """Resolution of each block's output, and the side of its features' receptive fields in pixels.

    A block has two 3x3 convolutions; one that downsamples also has 2x2 mean pooling.
    """
    found, field, step, previous = [], 1, 1, image_size  # `step`: pixels from feature to feature
    for resolution, _ in DISCRIMINATOR_FILTERS[image_size]:
        field += 2 * 2 * step
        if resolution < previous:
            field += step
            step *= 2
        found.append((resolution, field))
        previous = resolution
    return found


def part_distances(name, image_size, count=200):
    """Mean columns from the one part's inner edge to the other's, and from centre to centre."""
    first, step = CLASS_NAMES.index(name), len(CLASS_NAMES)
    gaps, distances = [], []
    for index in range(first, first + count * step, step):
        left, right = (
            np.flatnonzero(part.any(axis=0)) for part in geotex.draw(index, image_size).parts
        )
        gaps.append(right.min() - left.max() - 1)
        distances.append(right.mean() - left.mean())
    return np.mean(gaps), np.mean(distances)


def main(*image_sizes):
    print("| image size | block by block: feature map (side of a receptive field, in pixels) |")
    print("|---|---|")
    for size in image_sizes:
        cells = (f"{side}x{side} ({field})" for side, field in receptive_fields(size))
        print(f"| {size} | {', '.join(cells)} |")
    print("\n| image size | " + " | ".join(GEOMETRIES) + " |")
    print("|---|" + "---|" * len(GEOMETRIES))
    for size in image_sizes:
        cells = (
            "{:.0f} ({:.0f})".format(*part_distances(name, size))
            if least_size(name) <= size
            else ""
            for name in GEOMETRIES
        )
        print(f"| {size} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:] or ["32", "64"]))
