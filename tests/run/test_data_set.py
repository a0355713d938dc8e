import numpy as np
import pytest
from PIL import Image

from sagan_tf.data import Source, canonical, load_source
from sagan_tf.run import data_set


class Images(Source):
    """A data set of which nothing is read."""

    def __init__(self, counts, name="folder:/data", known=True):
        labels = np.repeat(np.arange(len(counts), dtype=np.int32), list(counts.values()))
        super().__init__(name, tuple(counts), 3, len(labels), labels=labels if known else None)

    def read(self, index):
        raise NotImplementedError


RUN = {"ape": 3, "bee": 2}


def changes(counts, place="folder:/data", run=RUN, known=True):
    kept = None if run is None else data_set.describe(Images(run))
    source = Images(counts, known=known)
    return data_set.changes(kept, "folder:/data", source, place, "runs/a")


def test_what_a_run_keeps():
    kept = {"class_names": ["ape", "bee"], "num_images": 5}
    unknown = {"class_images": None, "class_files": None}
    assert data_set.describe(Images(RUN)) == {**kept, **unknown, "class_images": [3, 2]}
    assert data_set.describe(Images(RUN, known=False)) == {**kept, **unknown}


def test_the_same_data_set_says_nothing():
    assert changes(RUN) == []
    assert changes(RUN, place="folder:/data/") == []
    assert changes({"ape": 1}, run=None) == []
    assert changes({"caf\u00e9": 1}, run={"cafe\u0301": 1}) == []  # one name in two forms


@pytest.mark.parametrize(
    ("counts", "difference"),
    [
        ({"ape": 3, "bees": 2}, "2 classes, the data set 2: only the run has 'bee'; only the data"),
        (RUN | {"cat": 1}, "the run has 2 classes, the data set 3: only the data set has 'cat'."),
        ({"ape": 3}, "the run has 2 classes, the data set 1: only the run has 'bee'."),
        ({str(i): 1 for i in range(30)}, "'8', '9' and 20 more"),
    ],
)
def test_other_classes_are_refused_by_name(counts, difference):
    for place in ("folder:/data", "folder:/moved"):
        with pytest.raises(ValueError, match="has other classes than the run in runs/a") as error:
            changes(counts, place)
        assert difference in str(error.value)
        assert "`--init_from=runs/a` and a new `--workdir`" in str(error.value)


def test_images_that_come_and_go_are_one_line():
    assert changes({"ape": 4, "bee": 2}) == [
        "images were added or removed: 5 images -> 6 (ape 3 -> 4)"
    ]
    assert changes({"ape": 2, "bee": 3}) == [
        "images were added or removed: 5 images -> 5 (ape 3 -> 2, bee 2 -> 3)"
    ]
    assert changes({"ape": 4, "bee": 2}, known=False) == [
        "images were added or removed: 5 images -> 6"
    ]


def test_a_data_set_may_move_with_the_same_images_alone():
    moved = "the data set has moved from folder:/data to folder:/new"
    assert changes(RUN, "folder:/new") == [moved]
    with pytest.raises(ValueError, match=r"not the data set of the run .* 5 images -> 6 \(bee 2"):
        changes({"ape": 3, "bee": 3}, "folder:/new")


def test_a_run_of_an_earlier_version_is_compared_by_its_names():
    earlier = {"class_names": ["ape", "bee"], "settings": {}}
    source = Images({"ape": 9, "bee": 9})
    assert data_set.changes(earlier, "folder:d", source, "folder:d", "w") == []
    with pytest.raises(ValueError, match="only the run has 'bee'"):
        data_set.changes(earlier, "folder:d", Images({"ape": 9, "cat": 9}), "folder:d", "w")


def test_a_folder_follows_the_order_in_which_a_run_knows_its_classes(tmp_path):
    """Earlier versions sorted 10 before 2."""
    for name, count in {"1": 1, "2": 2, "10": 3}.items():
        (tmp_path / name).mkdir()
        for index in range(count):
            Image.new("L", (4, 4)).save(tmp_path / name / f"{index}.png")
    source = load_source(f"folder:{tmp_path}")
    assert source.class_names == ("1", "2", "10")
    earlier = {"class_names": ["1", "10", "2"]}
    (note,) = data_set.changes(earlier, "folder:d", source, "folder:d", "w")
    assert "keep the order" in note
    assert source.class_names == ("1", "10", "2")
    assert source.labels.tolist() == [0, 2, 2, 1, 1, 1]
    assert source.read(3)[1] == 1
    published = Images({"1": 1, "2": 2}, name="pets")  # labels come from its files
    with pytest.raises(ValueError, match=r"names in another order .class 0 was '2', is '1'"):
        data_set.changes({"class_names": ["2", "1"]}, "pets", published, "pets", "w")


def test_one_place_has_one_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    names = ("folder:d", "folder:d/", "folder:./d", "folder:~/d", f"folder:{tmp_path}/x/../d")
    assert {canonical(name) for name in names} == {f"folder:{tmp_path / 'd'}"}
    assert canonical("prepared:d") == f"prepared:{tmp_path / 'd'}"
    for name in ("digits", "name/config", "pets:1.0.0"):
        assert canonical(name) == name


def write_class(folder, shades):
    folder.mkdir(parents=True)
    for index, shade in enumerate(shades):
        noise = np.random.default_rng(shade).integers(0, shade, (8, 8), np.uint8)
        Image.fromarray(noise).save(folder / f"{index}.png")


@pytest.mark.parametrize("others", [(50, 60, 70), (50, 60)], ids=["as many", "fewer"])
def test_classes_whose_folders_were_exchanged_are_refused(tmp_path, others):
    write_class(tmp_path / "ape", (20, 200, 250))
    write_class(tmp_path / "bee", others)
    place = f"folder:{tmp_path}"
    kept = data_set.describe(load_source(place))
    (tmp_path / "ape").rename(tmp_path / "x")
    (tmp_path / "bee").rename(tmp_path / "ape")
    (tmp_path / "x").rename(tmp_path / "bee")
    with pytest.raises(ValueError, match="files of class 'ape' are those that class 'bee' had"):
        data_set.changes(kept, place, load_source(place), place, "w")
    # A run of an earlier version knows no files.
    data_set.changes({**kept, "class_files": None}, place, load_source(place), place, "w")


def test_images_may_be_added_and_copied_between_classes(tmp_path):
    write_class(tmp_path / "ape", (20, 200))
    write_class(tmp_path / "bee", (20, 200))  # the same files in both
    place = f"folder:{tmp_path}"
    kept = data_set.describe(load_source(place))
    assert data_set.changes(kept, place, load_source(place), place, "w") == []
    write_class(tmp_path / "new" / "ape", (90,))
    (tmp_path / "new" / "ape" / "0.png").rename(tmp_path / "ape" / "9.png")
    (tmp_path / "new" / "ape").rmdir()
    (tmp_path / "new").rmdir()
    (note,) = data_set.changes(kept, place, load_source(place), place, "w")
    assert "ape 2 -> 3" in note
