"""Tables of how far GeoTex's checks can be trusted.

python -m tests.by_hand.geotex_validity [image_size] [images per class]
"""

import sys

import numpy as np
from scipy.ndimage import gaussian_filter

from sagan_tf.evaluation.moments import moments_of
from sagan_tf.geotex import CLASS_NAMES, GEOMETRIES, check, draw_class, exchange_halves
from sagan_tf.geotex.drawing import least_size
from sagan_tf.study.patches import patch_distance, patches


def noisy(images, deviation=10, seed=0):
    """With Gaussian noise of so many levels."""
    noise = np.random.default_rng(seed).normal(0, deviation, images.shape)
    return np.clip(np.rint(images + noise), 0, 255).astype(np.uint8)


def blurred(images, deviation=0.8):
    """Through a Gaussian of so many pixels."""
    smooth = gaussian_filter(images.astype(np.float32), (0, deviation, deviation, 0))
    return np.rint(smooth).astype(np.uint8)


def real_and_broken(name, count, image_size):
    """Images of a class, and others whose parts are independent."""
    real = draw_class(name, count, image_size)
    return real, draw_class(name, count, image_size, seed=1, valid=False)


def classes_of(image_size, names=CLASS_NAMES):
    """The classes that can be drawn at this size."""
    return [name for name in names if least_size(name) <= image_size]


def print_rates(image_size, count):
    names = classes_of(image_size)
    print("| | " + " | ".join(names) + " |")
    changes = {
        "as drawn": lambda real, broken: real,
        "parts independent": lambda real, broken: broken,
        "right half of another image": lambda real, broken: exchange_halves(real),
        "noise, 10 levels": lambda real, broken: noisy(real),
        "blur, 0.8 pixels": lambda real, broken: blurred(real),
    }
    classes = {name: real_and_broken(name, count, image_size) for name in names}
    for change, of in changes.items():
        cells = []
        for name, images in classes.items():
            drawn_alike = change == "parts independent" and name not in GEOMETRIES
            rates = check(name, of(*images)).rates()
            readable = f" ({rates['readable']:.3f} readable)" if rates["readable"] < 0.9995 else ""
            cells.append("" if drawn_alike else f"{rates['satisfied']:.3f}{readable}")
        print(f"| {change} | " + " | ".join(cells) + " |")
    wrong = max(
        check(name, images).satisfied.mean()
        for name in names
        for other, (images, _) in classes.items()
        if other != name
    )
    print(f"Images of a class that the check of another one accepts: {wrong:.4f} at most.")


def print_patch_distances(image_size, count):
    names = classes_of(image_size, GEOMETRIES)
    print("\n| patches | " + " | ".join(names) + " |")
    rows = {}
    for name in names:
        real, broken = real_and_broken(name, count, image_size)
        moments = moments_of(patches(real))
        others = draw_class(name, count, image_size, seed=2)
        for label, images in {
            "real": others,
            "parts independent": broken,
            "blur, 0.6 pixels": blurred(others, 0.6),
        }.items():
            distance, satisfied = (
                patch_distance(moments, images),
                check(name, images).satisfied.mean(),
            )
            rows.setdefault(label, []).append(f"{distance:.4f} ({satisfied:.3f})")
    for label, cells in rows.items():
        print(f"| real to {label} | " + " | ".join(cells) + " |")


def main(image_size=32, count=1000):
    print(f"{image_size} pixels, {count} images per class: share satisfied\n")
    print_rates(image_size, count)
    print_patch_distances(image_size, count)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
