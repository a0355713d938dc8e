"""Features of real and generated images -> numbers."""

from collections.abc import Collection

import numpy as np

from sagan_tf.evaluation.features import Features
from sagan_tf.evaluation.frechet import (
    extrapolated_frechet_distance,
    frechet_distance,
    frechet_distance_to_rows,
)
from sagan_tf.evaluation.inception_score import inception_score
from sagan_tf.evaluation.kernel_distance import kernel_distance, subset_kernel_distance
from sagan_tf.evaluation.manifold import manifold_scores
from sagan_tf.evaluation.moments import Moments, MomentsStream
from sagan_tf.evaluation.protocols import Protocol

# Rows that are read from disk at a time.
_ROWS = 4096


def stream_moments(features: np.ndarray) -> Moments:
    """The moments of features on disk, a part in memory at a time."""
    stream = MomentsStream(features.shape[1])
    for start in range(0, len(features), _ROWS):
        stream.update(features[start : start + _ROWS])
    return stream.result()


def distances(
    real: Moments, fake: np.ndarray, name: str, extrapolate: bool = False
) -> dict[str, float]:
    """The Fréchet distance, under `name`, and what infinitely many images would have."""
    if len(fake) <= fake.shape[1]:
        found = {name: frechet_distance_to_rows(real, fake)}
    else:
        found = {name: frechet_distance(real, stream_moments(fake))}
    if extrapolate:
        found[f"{name}_infinity"] = extrapolated_frechet_distance(real, fake)
    return found


def kernel_distances(
    real: np.ndarray, fake: np.ndarray, protocol: Protocol, name: str
) -> dict[str, float]:
    """The kernel distance of all images, and its mean and deviation over subsets."""
    found = {name: kernel_distance(real, fake)}
    size = min(protocol.kernel_subset_size, len(real), len(fake))
    if protocol.kernel_subsets:
        mean, deviation = subset_kernel_distance(real, fake, protocol.kernel_subsets, size)
        found[f"{name}_{protocol.kernel_subsets}x{size}"] = mean
        found[f"{name}_deviation"] = deviation
    return found


def inception_scores(logits: np.ndarray, protocol: Protocol) -> dict[str, float]:
    """The Inception score of the protocol's splits, and of one."""
    seed = 2020 if protocol.shuffled else None
    mean, deviation = inception_score(logits, protocol.inception_splits, seed)
    whole, _ = inception_score(logits, splits=1)
    return {"is": mean, "is_deviation": deviation, "is_1split": whole}


def overlap(real: np.ndarray, fake: np.ndarray, protocol: Protocol) -> dict[str, float]:
    """Precision, recall, density and coverage."""
    scores = manifold_scores(
        np.asarray(real), np.asarray(fake), protocol.precision_k, protocol.density_k
    )
    return {
        "precision": scores.precision,
        "recall": scores.recall,
        "density": scores.density,
        "coverage": scores.coverage,
    }


def agreement(logits: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """The share of images recognised as the class asked for, and of classes that are.

    A class counts as covered if most of its images are recognised.

    Args:
        logits: `(N, classes)` of the data set's own classes.
        labels: classes asked for, `(N,)`.
    """
    right = logits.argmax(axis=1) == labels
    covered = [right[labels == label].mean() > 0.5 for label in np.unique(labels)]
    return {"label_agreement": float(right.mean()), "class_coverage": float(np.mean(covered))}


def class_distances(
    real: np.ndarray, real_labels: np.ndarray, fake: np.ndarray, fake_labels: np.ndarray
) -> dict[int, float]:
    """The Fréchet distance within each class that both sides have two images of, by class."""
    found = {}
    for label in np.unique(fake_labels).tolist():
        of_class = [np.flatnonzero(side == label) for side in (real_labels, fake_labels)]
        if min(map(len, of_class)) >= 2:
            found[label] = frechet_distance_to_rows(real[of_class[0]], fake[of_class[1]])
    return found


def all_scores(
    real: Features, fake: Features, protocol: Protocol, metrics: Collection[str]
) -> dict[str, float]:
    """Those of the scores asked for that the features allow.

    Args:
        real: of real images.
        fake: of generated ones, by the same extractor.
        protocol: how.
        metrics: of `is`, `fid`, `fid_infinity`, `sfid`, `intra_fid`, `kid`, `overlap` and
            `agreement`.
    """
    # FID and KID are distances of the 2015 network's features; others have no such name.
    main, fid, kid = (
        ("2048", "fid", "kid")
        if "2048" in fake.names
        else ("features", "frechet_distance", "kernel_distance")
    )
    sides = real[main], fake[main]
    labelled = real.labels is not None and fake.labels is not None
    scores: dict[str, float] = {}
    if "is" in metrics and "logits_unbiased" in fake.names:
        scores |= inception_scores(fake["logits_unbiased"], protocol)
    if {"fid", "fid_infinity"} & set(metrics):
        moments = stream_moments(sides[0])
        scores |= distances(moments, sides[1], fid, "fid_infinity" in metrics)
    if "sfid" in metrics and "spatial" in fake.names:
        scores |= distances(stream_moments(real["spatial"]), fake["spatial"], "sfid")
    if "intra_fid" in metrics and labelled:
        by_class = class_distances(sides[0], real.labels, sides[1], fake.labels)
        count = len(fake.labels) // max(1, len(by_class))
        scores[f"intra_{fid}_{count}"] = float(np.mean(list(by_class.values())))
    if "kid" in metrics:
        scores |= kernel_distances(*sides, protocol, kid)
    if "overlap" in metrics:
        scores |= overlap(*sides, protocol)
    if "agreement" in metrics and "logits" in fake.names and fake.labels is not None:
        scores |= agreement(fake["logits"], fake.labels)
    return scores
