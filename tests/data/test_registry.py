import numpy as np
import pytest
from PIL import Image

from sagan_tf.data import batches, describe_source, load_source
from sagan_tf.data.decode import decode_square
from sagan_tf.data.preparation import write_prepared
from sagan_tf.data.registry import canonical
from sagan_tf.geotex import CLASS_NAMES, check, draw


def test_digits():
    source = load_source("digits")
    assert (source.name, source.num_examples, source.channels) == ("digits", 1797, 1)
    assert source.class_names == tuple("0123456789")
    image, label = source.read(0)
    assert (image.shape, image.dtype, image.max(), label) == ((8, 8, 1), np.uint8, 239, 0)


def test_geotex_is_drawn_at_its_size():
    source = load_source("geotex", image_size=48)
    assert (source.name, source.num_examples, source.channels) == ("geotex", 50_000, 3)
    assert (source.image_size, load_source("geotex").image_size) == (48, 32)
    for index in (0, 49_999):
        image, label = source.read(index)
        np.testing.assert_array_equal(image, draw(index, 48).image)
        assert label == source.labels[index] == index % 8
    test = load_source("geotex", split="test")
    assert test.num_examples == 10_000
    np.testing.assert_array_equal(test.read(3)[0], draw(50_003, 32).image)
    with pytest.raises(IndexError):
        test.read(10_000)


@pytest.mark.parametrize("names", ["twin", "cells,twin", "line,mirror,fur"])
def test_some_classes_of_geotex_have_the_images_of_all(names):
    train, test = (load_source(f"geotex:{names}", split=split) for split in ("train", "test"))
    chosen = tuple(name for name in CLASS_NAMES if name in names.split(","))
    assert train.class_names == chosen
    assert train.name == canonical(f"geotex:{names}") == f"geotex:{','.join(chosen)}"
    assert (train.num_examples, test.num_examples) == (50_000, 10_000)
    for source, first in ((train, 0), (test, 50_000)):
        counts = np.bincount(source.labels)
        assert len(counts) == len(chosen)
        assert counts.max() - counts.min() <= 1
        image, label = source.read(1)
        of_all = [index for index in range(first, first + 16) if CLASS_NAMES[index % 8] in chosen]
        np.testing.assert_array_equal(image, draw(of_all[1], 32).image)
        assert label == source.labels[1] == chosen.index(CLASS_NAMES[of_all[1] % 8])


def test_batches_of_geotex_are_the_drawn_levels():
    source = load_source("geotex", image_size=40)
    dataset = batches(source, image_size=40, seed=0, start_step=0, global_batch_size=16)
    images, labels = next(iter(dataset))
    levels = np.rint((images.numpy() + 1) * 127.5).astype(np.uint8)
    for label in set(labels.numpy()):
        outcome = check(CLASS_NAMES[label], levels[labels == label])
        assert outcome.satisfied.all()


def test_geotex_is_not_resized():
    source = load_source("geotex", image_size=40)
    with pytest.raises(ValueError, match=r"geotex is .* drawn at size 40. Received: image_size=64"):
        batches(source, image_size=64, seed=0, start_step=0, global_batch_size=16)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"split": "validation"}, r"one of \['train', 'test'\] of geotex.*split='validation'"),
        ({"image_size": 16}, "GeoTex needs an `image_size` of at least 32"),
    ],
)
def test_geotex_that_is_not_drawn(options, message):
    with pytest.raises(ValueError, match=message):
        load_source("geotex", **options)


def test_folder_reads_classes_in_sorted_order(image_folder):
    source = load_source(f"folder:{image_folder}")
    assert (source.num_examples, source.num_classes, source.channels) == (40, 2, 3)
    assert source.class_names == ("cats", "dogs")
    data, label = source.read(21)
    assert (data, label) == ((image_folder / "dogs" / "01.png").read_bytes(), 1)
    assert source.example_name(21).endswith("dogs/01.png")


