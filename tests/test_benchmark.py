import json
import subprocess
import sys

import pytest
import tensorflow as tf

from sagan_tf.benchmark import timing, training_cases
from sagan_tf.benchmark.timing import Case
from sagan_tf.models import Discriminator, Generator
from sagan_tf.training import cost
from tests.support import commands, timed_cases


def peak_bytes(prepare, **arguments):
    """What a case takes at its peak, in a process of its own."""
    (result,) = timing.compare([Case("case", prepare, "calls", arguments)], 1, "cpu")
    return result.peak_bytes


def test_rates_and_ratios_of_what_takes_a_known_time():
    def case(name, seconds, work, unit="images"):
        arguments = {"seconds": seconds, "work": work}
        return Case(name, timed_cases.prepare_sleep, unit, arguments, macs_per_unit=5.0)

    slow, fast, other = timing.compare(
        [case("slow", 1.0, 10), case("fast", 0.5, 10), case("other", 0.5, 10, "steps")], 3, "cpu"
    )
    assert len(slow.rates) == 3
    assert slow.ratios == [1, 1, 1]
    for rate, ratio in zip(fast.rates, fast.ratios, strict=True):
        assert rate == pytest.approx(20, rel=0.25)  # sleeping takes longer, never less
        assert ratio == pytest.approx(2, rel=0.25)
    assert other.ratios == []
    assert slow.macs_per_second == pytest.approx(50, rel=0.25)


def test_peak_memory_of_what_takes_a_known_size():
    assert peak_bytes(timed_cases.prepare_memory, mebibytes=300) / 2**20 == pytest.approx(
        300, rel=0.1
    )


@pytest.mark.parametrize(
    ("prepare", "reason"),
    [
        (timed_cases.prepare_failure, "`case` cannot run here: RuntimeError: no such device"),
        (timed_cases.prepare_exit, "`case` cannot run here: its process ended"),
    ],
)
def test_a_case_that_cannot_run_is_named(prepare, reason):
    with pytest.raises(ValueError, match=reason):
        peak_bytes(prepare)


@pytest.mark.parametrize(("device", "visible"), [("cpu", ""), ("gpu", "0")])
def test_commands_that_a_case_starts_compute_where_it_does(monkeypatch, device, visible):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    monkeypatch.setattr(tf.config, "set_visible_devices", lambda devices, kind: None)
    monkeypatch.setattr(timing, "_peak_bytes", lambda device: 0)
    timing._start_tensorflow(device, one_thread=False)
    command = [sys.executable, "-c", "import os; print(os.environ['CUDA_VISIBLE_DEVICES'])"]
    assert subprocess.run(command, capture_output=True, text=True).stdout == f"{visible}\n"


def test_multiply_accumulates_of_a_step():
    """16 pixels: the generator's four and the discriminator's eight units, of one image."""
    networks = Generator(16, 3, base_filters=8), Discriminator(16, 3, base_filters=8)
    generator, discriminator = (cost.multiply_accumulates(network) for network in networks)
    attended = training_cases.macs_per_image(
        "auto", {"image_size": 16, "base_filters": 8, "num_classes": 3}
    )
    assert attended > 4 * generator + 8 * discriminator
    assert attended < 1.5 * (4 * generator + 8 * discriminator)


def test_the_command_writes_what_it_prints(tmp_path):
    out = tmp_path / "figures.json"
    output = commands.run(
        "benchmark",
        "--only=checkpoint,input",
        "--rounds=2",
        "--image_size=16",
        "--base_filters=4",
        "--num_classes=3",
        "--batch_size=64",
        f"--out={out}",
    )
    report = json.loads(out.read_text())
    assert report["settings"]["rounds"] == 2
    assert list(report["groups"]) == ["checkpoint", "input"]
    jpeg, prepared = report["groups"]["input"]
    assert (jpeg["name"], prepared["name"]) == ("JPEG", "prepared")
    assert min(prepared["ratios"]) > 1
    assert "prepared" in output


def test_a_profile_is_written(tmp_path):
    commands.run(
        "benchmark",
        f"--profile={tmp_path}",
        "--image_size=16",
        "--base_filters=4",
        "--num_classes=3",
        "--batch_size=4",
    )
    assert list(tmp_path.rglob("*.xplane.pb"))


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("--only=train,speed", "`--only` must be some of train, loop"),
        ("--rounds=0", "`--rounds` must be at least 1. Received: 0"),
        ("--image_size=20", "`--image_size` must be one of"),
        ("--out=/nowhere/at/all.json", "`--out` must lie in a directory that exists"),
        ("--device=tpu", "`--device` must be one of cpu, gpu. Received: 'tpu'"),
        ("--device=gpu", "TensorFlow sees no GPU"),
    ],
)
def test_bad_input_is_one_message(flag, message):
    assert message in commands.fail("benchmark", flag)


@pytest.mark.parametrize(("xla", "ratio"), [(False, 1 / 4), (True, 0.4)])
def test_attention_in_chunks_takes_a_part_of_the_memory(xla, ratio):
    # 9216 queries and 2304 keys: 324 MiB of scores for four images.
    arguments = {"map_size": 96, "channels": 16, "batch_size": 4, "xla": xla}
    plain, chunked = (
        peak_bytes(training_cases.prepare_attention, query_chunk_size=size, **arguments)
        for size in (None, 512)
    )
    assert plain > 2 * 324 * 2**20  # scores and their gradient at least
    print(chunked / plain)
    assert chunked < ratio * plain


@pytest.mark.parametrize(
    "settings",
    [
        {"image_size": 32, "base_filters": 32},
        {"image_size": 64, "base_filters": 16, "query_chunk_size": 128},
    ],
    ids=["32 pixels", "64 pixels in chunks"],
)
def test_memory_estimate_is_near_what_training_takes(settings):
    settings = {
        "num_classes": 10,
        "attention_resolutions": (settings["image_size"] // 2,),
        **settings,
    }
    measured = peak_bytes(training_cases.prepare_step, batch_size=32, ema_decay=0.0, **settings)
    networks = Generator(**settings), Discriminator(**settings)
    for network in networks:
        network.build()
    estimated = cost.training_bytes(*networks, 32, ema=False)
    print(measured / 2**20, estimated / 2**20)
    assert 0.75 * measured < estimated < 1.25 * measured
