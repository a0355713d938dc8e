import json
import os
import re
import shutil
import signal
import types

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from sagan_tf import config, train
from sagan_tf.machine import devices
from tests.support import commands
from tests.support.imagenet import write_imagenet_archives
from tests.support.tfds_sets import write_data_set

TINY = commands.TINY
variables, assert_same_run = commands.variables, commands.assert_same_run


def pixels(path):
    with Image.open(path) as picture:
        return np.array(picture)


def has_step(workdir, step):
    return lambda: (workdir / "checkpoints" / f"step-{step}.index").exists()


def test_a_run_leaves_what_it_says(digits):
    lines = [json.loads(line) for line in (digits / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [5, 10, 15, 20]
    assert {
        "discriminator_loss",
        "generator_loss",
        "real_logits",
        "fake_logits",
        "gamma/generator/attention_8x8",
        "gamma/discriminator/attention_8x8",
        "singular_value/generator/dense",
        "singular_value/discriminator/embedding",
        "learning_rate/generator",
        "images_per_second",
        "sample_spread",
        "variety/relative_spread",
        "memorising/nearest_distance",
    } <= lines[0].keys()
    grids = sorted(path.name for path in (digits / "samples").iterdir())
    assert grids == [f"step-{step:08}.png" for step in (0, 10, 20)]
    grid = pixels(digits / "samples" / "step-00000020.png")
    assert grid.shape == ((12 + 8 * 17 - 1) * 3, (10 * 17 - 1) * 3)
    events = EventAccumulator(str(digits / "tensorboard")).Reload()
    tags = {*events.Tags()["tensors"]}
    assert {"generator_loss", "samples", "gamma/generator/attention_8x8"} <= tags


def test_stopped_and_resumed_is_bitwise_equal_to_uninterrupted(digits, tmp_path):
    workdir = tmp_path / "run"
    arguments = ["train", f"--workdir={workdir}", "--steps=20", *TINY]
    # It saves where it is.
    code, _, errors = commands.stop_when(commands.start(*arguments), has_step(workdir, 5))
    if code:  # it may have been done before the signal came
        assert code == 128 + signal.SIGTERM
        assert "the same command goes on from there" in errors
    commands.run(*arguments)
    assert_same_run(workdir, digits)
    lines = (workdir / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines][-2:] == [15, 20]


def test_more_steps_per_call_compute_the_same(digits, tmp_path):
    tiny = [flag for flag in TINY if "steps_per_call" not in flag]
    commands.run("train", f"--workdir={tmp_path}", "--steps=20", "--steps_per_call=2", *tiny)
    assert_same_run(tmp_path, digits)


def test_two_replicas_from_the_command(tmp_path):
    arguments = [f"--workdir={tmp_path}", "--num_replicas=2", "--sync_batch_norm", *TINY]
    commands.run("train", "--steps=5", *arguments)
    assert "resumed at step 5" in commands.run("train", "--steps=10", *arguments)


@pytest.mark.parametrize(
    ("xla", "gpus", "replicas", "kept"), [(1, 1, 1, 1), (1, 0, 1, 0), (1, 1, 2, 0), (0, 1, 1, 0)]
)
def test_what_xla_compiles_for_one_gpu_is_kept(monkeypatch, tmp_path, xla, gpus, replicas, kept):
    monkeypatch.setattr(tf.config, "get_visible_devices", lambda kind: [kind] * gpus)
    monkeypatch.setattr(devices, "in_words", lambda: "1 x NVIDIA H200")
    monkeypatch.setenv("TF_XLA_FLAGS", "")
    settings = config.TrainSettings(cache_dir=str(tmp_path))
    with train._keeping_compiled(settings, types.SimpleNamespace(xla=bool(xla)), replicas):
        assert (str(tmp_path / "xla/1-x-NVIDIA-H200-") in os.environ["TF_XLA_FLAGS"]) == kept


def test_xla_and_bfloat16_from_the_command(tmp_path):
    commands.run(
        "train",
        f"--workdir={tmp_path}",
        "--steps=5",
        "--xla",
        "--dtype_policy=mixed_bfloat16",
        *TINY,
        "--attention_resolutions=",  # whose compilation takes long
    )
    kernel = variables(tmp_path)["generator/dense/kernel"]
    assert kernel.dtype == np.float32
    assert not np.array_equal(kernel, kernel.astype(tf.bfloat16.as_numpy_dtype))


def test_sample_labels_names_interpolations_and_singles(digits, tmp_path):
    out = tmp_path / "grid.png"
    arguments = ["sample", f"--workdir={digits}", f"--out={out}", "--scale=1"]
    commands.run(*arguments, "--labels=0-2,7", "--seeds=0-1", f"--singles={tmp_path / 'all'}")
    assert pixels(out).shape == (12 + 2 * 17 - 1, 4 * 17 - 1)
    singles = sorted(path.name for path in (tmp_path / "all").iterdir())
    assert len(singles) == 8
    assert singles[0] == "label-0-seed-0.png"
    # The second row's last image is the single of the same seed and label.
    grid = pixels(out)
    single = pixels(tmp_path / "all" / "label-7-seed-1.png")
    np.testing.assert_array_equal(grid[-16:, -16:], single)
    commands.run(*arguments, "--labels=3", "--seeds=0-2", "--interpolate=5", "--truncation=0.5")
    assert pixels(out).shape == (2 * 17 - 1, 5 * 17 - 1)
    errors = commands.fail(*arguments, "--interpolate=5", f"--singles={tmp_path / 'all'}")
    assert "`--singles` is for grids" in errors


def train_resume_and_sample(dataset, workdir, *arguments):
    arguments = [f"--dataset={dataset}", f"--workdir={workdir}", *TINY, *arguments]
    commands.run("train", "--steps=20", *arguments)
    assert "resumed at step 20" in commands.run("train", "--steps=25", *arguments)
    out = workdir / "grid.png"
    commands.run("sample", f"--workdir={workdir}", "--labels=0-1", f"--out={out}")
    assert pixels(out).std() > 0


def test_imagenet_from_its_archives(tmp_path):
    write_imagenet_archives(tmp_path / "data" / "downloads" / "manual")
    train_resume_and_sample("imagenet2012", tmp_path / "run", f"--data_dir={tmp_path / 'data'}")
    settings = json.loads((tmp_path / "run" / "config.json").read_text())["settings"]
    assert settings["preset"] == "released"
    names = json.loads((tmp_path / "run" / "config.json").read_text())["class_names"]
    assert len(names) == 1000


def test_a_tfds_set(tmp_path):
    write_data_set(tmp_path / "data", "pets", "tfrecord")
    train_resume_and_sample("pets", tmp_path / "run", f"--data_dir={tmp_path / 'data'}")


def write_folder(path, classes=("cat", "dog")):
    rng = np.random.default_rng(0)
    for label, name in enumerate(classes):
        (path / name).mkdir(parents=True)
        for index in range(6):
            pixels = rng.integers(0, 128, (20, 24, 3), dtype=np.uint8) + np.uint8(label * 100)
            suffix = ("jpg", "png", "webp")[index % 3]
            Image.fromarray(pixels).save(path / name / f"{index}.{suffix}")
    return path


def test_folder_then_start_from_it_with_other_classes(tmp_path):
    folder = write_folder(tmp_path / "animals")
    train_resume_and_sample(f"folder:{folder}", tmp_path / "first")
    other = write_folder(tmp_path / "others", ("a", "b", "c"))
    arguments = [f"--dataset=folder:{other}", f"--workdir={tmp_path / 'second'}", *TINY]
    output = commands.run("train", f"--init_from={tmp_path / 'first'}", "--steps=5", *arguments)
    assert "started from the weights" in output
    # What was chosen is told, and nothing else of the settings.
    assert re.search(r"\npreset small with init_from=\S+, image_size=16, base_filters=4, ", output)
    assert "beta_1" not in output
    assert f"all settings: {tmp_path / 'second' / 'config.json'}" in output
    out = tmp_path / "named.png"
    commands.run("sample", f"--workdir={tmp_path / 'second'}", "--labels=b,2", f"--out={out}")
    # Resumed with or without the flag, the run keeps the origin of its weights.
    config = tmp_path / "second" / "config.json"
    origin = json.loads(config.read_text())["settings"]["init_from"]
    assert "resumed at step 5" in commands.run("train", "--steps=6", *arguments)
    assert json.loads(config.read_text())["settings"]["init_from"] == origin
    errors = commands.fail("train", f"--init_from={tmp_path}", "--steps=7", *arguments)
    assert f"begun from {tmp_path / 'first'}. Leave `--init_from` out" in errors
    table = variables(tmp_path / "second")["discriminator/embedding/embeddings"]
    assert table.shape[0] == 3


def test_start_from_what_was_published(digits, tmp_path):
    """One step with learning rates of 0: every weight stays that of the published run."""
    commands.run("publish", f"--workdir={digits}", f"--out={tmp_path / 'published'}")
    arguments = [
        f"--init_from={tmp_path / 'published'}",
        f"--workdir={tmp_path / 'run'}",
        "--steps=5",
        "--generator_learning_rate=1e-30",
        "--discriminator_learning_rate=1e-30",
        *TINY,
    ]
    output = commands.run("train", *arguments)
    assert f"started from the weights in {tmp_path / 'published'}\n" in output
    before, after = variables(digits), variables(tmp_path / "run")
    for name in before:
        if name.startswith("ema_generator/") and name.endswith(("kernel", "gamma", "beta")):
            np.testing.assert_allclose(after[name], before[name], rtol=1e-6)
            trained = name.removeprefix("ema_")
            np.testing.assert_allclose(after[trained], before[name], rtol=1e-6)
    shutil.rmtree(tmp_path / "published")
    assert "nothing to do" in commands.run("train", *arguments)  # it is no longer needed
    commands.run("train", *arguments, "--dry_run")


def test_dry_run_needs_no_data(tmp_path):
    output = commands.run(
        "train", "--dataset=imagenet2012", f"--workdir={tmp_path / 'run'}", "--dry_run"
    )
    assert "42,078,852 parameters" in output
    assert "39,463,618 parameters" in output
    assert "(9.216 in the plain form)" in output
    assert re.search(r"GiB at 256 images \(estimated\); this machine has [0-9.]+ GiB left", output)
    assert 'preset                       "released"' in output
    assert "GiB at 256 images" in output
    assert "--query_chunk_size" not in output  # Attention is a small part here.
    assert not (tmp_path / "run").exists()


def test_dry_run_times_some_steps_when_asked(tmp_path):
    arguments = ["--dry_run", "--time", "--num_replicas=2", "--steps=1000", *TINY]
    output = commands.run("train", f"--workdir={tmp_path / 'run'}", *arguments)
    found = re.search(
        r"\d+ s to compile, then ([0-9.e-]+) s per step, so ([0-9.]+) minutes for 1,000 steps",
        output,
    )
    assert float(found[2]) == pytest.approx(float(found[1]) * 1000 / 60, rel=0.02, abs=0.06)
    assert not (tmp_path / "run").exists()


def test_dry_run_tells_when_chunks_would_save_memory():
    arguments = "--image_size=64 --base_filters=4 --query_key_ratio=4 --attention_resolutions=32"
    output = commands.run("train", *arguments.split(), "--global_batch_size=64", "--dry_run")
    needed, less = re.findall(r"about ([0-9.]+) GiB", output)
    assert "with --query_chunk_size=256: about" in output
    assert float(less) < float(needed)
    for without_chunks in ("--mixing=local_attention", "--r1_weight=1"):
        flags = [*arguments.split(), without_chunks]
        output = commands.run("train", *flags, "--global_batch_size=64", "--dry_run")
        assert "memory per replica: about" in output
        assert "query_chunk_size=256" not in output


BAD = {
    "workdir is a file": ([f"--workdir={__file__}"], "is not a directory"),
    "unknown data set": (["--dataset=imagnet2012"], "imagenet2012"),
    "unknown preset": (["--preset=fast"], "`--preset` must be one of"),
    "unknown flag": (["--learning_rate=1"], "Did you mean --generator_learning_rate or"),
    "not a flag": (["digits"], "Expected only flags"),
    "not a number": (["--steps=many"], "steps"),
    "image size": (["--image_size=48"], "`image_size` must be one of 16, 32, 64, 128, 256"),
    "attention": (
        ["--image_size=32", "--attention_resolutions=64"],
        "`attention_resolutions` must be among [8, 16] at image size 32",
    ),
    "batch": (
        ["--global_batch_size=9", "--num_replicas=2"],
        "`--global_batch_size` must be divisible by replicas",
    ),
    "xla with exchange": (
        ["--xla", "--sync_batch_norm", "--num_replicas=2"],
        "`--xla` cannot be combined with `--sync_batch_norm`",
    ),
    "no gpu": (["--device=gpu"], "TensorFlow sees no GPU"),
    "missing folder": (["--dataset=folder:/nowhere/at/all"], "/nowhere/at/all"),
    "missing init": (["--init_from=/nowhere"], "`--init_from` holds no training run"),
    "malformed init": (["--init_from=hf://owner"], "`--init_from` on the Hugging Face Hub has"),
    "init of grey images": (
        ["--dataset=geotex", "--init_from=digits"],
        "`--init_from` digits draws grey images, and `--dataset` geotex has images with colours",
    ),
    "dry run from nowhere": (
        ["--dry_run", "--init_from=/nowhere"],
        "`--init_from` holds no training run",
    ),
    "dry run of other channels": (
        ["--dry_run", "--dataset=geotex", "--init_from=digits"],
        "`--init_from` digits draws grey images",
    ),
    "own pictures by --data_dir": (
        ["--data_dir=/my/pictures"],
        "pictures of your own are `--dataset=folder:PATH`. Received: --data_dir=/my/pictures",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_message(case, tmp_path):
    arguments, message = BAD[case]
    errors = commands.fail("train", f"--workdir={tmp_path / 'run'}", "--steps=1", *arguments)
    assert message in errors
    assert not (tmp_path / "run").exists()


def test_init_from_other_networks_names_the_flags(tmp_path):
    arguments = [f"--workdir={tmp_path}", "--init_from=digits", "--latent_dim=32"]
    errors = commands.fail("train", *arguments, "--attention_resolutions=")
    flags = "--latent_dim=64 --attention_resolutions=8"
    assert f"The run in digits has other networks; use its settings: {flags}. " in errors


def test_folder_without_images(tmp_path):
    (tmp_path / "images" / "cat").mkdir(parents=True)
    errors = commands.fail("train", f"--dataset=folder:{tmp_path / 'images'}", "--steps=1")
    assert str(tmp_path / "images") in errors


def test_a_run_that_diverges_says_so_and_saves_nothing(tmp_path):
    errors = commands.fail(
        "train", f"--workdir={tmp_path}", "--steps=20", *TINY, "--generator_learning_rate=1e30"
    )
    assert "Training broke before step 5" in errors
    assert not list(tmp_path.rglob("*.index"))


def test_workdir_of_another_configuration_is_left_alone(digits):
    before = {path: path.read_bytes() for path in digits.rglob("*") if path.is_file()}
    errors = commands.fail("train", f"--workdir={digits}", "--steps=30", *TINY, "--seed=1")
    assert "holds a run with other settings: seed: 0 -> 1" in errors
    errors = commands.fail("train", f"--workdir={digits}", "--steps=30", *TINY, "--noresume")
    assert "already holds a run" in errors
    errors = commands.fail(
        "train", f"--workdir={digits}", "--steps=30", *TINY, "--init_from=digits"
    )
    assert "already holds one, begun from random weights. Leave `--init_from` out" in errors
    assert before == {path: path.read_bytes() for path in digits.rglob("*") if path.is_file()}


def test_corrupt_newest_checkpoint_falls_back_and_says_so(digits, tmp_path):
    import shutil

    workdir = shutil.copytree(digits, tmp_path / "copy")
    path = workdir / "checkpoints" / "step-20.data-00000-of-00001"
    path.write_bytes(path.read_bytes()[:-100])
    process = commands.start("train", f"--workdir={workdir}", "--steps=20", *TINY)
    output, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    assert "resumed at step 15" in output
    assert "step-20 cannot be read" in errors
    assert_same_run(workdir, digits)


def test_sample_bad_input(digits, tmp_path):
    for arguments, message in (
        ([f"--workdir={tmp_path}"], "holds no training run"),
        ([f"--workdir={digits}", "--labels=12"], "`--labels` must be in 0-9. Received: 12"),
        ([f"--workdir={digits}", "--seeds=a"], "`--seeds` expects numbers and ranges"),
        ([f"--workdir={digits}", "--labels=3-1"], "`--labels` expects ranges that ascend"),
        ([f"--workdir={digits}", "--seeds=9223372036854775808"], "numbers under 2^63"),
    ):
        assert message in commands.fail("sample", f"--out={tmp_path / 'x.png'}", *arguments)
    assert not (tmp_path / "x.png").exists()
