"""Plots a score over the steps of a study's runs."""

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes

from sagan_tf.output.pages import COLOURS
from sagan_tf.study.findings import RATES, Findings


def plot_curve(axes: Axes, findings: Findings, arms: Sequence[str], name: str, score: str) -> None:
    """Plots a class's score, of averaged weights, over the steps; one colour for each arm.

    A rate is a line over the images of all seeds, with its 95 % interval as a band. Of any other
    score, each run is a thin line and their mean a thick one.

    Args:
        axes: where to plot.
        findings: the study's measures.
        arms: names of the arms.
        name: the class.
        score: one of `RATES`, or another score of the class.
    """
    for arm, colour in zip(arms, COLOURS, strict=False):
        steps = findings.steps(True, arm, name)
        if not steps:
            continue
        if score in RATES:
            rates = [findings.rate(arm, step, True, name, score) for step in steps]
            axes.plot(steps, [rate.value for rate in rates], color=colour, label=arm)
            low, high = [rate.low for rate in rates], [rate.high for rate in rates]
            axes.fill_between(steps, low, high, color=colour, alpha=0.2, linewidth=0)
            continue
        values = [findings.values(arm, step, True, name, score) for step in steps]
        axes.plot(steps, [mean_known(of_step) for of_step in values], color=colour, label=arm)
        for seed in range(max(map(len, values))):
            points = [(s, v[seed]) for s, v in zip(steps, values, strict=True) if seed < len(v)]
            axes.plot(*zip(*points, strict=True), color=colour, linewidth=0.6, alpha=0.6)
    axes.set_ylim(min(-0.05, axes.get_ylim()[0]), 1.05)
    axes.tick_params(labelsize=7)
    axes.grid(alpha=0.3)
    axes.legend(fontsize=6, frameon=False)


def mean_known(values: Sequence[float] | np.ndarray) -> float:
    """The mean of the values that are not NaN; NaN if there are none."""
    known = [value for value in values if not math.isnan(value)]
    return sum(known) / len(known) if known else math.nan
