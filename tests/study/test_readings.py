import json

import pytest

from sagan_tf.geotex import CLASS_NAMES
from sagan_tf.run.workdir import CHECKPOINTS
from sagan_tf.study import readings
from sagan_tf.study.plans import Run
from sagan_tf.study.readings import class_seeds, discard_measures, is_measured, load_measures

RUN = Run("attention-0", "attention", 0, {"steps": 5, "checkpoint_every": 2})
# In the order in which they are measured.
MEASURED = [(0, False), (2, True), (4, True), (5, True), (5, False)]


def write_measures(workdir, measured, arm="attention"):
    with (workdir / readings.RECORDS).open("a") as file:
        for step, averaged in measured:
            classes = {"twin": {"graded": None}} if step else {}
            record = {"arm": arm, "seed": 0, "step": step, "averaged": averaged}
            file.write(json.dumps({**record, "classes": classes, "attention": {}}) + "\n")


@pytest.mark.parametrize(
    ("measured", "expected"),
    [
        (MEASURED, True),
        ([(step, False) for step, _ in MEASURED[:-1]], True),  # no averaged generator
        (MEASURED[:-1], False),
        (MEASURED[:1] + MEASURED[2:], False),
        ([], False),
    ],
)
def test_a_run_is_measured_if_every_checkpoint_is(tmp_path, measured, expected):
    write_measures(tmp_path, measured)
    assert is_measured(tmp_path, RUN) == expected


def test_measures_with_shut_gates_are_not_those_of_the_run(tmp_path):
    write_measures(tmp_path, MEASURED, arm="off")
    assert not is_measured(tmp_path, RUN)


def test_measures_without_any_weights_start_again(tmp_path):
    write_measures(tmp_path, MEASURED[:2])
    (tmp_path / CHECKPOINTS).mkdir()
    (tmp_path / CHECKPOINTS / "step-2.index").touch()
    discard_measures(tmp_path)
    assert len(load_measures(tmp_path)) == 2
    (tmp_path / CHECKPOINTS / "step-2.index").unlink()
    discard_measures(tmp_path)
    assert load_measures(tmp_path) == []
    discard_measures(tmp_path)


def test_seeds_of_a_class_are_those_of_its_place_among_the_generators():
    assert list(class_seeds("cells", 3, ["twin", "cells"])) == [1, 3, 5]
    assert list(class_seeds("mirror", 2)) == [1, 1 + len(CLASS_NAMES)]
