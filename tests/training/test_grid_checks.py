import keras
import numpy as np
import pytest
from PIL import Image

from sagan_tf.data import Source, load_source
from sagan_tf.evaluation.images import RealImages
from sagan_tf.models import Discriminator
from sagan_tf.training import grid_checks
from sagan_tf.training.grid_checks import (
    NARROW_SPREAD,
    Copies,
    KnownImages,
    Variety,
    held_out_images,
)
from tests.support.tfds_sets import write_data_set


def flat(*levels):
    return np.stack([np.full((4, 4, 1), level, np.uint8) for level in levels])


def test_distances_known_by_hand():
    # The nearest others are at 10, 10 and 30 levels: 50 / 3 on average.
    copies = Copies(flat(0, 10, 40))
    found = copies.see(0, list(flat(10, 45)), None)["memorising/nearest_distance"]
    assert found == pytest.approx(2.5 / (50 / 3), rel=1e-5)
    assert copies.see(0, list(flat(0, 40)), [0, 1]) == {"memorising/nearest_distance": 0}


def test_training_images_without_distance_say_nothing():
    for images in (flat(7), flat(7, 7)):
        assert Copies(images).see(0, list(flat(0, 50)), None) == {}


def test_large_images_are_reduced_by_means():
    images = np.random.default_rng(0).integers(0, 256, (3, 64, 64, 3), np.uint8)
    rows = grid_checks._rows(images)
    assert rows.shape == (3, 32 * 32 * 3)
    assert rows[1, 3] == pytest.approx(images[1, :2, 2:4, 0].mean())
    np.testing.assert_array_equal(
        grid_checks._rows(images[:, :32, :32])[0], images[0, :32, :32].ravel()
    )


@pytest.fixture(scope="module")
def digits():
    real = RealImages(load_source("digits"), "train", 16, 1797)
    return real.read(0, 1797)


def test_copies_are_told_from_other_real_images_and_from_means_of_classes(digits):
    images, labels = digits
    copies = Copies(images[:1000])

    def distance(samples):
        return copies.see(0, list(samples), None)["memorising/nearest_distance"]

    assert distance(images[1000:1080]) == pytest.approx(1, abs=0.1)
    assert distance(images[:80]) < 0.01
    noise = np.random.default_rng(0).normal(0, 8, (80, 16, 16, 1))
    assert distance(np.uint8(np.clip(images[:80] + noise, 0, 255))) < grid_checks.COPIED_DISTANCE
    means = [images[labels == label].mean(axis=0) for label in range(10)]
    assert distance(np.uint8(means)) > grid_checks.COPIED_DISTANCE


def test_copies_are_reported_once(digits, caplog):
    images, _ = digits
    copies = Copies(images[:1000])
    for step in range(10):
        copies.see(step, list(images[1000:1010]), None)
    assert not caplog.records
    for step in range(10, 20):
        copies.see(step, list(images[:10]), None)
    (record,) = caplog.records
    assert record.message.startswith("Step 12: samples have been near to copies of training")
    for words in ("--augment=translation,", "--consistency_weight", "--r1_weight", "best/"):
        assert words in record.message


class ByHeart:
    """A discriminator whose logit is the mean pixel, and 1 more for images it knows."""

    num_classes = 10

    def __init__(self, known, more):
        self.known = {image.tobytes() for image in np.float32(known) / 127.5 - 1}
        self.more = more

    def __call__(self, images, labels, training):
        assert not training
        assert labels.dtype == np.int32
        known = np.array([self.more * (image.tobytes() in self.known) for image in images])
        return images.mean(axis=(1, 2, 3))[:, None] + known[:, None]


@pytest.mark.parametrize(("more", "reports"), [(0.0, 0), (1.0, 1)])
def test_training_images_known_by_heart(digits, caplog, more, reports):
    training, held_out = ([part[rows] for part in digits] for rows in (slice(300), slice(300, 600)))
    check = KnownImages(ByHeart(training[0], more), training, held_out)
    dark = np.uint8(digits[0][600:610] * 0.5)
    labels = list(digits[1][600:610])
    for step in range(10):
        found = check.see(step, list(dark), labels)
    scaled = np.float32(digits[0]) / 127.5 - 1
    assert found["memorising/train_logits"] == pytest.approx(scaled[:256].mean() + more, abs=1e-5)
    assert found["memorising/held_out_logits"] == pytest.approx(scaled[300:556].mean(), abs=1e-5)
    assert found["memorising/sample_logits"] < found["memorising/held_out_logits"]
    assert len(caplog.records) == reports
    if reports:
        assert caplog.records[0].message.startswith("Step 6: the discriminator has known its")
        assert "--augment=translation," in caplog.text


def test_a_difference_by_chance_is_not_reported(digits, caplog):
    images, labels = digits
    # So like the samples that any difference is more than half of theirs.
    check = KnownImages(ByHeart(images[:1], 0.0), (images, labels), (images[300:], labels[300:]))
    for start in range(20):
        check.see(start, list(images[start * 80 :][:80]), labels[start * 80 :][:80])
    assert not caplog.records


@pytest.mark.parametrize("num_classes", [10, None])
def test_a_discriminator_of_ours_stays_as_it_is(digits, num_classes):
    network = {"base_filters": 4, "channels": 1, "attention_resolutions": ()}
    discriminator = Discriminator(16, num_classes, **network)
    discriminator.build()
    before = discriminator.get_weights()
    check = KnownImages(discriminator, digits, digits)
    found = check.see(0, list(digits[0][:20]), None if num_classes is None else digits[1][:20])
    assert found["memorising/train_logits"] == found["memorising/held_out_logits"]
    labels = None if num_classes is None else digits[1][:256]
    logits = discriminator(np.float32(digits[0][:256]) / 127.5 - 1, labels, training=False)
    assert found["memorising/train_logits"] == pytest.approx(
        float(keras.ops.mean(logits)), rel=1e-4, abs=1e-6
    )
    for value, now in zip(before, discriminator.get_weights(), strict=True):
        np.testing.assert_array_equal(value, now)


