"""Are generated images where real ones are, and the other way round?

Each image's neighbourhood is the ball that reaches its k-th nearest neighbour among its own kind.
Improved precision and recall: Kynkäänniemi et al., arXiv 1904.06991. Density and coverage: Naeem
et al., arXiv 2002.09797.
"""

import dataclasses

import numpy as np

from sagan_tf.evaluation.neighbours import squared_distances


@dataclasses.dataclass(frozen=True)
class ManifoldScores:
    """How two sets of images overlap.

    Attributes:
        precision: share of generated images in a real neighbourhood.
        recall: share of real images in a generated neighbourhood.
        density: real neighbourhoods that a generated image is in, over k; may exceed 1.
        coverage: share of real neighbourhoods with a generated image in them.
    """

    precision: float
    recall: float
    density: float
    coverage: float


def manifold_scores(
    real: np.ndarray, fake: np.ndarray, precision_k: int = 3, density_k: int = 5
) -> ManifoldScores:
    """Compares all images with all.

    Args:
        real: features, `(M, D)`.
        fake: features, `(N, D)`.
        precision_k: of precision and recall, whose balls are closed.
        density_k: of density and coverage, whose balls are open.

    Raises:
        ValueError: if a side has no k-th neighbour.
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
    """Squared distance of each row to its k-th nearest other, `(len(ks), N)`."""
    radii = np.empty((len(ks), len(rows)), rows.dtype)
    for start, distances in squared_distances(rows, rows, middle):
        # A row is its own nearest, whatever rounding or an equal row make of it.
        own = np.arange(len(distances))
        distances[own, start + own] = -1
        distances.partition(ks, axis=1)
        radii[:, start : start + len(distances)] = distances[:, list(ks)].T
    return radii
