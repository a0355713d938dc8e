"""A folder of odd files through everything that reads folders: each is shown right, or named."""

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sagan_tf.data import check_source, load_source
from sagan_tf.data.folder import find_pictures
from sagan_tf.data.loading import Loader
from sagan_tf.data.walk import walk
from sagan_tf.evaluation.image_files import FileImages
from sagan_tf.prepare import Settings, prepare
from tests.support import commands, odd_folder


@pytest.fixture
def odd(tmp_path):
    """The folder, and what is right for its files."""
    return tmp_path / "odd", *odd_folder.make(tmp_path / "odd")


def assert_shown(pixels, path, expected):
    if expected is None:
        expected = odd_folder.shown_by_pillow(path)
    # Compositing rounds in another order.
    assert np.abs(pixels.astype(int) - expected).max() <= 1, path


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
def test_training_sees_every_file_as_a_viewer_shows_it(odd, caplog):
    root, used, damaged, unused = odd
    source = load_source(f"folder:{root}")
    assert source.class_names == odd_folder.CLASSES
    names = [Path(source.example_name(index)) for index in range(source.num_examples)]
    assert sorted(names) == sorted([*used, *damaged])
    loader = Loader(source, odd_folder.SIZE)
    for path, example in zip(names, loader.examples(range(len(names))), strict=True):
        if path in damaged:
            assert example is None
        else:
            assert_shown(example[0], path, used[path])
    for path in damaged:
        assert f"passed over: {path} (" in caplog.text
    check_source(source, odd_folder.SIZE)
    assert "are transparent: #ffffff (`--background`) is put behind them." in caplog.text
    for kind, paths in unused.items():
        assert re.search(rf"{re.escape(kind)}[^(]* {len(paths)} \(", caplog.text), kind


def test_the_walk_lists_all_that_is_not_used(odd):
    root, _, _, unused = odd
    beside = unused.pop("Images beside the class folders")
    folders = unused.pop("folders without images that are named like one")
    found = {kind: {root / path for path in paths} for kind, paths in walk(root).unused.items()}
    assert found == {kind: set(paths) for kind, paths in unused.items()}
    pictures = find_pictures(str(root), "train")
    assert [Path(path) for path in pictures.loose] == beside
    assert [path.name for path in folders] == ["empty.jpg"]
    assert not pictures.empty


def test_the_background_is_chosen(odd):
    root, *_ = odd
    source = load_source(f"folder:{root}", background="#0080ff")
    (index,) = (i for i in range(source.num_examples) if "rgba.png" in source.example_name(i))
    ((image, _),) = Loader(source, odd_folder.SIZE).examples([index])
    assert image[:, 0].tolist() == [[0, 0x80, 0xFF]] * odd_folder.SIZE  # nothing is opaque there


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
def test_preparing_keeps_what_training_would_see(odd, tmp_path, caplog):
    root, used, damaged, _ = odd
    prepared = prepare(Settings(dataset=f"folder:{root}", image_size=16, out=str(tmp_path / "out")))
    assert prepared.class_names == odd_folder.CLASSES
    names = [path for files in find_pictures(str(root), "train").files for path in files]
    names = [Path(name) for name in names if Path(name) not in damaged]
    for index, path in enumerate(names):
        assert_shown(prepared.read(index)[0], path, used[path])
    assert prepared.num_examples == len(names) == len(used)
    assert "Not used in" in caplog.text
    assert "are transparent" in caplog.text
    with pytest.raises(ValueError, match=r"background is \(255, 255, 255\) there and \(0, 0, 0\)"):
        prepare(
            Settings(f"folder:{root}", image_size=16, out=str(tmp_path / "out"), background="black")
        )


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
def test_scoring_sees_the_same_classes_and_pixels(odd, caplog):
    root, used, damaged, _ = odd
    images = FileImages(root, 1000, odd_folder.SIZE)
    with pytest.raises(ValueError, match=r"(empty|cut|text|float)\.\w+ cannot be read as an image"):
        images.read(0, images.num_images)
    for path in damaged:
        path.unlink()
    images = FileImages(root, 1000, odd_folder.SIZE)
    assert images.class_names == odd_folder.CLASSES
    found = find_pictures(str(root), None)
    names = [Path(path) for files in found.files for path in files]
    pixels, labels = images.read(0, images.num_images)
    source = load_source(f"folder:{root}")
    assert labels.tolist() == source.labels.tolist()
    assert len(pixels) == len(used)
    for path, image in zip(names, pixels, strict=True):
        assert_shown(image, path, used[path])
    assert "Not used in" in caplog.text
    assert "are transparent" in caplog.text


def test_every_command_takes_the_folder(odd, tmp_path):
    root, _, damaged, _ = odd
    workdir, exports = tmp_path / "run", tmp_path / "exports"
    run = commands.start(
        "train", f"--dataset=folder:{root}/", f"--workdir={workdir}", *commands.TINY, "--steps=5"
    )
    _, errors = run.communicate(timeout=600)
    assert run.returncode == 0, errors[-3000:]
    assert all(path.name in errors for path in damaged)
    assert "Not used in" in errors
    assert "are transparent" in errors
    scores = commands.run(
        "evaluate",
        f"--workdir={workdir}",
        "--extractor=classifier",
        "--metrics=fid,agreement",
        "--num_images=60",
        f"--cache_dir={tmp_path / 'cache'}",
    )
    assert "fid" in scores
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for number in range(3):
        (pictures / f"{number}.png").symlink_to(root / "10" / "rgba.png")
    commands.run(
        "attend", f"--workdir={workdir}", f"--images={pictures}", f"--out={tmp_path / 'attention'}"
    )
    page = (tmp_path / "attention" / "attention.html").read_text()
    assert page.index("0.png") < page.index("1.png") < page.index("2.png")
    commands.run(
        "sample",
        f"--workdir={workdir}",
        "--labels=salt, pepper,cafe\u0301,crème",
        "--seeds=0",
        f"--out={tmp_path / 'grid.png'}",
        f"--singles={tmp_path / 'singles'}",
    )
    singles = sorted(path.name for path in (tmp_path / "singles").iterdir())
    assert singles == [f"label-{label}-seed-0.png" for label in (2, 3, 4)]
    with Image.open(tmp_path / "grid.png") as grid:
        assert grid.width > 3 * odd_folder.SIZE
    commands.run("export", f"--workdir={workdir}", f"--export_dir={exports}")
    names = (exports / "sagan" / "1" / "assets.extra" / "class_names.json").read_text("utf-8")
    assert all(f'"{name}"' in names for name in odd_folder.CLASSES)
