import numpy as np
import pytest
from PIL import Image

from sagan_tf.data import check_source, load_source


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
