"""What people's folders, names and habits did to the package, and what happens now: own pictures.

Each row is a fault that was found by trying the package as a new user would.
"""

import os
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sagan_tf import attend, config, prepare, train
from sagan_tf.class_names import class_labels, class_number, numbers
from sagan_tf.data import canonical, describe_source, load_source
from sagan_tf.evaluation.image_files import FileImages

TWELVE = tuple(str(number) for number in range(1, 13))


def write(root, *paths):
    """Different pictures of 8 pixels at these places below a folder; returns the folder."""
    for seed, path in enumerate(paths):
        file = root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), np.uint8)
        Image.fromarray(pixels).save(file, None if file.suffix else "PNG")
    return root


def read(root, **options):
    """The classes of a folder, and the paths of its images below it."""
    source = load_source(f"folder:{root}", **options)
    names = [source.example_name(index) for index in range(source.num_examples)]
    return source.class_names, [os.path.relpath(name, root) for name in names], source.notes


# The row, the files, the classes, the images that are read, and what is said.
READ = {
    "4: hidden folders and deeper ones are no classes": (
        ["a/1.png", "a/x/y/2.png", ".git/3.png", "__MACOSX/a/1.png", "b/@eaDir/1.png", "b/4.png"],
        ["a", "b"],
        ["a/1.png", "a/x/y/2.png", "b/4.png"],
        r"hidden or the system's 3 \(.git, __MACOSX, b/@eaDir\)",
    ),
    "5: numbers in natural order": (
        ["10/1.png", "9/10.png", "9/9.png", "0/1.png"],
        ["0", "9", "10"],
        ["0/1.png", "9/9.png", "9/10.png", "10/1.png"],
        "",
    ),
    "10: every suffix that Pillow reads, and none": (
        ["a/1.bmp", "a/2.gif", "a/3.tiff", "a/4.avif", "a/5.jfif", "a/6", "a/7.JPG", "b/8.jp2"],
        ["a", "b"],
        ["a/1.bmp", "a/2.gif", "a/3.tiff", "a/4.avif", "a/5.jfif", "a/6", "a/7.JPG", "b/8.jp2"],
        r"by their content, whatever their names say: 1 \(a/6\)",
    ),
    "10: pictures beside the class folders": (
        ["a/1.png", "b/2.png", "3.png", "4.png"],
        ["a", "b"],
        ["a/1.png", "b/2.png"],
        r"beside the class folders .* have no class: 2 \(3.png, 4.png\). Move them into one",
    ),
    "10: a folder one level too deep": (
        ["pets/cats/1.png", "pets/dogs/2.png"],
        ["pets"],
        ["pets/cats/1.png", "pets/dogs/2.png"],
        r"one class, pets. If its sub-folders \(cats, dogs\) are the classes, .* folder:.*/pets",
    ),
    "10: one class only": (["a/1.png", "a/2.png"], ["a"], ["a/1.png", "a/2.png"], "one class, a."),
    "10: train and val above the classes": (
        ["train/cats/1.png", "train/dogs/2.png", "val/cats/3.png", "val/dogs/4.png"],
        ["cats", "dogs"],
        ["train/cats/1.png", "train/dogs/2.png"],
        "splits above the classes. Read: train; not read: val. `--split` chooses",
    ),
    "10: a class that is named train": (
        ["bus/1.png", "train/2.png"], ["bus", "train"], ["bus/1.png", "train/2.png"], ""
    ),
    "10: train and val beside something else": (
        ["train/a/1.png", "val/a/2.png", "more/3.png"],
        ["more", "train", "val"],
        ["more/3.png", "train/a/1.png", "val/a/2.png"],
        "named like splits: train, val. If they are, put nothing else with images beside them",
    ),
    "directories that are named like images": (
        ["a/x.jpg/1.png", "a/2.png", "b/3.png"],
        ["a", "b"],
        ["a/2.png", "a/x.jpg/1.png", "b/3.png"],
        "",
    ),
}  # fmt: skip


