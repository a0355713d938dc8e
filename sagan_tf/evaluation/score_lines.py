"""Prints scores as lines of text: those of one evaluation, or of two side by side."""

import json
import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from sagan_tf.evaluation.evaluation import unlike
from sagan_tf.evaluation.protocols import METRICS


def print_scores(record: Mapping[str, Any], extractor: str, metrics: Collection[str] = ()) -> None:
    """Prints what was compared, and the scores; distances come with those between real images.

    Args:
        record: record of `evaluation.evaluate`, with its `step`, and with the result of
            `yardstick.real_to_real`, if any, as `real_to_real`.
        extractor: name of the extractor.
        metrics: metrics of which is said if they gave no score.
    """
    protocol, step = record["protocol"], record["step"]
    print(
        f"{protocol['num_images']} {'other real' if 'real' in record['images'] else 'generated'} "
        f"against {protocol['num_real']} real images"
        + (f", step {step}" if step is not None else "")
        + f", protocol {protocol['name']}, extractor {extractor}"
    )
    among_real = record.get("real_to_real") or {}
    for name, score in _lines(record).items():
        beside = f"   (real images: {among_real[name]:.5g})" if name in among_real else ""
        print(f"{name:28} {score:.5g}{beside}")
    if among_real:
        print(
            "In brackets: one half of the real images against "
            f"{among_real['num_images']} of the other half. A generator does well where its "
            "distance is about that, and no better one can be expected. These distances compare "
            "with others of the same extractor and real images, and with nothing that is published."
        )
    names = record["scores"]
    missing = [m for m in metrics if not any(re.fullmatch(METRICS[m], name) for name in names)]
    if missing:
        print(
            f"not computed: {', '.join(missing)} (these images or this extractor do not allow it)"
        )


def print_comparison(*paths: str) -> None:
    """Prints the last scores of two files side by side.

    Raises:
        ValueError: if the scores are not comparable, or a file holds none.
    """
    first, second = (_last_record(path) for path in paths)
    name = unlike(first, second)
    if name is not None:
        raise ValueError(
            f"These scores cannot be compared: they differ in `{name}`. Received: "
            f"{_field(first, name)!r} in {paths[0]}, {_field(second, name)!r} in {paths[1]}"
        )
    print(f"{'':28} {paths[0]:>16} {paths[1]:>16}")
    for name, score in _lines(first).items():
        if name in _lines(second):
            print(f"{name:28} {score:16.5g} {_lines(second)[name]:16.5g}")


def _lines(record: Mapping[str, Any]) -> dict[str, float]:
    """Scores and their means over groups of classes, by the names to print."""
    means = {
        f"{name}, {group}": score
        for name, groups in record["groups"].items()
        for group, score in groups.items()
    }
    return record["scores"] | means


def _last_record(path: str) -> dict[str, Any]:
    try:
        record = json.loads(Path(path).read_text().strip().splitlines()[-1])
        return {
            name: record[name] for name in ("protocol", "extractor", "real", "scores", "groups")
        }
    except (OSError, ValueError, IndexError, KeyError, TypeError) as error:
        raise ValueError(f"{path} holds no scores of this command: {error!r}") from None


def _field(record: dict[str, Any], name: str) -> Any:
    found: Any = record
    for part in name.split("."):
        found = found.get(part) if isinstance(found, dict) else None
    return found
