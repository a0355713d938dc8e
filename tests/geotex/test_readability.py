import numpy as np
import pytest

from sagan_tf.geotex import CLASS_NAMES, class_scores, draw_class

RATES = {"readable", "satisfied", "satisfied_if_readable"}
CLOSENESS = {"closeness", "located"}


def test_every_class_has_its_scores():
    names = {
        name: set(class_scores(name, draw_class(name, 30, 32))) - RATES for name in CLASS_NAMES
    }
    assert names["twin"] == {"chance", "graded", "kappa", "mutual_information"} | CLOSENESS
    assert names["mirror"] == {"chance", "graded", "agreement"} | CLOSENESS
    assert names["limbs"] == {"chance", "graded", "count_error"} | CLOSENESS
    assert names["line"] == {"chance", "graded", "miss"} | CLOSENESS
    assert not any(names[name] for name in CLASS_NAMES[4:])


def test_real_and_broken_twins():
    real = class_scores("twin", draw_class("twin", 400, 32))
    assert real["satisfied"] == 1
    assert real["kappa"] == pytest.approx(1)
    assert real["mutual_information"] == pytest.approx(3, abs=0.1)
    assert real["chance"] == pytest.approx(1 / 8, abs=0.06)
    broken = class_scores("twin", draw_class("twin", 400, 32, valid=False))
    assert broken["kappa"] == pytest.approx(0, abs=0.08)
    assert broken["mutual_information"] == pytest.approx(0, abs=0.1)


@pytest.mark.parametrize("name", CLASS_NAMES[:4])
def test_one_image_over_and_over_has_learned_no_constraint(name):
    scores = class_scores(name, np.repeat(draw_class(name, 1, 32), 20, axis=0))
    assert scores["satisfied"] == scores["chance"] == 1
    assert scores["graded"] == 0


@pytest.mark.parametrize("name", CLASS_NAMES[:4])
def test_grades_go_from_unrelated_to_as_drawn(name):
    assert class_scores(name, draw_class(name, 400, 32))["graded"] == pytest.approx(1, abs=0.06)
    unrelated = draw_class(name, 400, 32, valid=False)
    assert class_scores(name, unrelated)["graded"] == pytest.approx(0, abs=0.12)
    half = np.concatenate([draw_class(name, 200, 32, seed=1), unrelated[:200]])
    if name != "line":  # whose median miss is that of the better half's worst
        assert class_scores(name, half)["graded"] == pytest.approx(0.5, abs=0.12)


def test_nothing_readable():
    scores = class_scores("line", np.zeros((4, 32, 32, 3), np.uint8))
    assert (scores["readable"], scores["satisfied"]) == (0, 0)
    assert np.isnan([scores["satisfied_if_readable"], scores["chance"], scores["miss"]]).all()
    assert scores["graded"] == 0
