"""Computes scores from the features of real and generated images."""

from collections.abc import Collection, Mapping

import numpy as np

from sagan_tf.evaluation.feature_files import Features
from sagan_tf.evaluation.frechet import (
    extrapolated_frechet_distance,
    frechet_distance,
    frechet_distance_to_rows,
)
from sagan_tf.evaluation.inception_score import inception_score
from sagan_tf.evaluation.kernel_distance import kernel_distance, subset_kernel_distance
from sagan_tf.evaluation.manifold import manifold_scores
from sagan_tf.evaluation.moments import Moments
from sagan_tf.evaluation.protocols import Protocol


def distances(
    real: Moments, fake: Features, features: str, name: str, extrapolate: bool = False
) -> dict[str, float]:
    """The Fréchet distance, as `name`, and its extrapolation to infinitely many images."""
    rows = fake[features]
    if len(rows) <= rows.shape[1]:
        found = {name: frechet_distance_to_rows(real, rows)}
    else:
        found = {name: frechet_distance(real, fake.moments(features))}
    if extrapolate:
        found[f"{name}_infinity"] = extrapolated_frechet_distance(real, rows)
    return found


def kernel_distances(
    real: np.ndarray, fake: np.ndarray, protocol: Protocol, name: str
) -> dict[str, float]:
    """The kernel distance of all images, and its mean and standard deviation over subsets."""
    found = {name: kernel_distance(real, fake)}
    size = min(protocol.kernel_subset_size, len(real), len(fake))
    if protocol.kernel_subsets:
        mean, deviation = subset_kernel_distance(real, fake, protocol.kernel_subsets, size)
        found[f"{name}_{protocol.kernel_subsets}x{size}"] = mean
        found[f"{name}_deviation"] = deviation
    return found


def inception_scores(logits: np.ndarray, protocol: Protocol) -> dict[str, float]:
    """The Inception score with the protocol's splits, and with a single split."""
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


def class_distances(
    real: np.ndarray, real_labels: np.ndarray, fake: np.ndarray, fake_labels: np.ndarray
) -> dict[int, float]:
    """The Fréchet distance by class, for classes with two images or more on both sides."""
    found = {}
    for label in np.unique(fake_labels).tolist():
        of_class = [np.flatnonzero(side == label) for side in (real_labels, fake_labels)]
        if min(map(len, of_class)) >= 2:
            found[label] = frechet_distance_to_rows(real[of_class[0]], fake[of_class[1]])
    return found


def all_scores(
    real: Features | None,
    fake: Features,
    protocol: Protocol,
    metrics: Collection[str],
    known: Mapping[str, Moments],
) -> dict[str, float]:
    """Computes the requested scores that the features allow.

    Args:
        real: features of real images; `None` if only `known` moments are available.
        fake: features of generated images by the same extractor.
        protocol: evaluation protocol.
        metrics: names among `is`, `fid`, `fid_infinity`, `sfid`, `kid` and `overlap`.
        known: moments of real features by name, used instead of those of the real images.
    """
    main, fid, kid = main_names(fake)
    scores: dict[str, float] = {}

    def moments(name: str) -> Moments:
        if name in known:
            return known[name]
        if real is None:
            raise ValueError(f"Without real images, `known` must have {name}. Received: {[*known]}")
        return real.moments(name)

    if "is" in metrics and "logits_unbiased" in fake.names:
        scores |= inception_scores(fake["logits_unbiased"], protocol)
    if {"fid", "fid_infinity"} & set(metrics):
        scores |= distances(moments(main), fake, main, fid, "fid_infinity" in metrics)
    if "sfid" in metrics and "spatial" in fake.names:
        scores |= distances(moments("spatial"), fake, "spatial", "sfid")
    if real is not None and "kid" in metrics:
        scores |= kernel_distances(real[main], fake[main], protocol, kid)
    if real is not None and "overlap" in metrics:
        scores |= overlap(real[main], fake[main], protocol)
    return scores


def summary(by_class: Mapping[str, Mapping[int, float]]) -> dict[str, float]:
    """Summary of scores per class: their means, and the fraction of classes that are covered.

    A class counts as covered if more than half of its images are recognised.
    """
    found = {name: float(np.mean(list(values.values()))) for name, values in by_class.items()}
    if "label_agreement" in by_class:
        recognised = [value > 0.5 for value in by_class["label_agreement"].values()]
        found["class_coverage"] = float(np.mean(recognised))
    return found


def class_scores(
    real: Features | None, fake: Features, metrics: Collection[str]
) -> dict[str, Mapping[int, float]]:
    """Computes the requested per-class scores, as scores by class number, by name.

    Args:
        real: features of real images, or `None`.
        fake: features of generated images by the same extractor.
        metrics: names among `intra_fid`, whose result is named with the number of images per
            class, and `agreement`.
    """
    scores: dict[str, Mapping[int, float]] = {}
    if fake.labels is None:
        return scores
    classes, counts = np.unique(fake.labels, return_counts=True)
    main, fid, _ = main_names(fake)
    if "intra_fid" in metrics and real is not None and real.labels is not None:
        name = f"intra_{fid}_{counts.min()}"
        scores[name] = class_distances(real[main], real.labels, fake[main], fake.labels)
        if not scores[name]:
            raise ValueError(
                "The metric intra_fid needs a class with at least two real and two generated "
                "images. Received: none. Give more images, or leave it out of `--metrics`."
            )
    if "agreement" in metrics and "logits" in fake.names:
        right = _own_classes(fake["logits"]).argmax(axis=1) == fake.labels
        scores["label_agreement"] = {
            label: float(right[fake.labels == label].mean()) for label in classes.tolist()
        }
    return scores


def main_names(features: Features) -> tuple[str, str, str]:
    """The name of the features from which distances are computed, and names for the distances."""
    # Only distances between features of the 2015 network are called FID and KID.
    if "2048" in features.names:
        return "2048", "fid", "kid"
    return "features", "frechet_distance", "kernel_distance"


def _own_classes(logits: np.ndarray) -> np.ndarray:
    # Outputs 1 to 1000 of the 2015 network's 1,008 are ImageNet's classes in folder order.
    return logits[:, 1:1001] if logits.shape[1] == 1008 else logits
