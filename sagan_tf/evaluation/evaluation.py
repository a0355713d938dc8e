"""Scores images, and records the scores with all conditions that they depend on."""

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from sagan_tf.evaluation.counts import check_counts
from sagan_tf.evaluation.feature_files import Extractor, Features, extract_features
from sagan_tf.evaluation.file_identity import without_times
from sagan_tf.evaluation.groups import group_means
from sagan_tf.evaluation.images import Images
from sagan_tf.evaluation.moments import Moments
from sagan_tf.evaluation.protocols import Protocol, difference
from sagan_tf.evaluation.scores import all_scores, class_scores, summary
from sagan_tf.evaluation.spread import spread_of_images
from sagan_tf.machine.team import SINGLE_PROCESS, Team

# Fields that must be equal for two records to be comparable.
_CONDITIONS = ("protocol", "extractor", "real")
# Scores that rank generators; the first one in a record counts.
_RANKING = ("fid", "frechet_distance")


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """The images of an evaluation, their features and the scores.

    Attributes:
        record: record for JSON: `images`, `real`, `extractor` and `protocol` describe what was
            compared and how; `scores`, `by_class` and `groups` are the results.
        real: the real images.
        generated: the generated images.
        real_features: features of the real images, on disk; `None` if there are no real images.
        features: features of the generated images, on disk.
    """

    record: Mapping[str, Any]
    real: Images
    generated: Images
    real_features: Features | None
    features: Features


def evaluate(
    real: Images,
    generated: Images,
    extractor: Extractor,
    protocol: Protocol,
    metrics: Collection[str],
    directory: Path,
    known: Mapping[str, Moments] | None = None,
    groups: Mapping[str, Sequence[int]] | None = None,
    team: Team = SINGLE_PROCESS,
) -> Evaluation | None:
    """Scores generated images against real ones.

    Args:
        real: real images, or a set of 0 images if only their moments are known.
        generated: generated images; those beyond the protocol's number are used only for scores
            per class.
        extractor: feature extractor.
        protocol: evaluation protocol.
        metrics: names of metrics, see `scores.all_scores` and `scores.class_scores`; also
            `spread`, see `spread.spread_of_images`.
        directory: directory in which features are cached.
        known: moments of real features by name, used instead of those of the real images.
        groups: class numbers by the name of their group.
        team: the workers; each extracts the features of a part of the images.

    Returns:
        The evaluation; `None` for workers that are not the chief.

    Raises:
        ValueError: for images or features that cannot be scored.
        OSError: if features cannot be written.
    """
    asked = min(protocol.num_images, generated.num_images)
    check_counts(metrics, protocol, asked, real.num_images or None, gives_logits(extractor))
    real_features = None
    if real.num_images:
        real_features = extract_features(real, extractor, directory, "real images", team=team)
    features = extract_features(generated, extractor, directory, "generated images", team=team)
    if features is None:
        return None
    counted = features.first(protocol.num_images)
    by_class = class_scores(real_features, features, metrics)
    scores = all_scores(real_features, counted, protocol, metrics, known or {}) | summary(by_class)
    if "spread" in metrics and real_features is not None:
        _add_spread(scores, by_class, real, real_features, generated, features)
    used = dataclasses.replace(protocol, num_images=len(counted), num_real=real.num_images)
    record = {
        "images": without_times(generated.identity),
        "real": without_times(real.identity),
        "extractor": extractor.identity,
        "protocol": dataclasses.asdict(used),
        "scores": _rounded(scores),
        "by_class": {name: _rounded(values) for name, values in by_class.items()},
        "groups": {
            name: _rounded(group_means(values, groups or {})) for name, values in by_class.items()
        },
    }
    return Evaluation(record, real, generated, real_features, features)


def _add_spread(
    scores: dict[str, float],
    by_class: dict[str, Any],
    real: Images,
    real_features: Features,
    generated: Images,
    features: Features,
) -> None:
    """Adds the scores that are computed from pixels instead of features."""
    spread = spread_of_images(real, real_features.labels, generated, features.labels)
    if spread is None:
        return
    if real_features.labels is None or features.labels is None:
        scores["spread_of_all"] = spread.ratio
    else:
        scores["within_class_spread"] = spread.ratio
        by_class["within_class_spread"] = spread.by_class


def gives_logits(extractor: Extractor) -> bool:
    """Whether the extractor returns the logits that the Inception score needs."""
    return "logits_unbiased" in extractor.identity.get("taps", ())


def unlike(first: Mapping[str, Any], second: Mapping[str, Any]) -> str | None:
    """The name of a field that makes two records incomparable; `None` if they are comparable."""
    for condition in _CONDITIONS:
        name = difference(first[condition], second[condition], f"{condition}.")
        if name is not None:
            return name
    return None


def ranking_score(record: Mapping[str, Any]) -> float:
    """The score by which records are ranked; lower is better.

    Raises:
        ValueError: if the record has no such score.
    """
    for name in _RANKING:
        if name in record["scores"]:
            return record["scores"][name]
    raise ValueError(f"A record without {' or '.join(_RANKING)} has no rank.")


def _rounded(scores: Mapping[Any, float]) -> dict[Any, float]:
    # Seven digits, because further digits differ between machines.
    return {name: float(f"{score:.7g}") for name, score in scores.items()}
