import json

import numpy as np
import pytest
from PIL import Image

from sagan_tf import sampling
from sagan_tf.data import load_source
from sagan_tf.evaluation.images import (
    GeneratedImages,
    RealImages,
    SavedModelImages,
    ServedImages,
    asked_classes,
)
from sagan_tf.models import Generator
from sagan_tf.serving.client import Client
from tests.support import local_server


@pytest.fixture(scope="module")
def generator(digits):
    return sampling.load_generator(digits)


def read_all(images, batch_size):
    parts = [
        images.read(start, min(start + batch_size, images.num_images))
        for start in range(0, images.num_images, batch_size)
    ]
    labels = None if parts[0][1] is None else np.concatenate([part[1] for part in parts])
    return np.concatenate([part[0] for part in parts]), labels


def close(first, second):
    """Whether 8-bit images differ by one level at most."""
    return np.abs(first.astype(int) - second.astype(int)).max() <= 1


def test_classes_in_turn_or_drawn():
    assert asked_classes(5, 3).tolist() == [0, 1, 2, 0, 1]
    assert asked_classes(5, None) is None
    drawn = asked_classes(10_000, 4, "uniform")
    assert np.bincount(drawn) / 10_000 == pytest.approx([0.25] * 4, abs=0.02)
    assert asked_classes(10_000, 4, "uniform").tolist() == drawn.tolist()


def test_generated_images_are_those_of_sample_in_any_batch(generator):
    images = GeneratedImages(generator, 20)
    expected = np.stack(list(sampling.sample(generator, range(20), np.arange(20) % 10)))
    for batch_size in (20, 7):
        found, labels = read_all(images, batch_size)
        assert close(found, expected)
        assert labels.tolist() == (np.arange(20) % 10).tolist()
    assert json.loads(json.dumps(images.identity)) == images.identity


def test_unrounded_images_are_on_the_scale_of_rounded_ones(generator):
    rounded, _ = GeneratedImages(generator, 8).read(0, 8)
    floats, _ = GeneratedImages(generator, 8, quantized=False).read(0, 8)
    assert floats.dtype == np.float32
    # (p - 128) / 128 of the extractor makes of them what the generator gave.
    np.testing.assert_allclose((floats - 128) / 128, rounded / 127.5 - 1, atol=1.1 / 127.5)
    assert len(np.unique(floats)) > 256


def test_the_same_from_an_export_and_a_server(generator, exported):
    expected, labels = GeneratedImages(generator, 12).read(0, 12)
    saved = SavedModelImages(exported / "1", 12)
    with local_server.serving(("sagan", exported)) as (port, _):
        url = f"http://127.0.0.1:{port}"
        served = ServedImages(Client(url), url, 12)
        for images in (saved, served):
            found, asked = images.read(0, 12)
            assert close(found, expected)
            assert asked.tolist() == labels.tolist()


def test_unreadable_real_images_are_named_and_others_stand_for_none(tmp_path, caplog):
    for label, name in enumerate(("ape", "bee")):
        (tmp_path / name).mkdir()
        for index in range(6):  # each of one colour of its own
            image = Image.new("RGB", (8, 8), (20 * index, 100 * label, 0))
            image.save(tmp_path / name / f"{index}.png")
    for name in ("ape/2.png", "bee/5.png"):
        path = tmp_path / name
        path.write_bytes(path.read_bytes()[:50])
    real = RealImages(load_source(f"folder:{tmp_path}"), "train", 8, 1000)
    assert real.num_images == 10
    images, labels = real.read(0, 10)
    colours = {(int(red), int(green)) for red, green, _ in images[:, 0, 0]}
    assert len(colours) == 10
    assert (40, 0) not in colours
    assert (100, 100) not in colours
    assert labels.tolist() == (images[:, 0, 0, 1] // 100).tolist()
    assert caplog.text.count("Unreadable image, passed over") == 2
    some = RealImages(load_source(f"folder:{tmp_path}"), "train", 8, 7)
    np.testing.assert_array_equal(some.read(0, 7)[0], images[:7])


def test_without_classes():
    generator = Generator(16, None, base_filters=4, latent_dim=8)
    generator.build()
    images, labels = GeneratedImages(generator, 3).read(0, 3)
    assert images.shape == (3, 16, 16, 3)
    assert labels is None


def test_real_images_are_of_a_fixed_order():
    source = load_source("digits")
    images = RealImages(source, "train", 16, 100)
    pixels, labels = read_all(images, 30)
    assert pixels.shape == (100, 16, 16, 1)
    again, _ = RealImages(source, "train", 16, 100).read(0, 100)
    np.testing.assert_array_equal(again, pixels)
    assert len(set(labels.tolist())) == 10  # not the first hundred in order
    whole = RealImages(source, "train", 16, 10_000)
    assert whole.num_images == 1797
    assert np.bincount(read_all(whole, 500)[1]).tolist() == np.bincount(source.labels).tolist()
    assert whole.identity != images.identity


def test_what_is_no_export(tmp_path):
    with pytest.raises(ValueError, match="is no version of an exported generator"):
        SavedModelImages(tmp_path, 4)
