"""Fréchet distance between Gaussians fitted to features: FID, sFID and intra-FID.

`|m1 - m2|^2 + Tr(S1) + Tr(S2) - 2 Tr((S1 S2)^(1/2))`, Heusel et al., arXiv 1706.08500. The last
trace is the sum of the square roots of the eigenvalues of `S1 S2`, and a symmetric matrix has the
same eigenvalues. So no matrix square root is needed, nothing is added to a diagonal, and no number
is complex.
"""

import numpy as np
import scipy.linalg

from sagan_tf.evaluation.moments import Moments, moments_of

# Number of points in the extrapolation to infinitely many images, and images of the first point.
EXTRAPOLATION_POINTS = 15
_EXTRAPOLATION_START = 5000


def frechet_distance(first: Moments, second: Moments) -> float:
    """The Fréchet distance between two sets of features, each with more rows than columns.

    With fewer rows it is accurate to about 1e-6 of the value; `frechet_distance_to_rows` is exact
    in that case and much faster.
    """
    _must_agree(first.mean, second.mean)
    try:
        # SciPy's stubs know `driver="gv"` only with eigenvectors.
        eigenvalues = scipy.linalg.eigh(  # type: ignore[call-overload]
            second.covariance, first.covariance, type=2, eigvals_only=True, driver="gv"
        )
    except np.linalg.LinAlgError:  # singular: there are directions without variance
        values, vectors = np.linalg.eigh(first.covariance)
        root = vectors * np.sqrt(np.maximum(values, 0))
        eigenvalues = np.linalg.eigvalsh(root.T @ second.covariance @ root)
    traces = np.trace(first.covariance) + np.trace(second.covariance)
    return _distance(first.mean, second.mean, traces, _root_sum(eigenvalues))


def frechet_distance_to_rows(first: Moments | np.ndarray, features: np.ndarray) -> float:
    """The Fréchet distance to features with few rows, N; it decomposes an N x N matrix.

    With rows `A`, centred and divided by `sqrt(n - 1)`, `S = A^T A`, and the trace is the sum of
    the square roots of the eigenvalues of `A S1 A^T`. If the first side's rows B are given as well,
    it is the sum of the singular values of `A B^T` (compare Mathiasen and Hvilshøj, arXiv
    2009.14075).

    Args:
        first: moments, or the rows themselves, `(M, D)`.
        features: rows, `(N, D)`.

    Raises:
        ValueError: for fewer than two rows.
    """
    mean, rows = _centred(features)
    if isinstance(first, Moments):
        _must_agree(first.mean, mean)
        product = rows @ first.covariance @ rows.T
        trace, root_sum = np.trace(first.covariance), _root_sum(np.linalg.eigvalsh(product))
        first_mean = first.mean
    else:
        first_mean, first_rows = _centred(first)
        _must_agree(first_mean, mean)
        trace = np.sum(first_rows**2)
        few, many = sorted((rows, first_rows), key=len)
        root_sum = scipy.linalg.svdvals(few @ many.T).sum()
    return _distance(first_mean, mean, trace + np.sum(rows**2), root_sum)


def extrapolated_frechet_distance(first: Moments, features: np.ndarray, seed: int = 0) -> float:
    """The Fréchet distance extrapolated to infinitely many generated images.

    A distance to N images is too large by about a constant divided by N. So a line in 1/N is fitted
    to 15 distances to random parts, from 5,000 images (or a tenth, if that is less) up to all
    (Chong and Forsyth, arXiv 1911.07023).

    Args:
        first: moments of the real features.
        features: generated features, `(N, D)`.
        seed: seed of the random parts.
    """
    least = min(_EXTRAPOLATION_START, max(2, len(features) // 10))
    counts = np.linspace(least, len(features), EXTRAPOLATION_POINTS).astype(int)
    random = np.random.default_rng(seed)
    distances = []
    for count in counts:
        rows = features[random.choice(len(features), count, replace=False)]
        few = count <= features.shape[1]
        distances.append(
            frechet_distance_to_rows(first, rows)
            if few
            else frechet_distance(first, moments_of(rows))
        )
    _, intercept = np.polyfit(1 / counts, distances, deg=1)
    return float(intercept)


def _centred(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The mean, and the rows centred around it and divided by `sqrt(n - 1)`."""
    if len(features) < 2:
        raise ValueError(f"A covariance needs at least 2 images. Received: {len(features)}")
    features = np.asarray(features, np.float64)
    mean = features.mean(axis=0)
    return mean, (features - mean) / np.sqrt(len(features) - 1)


def _root_sum(eigenvalues: np.ndarray) -> float:
    # Negative values are rounding errors: a product of two covariances has no negative eigenvalue.
    return float(np.sqrt(np.maximum(eigenvalues, 0)).sum())


def _distance(first: np.ndarray, second: np.ndarray, traces: float, root_sum: float) -> float:
    # For equal sets, rounding may give a negative result.
    return max(0.0, float(np.sum((first - second) ** 2) + traces - 2 * root_sum))


def _must_agree(first: np.ndarray, second: np.ndarray) -> None:
    if first.shape != second.shape:
        raise ValueError(
            "Features of both sides must have one size: they come from one extractor. "
            f"Received: {first.shape[0]} and {second.shape[0]}"
        )
