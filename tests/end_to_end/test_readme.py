"""The documentation's examples for other people's Keras apps run as they stand there."""

import re
import subprocess
import sys

import keras
import numpy as np
import pytest
from PIL import Image

from sagan_tf.attention import attention_layers
from sagan_tf.output.pictures import TITLE_HEIGHT
from tests.support import commands, notebooks


def blocks(page, language, first=None, last=None):
    """The blocks of code on a page, from one heading to another if they are given."""
    text = notebooks.as_markdown(commands.ROOT / page)
    text = text.split(f"\n## {first}\n")[1] if first else text
    text = text.split(f"\n## {last}\n")[0] if last else text
    return re.findall(rf"```{language}\n(.*?)```", text, flags=re.DOTALL)


(CLASSIFIER,) = blocks("README.md", "python", "In your own Keras app", "What is in it")
GAN, WHOLE = blocks("docs/keras.md", "python", "A GAN of your own", "Backends")
(FINE_TUNING,) = blocks("docs/tutorials/fine-tuning.ipynb", "bash")

CHECK_CLASSIFIER = """
assert model.evaluate(images, labels, verbose=0)[1] > 0.5  # chance is 0.1
assert {name: map.shape for name, map in maps.items()} == {"attention": (5, 1, 4, 4)}
assert model.get_layer("attention").gamma.value != 0
"""


def test_the_classifier():
    exec(CLASSIFIER + CHECK_CLASSIFIER, {})


@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_the_classifier_without_tensorflow(backend, tmp_path):
    script = CLASSIFIER + CHECK_CLASSIFIER + "print(keras.backend.backend())"
    finished = subprocess.run(
        [sys.executable, "-c", script],
        env=commands.without_tensorflow(tmp_path, backend),
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr[-3000:]
    assert finished.stdout.splitlines()[-1] == backend


def test_the_gan():
    names = {}
    exec(GAN, names)
    losses = names["gan"].history.history
    assert losses.keys() == {"discriminator_loss", "generator_loss"}
    assert losses["discriminator_loss"][-1] < 1.8  # of logits 0 it is 2
    digits = names["digits"].numpy()
    assert digits.shape == (16, 8, 8, 1)
    assert digits.std() > 0
    assert np.abs(digits).max() <= 1
    for network in (names["generator"], names["discriminator"]):
        (attention,) = attention_layers(network).values()
        assert attention.gamma.numpy() != 0


# Keras copies its variables into the file in a way that NumPy 2 deprecates.
@pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy")
def test_the_whole_sagan(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {}
    exec(WHOLE, names)
    assert [image.shape for image in names["sevens"]] == [(16, 16, 1)] * 8
    assert names["sevens"][0].dtype == np.uint8
    assert np.std(names["sevens"]) > 0
    assert keras.saving.load_model("sagan.keras").ema_decay == 0.99


def test_fine_tuning_on_a_folder(tmp_path):
    write_pictures(tmp_path / "many", ["birds", "cats", "dogs"])
    write_pictures(tmp_path / "pictures", ["cats", "dogs"])
    # At 32 pixels, too, other presets' networks attend elsewhere.
    small = "--steps=1 --image_size=32 --base_filters=4 --latent_dim=8 --global_batch_size=8"
    first = "python -m sagan_tf.train --dataset=folder:many --preset=released"
    script = f"{first} --workdir=runs/imagenet {small}\n{FINE_TUNING}"
    script = script.replace("--steps=20000", small).replace("\\\n", "")
    script = re.sub("(?<=folder:)|(?=runs/)|(?<=--out=)", f"{tmp_path}/", script)
    outputs = []
    for line in script.splitlines():
        name, *arguments = line.removeprefix("python -m sagan_tf.").split()
        outputs.append(commands.run(name, *arguments))
    assert len(outputs) == 3
    assert f"started from the weights in {tmp_path}/runs/imagenet" in outputs[1]
    with Image.open(tmp_path / "pictures.png") as grid:
        # A column for each class, a row for each seed; twice as large, under a line of names.
        assert grid.size == (2 * (2 * 33 - 1), 2 * (8 * 33 - 1 + TITLE_HEIGHT))


def write_pictures(path, classes):
    rng = np.random.default_rng(0)
    for name in classes:
        (path / name).mkdir(parents=True)
        for index in range(4):
            pixels = rng.integers(0, 256, (40, 50, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(path / name / f"{index}.png")
