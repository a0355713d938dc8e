import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from sagan_tf import evaluate, export, pretrained, sampling
from sagan_tf.evaluate import EvaluateSettings
from sagan_tf.export import ExportSettings
from sagan_tf.models import Discriminator
from sagan_tf.run.workdir import KEYS
from tests.by_hand.ship import ship
from tests.support import commands

FILES = Path(pretrained.__file__).parent


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_what_ships_is_small_and_whole():
    assert pretrained.NAMES == ("digits",)
    for name in pretrained.NAMES:
        assert sum(path.stat().st_size for path in FILES.glob(f"{name}.*")) < 2_000_000
        assert pretrained.description(name).keys() >= KEYS


def test_digits_are_recognised():
    """By the nearest real digit: no network of ours is asked."""
    from sklearn.datasets import load_digits

    real, classes = load_digits(return_X_y=True)
    seeds, labels = np.arange(100), np.arange(100) % 10
    images = np.stack(list(sampling.sample(sampling.load_generator("digits"), seeds, labels)))
    assert images.shape == (100, 16, 16, 1)
    drawn = images.reshape(-1, 8, 2, 8, 2).mean(axis=(2, 4)).reshape(-1, 64) / 255 * 16
    nearest = np.square(drawn[:, None] - real).sum(axis=-1).argmin(axis=1)
    assert np.mean(classes[nearest] == labels) >= 0.95


def test_weights_are_those_of_the_run(digits, tmp_path, monkeypatch):
    """Shipping a run and loading it gives the run's images, bit by bit."""
    shipped = tmp_path / "shipped"
    shipped.mkdir()
    (shipped / "__init__.py").touch()
    monkeypatch.setattr(pretrained, "__file__", str(shipped / "__init__.py"))
    ship(digits, "other")
    monkeypatch.setattr("sagan_tf.pretrained.loading._FOLDER", shipped)
    monkeypatch.setattr("sagan_tf.pretrained.loading.NAMES", ("other",))
    expected, step = sampling.restore_generator(digits)
    actual, kept = sampling.restore_generator("other")
    assert kept == step == 20
    for left, right in zip(expected.variables, actual.variables, strict=True):
        np.testing.assert_array_equal(left, right)
    config = pretrained.description("other")["discriminator"]
    discriminators = [Discriminator.from_config(config) for _ in range(2)]
    for discriminator, place in zip(discriminators, (digits, "other"), strict=True):
        discriminator.build()
        pretrained.restore(place, discriminator)
    for left, right in zip(*(network.variables for network in discriminators), strict=True):
        np.testing.assert_array_equal(left, right)


def test_a_directory_of_the_name_goes_first(digits, tmp_path):
    assert sampling.restore_generator("digits")[1] == 4500
    shutil.copytree(digits, tmp_path / "digits")
    assert sampling.restore_generator("digits")[1] == 20
    assert sampling.restore_generator(Path("digits"))[1] == 20
    with pytest.raises(ValueError, match="holds no training run"):
        sampling.load_generator("digits/nothing")


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (
            {"best": True},
            r"`digits`, which was published, is of step 4500 alone. .*best=True, step=None",
        ),
        ({"step": 20}, r"best=False, step=20"),
        ({"averaged": False}, r"averaged generator and its discriminator. Received: generator"),
    ],
)
def test_what_did_not_ship(asked, message):
    with pytest.raises(ValueError, match=message):
        sampling.restore_generator("digits", **asked)


def test_commands_that_read_a_run_take_it(tmp_path):
    settings = "--workdir=digits", "--labels=7"
    commands.run("sample", *settings, "--seeds=0-1", f"--out={tmp_path}/grid.png")
    printed = commands.run("attend", *settings, f"--out={tmp_path}/attention")
    assert "ema_generator/attention_8x8: distance" in printed
    assert "discriminator/attention_8x8: distance" in printed
    export.main(ExportSettings(workdir="digits", export_dir=str(tmp_path / "exports")))
    assert (tmp_path / "exports" / "sagan" / "1" / "saved_model.pb").exists()


def test_scores_of_what_ships_are_written_nowhere(tmp_path, capsys):
    settings = EvaluateSettings(
        workdir="digits", num_images=200, metrics=("agreement",), out="scores.jsonl"
    )
    evaluate.main(settings)
    score = json.loads((tmp_path / "scores.jsonl").read_text())["scores"]["label_agreement"]
    assert score >= 0.98
    assert [path.name for path in tmp_path.iterdir()] == ["scores.jsonl"]
