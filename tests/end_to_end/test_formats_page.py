"""The clients on the page of the formats run as they stand there."""

import re

import numpy as np
import pytest
from PIL import Image

from sagan_tf import sampling
from sagan_tf.serving.exporting import onnx_format
from tests.support import commands

PAGE = (commands.ROOT / "docs" / "formats.md").read_text(encoding="utf-8")
SEEDS, ONNX, TFLITE, KERAS = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)


@pytest.fixture(scope="module")
def folder(digits, tmp_path_factory):
    """Holds `exports/` as the page's first lines make it."""
    folder = tmp_path_factory.mktemp("formats")
    for name in ("onnx", "tflite", "keras"):
        arguments = f"--workdir={digits}", f"--export_dir={folder / 'exports'}"
        commands.run("export", *arguments, f"--format={name}")
    return folder


def test_the_clients_draw_the_checkpoints_sevens(folder, digits, monkeypatch):
    generator = sampling.load_generator(digits)
    latents = np.random.default_rng(0).standard_normal((8, 8), "float32")
    images = generator(latents, np.full(8, 7))
    expected = sampling.to_uint8(np.concatenate(images, axis=1)).squeeze().astype(int)
    monkeypatch.chdir(folder)
    for client in (ONNX, TFLITE, KERAS):
        exec(client, {})
        with Image.open("sevens.png") as sevens:
            assert sevens.size == (8 * 16, 16)
            assert np.abs(np.asarray(sevens) - expected).max() <= 1
        (folder / "sevens.png").unlink()


def test_latents_of_a_seed_give_its_image(folder, digits):
    names = {}
    exec(SEEDS.replace("latent_dim=64", "latent_dim=8"), names)
    generate = onnx_format.load(folder / "exports" / "sagan.onnx")
    images = generate(latents=names["latents"], class_id=np.array([3], "int32"))
    (expected,) = sampling.sample(sampling.load_generator(digits), [1234], [3])
    difference = sampling.to_uint8(images[0]).astype(int) - expected
    assert np.abs(difference).max() <= 1
