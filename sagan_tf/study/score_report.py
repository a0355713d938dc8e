"""The report of runs like the paper's: scores beside the published ones, and curves."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup
from matplotlib.figure import Figure

from sagan_tf.output.files import write_text
from sagan_tf.output.pages import COLOURS, drawing, render
from sagan_tf.study.plans import Plan

# Scores for which higher is better.
_RISING = ("inception_score", "label_agreement", "class_coverage")


def write_score_report(
    path: Path,
    plan: Plan,
    scores: Mapping[str, Sequence[Mapping[str, Any]]],
    finals: Mapping[str, Mapping[str, Any]],
    facts: Mapping[str, Any],
) -> None:
    """Writes the page of a table or a figure.

    Args:
        path: path of the page.
        plan: the study.
        scores: by arm, the score records of its run during training; at least one.
        finals: by arm, the score record of its best checkpoint.
        facts: facts about command and machine, shown as they are.
    """
    names = _names(record["scores"] for records in scores.values() for record in records)
    rows = [
        {
            "arm": arm,
            "best": {name: _best(records, name) for name in names},
            "final": finals[arm]["scores"] if arm in finals else {},
            "published": plan.published.get(arm, {}),
        }
        for arm, records in scores.items()
    ]
    page = render(
        "sagan_tf.study",
        "score_report.html",
        plan=plan,
        facts=facts,
        names=names,
        final_names=_names(record["scores"] for record in finals.values()),
        published_names=_names(plan.published.values()),
        rows=rows,
        curves=[_curve(scores, name) for name in names],
    )
    write_text(path, page)


def _names(scores: Iterable[Mapping[str, float]]) -> list[str]:
    names = dict.fromkeys(name for of_record in scores for name in of_record)
    return [name for name in names if not name.endswith("_deviation")]


def _best(records: Sequence[Mapping[str, Any]], name: str) -> tuple[float, int] | None:
    """The best value of a score and its step."""
    found = _points(records, name)
    if not found:
        return None
    best = max if name in _RISING else min
    return best((value, step) for step, value in found)


def _points(records: Sequence[Mapping[str, Any]], name: str) -> list[tuple[int, float]]:
    """Steps and values of a score."""
    return [
        (record["step"], record["scores"][name]) for record in records if name in record["scores"]
    ]


def _curve(scores: Mapping[str, Sequence[Mapping[str, Any]]], name: str) -> Markup:
    figure = Figure(figsize=(4.6, 2.8), layout="constrained")
    axes = figure.add_subplot()
    for index, (arm, records) in enumerate(scores.items()):
        points = _points(records, name)
        if points:
            style = "-" if index < len(COLOURS) else "--"
            colour = COLOURS[index % len(COLOURS)]
            steps, values = zip(*sorted(points), strict=True)
            axes.plot(steps, values, style, marker=".", color=colour, label=arm)
    axes.set_title(name, fontsize=9)
    axes.set_xlabel("step", fontsize=8)
    axes.tick_params(labelsize=7)
    axes.grid(alpha=0.3)
    axes.legend(fontsize=6, frameon=False)
    return drawing(figure, name)
