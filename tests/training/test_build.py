"""What a run is built with, as its settings and its machine have it."""

import pytest
import tensorflow as tf

from sagan_tf.config import TrainSettings
from sagan_tf.training import build


@pytest.mark.parametrize(
    ("gpus", "settings", "expected"),
    [
        (0, {}, False),
        (1, {}, True),
        (1, {"deterministic": True}, False),
        (1, {"xla": False}, False),
        (0, {"xla": True}, True),
        (2, {}, False),  # one replica that sees two GPUs
    ],
)
def test_xla_is_on_by_itself_on_one_gpu(monkeypatch, gpus, settings, expected):
    monkeypatch.setattr(tf.config, "get_visible_devices", lambda kind: [kind] * gpus)
    assert build.uses_xla(TrainSettings(**settings)) is expected


def test_xla_stays_off_on_several_gpus(monkeypatch):
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    monkeypatch.setattr(tf.config, "get_visible_devices", lambda kind: [kind] * 2)
    with strategy.scope():
        assert not build.uses_xla(TrainSettings())
        assert build.uses_xla(TrainSettings(xla=True))
