"""How far images' small patches are from those of others: texture, whatever the geometry."""

import numpy as np

from sagan_tf.evaluation.frechet import frechet_distance
from sagan_tf.evaluation.moments import Moments, moments_of

PATCH_SIZE = 8
_PER_IMAGE = 16


def patches(images: np.ndarray, seed: int = 0) -> np.ndarray:
    """Patches of 8x8 from random places.

    Args:
        images: uint8 `(N, S, S, 3)`.
        seed: of the places.

    Returns:
        float64 `(16 * N, 192)` in [0, 1], the images' in turn.
    """
    random = np.random.default_rng(seed)
    windows = np.lib.stride_tricks.sliding_window_view(images, (PATCH_SIZE,) * 2, axis=(1, 2))
    count = len(images) * _PER_IMAGE
    rows, columns = random.integers(windows.shape[1], size=(2, count))
    chosen = windows[np.arange(count) % len(images), rows, columns]
    return chosen.reshape(count, -1) / 255


def patch_distance(real: Moments, images: np.ndarray) -> float:
    """Fréchet distance between patches, from those whose moments are given."""
    return frechet_distance(real, moments_of(patches(images, seed=1)))


def flat_distance(images: np.ndarray) -> float:
    """How far patches are from themselves without texture, each of its mean colour alone."""
    rows = patches(images)
    colours = rows.reshape(len(rows), 3, -1)
    flat = np.broadcast_to(colours.mean(axis=-1, keepdims=True), colours.shape)
    return frechet_distance(moments_of(rows), moments_of(flat.reshape(rows.shape)))
