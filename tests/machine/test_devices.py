"""Devices in a process where TensorFlow has started: as they are, or one line."""

import keras
import pytest
import tensorflow as tf

from sagan_tf.machine.devices import make_strategy


@pytest.fixture(autouse=True)
def _started():
    tf.ones(())


def test_one_replica_needs_no_change():
    assert make_strategy() is tf.distribute.get_strategy()
    assert make_strategy("cpu", 1).num_replicas_in_sync == 1


def test_replicas_that_there_are_already():
    """The tests' own process has two devices of the CPU."""
    assert make_strategy("cpu", 2).num_replicas_in_sync == 2


def test_more_than_there_are_cannot_be_made_any_more():
    with pytest.raises(ValueError, match=r"`--num_replicas=3 on the CPU` must come before"):
        make_strategy("cpu", 3)


def test_gpus_cannot_be_hidden_any_more(monkeypatch):
    def refuse(devices, kind):
        raise RuntimeError("Visible devices cannot be modified after being initialized")

    monkeypatch.setattr(tf.config, "set_visible_devices", refuse)
    with pytest.raises(ValueError, match=r"`--device=cpu beside GPUs` must come.*Restart"):
        make_strategy("cpu")


@pytest.mark.parametrize(
    ("name", "value", "before"),
    [("image_data_format", "channels_first", "channels_last"), ("floatx", "float64", "float32")],
)
def test_settings_of_keras_in_this_process(name, value, before):
    change = getattr(keras.config, f"set_{name}")
    change(value)
    try:
        with pytest.raises(ValueError, match=rf"call `keras.config.set_{name}\('{before}'\)`"):
            make_strategy()
    finally:
        change(before)