@pytest.mark.parametrize("row", READ)
def test_what_is_read_of_a_folder(tmp_path, row):
    files, classes, images, said = READ[row]
    found = read(write(tmp_path, *files))
    assert list(found[0]) == classes
    assert sorted(found[1]) == sorted(images)
    if "natural" in row:
        assert found[1] == images
    assert re.search(said, " ".join(found[2]))
    # Scoring finds the same, where no split has to be chosen.
    if "above the classes. " not in said:
        scored = FileImages(tmp_path, 100, 8)
        assert list(scored.class_names) == classes
        np.testing.assert_array_equal(
            scored.read(0, 100)[1], load_source(f"folder:{tmp_path}").labels
        )


def test_loops_end_and_each_directory_is_read_once(tmp_path):
    """Row 7: 40 images became 1,640, or the walk never ended."""
    root = write(tmp_path / "pets", "cats/1.png", "dogs/deep/2.png")
    write(tmp_path / "birds", "3.png")
    (root / "cats" / "loop").symlink_to(root)
    (root / "dogs" / "deep" / "up").symlink_to("../..")
    (root / "dogs" / "there").symlink_to(root / "cats" / "loop")
    (root / "alias").symlink_to(root / "cats")  # before `cats` in order, and yet not in its place
    (root / "birds").symlink_to(tmp_path / "birds")
    (root / "again").symlink_to(tmp_path / "birds")
    classes, images, notes = read(root)
    # Of two links to one folder the first in order is the class.
    assert classes == ("again", "cats", "dogs")
    assert images == ["again/3.png", "cats/1.png", "dogs/deep/2.png"]
    (note,) = notes
    assert "links to folders that are read already 5 (alias, birds, cats/loop and 2 more)" in note


def test_a_class_folder_may_be_a_link(tmp_path):
    """Row 7, the other way: linked class folders go on working, and links to files."""
    write(tmp_path / "elsewhere", "1.png", "2.png")
    root = write(tmp_path / "pets", "cats/3.png")
    (root / "dogs").symlink_to(tmp_path / "elsewhere")
    (root / "cats" / "same.png").symlink_to(root / "cats" / "3.png")
    classes, images, notes = read(root)
    assert (classes, notes) == (("cats", "dogs"), ())
    assert images == ["cats/3.png", "cats/same.png", "dogs/1.png", "dogs/2.png"]


SPLITS = ["train/a/1.png", "VAL/a/2.png", "Testing/a/3.png"]


@pytest.mark.parametrize(
    ("split", "image"),
    [
        ("train", "train/a/1.png"),
        ("val", "VAL/a/2.png"),
        ("validation", "VAL/a/2.png"),
        ("test", "Testing/a/3.png"),
        ("Testing", "Testing/a/3.png"),
    ],
)
def test_splits_are_taken(tmp_path, split, image):
    assert read(write(tmp_path, *SPLITS), split=split)[1] == [image]


# The row, the files, what is asked for, and the message.
REFUSED = {
    "`--split=val` without splits": (["a/1.png"], "folder:.", "val", "Received: --split=val, and"),
    "a split that is not there": (SPLITS, "folder:.", "train[:9]", "one of Testing, VAL, train,"),
    "splits without classes": (
        ["train/1.png", "test/2.png"], "folder:.", "train", "test, train are named like splits but"
    ),
    "`folder:` is missing": (["a/1.png"], "./a", "train", r"Did you mean folder:\./a\?"),
    "another word than `folder:`": (["a/1.png"], "dir:a", "train", r"Did you mean folder:a\?"),
    "a path to nowhere": (["a/1.png"], "./b/c", "train", "There is no such folder"),
    "pictures without class folders": (
        ["pets/1.png"], "folder:pets", "train", r"but 1 directly in it. .*folder above, folder:/"
    ),
    "an empty class": (["a/1.png", "b/c.txt/2"], "folder:.", "train", "1 of 2 are empty: b"),
    "one name in two Unicode forms": (
        ["caf\u00e9/1.png", "cafe\u0301/2.png"], "folder:.", "train", "folders are named caf\u00e9"
    ),
}  # fmt: skip


