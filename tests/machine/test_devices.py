"""Devices in a process where TensorFlow has started: as they are, or one line."""

import os

import keras
import pytest
import tensorflow as tf

from sagan_tf.machine import devices, processors
from sagan_tf.machine.devices import in_words, make_strategy, replicas_here, use_device
from tests.support import commands


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


@pytest.fixture
def gpus(monkeypatch):
    """TensorFlow as it is with two GPUs that were set up by nobody; gives what is asked of them."""
    asked = {"visible": None, "growth": []}
    physical = [tf.config.PhysicalDevice(f"/physical_device:GPU:{i}", "GPU") for i in range(2)]
    cpus = tf.config.list_physical_devices("CPU")

    def listed(kind=None):
        return physical if kind == "GPU" else cpus

    def visible(kind=None):
        return physical if asked["visible"] is None else asked["visible"]

    monkeypatch.setattr(tf.config, "list_physical_devices", listed)
    monkeypatch.setattr(tf.config, "get_visible_devices", visible)
    monkeypatch.setattr(
        tf.config, "set_visible_devices", lambda some, kind: asked.update(visible=some)
    )
    monkeypatch.setattr(
        tf.config.experimental,
        "set_memory_growth",
        lambda gpu, on: asked["growth"].append((gpu, on)),
    )
    monkeypatch.setattr(
        tf.config.experimental, "get_device_details", lambda gpu: {"device_name": "NVIDIA H100"}
    )
    monkeypatch.setattr(
        tf.distribute, "MirroredStrategy", lambda devices, cross_device_ops: devices
    )
    return asked, physical


def test_fewer_replicas_than_gpus_leave_the_others_alone(gpus):
    asked, physical = gpus
    assert make_strategy(num_replicas=2) == ["GPU:0", "GPU:1"]
    assert asked["visible"] is None  # all, as they are
    assert in_words() == "2 x NVIDIA H100"
    make_strategy(num_replicas=1)
    assert asked["visible"] == physical[:1]
    assert in_words() == "1 x NVIDIA H100"
    with pytest.raises(ValueError, match="exceeds the 2 GPUs"):
        make_strategy(num_replicas=3)
    make_strategy("cpu")
    assert asked["visible"] == []
    assert in_words().startswith("CPU, ")


@pytest.mark.parametrize(
    ("capabilities", "kept"), [([(9, 0)] * 2, True), ([(9, 0), (7, 0)], False), ([None] * 2, False)]
)
def test_recent_gpus_keep_the_layout_of_feature_maps(gpus, monkeypatch, capabilities, kept):
    def details(gpu):
        capability = capabilities[gpus[1].index(gpu)]
        return {"compute_capability": capability} if capability else {}

    options = []
    monkeypatch.setattr(tf.config.experimental, "get_device_details", details)
    monkeypatch.setattr(tf.config.optimizer, "set_experimental_options", options.append)
    make_strategy()
    assert options == [{"layout_optimizer": False}] * kept
    make_strategy(num_replicas=1)  # the first alone counts
    assert len(options) == kept + (capabilities[0] == (9, 0))


def test_replicas_follow_the_gpus(gpus):
    assert [replicas_here(device, None) for device in ("auto", "gpu", "cpu")] == [2, 2, 1]
    assert replicas_here("auto", 1) == 1


def test_commands_that_do_not_train_take_memory_as_they_need_it(gpus):
    asked, physical = gpus
    use_device()
    assert asked == {"visible": physical[:1], "growth": [(physical[0], True)]}
    asked["growth"].clear()
    use_device("cpu")
    assert asked == {"visible": [], "growth": []}


def _threads(sender, started, environment):
    os.environ.pop("TF_NUM_INTRAOP_THREADS", None)
    os.environ.update(environment)
    if started:
        tf.ones(())
    devices.one_thread_per_operation()
    tf.ones(())
    sender.send(tf.config.threading.get_intra_op_parallelism_threads())


@pytest.mark.parametrize(
    ("started", "environment", "expected"),
    [(False, {}, 1), (True, {}, 0), (False, {"TF_NUM_INTRAOP_THREADS": "2"}, 0)],
)
def test_one_thread_per_operation(started, environment, expected):
    """Unless TensorFlow has started, or the user has chosen: 0 leaves it to the environment."""
    receiver, sender = commands.FORKS.Pipe(duplex=False)
    process = commands.FORKS.Process(target=_threads, args=(sender, started, environment))
    with sender:
        process.start()
    assert receiver.recv() == expected
    process.join()


def test_threads_stay_as_they_are_on_a_gpu(gpus, monkeypatch):
    chosen = []
    monkeypatch.delenv("TF_NUM_INTRAOP_THREADS", raising=False)
    monkeypatch.setattr(tf.config.threading, "set_intra_op_parallelism_threads", chosen.append)
    devices.one_thread_per_operation("auto")
    assert chosen == []
    devices.one_thread_per_operation("cpu")
    assert chosen == [1]


@pytest.mark.parametrize("function", [make_strategy, use_device])
@pytest.mark.parametrize(
    ("device", "built", "libraries", "hidden", "reason"),
    [
        ("auto", True, True, None, "though there is one here: the driver may be too old"),
        ("auto", True, False, None, "NVIDIA's libraries are missing; install `sagan_tf.gpu.`"),
        ("auto", False, True, None, "this build of TensorFlow cannot use any"),
        ("gpu", True, True, "-1", "sees no GPU: CUDA_VISIBLE_DEVICES hides it"),
    ],
)
def test_a_gpu_that_tensorflow_does_not_see_is_no_cpu(
    monkeypatch, tmp_path, function, device, built, libraries, hidden, reason
):
    (tmp_path / "nvidia0").touch()
    monkeypatch.setattr(processors, "GPU_FILES", str(tmp_path / "nvidia[0-9]*"))
    monkeypatch.setattr(tf.test, "is_built_with_cuda", lambda: built)
    monkeypatch.setattr(devices.importlib.util, "find_spec", lambda name: libraries or None)
    if hidden is None:
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    else:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", hidden)
    with pytest.raises(ValueError, match=f"{reason}.*--device=cpu"):
        function(device)
    function("cpu")


@pytest.mark.parametrize("value", ["", "-1"])
def test_who_hides_gpus_wants_the_cpu(monkeypatch, tmp_path, value):
    (tmp_path / "nvidia0").touch()
    monkeypatch.setattr(processors, "GPU_FILES", str(tmp_path / "nvidia[0-9]*"))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", value)
    use_device()
    assert in_words().startswith("CPU, ")


def test_gpus_that_were_asked_for_where_there_are_none():
    with pytest.raises(ValueError, match=r"shows none .* Received: --device=gpu"):
        make_strategy("gpu")
