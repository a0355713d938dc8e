import numpy as np
import pytest
from PIL import Image

from sagan_tf.data import check_source, class_counts, inspection, load_source
from tests.support.tfds_sets import write_data_set


def folder_of(root, **classes):
    for name, images in classes.items():
        (root / name).mkdir()
        for number, pixels in enumerate(images):
            Image.fromarray(pixels).save(root / name / f"{number}.png")
    return load_source(f"folder:{root}")


def noise(count, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, 8, 8, 3), dtype=np.uint8)


def test_a_healthy_set_is_summed_up_in_one_line():
    summary = check_source(load_source("digits"), 16)
    assert "digits: 1797 images, 10 classes, 1 channel(s)" in summary
    assert "10 classes, levels 0 to 255" in summary
    assert "\n" not in summary


def test_one_repeated_image_stops(tmp_path):
    source = folder_of(tmp_path, a=np.repeat(noise(1), 4, axis=0))
    with pytest.raises(ValueError, match="4 images looked at are one repeated image"):
        check_source(source, 8)


def test_flat_images_stop(tmp_path):
    source = folder_of(tmp_path, a=[np.full((8, 8, 3), level, np.uint8) for level in range(5)])
    with pytest.raises(ValueError, match="each of the 5 images looked at has one flat colour"):
        check_source(source, 8)


def test_a_repeating_class_and_a_flat_image_are_warned_of(tmp_path, caplog):
    flat = np.zeros((1, 8, 8, 3), np.uint8)
    source = folder_of(tmp_path, same=np.repeat(noise(1), 5, axis=0), fine=[*noise(5, 1), *flat])
    check_source(source, 8)
    assert "these classes are one repeated image: same." in caplog.text
    assert "1 of the 11 images looked at" in caplog.text


def test_a_label_without_class_stops(tmp_path):
    source = folder_of(tmp_path, a=noise(5))
    source.labels = np.array([0, 0, 1, -1, 0], np.int32)
    with pytest.raises(ValueError, match=r"must lie in 0 to 0. Received: \[-1, 1\]"):
        check_source(source, 8)


def test_classes_without_images_are_warned_of(caplog):
    source = load_source("digits")
    source.class_names = (*source.class_names, "eleven")
    check_source(source, 8)
    assert "Classes of digits without images: eleven." in caplog.text


def labelled(counts):
    """Digits whose labels are given anew: so many of each class."""
    source = load_source("digits")
    source.class_names = tuple(f"c{label}" for label in range(len(counts)))
    source.labels = np.repeat(np.arange(len(counts), dtype=np.int32), counts)
    source.num_examples = len(source.labels)
    return source


def test_few_classes_are_summed_up_one_by_one():
    summary = check_source(load_source("digits"), 16)
    assert "images per class: 0 178, 1 182, 2 177, 3 183, 4 181, 5 182, 6 181, 7 179" in summary
    assert summary.endswith("8 174, 9 180")


def test_many_classes_are_summed_up_by_their_spread():
    counts = np.arange(1, 22)  # 21 classes of 1 to 21 images
    summary = check_source(labelled(counts), 8)
    assert summary.endswith("images per class: smallest 1, median 11, largest 21")
    assert check_source(labelled(counts[:20]), 8).endswith("c18 19, c19 20")


def test_fewer_images_than_a_batch_are_warned_of(caplog):
    source = load_source("digits")
    check_source(source, 8, global_batch_size=1797)
    check_source(source, 8)
    assert "of a batch" not in caplog.text
    check_source(source, 8, global_batch_size=1798)
    assert "digits has 1797 images, fewer than the 1798 of a batch" in caplog.text
    assert "Lower `--global_batch_size`" in caplog.text


def test_very_unequal_classes_are_warned_of(caplog):
    check_source(labelled([10, 100, 0, 50]), 8)
    assert "unequal" not in caplog.text  # ten times is not more than ten times; none is no class
    check_source(labelled([9, 100, 3, 50]), 8)
    (record,) = (record for record in caplog.records if "unequal" in record.message)
    assert "c1 has 100 images, the smallest 3; less than a tenth" in record.message
    assert "of the largest have c0, c2. `--label_distribution=data`" in record.message
    assert "`--class_balanced`" in record.message


def test_classes_of_one_image_are_warned_of(caplog):
    check_source(labelled([1, 5, 1]), 8)
    assert "with one image, which training can only repeat: c0, c2." in caplog.text
    check_source(labelled([1] * 12), 8)
    assert "c8, c9 and 2 more." in caplog.text


def test_labels_that_have_to_be_read_are_left_alone(tmp_path, caplog):
    write_data_set(tmp_path, "pets", "array_record")
    source = load_source("pets", data_dir=str(tmp_path))
    assert "images per class" not in check_source(source, 8, global_batch_size=30)
    assert source.labels is None
    class_counts(source)
    assert check_source(source, 8).endswith("images per class: cat 10, dog 10, eel 10")


def test_an_unreadable_image_is_named_once_and_counted(tmp_path, caplog):
    source = folder_of(tmp_path, cat=noise(20), dog=noise(20, seed=1))
    (tmp_path / "cat" / "3.png").write_bytes(b"no image")
    first, second = check_source(source, 8), check_source(source, 8)
    assert first == second
    assert "looked at 40, 1 unreadable: 2 classes" in first
    named = [record for record in caplog.records if "Unreadable image" in record.message]
    assert len(named) == 1
    assert str(tmp_path / "cat" / "3.png") in named[0].message


def test_a_name_with_a_comma_is_quoted_and_one_is_no_plural(tmp_path):
    source = folder_of(tmp_path, **{"boxes, big": noise(4)})
    line = inspection.summary(source)
    assert line.endswith("4 images, 1 class, 3 channel(s); images per class: 'boxes, big' 4")
