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


@pytest.mark.parametrize(
    ("size", "batch_size", "others", "cores", "expected"),
    [
        (128, 64, {}, 2, False),
        (16, 32, {}, 2, True),
        (16, 32, {}, 8, True),
        (16, 32, {}, 16, False),
        (16, 32, {"discriminator_base_filters": 64}, 2, False),
        (16, 32, {"xla": True}, 2, False),
        (32, 32, {}, 2, True),
        (32, 64, {}, 2, False),
        (32, 64, {"num_replicas": 2}, 2, True),
        (32, 64, {"gradient_accumulation": 2}, 2, True),
    ],
)
def test_small_operations_have_a_core_each(monkeypatch, size, batch_size, others, cores, expected):
    chosen = []
    settings = {"image_size": size, "base_filters": 16, "global_batch_size": batch_size, **others}
    monkeypatch.setattr(build, "num_cores", lambda: cores)
    monkeypatch.setattr(build.devices, "one_thread_per_operation", chosen.append)
    monkeypatch.setattr(build.devices, "make_strategy", lambda *arguments: arguments)
    arguments = build.make_strategy(TrainSettings(device="cpu", **settings), "cluster")
    assert arguments == ("cpu", settings.get("num_replicas"), False, "cluster", 300)
    assert chosen == ["cpu"] * expected
