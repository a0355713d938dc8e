import numpy as np
import pytest
import tensorflow_datasets as tfds

from sagan_tf.data import load_source
from sagan_tf.data.decode import decode_square
from sagan_tf.geotex import CLASS_NAMES, SPLITS, builder, draw


@pytest.fixture
def data_dir(tmp_path, monkeypatch):
    """Where the first images of both splits are prepared."""
    monkeypatch.setitem(SPLITS, "train", range(24))
    monkeypatch.setitem(SPLITS, "test", range(24, 32))
    builder.Geotex(config="64", data_dir=tmp_path).download_and_prepare()
    return str(tmp_path)


def test_tfds_has_the_images_that_are_drawn(data_dir):
    dataset, info = tfds.load("geotex/64", data_dir=data_dir, as_supervised=True, with_info=True)
    assert info.features["label"].names == list(CLASS_NAMES)
    for split, indices in SPLITS.items():
        drawn = {draw(index, 64).image.tobytes(): index % 8 for index in indices}
        stored = {image.tobytes(): label for image, label in dataset[split].as_numpy_iterator()}
        assert stored == drawn


def test_they_train_as_any_other_set_of_tfds(data_dir):
    source = load_source("geotex/64", data_dir=data_dir, split="test")
    assert (source.name, source.num_examples) == ("geotex/64", 8)
    image, label = source.read(0)
    drawn = [draw(index, 64) for index in range(24, 32)]
    np.testing.assert_array_equal(decode_square(image, 64, 3), drawn[label].image)
