"""Whether the same command may go on with a run."""

import pytest

from sagan_tf.config import TrainSettings
from sagan_tf.training import resuming


@pytest.mark.parametrize("begun_with", [None, False, True])
def test_xla_that_is_left_to_the_machine_changes_no_run(monkeypatch, tmp_path, begun_with):
    recorded = resuming.as_json(TrainSettings(xla=begun_with))
    monkeypatch.setattr(resuming, "saved_settings", lambda checkpoints: recorded)
    assert resuming.check_workdir(TrainSettings(), tmp_path)["xla"] is begun_with


def test_xla_that_is_asked_for_is_a_change(monkeypatch, tmp_path):
    recorded = resuming.as_json(TrainSettings(xla=False))
    monkeypatch.setattr(resuming, "saved_settings", lambda checkpoints: recorded)
    with pytest.raises(ValueError, match="holds a run with other settings: xla: False -> True"):
        resuming.check_workdir(TrainSettings(xla=True), tmp_path)
