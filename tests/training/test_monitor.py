import json
from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf

from sagan_tf.attention import attention_layers
from sagan_tf.models import Discriminator, Generator
from sagan_tf.training import monitor
from sagan_tf.training.collapse import ZERO_LOSS
from sagan_tf.training.grid_checks import Copies, KnownImages, Variety


def test_lines_after_the_checkpoint_are_forgotten(tmp_path):
    path = tmp_path / "metrics.jsonl"
    monitor._forget_after(path, 10)  # nothing there yet
    lines = [json.dumps({"step": step, "generator_loss": 0.5}) for step in (5, 10, 15)]
    path.write_text("\n".join(lines) + '\n{"step": 2')  # killed while writing
    monitor._forget_after(path, 10)
    assert path.read_text().splitlines() == lines[:2]
    assert [file.name for file in tmp_path.iterdir()] == ["metrics.jsonl"]


LOSSES = {"discriminator_loss": 0.0, "generator_loss": 1.0}


def untrained(**attention):
    """What a monitor needs of an untrained model."""
    network = {"image_size": 16, "num_classes": 2, "base_filters": 4, "channels": 1, **attention}
    generator = Generator(latent_dim=8, **network)
    generator.build()
    discriminator = Discriminator(**network)
    discriminator.build()
    optimizer = keras.optimizers.Adam(1e-3)
    return SimpleNamespace(
        generator=generator,
        discriminator=discriminator,
        generator_optimizer=optimizer,
        discriminator_optimizer=optimizer,
        sampling_generator=lambda: generator,
    )


def test_tells_how_long_compiling_took(shown, capsys):
    capsys.readouterr()
    seen, _ = shown
    seen.advance(5)
    assert "compiled the training step in 0 s\n" in capsys.readouterr().err
    seen.advance(5)
    assert "compiled" not in capsys.readouterr().err


@pytest.fixture
def workdir(tmp_path):
    workdir = tmp_path / "run"
    workdir.mkdir()
    return workdir


@pytest.fixture
def shown(workdir):
    """A monitor of an untrained model, and its workdir."""
    with monitor.Monitor(workdir, untrained(), ["cat", "dog"], 0, 1000, 8) as shown:
        yield shown, workdir


def lines(workdir):
    return [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]


def test_spread_of_the_grid_is_logged_and_a_lost_generator_reported_once(shown, caplog):
    shown, workdir = shown
    shown.log(1, LOSSES)
    shown.show_samples(2)
    shown.log(2, LOSSES)
    assert "sample_spread" not in lines(workdir)[0]
    assert lines(workdir)[1]["sample_spread"] > 0
    assert LOSSES["discriminator_loss"] < ZERO_LOSS
    make_all_samples_equal(shown)
    for step in range(3, 20):
        shown.log(step, LOSSES)
        shown.show_samples(step)
    assert "sample_spread" not in lines(workdir)[2]  # no grid since the line before
    assert lines(workdir)[-1]["sample_spread"] == 0
    assert caplog.text.count("the generator learns nothing from it") == 1


def make_all_samples_equal(shown):
    norm = shown._sagan.generator.output_norm  # before the last convolution
    for variable in norm.trainable_variables:
        variable.assign(np.zeros(variable.shape))


def test_checks_see_every_grid_and_what_they_find_is_logged(workdir, caplog):
    real = np.random.default_rng(0).integers(0, 256, (64, 16, 16, 1), np.uint8)
    labels = np.arange(64) % 2
    sagan = untrained()
    checks = [
        Variety(real, labels, monitor.GRID_ROWS),
        Copies(real),
        KnownImages(sagan.discriminator, (real, labels), (real, labels)),
    ]
    with monitor.Monitor(workdir, sagan, ["cat", "dog"], 0, 1000, 8, checks) as shown:
        shown.show_samples(0)
        shown.log(1, LOSSES)
        make_all_samples_equal(shown)
        for step in range(2, 20):
            shown.show_samples(step)
        shown.log(20, LOSSES)
    first, last = lines(workdir)
    names = {
        "variety/relative_spread",
        "memorising/nearest_distance",
        "memorising/train_logits",
        "memorising/held_out_logits",
        "memorising/sample_logits",
    }
    assert names <= first.keys()
    assert first["variety/relative_spread"] > 0
    assert last["variety/relative_spread"] == 0
    assert caplog.text.count("samples of a class have looked alike in 3 grids") == 1
    (file,) = (workdir / "tensorboard").iterdir()
    tags = {
        value.tag
        for event in tf.compat.v1.train.summary_iterator(str(file))
        for value in event.summary.value
    }
    assert names <= tags


