"""Precision, recall, density and coverage: how the sets of generated and real images overlap.

The neighbourhood of an image is the ball around it whose radius is the distance to its k-th nearest
neighbour in its own set. Improved precision and recall are from Kynkäänniemi et al., arXiv
1904.06991, density and coverage from Naeem et al., arXiv 2002.09797.
"""

import dataclasses

import numpy as np

from sagan_tf.evaluation.neighbours import squared_distances


@dataclasses.dataclass(frozen=True)
class ManifoldScores:
    """How the sets of real and generated images overlap.

    Attributes:
        precision: fraction of generated images inside the neighbourhood of a real image.
        recall: fraction of real images inside the neighbourhood of a generated image.
        density: mean number of real neighbourhoods around a generated image, divided by k; may
            exceed 1.
        coverage: fraction of real neighbourhoods that contain a generated image.
    """

    precision: float
    recall: float
    density: float
    coverage: float


def manifold_scores(
    real: np.ndarray, fake: np.ndarray, precision_k: int = 3, density_k: int = 5
) -> ManifoldScores:
    """Computes the scores from the distances between all images.

    Args:
        real: features of real images, `(M, D)`.
        fake: features of generated images, `(N, D)`.
        precision_k: k for precision and recall, which use closed balls.
        density_k: k for density and coverage, which use open balls.

    Raises:
        ValueError: if a set has no k-th neighbour.
    """
    largest = max(precision_k, density_k)
    for features in (real, fake):
        if len(features) <= largest:
            raise ValueError(
                f"Neighbourhoods of {largest} need at least {largest + 1} images. "
                f"Received: {len(features)}"
            )
    middle = real.mean(axis=0)
    real_radii = _squared_radii(real, middle, (precision_k, density_k))
    (fake_radii,) = _squared_radii(fake, middle, (precision_k,))
    in_real = np.zeros(len(fake), bool)
    in_fake = np.zeros(len(real), bool)
    balls_around = 0
    nearest = np.full(len(real), np.inf)
    for start, distances in squared_distances(fake, real, middle):
        rows = slice(start, start + len(distances))
        in_real[rows] = (distances <= real_radii[0]).any(axis=1)
        in_fake |= (distances <= fake_radii[rows, None]).any(axis=0)
        balls_around += int(np.count_nonzero(distances < real_radii[1]))
        np.minimum(nearest, distances.min(axis=0), out=nearest)
    return ManifoldScores(
        precision=float(in_real.mean()),
        recall=float(in_fake.mean()),
        density=balls_around / (density_k * len(fake)),
        coverage=float((nearest < real_radii[1]).mean()),
    )


def _squared_radii(rows: np.ndarray, middle: np.ndarray, ks: tuple[int, ...]) -> np.ndarray:
    """Squared distances of each row to its k-th nearest other row, `(len(ks), N)`."""
    radii = np.empty((len(ks), len(rows)), rows.dtype)
    for start, distances in squared_distances(rows, rows, middle):
        # A row is its own nearest row, despite rounding and equal rows.
        own = np.arange(len(distances))
        distances[own, start + own] = -1
        distances.partition(ks, axis=1)
        radii[:, start : start + len(distances)] = distances[:, list(ks)].T
    return radii
