"""Draws a study's grades of geometry and of texture over the steps, as the picture of a page.

python -m tests.by_hand.study_curve studies/cpu .github/study-curve.png

The study's folder needs the measures of its runs alone, `runs/*/measures.jsonl`.
"""

import sys
from pathlib import Path

from matplotlib.figure import Figure

from sagan_tf.study.curves import plot_curve
from sagan_tf.study.findings import Findings
from sagan_tf.study.plans import OFF
from sagan_tf.study.readings import load_measures

# What the name of an arm stands for.
LABELS = {"attention": "attention", OFF: "the same, gates shut"}


def draw(study):
    """A panel with the grades of each class that the study's runs have learned."""
    records = [record for run in sorted(study.glob("runs/*")) for record in load_measures(run)]
    findings = Findings(records)
    arms = [arm for arm in findings.arms if arm != OFF] + [OFF]
    names = (*findings.geometry, *findings.texture)
    figure = Figure(figsize=(3.6 * len(names), 2.6), layout="constrained")
    panels = figure.subplots(1, len(names), squeeze=False)[0]
    for name, axes in zip(names, panels, strict=True):
        plot_curve(axes, findings, arms, name, "graded")
        kind = "geometry" if name in findings.geometry else "texture"
        axes.set_title(f"{name} ({kind})", fontsize=9)
        axes.set_xlabel("step", fontsize=8)
        axes.set_ylabel("grade (1: as drawn)", fontsize=8)
        for text in axes.get_legend().get_texts():
            text.set_text(LABELS.get(text.get_text(), text.get_text()))
    least = min(axes.get_ylim()[0] for axes in panels)
    for axes in panels:
        axes.set_ylim(bottom=least)
    return figure


if __name__ == "__main__":
    draw(Path(sys.argv[1])).savefig(sys.argv[2], dpi=160)
