import math

import pytest
from matplotlib.figure import Figure

from sagan_tf.study.curves import mean_known, plot_curve
from sagan_tf.study.findings import Findings
from tests.by_hand import study_curve
from tests.study.test_findings import record
from tests.support import commands


def plotted(records, score):
    axes = Figure().add_subplot()
    plot_curve(axes, Findings(records), ["none", "attention"], "twin", score)
    return axes


def points(line):
    return list(zip(*(values.tolist() for values in line.get_data()), strict=True))


def test_a_mean_is_thick_and_its_runs_are_thin():
    axes = plotted(
        [
            record("none", seed, {"twin": value}, step)
            for seed, step, value in [(0, 10, 0.2), (1, 10, 0.4), (0, 20, 0.5), (1, 20, 0.9)]
        ],
        "graded",
    )
    mean, *runs = axes.lines
    assert points(mean) == [(10, pytest.approx(0.3)), (20, pytest.approx(0.7))]
    assert [points(run) for run in runs] == [[(10, 0.2), (20, 0.5)], [(10, 0.4), (20, 0.9)]]
    assert all(run.get_linewidth() < mean.get_linewidth() for run in runs)
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["none"]


def test_a_rate_has_its_interval():
    axes = plotted([record("attention", 0, {}, satisfied=0.25)], "satisfied")
    assert [points(line) for line in axes.lines] == [[(10, 0.25)]]
    (band,) = axes.collections
    low, high = band.get_paths()[0].get_extents().intervaly
    # Wilson's interval of 25 of 100.
    assert (low, high) == (pytest.approx(0.1755, abs=1e-4), pytest.approx(0.3430, abs=1e-4))


def test_unknown_values_do_not_count():
    assert mean_known([1.0, math.nan, 2.0]) == 1.5
    assert math.isnan(mean_known([math.nan]))


def test_the_picture_shows_the_measures_that_are_kept():
    panels = study_curve.draw(commands.ROOT / "studies" / "cpu").axes
    titles = ["twin (geometry)", "mirror (geometry)", "cells (texture)", "fur (texture)"]
    assert [axes.get_title() for axes in panels] == titles
    mirror = panels[1]
    labels = [text.get_text() for text in mirror.get_legend().get_texts()]
    assert labels[:3] == ["nothing", "attention", "attention within 3 cells"]
    means = [line for line in mirror.lines if not line.get_label().startswith("_")]
    for line, last in zip(means, (0.524, 0.853, 0.877), strict=False):
        assert points(line)[-1] == (4000, pytest.approx(last, abs=1e-3))
