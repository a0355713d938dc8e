"""Draws a study's grades of geometry and of texture over the steps, as the picture of a page.

python -m tests.by_hand.study_curve studies/cpu .github/study-curve.png

The study's folder needs the measures of its runs alone, `runs/*/measures.jsonl`.
"""

import sys
from pathlib import Path

from matplotlib.figure import Figure

from sagan_tf.study.curves import plot_curve
from sagan_tf.study.plans import OFF
from tests.by_hand.study_tables import LABELS, load


def draw(study):
    """A panel with the grades of each class that the study's runs have learned, by arm."""
    findings, _ = load(study)
    arms = [arm for arm in LABELS if arm in findings.arms and arm != OFF]
    names = (*findings.geometry, *findings.texture)
    figure = Figure(figsize=(7.2, 2.5 * len(names) / 2), layout="constrained")
    panels = list(figure.subplots(-(-len(names) // 2), 2, squeeze=False).flat)
    for name, axes in zip(names, panels, strict=True):
        plot_curve(axes, findings, arms, name, "graded")
        kind = "geometry" if name in findings.geometry else "texture"
        axes.set_title(f"{name} ({kind})", fontsize=9)
        axes.set_xlabel("step", fontsize=8)
        axes.set_ylabel("grade (1: as drawn)", fontsize=8)
        for text in axes.get_legend().get_texts():
            text.set_text(LABELS[text.get_text()])
    least = min(axes.get_ylim()[0] for axes in panels)
    for axes in panels:
        axes.set_ylim(bottom=least)
    return figure


if __name__ == "__main__":
    draw(Path(sys.argv[1])).savefig(sys.argv[2], dpi=160)
