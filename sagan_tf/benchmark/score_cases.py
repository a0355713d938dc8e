"""The benchmarks of scores, compared with the usual ways to compute them."""

import numpy as np
import scipy.linalg

from sagan_tf.benchmark.timing import Case, Prepared
from sagan_tf.evaluation.frechet import frechet_distance, frechet_distance_to_rows
from sagan_tf.evaluation.moments import Moments, moments_of

# Length of the 2015 network's features.
_SIZE = 2048
_IMAGES = 6000
# Numbers of real and of generated images of one ImageNet class.
_REAL_OF_CLASS, _FAKE_OF_CLASS = 1300, 50


def score_cases() -> list[Case]:
    """Cases for Fréchet distances by a matrix square root, as usual, and as in this package."""

    def pair(name: str, few: bool) -> list[Case]:
        root = f"{name}, matrix root"
        return [
            Case(root, prepare_matrix_root, "distances", {"few": few}),
            Case(name, prepare_distance, "distances", {"few": few}, against=root),
        ]

    return pair("FID", few=False) + pair("class of intra-FID", few=True)


def prepare_matrix_root(few: bool) -> Prepared:
    """Computes the distance with `scipy.linalg.sqrtm` of the covariances' product, as published."""
    real, fake = (moments_of(rows) for rows in _features(few))

    def distance() -> float:
        root = scipy.linalg.sqrtm(real.covariance @ fake.covariance)
        difference = real.mean - fake.mean
        traces = np.trace(real.covariance) + np.trace(fake.covariance)
        return difference @ difference + traces - 2 * np.trace(root).real

    return distance, 1


def prepare_distance(few: bool) -> Prepared:
    """Computes the distance like `evaluate`, from moments or, for few images, from rows."""
    real, fake = _features(few)
    if few:
        return lambda: frechet_distance_to_rows(real, fake), 1
    moments: list[Moments] = [moments_of(real), moments_of(fake)]
    return lambda: frechet_distance(*moments), 1


def _features(few: bool) -> tuple[np.ndarray, np.ndarray]:
    """Features like pooled activations: not negative, correlated, with a decaying spectrum."""
    random = np.random.default_rng(0)
    mixing = random.normal(size=(_SIZE, _SIZE)) / (1 + np.arange(_SIZE))[:, None] ** 0.5
    counts = (_REAL_OF_CLASS, _FAKE_OF_CLASS) if few else (_IMAGES, _IMAGES)
    real, fake = (
        np.maximum(random.normal(size=(count, _SIZE)) @ mixing + 0.3, 0).astype(np.float32)
        for count in counts
    )
    return real, fake