@pytest.mark.parametrize("row", REFUSED)
@pytest.mark.parametrize("function", [load_source, describe_source])
def test_what_is_refused(tmp_path, monkeypatch, row, function):
    files, name, split, message = REFUSED[row]
    monkeypatch.chdir(tmp_path)
    write(tmp_path, *files)
    if row == "an empty class":
        (tmp_path / "b" / "c.txt" / "2").unlink()
    with pytest.raises(ValueError, match=message):
        function(name, split=split)


def test_a_relative_folder_is_meant_where_no_data_set_has_its_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(tmp_path, "my_pets/a/1.png")
    with pytest.raises(ValueError, match=r"Received: 'my_pets'. Did you mean folder:my_pets\?"):
        load_source("my_pets")


def test_a_dry_run_refuses_a_split_that_is_not_there(tmp_path):
    write(tmp_path, "a/1.png")
    with pytest.raises(ValueError, match="Received: --split=val, and"):
        train.resolve({"dataset": f"folder:{tmp_path}", "split": "val", "dry_run": True})


def test_a_folder_of_splits_is_not_scored_as_classes(tmp_path):
    """Row 10, for `evaluate --images`: it has to be said which is meant."""
    with pytest.raises(ValueError, match=r"has the splits Testing, VAL, train. Name one of them"):
        FileImages(write(tmp_path, *SPLITS), 10)


@pytest.mark.parametrize(
    ("background", "pixel"), [("white", 255), ("#000000", 0), ("rgb(10,10,10)", 10)]
)
def test_transparent_images_are_put_on_the_background(tmp_path, background, pixel):
    """Row 8: hidden colours became the image."""
    (tmp_path / "a").mkdir()
    Image.new("RGBA", (8, 8), (200, 0, 100, 0)).save(tmp_path / "a" / "1.png")
    out = str(tmp_path / "out")
    settings = prepare.Settings(f"folder:{tmp_path}", image_size=8, out=out, background=background)
    assert (prepare.prepare(settings).read(0)[0] == pixel).all()


@pytest.mark.parametrize("name", ["digits", "geotex", "prepared:x"])
def test_a_background_of_published_data_is_refused(name):
    with pytest.raises(ValueError, match="`--background` is for `folder:PATH` alone"):
        load_source(name, background="black")


@pytest.mark.parametrize("background", ["", "whiteish", "#12", "#ffffff80"])
def test_what_is_no_colour(tmp_path, background):
    with pytest.raises(ValueError, match=r"`--background` expects a colour .*Received: '"):
        load_source(f"folder:{write(tmp_path, 'a/1.png')}", background=background)


def test_turned_jpegs_are_turned(tmp_path):
    """Row 9: training saw them sideways."""
    (tmp_path / "a").mkdir()
    exif = Image.Exif()
    exif[0x0112] = 6
    pixels = np.zeros((8, 8, 3), np.uint8)
    pixels[:4] = 255  # the upper half, which comes to the right
    Image.fromarray(pixels).save(tmp_path / "a" / "1.jpg", exif=exif, quality=100)
    for images in (
        FileImages(tmp_path, 1, 8).read(0, 1)[0],
        [
            prepare.prepare(prepare.Settings(f"folder:{tmp_path}", 8, str(tmp_path / "o"))).read(0)[
                0
            ]
        ],
    ):
        assert images[0][:, 4:].min() > 250
        assert images[0][:, :4].max() < 5


NAMES = ("cats", "caf\u00e9", "salt, pepper", "salt", "dogs", "1-3")


@pytest.mark.parametrize(
    ("text", "names", "labels"),
    [
        # Row 5: numbers and ranges are names where all names are numbers.
        ("1-3", TWELVE, [0, 1, 2]),
        ("12,2", TWELVE, [11, 1]),
        ("2", ("10", "2"), [1]),
        ("8-10", ("010", "8", "9"), [1, 2, 0]),
        ("-1-1", ("-1", "0", "1"), [0, 1, 2]),
        ("0-2", tuple("0123"), [0, 1, 2]),
        # Else they are positions, and names go first.
        ("0-2", NAMES, [0, 1, 2]),
        ("1-3", NAMES, [5]),
        ("salt, pepper", NAMES, [2]),
        ("salt,dogs", NAMES, [3, 4]),
        ("dogs, salt, pepper ,cats", NAMES, [4, 2, 0]),
        ("cafe\u0301,cats", NAMES, [1, 0]),
        ("caf\u00e9", ("x", "cafe\u0301"), [1]),
        (None, TWELVE, list(range(10))),
    ],
)
def test_labels(text, names, labels):
    assert class_labels(text, "labels", names, len(names)) == labels