@pytest.mark.parametrize("replicas", [1, 2])
def test_what_attention_does_is_logged_and_changes_nothing(workdir, replicas, two_replicas):
    strategy = two_replicas if replicas == 2 else tf.distribute.get_strategy()
    with strategy.scope():
        sagan = untrained(attention_resolutions=(8,), query_key_ratio=4)
    for network in (sagan.generator, sagan.discriminator):
        (layer,) = attention_layers(network).values()
        layer.gamma.assign(0.5)
    variables = [*sagan.generator.variables, *sagan.discriminator.variables]
    before = [tf.convert_to_tensor(variable.value).numpy() for variable in variables]
    with monitor.Monitor(workdir, sagan, ["cat", "dog"], 0, 1000, 8) as shown:
        shown.log(1, LOSSES)
        shown.show_samples(2)
        shown.log(2, LOSSES)
    for variable, value in zip(variables, before, strict=True):
        np.testing.assert_array_equal(tf.convert_to_tensor(variable.value), value)
    first, second = lines(workdir)
    assert not [name for name in first if name.startswith("attention/")]
    for network in ("generator", "discriminator"):
        prefix = f"attention/{network}/attention_8x8"
        assert 0 < second[f"{prefix}/entropy"] <= 1 + 1e-6
        assert 1 < second[f"{prefix}/effective_keys"] <= 16 + 1e-3
        assert second[f"{prefix}/distance"] > 0
        assert 0 <= second[f"{prefix}/far_mass"] <= 1
        assert second[f"{prefix}/usage"] > 0


def test_after_going_back_later_lines_are_forgotten(shown):
    shown, workdir = shown
    for step in (10, 20, 30):
        shown.advance(10)
        shown.log(step, LOSSES)
    shown.go_back(10)
    shown.log(15, LOSSES)
    assert [line["step"] for line in lines(workdir)] == [10, 15]


FULL = {
    "metrics.jsonl": (2000, lambda shown: shown.log(1, LOSSES)),
    "tensorboard": (300, lambda shown: shown.log(1, LOSSES)),
    "samples": (100, lambda shown: shown.show_samples(1)),
}


def test_tensorboard_that_stops_growing_is_noticed(shown, monkeypatch):
    shown, _ = shown
    shown.log(1, LOSSES)
    monkeypatch.setattr(shown, "_writer", tf.summary.create_noop_writer())
    with pytest.raises(OSError, match="No space left"):
        shown.log(2, LOSSES)


@pytest.mark.parametrize("what", FULL)
def test_no_room_for_what_is_shown(shown, file_size_limit, what):
    shown, workdir = shown
    limit, show = FULL[what]
    if what == "metrics.jsonl":
        (workdir / what).write_text("\n" * limit)
    elif what == "tensorboard":
        (workdir / "metrics.jsonl").symlink_to("/dev/null")
    with file_size_limit(limit), pytest.raises(OSError, match=r"too large|No space") as raised:
        show(shown)
    assert what in str(raised.value.filename or workdir / what)
    assert not list(workdir.rglob("*.tmp"))


def test_a_workdir_that_is_gone_is_not_made_anew(shown):
    shown, workdir = shown
    workdir.rename(workdir.with_name("moved"))
    for show in (lambda: shown.log(1, LOSSES), lambda: shown.show_samples(1)):
        with pytest.raises(FileNotFoundError):
            show()
    assert not workdir.exists()
