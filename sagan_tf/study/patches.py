"""Distances between small image patches, which measure texture independently of geometry."""

import numpy as np

from sagan_tf.evaluation.frechet import frechet_distance
from sagan_tf.evaluation.moments import Moments, moments_of

PATCH_SIZE = 8
_PER_IMAGE = 16


def patches(images: np.ndarray, seed: int = 0) -> np.ndarray:
    """Patches of 8x8 pixels from random positions.

    Args:
        images: uint8 `(N, S, S, 3)`.
        seed: seed of the positions.

    Returns:
        float64 `(16 * N, 192)` in [0, 1], with the images in turn.
    """
    random = np.random.default_rng(seed)
    windows = np.lib.stride_tricks.sliding_window_view(images, (PATCH_SIZE,) * 2, axis=(1, 2))
    count = len(images) * _PER_IMAGE
    rows, columns = random.integers(windows.shape[1], size=(2, count))
    chosen = windows[np.arange(count) % len(images), rows, columns]
    return chosen.reshape(count, -1) / 255


def patch_distance(real: Moments, images: np.ndarray) -> float:
    """Fréchet distance between the images' patches and patches with the given moments."""
    return frechet_distance(real, moments_of(patches(images, seed=1)))


def flat_distance(images: np.ndarray) -> float:
    """Fréchet distance between patches and the same patches in their mean colour."""
    rows = patches(images)
    colours = rows.reshape(len(rows), 3, -1)
    flat = np.broadcast_to(colours.mean(axis=-1, keepdims=True), colours.shape)
    return frechet_distance(moments_of(rows), moments_of(flat.reshape(rows.shape)))
