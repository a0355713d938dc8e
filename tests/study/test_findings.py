import math

import pytest

from sagan_tf.geotex import CLASS_NAMES
from sagan_tf.study.findings import GEOMETRY, TEXTURE, Findings


def record(arm, seed, graded, step=10, averaged=True, group="", **scores):
    scores = {"readable": 0.5, "satisfied": 0.25, "count": 100, **scores}
    names = group.split(",") if group else CLASS_NAMES
    classes = {name: {**scores, "graded": graded.get(name, 0.0)} for name in names}
    about = {"arm": arm, "seed": seed, "step": step, "averaged": averaged, "run": f"{arm}-{seed}"}
    about |= {"group": group} if group else {}  # as studies of other versions have none
    return {**about, "classes": classes, "attention": {}}


def graded(geometry, texture):
    return dict.fromkeys(GEOMETRY, geometry) | dict.fromkeys(TEXTURE, texture)


def test_gains_by_hand():
    findings = Findings(
        [
            record("none", 0, graded(0.1, 0.4)),
            record("attention", 0, graded(0.6, 0.5)),
            record("none", 1, graded(0.2, 0.4)),
            record("attention", 1, graded(0.5, 0.5)),
            record("attention", 2, graded(9, 9)),  # has no partner
            record("attention", 0, graded(9, 9), averaged=False),
        ]
    )
    (pair,) = findings.comparisons([10], averaged=True)
    assert (pair.arm, pair.other) == ("attention", "none")
    assert pair.geometry.mean == pytest.approx((0.5 + 0.3) / 2)
    assert pair.texture.mean == pytest.approx(0.1)
    assert pair.interaction.mean == pytest.approx(0.3)
    assert pair.interaction.pairs == 2
    assert pair.interaction.p_value == pytest.approx(0.5)
    assert pair.gains["twin"] == pytest.approx(0.4)
    assert not findings.comparisons([20], averaged=True)


def test_mean_gains_over_steps_are_of_runs_that_have_them_all():
    findings = Findings(
        [
            record("none", 0, graded(0.0, 0.2), step=5),
            record("none", 0, graded(0.4, 0.2), step=10),
            record("attention", 0, graded(0.5, 0.2), step=5),
            record("attention", 0, graded(0.7, 0.4), step=10),
            record("none", 1, graded(0.0, 0.0), step=10),
            record("attention", 1, graded(9, 0), step=10),  # stopped before, so without step 5
        ]
    )
    assert findings.steps(averaged=True) == [5, 10]
    (pair,) = findings.comparisons([5, 10], averaged=True)
    assert pair.geometry.mean == pytest.approx((0.5 + 0.3) / 2)
    assert pair.texture.mean == pytest.approx(0.1)
    assert (pair.interaction.mean, pair.interaction.pairs) == (pytest.approx(0.3), 1)


def test_each_run_counts_for_the_classes_that_it_learned():
    """Two groups of classes: of each a pair of runs has one gain in geometry less texture."""
    twins, lines = "twin,cells", "line,clouds"
    findings = Findings(
        [
            record("none", 0, {"twin": 0.1, "cells": 0.5}, group=twins),
            record("attention", 0, {"twin": 0.4, "cells": 0.6}, group=twins),
            record("none", 0, {"line": 0.2, "clouds": 0.5}, group=lines),
            record("attention", 0, {"line": 0.8, "clouds": 0.6}, group=lines),
            record("none", 1, {"line": 0.2, "clouds": 0.5}, group=lines, readable=0.1),
            record("attention", 1, {"line": 0.6, "clouds": 0.5}, group=lines),
            record("attention", 1, {"twin": 9, "cells": 9}, group=twins),  # has no partner
        ]
    )
    assert (findings.geometry, findings.texture) == (("twin", "line"), ("cells", "clouds"))
    everything, of_twins, of_lines = findings.comparisons([10], averaged=True)
    assert [one.group for one in (everything, of_twins, of_lines)] == ["", twins, lines]
    assert everything.interaction.mean == pytest.approx((0.2 + 0.5 + 0.4) / 3)
    assert (everything.interaction.pairs, of_twins.interaction.pairs) == (3, 1)
    assert everything.gains["line"] == pytest.approx(0.5)
    assert set(of_lines.gains) == {"line", "clouds"}
    assert of_lines.geometry.mean == pytest.approx(0.5)
    assert findings.values("none", 10, True, "line", "graded") == [0.2, 0.2]
    assert findings.rate("none", 10, True, "line", "readable").value == pytest.approx(0.3)


def test_without_a_texture_there_is_no_interaction():
    pairs = [record(arm, 0, {"twin": 0.3}, group="twin") for arm in ("none", "attention")]
    (alone,) = Findings(pairs).comparisons([10], averaged=True)
    assert (alone.geometry.pairs, alone.texture.pairs, alone.interaction.pairs) == (1, 0, 0)
    assert math.isnan(alone.interaction.mean)


def test_rates_count_the_images_of_all_seeds():
    findings = Findings(
        [
            record("none", 0, {}, readable=0.5, satisfied=0.25),
            record("none", 1, {}, readable=0.1, satisfied=0.05),
        ]
    )
    assert findings.rate("none", 10, True, "twin", "readable").value == pytest.approx(0.3)
    rate = findings.rate("none", 10, True, "twin", "satisfied_if_readable")
    assert rate.value == pytest.approx(30 / 60)
    assert rate.low < 0.5 < rate.high
    assert rate.high - rate.low == pytest.approx(0.245, abs=0.005)  # of 60 images


def test_nothing_readable_has_no_rate():
    findings = Findings([record("none", 0, {}, readable=0.0, satisfied=0.0)])
    assert math.isnan(findings.rate("none", 10, True, "twin", "satisfied_if_readable").value)
    assert findings.rate("none", 10, True, "twin", "readable").value == 0


def test_what_was_measured_twice_counts_once():
    twice = [record("none", 0, graded(0.1, 0)), record("none", 0, graded(0.3, 0))]
    assert Findings(twice).values("none", 10, True, "twin", "graded") == [0.3]


def test_random_weights_show_no_images():
    untrained = {**record("attention", 0, {}, step=0, averaged=False), "classes": {}}
    findings = Findings([untrained, record("attention", 0, {})])
    assert findings.steps(averaged=True, arm="attention") == [10]
    assert findings.pairs("attention", 0, averaged=False) == []
