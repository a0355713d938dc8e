import numpy as np
import pytest

from sagan_tf.data import class_counts, load_source
from sagan_tf.data.labels import all_labels
from sagan_tf.data.prepared import MANIFEST, Manifest, shard_path, write_shard
from tests.support.tfds_sets import write_data_set


def test_counts_of_known_labels():
    counts = class_counts(load_source("digits"))
    assert counts.dtype == np.int64
    # As scikit-learn's documentation lists them.
    assert counts.tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]


def test_a_class_without_images_counts_zero():
    source = load_source("digits")
    source.class_names = (*source.class_names, "eleven", "twelve")
    assert class_counts(source)[9:].tolist() == [180, 0, 0]


@pytest.mark.parametrize("file_format", ["array_record", "tfrecord"])
def test_labels_of_tfds_are_read_once_and_no_image(tmp_path, monkeypatch, file_format):
    write_data_set(tmp_path, "pets", file_format)
    source = load_source("pets", data_dir=str(tmp_path), split="train[:29]")
    expected = [source.read(index)[1] for index in range(29)]
    monkeypatch.setattr(source, "read", None)
    counts = class_counts(source)
    assert counts.tolist() == np.bincount(expected).tolist()
    assert all_labels(source).tolist() == expected
    monkeypatch.setattr(source, "read_labels", None)
    assert class_counts(source).tolist() == counts.tolist()


def test_labels_of_prepared_data(tmp_path):
    """More than one task of a thread: the order stays, whichever is done first."""
    labels = np.random.default_rng(0).integers(0, 3, 2500)
    write_shard(
        shard_path(tmp_path, 0), ((np.zeros((2, 2, 1), np.uint8), int(label)) for label in labels)
    )
    Manifest("x", ("a", "b", "c"), 1, 2, "train", 2500, 2500, (2500,)).save(tmp_path / MANIFEST)
    source = load_source(f"prepared:{tmp_path}")
    np.testing.assert_array_equal(all_labels(source), labels)
    assert source.labels.dtype == np.int32
    assert class_counts(source).sum() == 2500


def test_labels_without_a_class():
    """As TFDS gives them for splits whose labels are secret."""
    source = load_source("digits")
    source.labels = np.array([0, -1, 10], np.int32)
    with pytest.raises(
        ValueError, match=r"must lie in 0 to 9. Received: \[-1, 10\]. Choose a split"
    ):
        class_counts(source)
