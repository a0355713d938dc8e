import tensorflow_datasets as tfds

from sagan_tf.data.imagenet import readable_names


def test_the_thousand_classes_have_a_thousand_names():
    labels = tfds.core.tfds_path("datasets/imagenet2012/labels.txt").read_text().split()
    names = readable_names(labels)
    assert len(set(names)) == len(names) == 1000
    # As everyone numbers them.
    assert names[0] == "tench"
    assert names[207] == "golden retriever"
    assert names[134] == "crane (bird)"
    assert names[517] == "crane (machine)"
    assert names[999] == "toilet tissue"


def test_a_part_of_them_in_another_order():
    assert readable_names(["n02099601", "n01440764"]) == ("golden retriever", "tench")


def test_other_names_stay_as_they_are():
    assert readable_names(["n02099601", "cats"]) == ("n02099601", "cats")
