"""The report of an ablation: mean and range of each arm's scores over its seeds, and a ceiling."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from sagan_tf.output.files import write_text
from sagan_tf.output.pages import render
from sagan_tf.output.pictures import png_address
from sagan_tf.study.plans import Plan

# Scores to show, in this order, with their headings.
COLUMNS = {
    "label_agreement": "recognised",
    "within_class_spread": "spread within classes",
    "recall": "recall",
    "coverage": "coverage",
    "precision": "precision",
    "density": "density",
    "frechet_distance": "Fréchet distance",
}


def write_ablation_report(
    path: Path,
    plan: Plan,
    scores: Mapping[str, Sequence[Mapping[str, float]]],
    ceiling: Mapping[str, float],
    grids: Mapping[str, Path],
    facts: Mapping[str, Any],
) -> None:
    """Writes the page of an ablation.

    Args:
        path: path of the page.
        plan: the study.
        scores: by arm, the scores of each of its runs by name; at least one run per arm.
        ceiling: the scores of real images against other real images.
        grids: by arm, the path of a PNG of samples.
        facts: facts about command and machine, shown as they are.
    """
    rows = [
        {
            "arm": arm,
            "runs": len(of_arm),
            "cells": [_cell([record.get(name) for record in of_arm]) for name in COLUMNS],
            "grid": _address(grids[arm]) if arm in grids else None,
        }
        for arm, of_arm in scores.items()
    ]
    page = render(
        "sagan_tf.study",
        "ablation_report.html",
        plan=plan,
        facts=facts,
        columns=COLUMNS.values(),
        rows=rows,
        ceiling=[_cell([ceiling.get(name)]) for name in COLUMNS],
    )
    write_text(path, page)


def _cell(values: Sequence[float | None]) -> str:
    """The mean of the known values as text, with their range if there are several."""
    known = [value for value in values if value is not None]
    if not known:
        return "n/a"
    mean = f"{sum(known) / len(known):.3f}"
    return mean if len(known) == 1 else f"{mean} ({min(known):.3f} to {max(known):.3f})"


def _address(path: Path) -> str:
    with Image.open(path) as picture:
        return png_address(picture)
