"""Faults that users' folders and habits bring to runs and scores, with what is right for each."""

import json
import os
import shutil

import numpy as np
import pytest
from PIL import Image

from sagan_tf import config, train
from sagan_tf.data import load_source
from sagan_tf.evaluate import EvaluateSettings
from sagan_tf.evaluate import main as evaluate
from sagan_tf.training import resuming
from tests.support import commands

TINY = commands.TINY


def write_classes(folder, counts, seed=0):
    """A folder of random pictures, so many of each class."""
    random = np.random.default_rng(seed)
    for name, count in counts.items():
        (folder / name).mkdir(parents=True)
        for index in range(count):
            pixels = random.integers(0, 256, (20, 20, 3), np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{index}.png")
    return folder


@pytest.fixture(scope="module")
def run_of_two(tmp_path_factory):
    """A run of 5 steps on a folder of two classes; copy it to change it."""
    root = tmp_path_factory.mktemp("two")
    write_classes(root / "animals", {"ape": 6, "bee": 5})
    train_on(root / "animals", root / "run")
    return root


def train_on(folder, workdir, steps=5):
    arguments = [f"--dataset=folder:{folder}", f"--workdir={workdir}", f"--steps={steps}"]
    return commands.run("train", *arguments, *TINY)


@pytest.fixture
def root(run_of_two, tmp_path):
    """A copy of the run, which takes the copy of its folder for one that has moved."""
    return shutil.copytree(run_of_two, tmp_path / "root")


def resumed(root, folder=None, earlier=False):
    """What `train` says of the data set when it is asked to go on."""
    workdir = root / "run"
    recorded = json.loads((workdir / "config.json").read_text())
    settings = recorded["settings"] | {"dataset": f"folder:{folder or root / 'animals'}"}
    settings = config.TrainSettings(**settings | {"workdir": str(workdir), "steps": 10})
    before = resuming.check_workdir(settings, workdir)
    if earlier:  # its checkpoints know no classes
        del before["data"]
    return resuming.check_data(settings, load_source(settings.dataset), workdir, before)


def rename(root):
    (root / "animals" / "ape").rename(root / "animals" / "zebra")


def add(root):
    write_classes(root / "animals", {"cat": 2})


def remove(root):
    shutil.rmtree(root / "animals" / "bee")


CLASS_FAULTS = {  # row of the table: what is done, what is said
    "2: a class renamed": (rename, "only the run has 'ape'; only the data set has 'zebra'"),
    "3: a class added": (add, "the run has 2 classes, the data set 3: only the data set has 'cat'"),
    "3: a class removed": (remove, "the run has 2 classes, the data set 1: only the run has 'bee'"),
}


@pytest.mark.parametrize("earlier", [False, True], ids=["", "run of an earlier version"])
@pytest.mark.parametrize("row", CLASS_FAULTS)
def test_other_classes_are_refused_before_anything_is_written(root, row, earlier):
    do, said = CLASS_FAULTS[row]
    do(root)
    before = (root / "run" / "config.json").read_bytes()
    with pytest.raises(ValueError, match="has other classes than the run in") as error:
        resumed(root, earlier=earlier)
    assert said in str(error.value)
    assert f"`--init_from={root / 'run'}` and a new `--workdir`" in str(error.value)
    assert (root / "run" / "config.json").read_bytes() == before


def test_2_a_command_refuses_a_renamed_class_in_one_line_and_changes_nothing(root):
    rename(root)
    before = {path: path.read_bytes() for path in (root / "run").rglob("*") if path.is_file()}
    arguments = [f"--dataset=folder:{root / 'animals'}", f"--workdir={root / 'run'}", "--steps=9"]
    errors = commands.fail("train", *arguments, *TINY)
    assert "only the run has 'ape'; only the data set has 'zebra'" in errors
    after = {path: path.read_bytes() for path in (root / "run").rglob("*") if path.is_file()}
    assert {**after, root / "run" / ".lock": b""} == {**before, root / "run" / ".lock": b""}


def test_images_that_come_and_go_are_said_and_training_goes_on(run_of_two, tmp_path):
    root = shutil.copytree(run_of_two, tmp_path / "root")
    assert resumed(root) == [
        f"the data set has moved from folder:{run_of_two / 'animals'} to folder:{root / 'animals'}"
    ]
    (root / "animals" / "bee" / "0.png").unlink()
    with pytest.raises(ValueError, match=r"is not the data set of the run .* \(bee 5 -> 4\)"):
        resumed(root)  # in another place it must be the same


def test_a_moved_data_set_goes_on_and_its_new_place_is_kept(root):
    folder = root / "animals"
    printed = train_on(f"{folder}/", root / "run", steps=10)
    assert f"to folder:{folder}" in printed
    assert "resumed at step 5" in printed
    description = json.loads((root / "run" / "config.json").read_text())
    assert description["settings"]["dataset"] == f"folder:{folder}"
    assert description["class_images"] == [6, 5]
    # From now on this is its place, however it is written.
    assert resumed(root, f"{folder}/../animals/") == []
    # What is done stays done, and is said; a new place is kept even so.
    moved = folder.rename(root / "moved")
    assert "nothing to do: --steps=10 are done" in train_on(moved, root / "run", steps=10)
    assert resumed(root, moved) == []
    with pytest.raises(ValueError, match=f"which is missing.* was last trained on folder:{moved}"):
        train.resolve({"dataset": f"folder:{folder}", "workdir": str(root / "run")})
    write_classes(moved / "bee", {"more": 2})
    added = ["images were added or removed: 11 images -> 13 (bee 5 -> 7)"]
    assert resumed(root, moved) == added


def test_3_weights_go_on_with_other_classes_in_another_run(root):
    add(root)
    printed = commands.run(
        "train",
        f"--dataset=folder:{root / 'animals'}",
        f"--init_from={root / 'run'}",
        f"--workdir={root / 'other'}",
        "--steps=5",
        *TINY,
    )
    assert "started from the weights in" in printed
    assert "; 2 of 3 classes are known there by name, the others begin anew" in printed


def test_a_preset_that_another_number_of_pictures_chose_is_named(root):
    recorded = json.loads((root / "run" / "config.json").read_text())["settings"]
    assert recorded["preset"] == "small"  # of fewer than 100,000 pictures
    given = {name: recorded[name] for name in ("dataset", "workdir", "image_size")}
    settings, _ = config.resolve({**given, "dataset": recorded["dataset"]}, num_images=100_000)
    with pytest.raises(ValueError, match="The run has `--preset=small`, this is modern"):
        resuming.check_workdir(settings, root / "run")


@pytest.fixture(scope="module")
def run_of_one(tmp_path_factory):
    """A run on a folder of one class, with the default of conditional networks."""
    root = tmp_path_factory.mktemp("one")
    write_classes(root / "pictures", {"ape": 12})
    arguments = ["--sample_every=2", "--eval_every=5", "--eval_images=12"]
    arguments += [f"--cache_dir={root / 'cache'}", f"--extractor={own_extractor(root)}"]
    dataset = f"--dataset=folder:{root / 'pictures'}"
    tiny = [flag for flag in TINY if "sample_every" not in flag]
    commands.run("train", dataset, f"--workdir={root / 'run'}", "--steps=5", *tiny, *arguments)
    return root


def own_extractor(folder):
    import keras

    mean = keras.layers.AveragePooling2D(4)
    model = keras.Sequential([keras.Input((16, 16, 3)), mean, keras.layers.Flatten()])
    model.save(folder / "means.keras")
    return folder / "means.keras"


def test_1_one_class_trains_is_shown_checked_and_scored(run_of_one):
    workdir = run_of_one / "run"
    steps = {path.name for path in (workdir / "samples").iterdir()}
    assert steps == {f"step-{step:08d}.png" for step in (0, 2, 4, 5)}
    lines = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    names = {name for line in lines for name in line}
    assert {"variety/relative_spread", "memorising/nearest_distance", "sample_spread"} <= names
    assert "score/frechet_distance" in names
    assert json.loads((workdir / "config.json").read_text())["generator"]["num_classes"] == 1


def scored(root, **settings):
    """The record of an evaluation in this process."""
    out = root / "out.jsonl"
    given = {"num_images": 12, "cache_dir": str(root / "cache"), "out": str(out)}
    evaluate(EvaluateSettings(**given | settings))
    return json.loads(out.read_text().splitlines()[-1])


def test_1_one_class_is_evaluated_and_own_distances_have_a_yardstick(run_of_one, capsys):
    root = run_of_one
    record = scored(root, workdir=str(root / "run"), extractor=str(root / "means.keras"))
    printed = capsys.readouterr().out
    assert record["real_to_real"]["num_images"] == 6
    among_real = record["real_to_real"]["frechet_distance"]
    assert f"(real images: {among_real:.5g})" in printed
    assert "A generator does well where its distance is about that" in printed


def test_11_the_classifier_refuses_one_class_and_says_what_to_use(run_of_one):
    root = run_of_one
    with pytest.raises(ValueError, match=r"needs at least two. Received: one, ape. Use `--extr"):
        scored(root, workdir=str(root / "run"), extractor="classifier")


@pytest.mark.parametrize(("which", "named"), [("run_of_two", True), ("run_of_one", False)])
def test_where_inception_is_missing_the_classifier_is_offered(which, named, request, monkeypatch):
    root = request.getfixturevalue(which)
    monkeypatch.setenv("SAGAN_TF_INCEPTION", "/none.pth")
    with pytest.raises(ValueError, match=r"PATH\.keras`; such scores compare") as error:
        scored(root, workdir=str(root / "run"))
    assert ("`--extractor=classifier`" in str(error.value)) == named


def test_a_run_says_before_it_trains_what_cannot_be_scored(root, monkeypatch):
    monkeypatch.setenv("SAGAN_TF_INCEPTION", "/none.pth")
    arguments = [f"--dataset=folder:{root / 'animals'}", f"--workdir={root / 'new'}", "--steps=5"]
    errors = commands.fail("train", *arguments, *TINY, "--eval_every=5")
    assert "Or score with `--extractor=classifier`, which learns from the real images" in errors
    assert not list((root / "new").glob("checkpoints/*"))


def test_4_classes_of_images_are_matched_by_name(root, caplog):
    """Right pictures in folders of another order, of which one is missing and one is unknown."""
    settings = {"workdir": str(root / "run"), "extractor": "classifier", "num_images": 11}
    settings |= {"images": f"folder:{root / 'animals'}", "metrics": ("agreement",)}
    everything = scored(root, **settings)["by_class"]["label_agreement"]
    assert everything.keys() == {"0", "1"}
    shutil.copytree(root / "animals", root / "images")
    shutil.rmtree(root / "images" / "ape")
    one = scored(root, **settings | {"images": f"folder:{root / 'images'}"})
    assert one["by_class"]["label_agreement"] == {"1": everything["1"]}  # it was class 0 by place
    assert "has no images of 1 of the 2 classes: ape" in caplog.text
    (root / "images" / "bee").rename(root / "images" / "bees")
    with pytest.raises(ValueError, match=r"Received: bees\. Did you mean 'bee'\?"):
        scored(root, **settings | {"images": f"folder:{root / 'images'}"})


def test_6_changed_pictures_of_the_same_names_are_seen(root):
    settings = {"workdir": str(root / "run"), "extractor": str(own_extractor(root))}
    settings |= {"images": "folder:" + str(shutil.copytree(root / "animals", root / "images"))}
    settings |= {"num_images": 11, "metrics": ("fid",), "dataset": f"folder:{root / 'animals'}"}
    before = scored(root, **settings)
    assert before["scores"]["frechet_distance"] == pytest.approx(0, abs=1e-3)
    assert scored(root, **settings)["scores"] == before["scores"]
    for side in ("animals", "images"):  # the real ones, then the others
        for path in (root / side).rglob("*.png"):
            status = path.stat()
            Image.new("RGB", (20, 20), (int(path.stem) * 20, 0, 0)).save(path)
            path.write_bytes(path.read_bytes().ljust(status.st_size, b"\0"))
            os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
        after = scored(root, **settings)
        assert after["real"] != before["real"]
        assert (after["scores"]["frechet_distance"] > 1) == (side == "animals")


def test_a_damaged_file_is_named(root):
    path = root / "animals" / "bee" / "0.png"
    path.write_bytes(path.read_bytes()[:200])
    settings = {"workdir": str(root / "run"), "extractor": str(own_extractor(root))}
    settings |= {"images": f"folder:{root / 'animals'}", "metrics": ("fid",)}
    with pytest.raises(ValueError, match=r"bee/0\.png cannot be read as an image: .* Repair or"):
        scored(root, **settings)


def test_too_few_images_name_the_metric_and_the_flag(root):
    settings = {"workdir": str(root / "run"), "extractor": str(own_extractor(root))}
    with pytest.raises(ValueError, match=r"overlap needs at least 6 generated images .`--num_im"):
        scored(root, **settings, num_images=3, metrics=("fid", "overlap"))


def test_an_extractor_that_is_none_is_one_message(root):
    with pytest.raises(ValueError, match=r"Received: clasifier. Did you mean classifier?"):
        scored(root, workdir=str(root / "run"), extractor="clasifier")
