import itertools

import numpy as np
import pytest
from PIL import Image

from sagan_tf.evaluation import spread
from sagan_tf.evaluation.image_files import ArrayImages, FileImages


def flat(*levels):
    """Images of one level each."""
    return np.stack([np.full((4, 4, 1), level, np.uint8) for level in levels])


def test_numbers_known_by_hand():
    images, labels = flat(0, 255, 10, 40, 70, 5), [0, 0, 1, 1, 1, 2]
    # Of 10, 40 and 70 the distances are 30, 30 and 60; a single image has none.
    assert spread.class_spread(images, labels) == {0: 255, 1: 40}
    assert spread.class_spread(flat(7, 7, 7)) == {0: 0}
    assert spread.class_spread(flat(7)) == {}
    corner = flat(0, 0)
    corner[1, 0, 0] = 100  # one pixel of 16
    assert spread.class_spread(corner) == {0: 25}


def test_equals_the_plain_mean_over_pairs():
    images = np.random.default_rng(0).integers(0, 256, (7, 5, 6, 3), np.uint8)
    pairs = itertools.combinations(images.astype(float), 2)
    expected = np.mean([np.linalg.norm(first - second) for first, second in pairs])
    found = spread.class_spread(images)[0]
    assert found * np.sqrt(5 * 6 * 3) == pytest.approx(expected, rel=1e-12)


def test_gray_images_compare_with_colour():
    gray = np.random.default_rng(0).integers(0, 256, (9, 8, 8, 1), np.uint8)
    colour = np.repeat(gray, 3, axis=-1)
    assert spread.class_spread(colour)[0] == pytest.approx(spread.class_spread(gray)[0])


def test_ratio_is_of_means_over_classes_of_both():
    found = spread.relative_spread({0: 10.0, 1: 30.0, 2: 5.0, 3: 0.0}, {0: 10.0, 1: 6.0, 3: 4.0})
    assert found.ratio == pytest.approx(16 / 40)
    assert found.by_class == {0: 1, 1: pytest.approx(0.2)}
    assert spread.relative_spread({0: 0.0}, {0: 1.0}) is None
    assert spread.relative_spread({0: 1.0}, {1: 1.0}) is None


@pytest.fixture
def stored(tmp_path):
    def stored(name, images, labels=None):
        np.savez(tmp_path / name, images, *([] if labels is None else [labels]))
        return ArrayImages(tmp_path / f"{name}.npz", len(images))

    return stored


def noise(count, seed, scale=1.0):
    """Normal noise around the level 128."""
    drawn = np.random.default_rng(seed).normal(128, 30 * scale, (count, 8, 8, 1))
    return np.uint8(np.clip(np.rint(drawn), 0, 255))


def test_spread_of_more_images_than_are_read(stored):
    labels = np.random.default_rng(2).integers(0, 3, 900)
    sides = stored("real", noise(900, 0), labels), stored("fake", noise(900, 1, 0.5), labels)
    found = spread.spread_of_images(sides[0], labels, sides[1], labels)
    assert found.ratio == pytest.approx(0.5, rel=0.02)
    whole = [spread.class_spread(side.read(0, 900)[0], labels) for side in sides]
    assert found.ratio == pytest.approx(spread.relative_spread(*whole).ratio, rel=0.01)
    assert found.by_class.keys() == {0, 1, 2}
    # The first hundred of each class, whatever comes after.
    first = spread.first_of_each_class(labels, np.arange(3), 100)
    shown = [spread.class_spread(side.read(0, 900)[0][first], labels[first]) for side in sides]
    assert found == spread.relative_spread(*shown)


def test_a_collapsed_class_is_seen_beside_a_varied_one(stored):
    labels = np.arange(60) % 2
    images = noise(60, 1)
    images[labels == 1] = images[1]
    found = spread.spread_of_images(
        stored("real", noise(60, 0), labels), labels, stored("fake", images, labels), labels
    )
    assert found.by_class[0] == pytest.approx(1, rel=0.05)
    assert found.by_class[1] == 0
    assert found.ratio == pytest.approx(0.5, rel=0.05)


def test_without_labels_all_images_are_one_class(stored):
    real, fake = stored("real", flat(0, 100)), stored("fake", flat(0, 50))
    for real_labels, labels in ((None, None), (np.arange(2), None), (None, np.arange(2))):
        assert spread.spread_of_images(real, real_labels, fake, labels).ratio == 0.5
    # A class of one image says nothing.
    assert spread.spread_of_images(real, np.arange(2), fake, np.arange(2)) is None
    assert spread.spread_of_images(real, np.zeros(2), fake, np.ones(2)) is None


def test_files_of_a_folder(stored, tmp_path):
    images, labels = noise(20, 1, 0.5), np.arange(20) % 2
    for index, image in enumerate(images):
        folder = tmp_path / "files" / str(labels[index])
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image[..., 0]).save(folder / f"{index:02}.png")
    real = stored("real", noise(20, 0), labels)
    expected = spread.spread_of_images(real, labels, stored("fake", images, labels), labels)
    files = FileImages(tmp_path / "files", 20)  # in colour, sorted by class
    assert files.read(0, 1)[0].shape == (1, 8, 8, 3)
    found = spread.spread_of_images(real, labels, files, files.read(0, 20)[1])
    assert found.ratio == pytest.approx(expected.ratio, rel=1e-12)
    assert found.by_class == pytest.approx(expected.by_class, rel=1e-12)


def test_many_classes_of_large_images_are_few_images_each(stored, monkeypatch):
    labels = np.repeat(np.arange(4), 30)
    real, fake = stored("real", noise(120, 0), labels), stored("fake", noise(120, 1), labels)
    read = []
    monkeypatch.setattr(spread, "_VALUES", 2 * 4 * 64 * 5)
    monkeypatch.setattr(spread, "class_spread", lambda images, labels: read.append(labels) or {})
    assert spread.spread_of_images(real, labels, fake, labels) is None
    assert [np.bincount(side).tolist() for side in read] == [[5] * 4] * 2
