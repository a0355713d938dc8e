import numpy as np
import pytest

from sagan_tf.evaluation.matching import match_classes


class Numbered:
    """One image of each of so many classes."""

    def __init__(self, count):
        self.num_images = count
        self.identity = {"numbered": count}

    def read(self, start, stop):
        labels = np.arange(start, stop, dtype=np.int32)
        return np.zeros((stop - start, 2, 2, 3), np.uint8), labels


def labels_of(names, real_names, strict=True):
    matched = match_classes(Numbered(len(names)), names, real_names, "--images", strict)
    _, labels = matched.read(0, len(names))
    return None if labels is None else labels.tolist()


def test_classes_are_found_by_name_in_any_order(caplog):
    real = ("ant", "bee", "caf\u00e9", "dog")
    assert labels_of(real, real) == [0, 1, 2, 3]
    assert labels_of(["dog", "cafe\u0301", "ant", "bee"], real) == [3, 2, 0, 1]
    assert not caplog.records
    assert labels_of(["dog", "bee"], real) == [3, 1]
    assert "`--images` has no images of 2 of the 4 classes: ant, caf\u00e9." in caplog.text
    assert labels_of([], real) == []


def test_a_name_that_no_class_has_is_an_error_that_names_it():
    with pytest.raises(ValueError, match=r"Received: Ants, x\. Did you") as error:
        labels_of(["bee", "Ants", "x"], ["ant", "bee"])
    assert "`--images` must have one sub-folder per class" in str(error.value)
    assert "Did you mean 'ant'? Classes: ant, bee." in str(error.value)
    with pytest.raises(ValueError, match="29 and 20 more"):
        labels_of(["none"], [str(i + 20) for i in range(30)])


def test_of_a_generator_other_classes_are_said_and_not_scored(caplog):
    assert labels_of(["bee", "x"], ["ant", "bee"], strict=False) is None
    assert "classes that the real images do not have (x): no class is scored" in caplog.text


def test_classes_without_names_are_numbers(caplog):
    assert labels_of(["10", "2", "7"], ()) == [10, 2, 7]
    assert not caplog.records
    assert labels_of(["ant", "2"], ()) is None
    assert "Folders that are named by numbers would be" in caplog.text
    assert labels_of(["99999999999"], ()) is None
    assert labels_of(["1", "0"], (), strict=False) == [0, 1]  # a generator's labels are numbers


def test_two_classes_of_one_name():
    real = ["crane", "dog", "crane"]
    assert labels_of(["dog", "crane", "crane"], real) == [1, 0, 2]
    with pytest.raises(ValueError, match=r"Several of these have one name. Received: crane"):
        labels_of(["dog", "crane"], real)


def test_features_are_kept_for_each_matching():
    images = Numbered(2)
    one = match_classes(images, ["a", "b"], ["b", "a"], "--images")
    two = match_classes(images, ["a", "b"], ["a", "b"], "--images")
    assert one.identity != two.identity
    assert two is images
