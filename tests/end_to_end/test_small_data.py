"""Own pictures, few and unequal, from the command: what helps there, and what is refused."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image

from tests.support import commands
from tests.support.tfds_sets import write_data_set

HELP = (
    "--augment=color,translation --adaptive_augment --augment_target=-0.9 "
    "--augment_ramp_images=64 --consistency_weight=1 --lecam_weight=0.3 --r1_weight=1 "
    "--r1_interval=2 --schedule=linear --class_balanced"
).split()


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """Twelve pictures of one class, one of another."""
    folder = tmp_path_factory.mktemp("pictures")
    rng = np.random.default_rng(0)
    for name, count in (("many", 12), ("one", 1)):
        (folder / name).mkdir()
        for index in range(count):
            pixels = rng.integers(0, 256, (20, 24, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{index}.png")
    return folder


@pytest.fixture(scope="module")
def run(pictures, tmp_path_factory):
    """A run of ten steps with everything that helps; its workdir, flags and what it said."""
    workdir = tmp_path_factory.mktemp("runs") / "run"
    flags = [f"--dataset=folder:{pictures}", *commands.TINY, "--steps=10", "--d_steps=2", *HELP]
    process = commands.start("train", f"--workdir={workdir}", *flags)
    output, errors = process.communicate(timeout=600)
    assert process.returncode == 0, errors[-3000:]
    return workdir, flags, output, errors


def test_few_pictures_take_their_preset_and_hear_of_it(run):
    workdir, _, output, errors = run
    settings = json.loads((workdir / "config.json").read_text())["settings"]
    assert settings["preset"] == "small"
    assert not settings["dense_bias"]
    assert "many 12" in output
    assert "one 1" in output
    assert "--class_balanced" in errors  # of very unequal classes
    assert (workdir / "samples" / "step-00000000.png").exists()


def test_what_follows_the_discriminator_is_logged(run):
    workdir, *_ = run
    lines = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    last = lines[-1]
    assert set(last) >= {"augment_probability", "real_logits_sign", "consistency_loss"}
    assert set(last) >= {"lecam_loss", "variety/relative_spread", "memorising/nearest_distance"}
    # By an eighth at each update of eight images, up or down.
    assert last["augment_probability"] in np.arange(9) / 8
    rates = [line["learning_rate/generator"] for line in lines]
    assert rates == sorted(rates, reverse=True)
    assert rates[-1] == 0


def test_a_run_with_everything_that_helps_is_gone_on_with_bitwise(run, tmp_path):
    workdir, flags, *_ = run
    resumed = tmp_path / "resumed"
    process = commands.start("train", f"--workdir={resumed}", *flags, "--steps_per_call=1")
    commands.stop_when(process, (resumed / "checkpoints" / "step-5.index").exists)
    commands.run("train", f"--workdir={resumed}", *flags)
    commands.assert_same_run(workdir, resumed)


def test_steps_cannot_change_where_rates_fall_to_the_last(run):
    workdir, flags, *_ = run
    errors = commands.fail("train", f"--workdir={workdir}", *flags, "--steps=20")
    assert "holds a run with other settings: steps: 10 -> 20" in errors


def test_frozen_blocks_keep_the_weights_they_started_from(run, pictures, tmp_path):
    workdir, *_ = run
    flags = [f"--dataset=folder:{pictures}", *commands.TINY, f"--init_from={workdir}"]
    flags += ["--nodense_bias", f"--workdir={tmp_path / 'frozen'}", "--steps=5"]
    commands.run("train", *flags, "--freeze_discriminator=2")
    before, after = (commands.variables(path) for path in (workdir, tmp_path / "frozen"))
    kernels = [n for n in before if n.startswith("discriminator/block") and n.endswith("kernel")]
    moved = {n.split("/")[1] for n in kernels if not np.array_equal(before[n], after[n])}
    assert moved == {"block_2_4x4"}
    shutil.rmtree(tmp_path / "frozen")
    errors = commands.fail("train", *flags, "--dense_bias")
    assert "`--dense_bias` must be False, as in the run in" in errors
    errors = commands.fail("train", *flags, "--freeze_discriminator=4")
    assert "`freeze_discriminator` must be in 0-3" in errors


def test_balancing_needs_an_image_of_each_class(tmp_path):
    rng = np.random.default_rng(0)
    examples = [
        {"image": rng.integers(0, 256, (8, 8, 3), np.uint8), "label": number % 2}
        for number in range(8)
    ]
    write_data_set(tmp_path / "data", "pets", "tfrecord", examples=examples)
    flags = ["--dataset=pets", f"--data_dir={tmp_path / 'data'}", *commands.TINY, "--steps=5"]
    errors = commands.fail("train", *flags, f"--workdir={tmp_path / 'run'}", "--class_balanced")
    assert "needs at least one image of every class" in errors
    assert "eel" in errors
    # The data's own frequencies give generated images of no such class.
    commands.run("train", *flags, f"--workdir={tmp_path / 'run'}", "--label_distribution=data")