def test_folder_reads_every_format_at_any_depth_and_nothing_else(tmp_path):
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (9, 9, 3), np.uint8))
    (tmp_path / "a" / "deeper").mkdir(parents=True)
    for name in ("1.jpg", "2.JPEG", "3.png", "deeper/4.webp", ".hidden.png"):
        image.save(tmp_path / "a" / name)
    (tmp_path / "a" / "notes.txt").write_text("no image")
    (tmp_path / ".cache").mkdir()
    source = load_source(f"folder:{tmp_path}")
    names = [source.example_name(index) for index in range(source.num_examples)]
    assert names == [f"{tmp_path}/a/{n}" for n in ("1.jpg", "2.JPEG", "3.png", "deeper/4.webp")]


def test_batches_of_a_folder_are_its_files(image_folder):
    source = load_source(f"folder:{image_folder}")
    dataset = batches(source, image_size=12, seed=0, start_step=0, global_batch_size=40)
    images, labels = next(iter(dataset))
    expected = {}
    for index in range(40):
        data, label = source.read(index)
        pixels = decode_square(data, 12, 3) * np.float32(2 / 255) - 1
        expected[pixels.tobytes()] = label
    assert [expected[image.tobytes()] for image in images.numpy()] == labels.numpy().tolist()


def test_descriptions_of_local_data(image_folder):
    description = describe_source(f"folder:{image_folder}")
    assert (description.num_classes, description.class_names) == (2, ("cats", "dogs"))
    assert describe_source("digits").num_classes == 10
    assert describe_source("geotex").class_names == CLASS_NAMES


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("folder:/nonexistent", "expects an existing folder. Received: folder:/nonexistent"),
        (f"folder:{__file__}", "which is a file"),
        ("folder:", "A data set is one of `digits`, `geotex` or `geotex:CLASSES`"),
        ("digits:x", "A data set is one of `digits`, `geotex` or `geotex:CLASSES`"),
        ("robohash:x", "A data set is one of `digits`, `geotex` or `geotex:CLASSES`"),
        ("geotex:", "A data set is one of `digits`, `geotex` or `geotex:CLASSES`"),
        ("geotex:x", "one or several of twin, mirror, .*, each named once. Received: 'x'"),
        ("geotex:twin,twin", "each named once. Received: 'twin,twin'"),
        ("geotex:twin,", "each named once. Received: 'twin,'"),
        ("prepared:/nonexistent", "`prepared:PATH` expects a folder .* which is missing"),
    ],
)
def test_names_that_lead_nowhere(name, message):
    with pytest.raises(ValueError, match=message):
        load_source(name)


def test_folder_without_classes(tmp_path):
    Image.new("RGB", (8, 8)).save(tmp_path / "1.png")
    with pytest.raises(ValueError, match=r"one sub-folder per class .* with 0 sub-folder"):
        load_source(f"folder:{tmp_path}")


def test_empty_classes_are_named(image_folder):
    (image_folder / "birds").mkdir()
    with pytest.raises(ValueError, match=r"1 of 3 are empty: birds. Fill or remove them"):
        load_source(f"folder:{image_folder}")


def test_folder_without_permission(image_folder, monkeypatch):
    def denied(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("os.scandir", denied)  # `chmod` would not stop root
    with pytest.raises(ValueError, match=r"folder you may read.*chmod"):
        load_source(f"folder:{image_folder}")


def test_only_tfds_has_splits():
    with pytest.raises(
        ValueError,
        match=r"Only `geotex`, `robohash`, `folder` and TFDS data sets have splits.*'test'",
    ):
        load_source("digits", split="test")


def test_a_description_of_prepared_data_knows_their_size(image_folder, tmp_path):
    source = load_source(f"folder:{image_folder}")
    write_prepared(source, 8, "train", tmp_path / "prepared", 100)
    place = f"prepared:{tmp_path / 'prepared'}"
    assert describe_source(place, image_size=8).num_examples == 40
    with pytest.raises(ValueError, match=r"prepared or drawn at size 8\. Received: image_size=16"):
        describe_source(place, image_size=16)
    assert describe_source("geotex", image_size=64).image_size == 64