@pytest.mark.parametrize(
    ("text", "names", "message"),
    [
        ("cat", NAMES, r"Received: 'cat'. Did you mean 'cats'\? Classes: cats, caf\u00e9"),
        ("DOGS", NAMES, r"Did you mean 'dogs'\?"),
        ("dgos", NAMES, r"Did you mean 'dogs'\?"),
        ("zebra", tuple(f"class {i}" for i in range(99)), "Classes: class 0, .* and 89 more"),
        ("0-1", TWELVE, "all of their names are numbers, and none is named 0"),
        ("13", TWELVE, "none is named 13. Received: '13'. Classes: 1, 2, 3"),
        ("6", NAMES, "must be in 0-5. Received: 6"),
        ("3-99999999999", NAMES, "must be in 0-5. Received: 99999999999"),
        ("1-99999999999", TWELVE, "ranges of at most 1,000,000 numbers"),
        ("3-1", TWELVE, "ranges that ascend"),
        ("", NAMES, "expects numbers and ranges"),
    ],
)
def test_labels_that_are_none(text, names, message):
    with pytest.raises(ValueError, match=message):
        class_labels(text, "labels", names, len(names))


def test_seeds_are_a_list_that_fits_into_memory():
    assert numbers("0-2, 7", "seeds") == [0, 1, 2, 7]
    with pytest.raises(ValueError, match="`--seeds` expects ranges of at most 1,000,000 numbers"):
        numbers("0-999999999999", "seeds")


def test_a_class_of_the_client():
    assert class_number(" cafe\u0301 ", NAMES, "class_id") == 1
    with pytest.raises(
        ValueError, match=r"`class_id` 'dog' is no class's name. Did you mean 'dogs'"
    ):
        class_number("dog", NAMES, "class_id")


def test_flags_of_sample_and_attend_have_one_name():
    assert {"labels", "seeds", "background"} <= set(attend.AttendSettings.__dataclass_fields__)
    with pytest.raises(ValueError, match="`--background` is for `--images`"):
        attend.main(attend.AttendSettings(background="red"))


def test_pipes_are_not_opened(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(ValueError, match="expects a file or a folder"):
        attend._image_files(str(tmp_path / "pipe.png"))


def test_names_that_are_no_utf8_become_text(tmp_path):
    folder = Path(os.fsdecode(os.fsencode(tmp_path / "pets") + b"/caf\xe9"))
    folder.mkdir(parents=True)
    Image.new("RGB", (8, 8)).save(folder / "1.png")
    source = load_source(f"folder:{folder.parent}")
    assert source.class_names == ("caf\u00e9",)
    with pytest.raises(ValueError, match=r"folder:.*/caf\u00e9 with 0 sub-folder"):
        load_source(f"folder:{folder}")


def test_one_place_has_one_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    names = ["folder:d", "folder:d/", "folder:./d", "folder:~/d", f"folder:{tmp_path}/e/../d//"]
    assert {canonical(name) for name in names} == {f"folder:{tmp_path}/d"}
    assert canonical("prepared:d/") == f"prepared:{tmp_path}/d"
    for name in ("digits", "cifar10", "imagenet_resized/64x64", "folder:"):
        assert canonical(name) == name
    write(tmp_path, "d/a/1.png")
    assert {load_source(name).name for name in names[:3]} == {"folder:d"}
    for name in names[:3]:  # another spelling is not another data set
        prepare.prepare(prepare.Settings(name, image_size=8, out="out"))


def test_the_number_of_pictures_is_of_the_split(tmp_path):
    """The preset follows the pictures that are trained on."""
    write(tmp_path, *SPLITS, "train/b/4.png")
    settings, _ = train.resolve({"dataset": f"folder:{tmp_path}", "split": "val"})
    assert (settings.preset, settings.split) == ("small", "val")
    assert config.TrainSettings.background == "white"