def test_held_out_images_are_of_another_split():
    assert held_out_images("digits", None, "train", 16) is None
    images, labels = held_out_images("geotex", None, "train", 32)
    assert images.shape == (256, 32, 32, 3)
    assert images.dtype == np.uint8
    expected = RealImages(load_source("geotex", split="test"), "test", 32, 256).read(0, 256)
    np.testing.assert_array_equal(images, expected[0])
    np.testing.assert_array_equal(labels, expected[1])
    # What is trained on is not held out.
    assert held_out_images("geotex", None, "test", 32) is None


def test_held_out_images_of_tfds_that_are_there(tmp_path):
    write_data_set(tmp_path, "pets", "array_record", splits=("train", "test"))
    images, labels = held_out_images("pets", str(tmp_path), "train", 16)
    assert images.shape == (30, 16, 16, 3)
    assert sorted(labels) == [0] * 10 + [1] * 10 + [2] * 10
    write_data_set(tmp_path, "plain", "array_record")
    assert held_out_images("plain", str(tmp_path), "train", 16) is None


def test_held_out_images_without_classes_or_damaged_are_left_alone(monkeypatch):
    class Broken(Source):
        def __init__(self, name, data_dir, split, image_size, background):
            super().__init__(name, ("a",), 3, 40, image_size)
            self.split = split

        def read(self, index):
            if self.split == "validation":
                raise OSError("damaged")
            return np.zeros((16, 16, 3), np.uint8), -1  # as ImageNet's test split

    monkeypatch.setattr(grid_checks, "load_source", Broken)
    assert held_out_images("broken", None, "train", 16) is None


def test_held_out_images_of_a_folder_with_splits(tmp_path):
    for place in ("train/cats", "train/dogs", "dev/cats", "dev/dogs", "test/dogs"):
        (tmp_path / place).mkdir(parents=True)
        Image.effect_noise((16, 16), 50).save(tmp_path / place / "1.png")
    folder, classes = f"folder:{tmp_path}", ("cats", "dogs")
    options = {"image_size": 16, "class_names": classes}
    images, labels = held_out_images(folder, None, "train", **options)
    assert images.shape == (2, 16, 16, 3)
    assert labels.tolist() in ([0, 1], [1, 0])
    # `dev` is what is trained on, and the labels of `test` are of other classes.
    assert held_out_images(folder, None, "dev", **options) is None


def test_spreads_known_by_hand():
    # Class 0: 0 and 200; class 1: 0 and 100, the third is beyond what a grid shows.
    variety = Variety(flat(0, 0, 200, 100, 255), [0, 1, 0, 1, 1], 2)
    samples, labels = flat(50, 0, 150, 20), [0, 1, 0, 1]
    assert variety.see(0, list(samples), labels) == {"variety/relative_spread": 120 / 300}
    # Class 1 alone is in this grid.
    assert variety.see(1, list(flat(0, 25)), [1, 1]) == {"variety/relative_spread": 0.25}


def test_spread_without_classes():
    variety = Variety(flat(0, 100), None, 8)
    assert variety.see(0, list(flat(0, 50)), None) == {"variety/relative_spread": 0.5}


def test_real_images_that_do_not_differ_say_nothing():
    for images, labels in ((flat(7, 7), [0, 0]), (flat(7, 8), [0, 1])):
        assert Variety(images, labels, 8).see(0, list(flat(0, 50)), [0, 0]) == {}


def grid(images, labels, first):
    """Eight images of each of ten classes, from the `first` of each on, row by row."""
    places = [np.flatnonzero(labels == label)[first : first + 8] for label in range(10)]
    return list(images[np.transpose(places).ravel()]), [label % 10 for label in range(80)]


def test_other_real_images_are_as_varied(digits):
    variety = Variety(*digits, 8)
    found = [variety.see(0, *grid(*digits, first)) for first in range(8, 160, 8)]
    ratios = [scalars["variety/relative_spread"] for scalars in found]
    assert np.mean(ratios) == pytest.approx(1, abs=0.05)
    assert min(ratios) > 0.9
    assert max(ratios) < 1.15


def test_samples_that_look_alike_are_reported_once(digits, caplog):
    variety = Variety(*digits, 8)
    samples, labels = grid(*digits, 8)
    faded = [np.uint8(image * 0.5) for image in samples]  # half as varied
    for step in range(4):
        variety.see(step, faded, labels)
    variety.see(4, faded, labels)
    variety.see(5, samples, labels)  # it has recovered
    variety.see(6, faded, labels)
    variety.see(7, faded, labels)
    assert not caplog.records
    for step in range(8, 20):
        variety.see(step, faded, labels)
    (record,) = caplog.records
    assert record.message.startswith("Step 8: samples of a class have looked alike in 3 grids")
    for flag in ("d_steps=2", "nodense_bias", "r1_weight", "discriminator_base_filters", "augment"):
        assert f"--{flag}" in record.message


def test_a_varied_run_is_not_reported(digits, caplog):
    variety = Variety(*digits, 8)
    samples, labels = grid(*digits, 8)
    faded = [np.uint8(image * (NARROW_SPREAD + 0.1)) for image in samples]
    for step in range(20):
        variety.see(step, faded, labels)
    assert not caplog.records
