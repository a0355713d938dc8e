"""Does a classifier of real images recognise generated ones, and how varied are they?"""

import numpy as np
from sklearn.svm import SVC


def label_agreement(
    real_images: np.ndarray,
    real_labels: np.ndarray,
    fake_images: np.ndarray,
    fake_labels: np.ndarray,
) -> float:
    """The share of generated images that a classifier of the real ones takes for their class.

    The classifier is a support-vector machine with a Gaussian kernel on the pixels, fitted on all
    real images: apt for small pictures such as digits, useless for photographs.

    Args:
        real_images: uint8 `(N, H, W, C)`.
        real_labels: integers `(N,)`.
        fake_images: uint8 `(M, H, W, C)`.
        fake_labels: integers `(M,)`, the classes asked for.

    Returns:
        A share in [0, 1].
    """
    classifier = SVC().fit(_vectors(real_images), real_labels)
    return float(np.mean(classifier.predict(_vectors(fake_images)) == fake_labels))


def relative_spread(
    real_images: np.ndarray,
    real_labels: np.ndarray,
    fake_images: np.ndarray,
    fake_labels: np.ndarray,
) -> float:
    """How varied generated images are, relative to real ones.

    The mean Euclidean distance between two images of one class, averaged over the classes and
    divided by the same figure of the real images. 0 is one image per class; 1 as varied as real.

    Args:
        real_images: uint8 `(N, H, W, C)`.
        real_labels: integers `(N,)`.
        fake_images: uint8 `(M, H, W, C)`, at least two of a class.
        fake_labels: integers `(M,)`.
    """
    return _mean_distance(fake_images, fake_labels) / _mean_distance(real_images, real_labels)


def _mean_distance(images: np.ndarray, labels: np.ndarray) -> float:
    vectors = _vectors(images)
    distances = []
    for label in np.unique(labels):
        members = vectors[labels == label]
        squares = np.sum(members**2, axis=1)
        gram = squares[:, None] + squares - 2 * members @ members.T
        pairs = np.triu_indices(len(members), k=1)
        distances.append(np.mean(np.sqrt(np.maximum(gram[pairs], 0))))
    return float(np.mean(distances))


def _vectors(images: np.ndarray) -> np.ndarray:
    return images.reshape(len(images), -1) / 255.0
