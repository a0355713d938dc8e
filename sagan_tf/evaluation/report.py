"""Writes the results of an evaluation as a self-contained HTML page."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup
from matplotlib.figure import Figure

from sagan_tf.evaluation.evaluation import Evaluation, unlike
from sagan_tf.evaluation.images import Images, as_uint8
from sagan_tf.evaluation.neighbours import nearest
from sagan_tf.evaluation.scores import main_names
from sagan_tf.output.files import write_text
from sagan_tf.output.pages import drawing, render
from sagan_tf.output.pictures import grid_scale, image_grid, png_address, to_picture

# Fields of a record that describe how the scores were made.
_CONDITIONS = ("protocol", "extractor", "images", "real")
# Scores per class for which higher is better.
_RISING = ("label_agreement", "within_class_spread")
# Number of images in a class's row, and of classes among the best and among the worst.
_ROW = 8
_EXTREMES = 6
# With more classes than this, their images are reduced to at most this many pixels.
_MANY_CLASSES = 100
_SMALL = 32
# Number of generated images whose neighbours are searched, of shown ones, and of neighbours.
_SEARCHED = 2000
_SHOWN = 8
_NEIGHBOURS = 5


def write_report(
    directory: Path,
    evaluation: Evaluation,
    step: int | None,
    class_names: Sequence[str],
    history: Sequence[Mapping[str, Any]],
) -> None:
    """Writes `index.html`: scores and how they were made, classes, neighbours, curves.

    Args:
        directory: directory of the report; created if it does not exist.
        evaluation: the evaluation to show.
        step: training step of the generator, if it is known.
        class_names: one per class.
        history: records of the same run; those comparable with this evaluation give curves.

    Raises:
        OSError: if the report cannot be written.
    """
    record = evaluation.record
    alike = [other for other in history if unlike(other, record) is None]
    page = render(
        "sagan_tf.evaluation",
        "report.html",
        step=step,
        scores=record["scores"],
        groups=record["groups"],
        conditions={name: record[name] for name in _CONDITIONS},
        curves=_curves(alike),
        extremes=list(_extremes(evaluation, class_names)),
        classes=_classes(evaluation, class_names),
        copies=_copies(evaluation, class_names),
    )
    directory.mkdir(parents=True, exist_ok=True)
    write_text(directory / "index.html", page)


def _curves(history: Sequence[Mapping[str, Any]]) -> list[Markup]:
    """One drawing per score, as a curve over training steps; none for a single step."""
    by_step = {record["step"]: record["scores"] for record in history}
    drawings = []
    for name in history[-1]["scores"] if history else ():
        found = sorted((step, scores[name]) for step, scores in by_step.items() if name in scores)
        if len(found) > 1 and not name.endswith("_deviation"):
            drawings.append(_curve(name, found))
    return drawings


def _curve(name: str, points: Sequence[tuple[int, float]]) -> Markup:
    figure = Figure(figsize=(4, 2.4), layout="constrained")
    axes = figure.add_subplot()
    axes.plot(*zip(*points, strict=True), marker=".", color="#2a6f97")
    axes.set_title(name, fontsize=9)
    axes.set_xlabel("step", fontsize=8)
    axes.tick_params(labelsize=7)
    axes.grid(alpha=0.3)
    return drawing(figure, name)


def _classes(evaluation: Evaluation, class_names: Sequence[str]) -> list[dict[str, Any]]:
    """A row of generated images per class; without classes, rows of the first images."""
    labels = evaluation.features.labels
    if labels is None:
        count = min(_ROW * _ROW, evaluation.generated.num_images)
        return [
            {
                "name": "",
                "generated": _strip(evaluation.generated, range(start, start + _ROW)),
                "scores": {},
            }
            for start in range(0, count - _ROW + 1, _ROW)
        ]
    present = np.unique(labels).tolist()
    limit = _SMALL if len(present) > _MANY_CLASSES else None
    return [
        {
            "name": _name(class_names, label),
            "generated": _strip(evaluation.generated, _of_class(labels, label), limit),
            "scores": {
                name: values[label]
                for name, values in evaluation.record["by_class"].items()
                if label in values
            },
        }
        for label in present
    ]


def _name(class_names: Sequence[str], label: int) -> str:
    return class_names[label] if class_names else str(label)


def _extremes(
    evaluation: Evaluation, class_names: Sequence[str]
) -> Iterator[tuple[str, list[dict[str, Any]], list[dict[str, Any]]]]:
    """Yields each score's name, its best and its worst classes, with generated and real images."""
    classes = evaluation.features.labels
    if classes is None:
        return
    for name, values in evaluation.record["by_class"].items():
        ranked = sorted(values, key=values.get, reverse=name in _RISING)
        count = min(_EXTREMES, len(ranked) // 2)
        sides = []
        for labels in (ranked[:count], ranked[::-1][:count]):
            sides.append(
                [
                    {
                        "name": _name(class_names, label),
                        "score": values[label],
                        "generated": _strip(evaluation.generated, _of_class(classes, label)),
                        "real": _real_strip(evaluation, label),
                    }
                    for label in labels
                ]
            )
        yield name, *sides


def _real_strip(evaluation: Evaluation, label: int) -> str | None:
    features = evaluation.real_features
    if features is None or features.labels is None:
        return None
    return _strip(evaluation.real, _of_class(features.labels, label))


def _of_class(labels: np.ndarray, label: int) -> np.ndarray:
    return np.flatnonzero(labels == label)[:_ROW]


def _copies(evaluation: Evaluation, class_names: Sequence[str]) -> dict[str, Any] | None:
    """Generated images nearest to a real image, and medium ones, with their real neighbours."""
    if evaluation.real_features is None:
        return None
    name = main_names(evaluation.features)[0]
    real = evaluation.real_features[name]
    generated = evaluation.features[name][:_SEARCHED]
    count = min(_NEIGHBOURS, len(real) - 1)
    distances, rows = nearest(generated, real, count)
    # The nearest neighbour of a real image is the image itself, so take the second.
    among_real, _ = nearest(real[:_SEARCHED], real, 2)
    order = np.argsort(distances[:, 0], kind="stable")
    middle = order[len(order) // 2 :][:_SHOWN]
    return {
        "searched": len(generated),
        "median": float(np.median(distances[:, 0])),
        "real_median": float(np.median(among_real[:, 1])),
        "closer": float(np.mean(distances[:, 0] < np.quantile(among_real[:, 1], 0.01))),
        "parts": [
            (
                title,
                [
                    {
                        "distance": float(distances[row, 0]),
                        "generated": _strip(evaluation.generated, [row]),
                        "real": _strip(evaluation.real, rows[row]),
                    }
                    for row in chosen
                ],
            )
            for title, chosen in (("nearest", order[:_SHOWN]), ("in the middle", middle))
        ],
    }


def _strip(images: Images, rows: Sequence[int] | np.ndarray, limit: int | None = None) -> str:
    """Images side by side, as the data URL of a PNG."""
    read = [as_uint8(images.read(int(row), int(row) + 1)[0][0]) for row in rows]
    scale = grid_scale(read[0].shape[1])
    picture = to_picture(image_grid(read, len(read)), scale)
    if limit is not None and read[0].shape[0] > limit:
        picture = picture.resize((len(read) * limit, limit))
    return png_address(picture)
