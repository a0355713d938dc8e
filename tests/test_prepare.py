import dataclasses
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sagan_tf.data import batches, load_source, preparation
from sagan_tf.machine import devices
from sagan_tf.output import files
from sagan_tf.prepare import Settings, main, prepare


@pytest.fixture
def image_folder(tmp_path):
    """50 images in two classes, one of them not square."""
    rng = np.random.default_rng(0)
    for name in ("cats", "dogs"):
        (tmp_path / "pets" / name).mkdir(parents=True)
        for number in range(25):
            pixels = rng.integers(0, 256, (20, 24, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "pets" / name / f"{number:02d}.png")
    return tmp_path / "pets"


@pytest.fixture
def settings(image_folder, tmp_path):
    return Settings(dataset=f"folder:{image_folder}", image_size=12, out=str(tmp_path / "out"))


def first_batch(source, image_size=12):
    dataset = batches(
        source, image_size=image_size, seed=0, start_step=0, global_batch_size=50, flip=True
    )
    return [tensor.numpy() for tensor in next(iter(dataset))]


def test_training_sees_the_same_batches(settings):
    prepared = prepare(settings, examples_per_shard=16)
    source = load_source(settings.dataset)
    assert prepared.name == source.name
    assert prepared.class_names == source.class_names
    assert (prepared.channels, prepared.num_examples, prepared.image_size) == (3, 50, 12)
    for ours, theirs in zip(first_batch(prepared), first_batch(source), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    reopened = load_source(f"prepared:{settings.out}")
    np.testing.assert_array_equal(first_batch(reopened)[0], first_batch(source)[0])


def test_another_image_size_is_refused(settings):
    prepared = prepare(settings)
    with pytest.raises(ValueError, match=r"at size 12. Received: image_size=16"):
        first_batch(prepared, image_size=16)


def test_an_interrupted_run_goes_on_where_it_stopped(settings, tmp_path, monkeypatch):
    written = []
    whole = preparation.write_shard

    def interrupted_in_third_shard(path, examples):
        if len(written) == 2:
            next(examples)
            raise KeyboardInterrupt
        written.append(path)
        return whole(path, examples)

    monkeypatch.setattr(preparation, "write_shard", interrupted_in_third_shard)
    with pytest.raises(KeyboardInterrupt):
        prepare(settings, examples_per_shard=16)
    with pytest.raises(ValueError, match=r"is unfinished. Run the same .* again"):
        load_source(f"prepared:{settings.out}")

    kept = [(path, path.stat().st_mtime_ns) for path in written]
    monkeypatch.setattr(preparation, "write_shard", whole)
    prepared = prepare(settings, examples_per_shard=16)
    assert [(path, path.stat().st_mtime_ns) for path in written] == kept
    expected = first_batch(load_source(settings.dataset))
    np.testing.assert_array_equal(first_batch(prepared)[0], expected[0])


def test_a_finished_run_is_not_repeated(settings, monkeypatch):
    prepare(settings)
    monkeypatch.setattr(preparation, "write_shard", None)
    assert prepare(settings).num_examples == 50


@pytest.mark.parametrize("finished", [True, False])
def test_other_settings_do_not_mix(settings, finished):
    prepare(settings)
    if not finished:
        out = settings.out
        (Path(out) / "prepared.json").rename(f"{out}/unfinished.json")
    other = Settings(dataset=settings.dataset, image_size=16, out=settings.out)
    with pytest.raises(ValueError, match="image_size is 12 there and 16 here"):
        prepare(other)


def test_unreadable_images_are_left_out_and_counted(settings, image_folder, caplog):
    (image_folder / "dogs" / "03.png").write_bytes(b"no image")
    prepared = prepare(settings, examples_per_shard=16)
    assert prepared.num_examples == 49
    assert "dogs/03.png" in caplog.text
    assert sorted(prepared.read(index)[1] for index in range(49)) == [0] * 25 + [1] * 24


def test_too_many_unreadable_images_stop(settings, image_folder):
    for path in (image_folder / "dogs").iterdir():
        path.write_bytes(b"no image")
    with pytest.raises(ValueError, match="unreadable, more than the 1%"):
        prepare(settings)


def test_foreign_folders_are_left_alone(settings, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.tex").touch()
    with pytest.raises(ValueError, match="which holds other files"):
        prepare(settings)


def test_a_full_disk_is_noticed_first(settings, monkeypatch):
    usage = type("Usage", (), {"free": 1000})
    monkeypatch.setattr(files.shutil, "disk_usage", lambda path: usage)
    with pytest.raises(OSError, match=r"Received: 0.0 MiB free. Free space, or choose another"):
        prepare(settings)


def test_a_disk_that_fills_stops_and_goes_on(settings, file_size_limit):
    message = r"`--out` .* cannot be written: .*File too large.*then give the same command again"
    with file_size_limit(5000), pytest.raises(OSError, match=message):
        prepare(settings, examples_per_shard=16)
    out = Path(settings.out)
    assert {path.name for path in out.iterdir()} == {files.LOCK, "unfinished.json"}
    assert prepare(settings, examples_per_shard=16).num_examples == 50


def test_a_folder_in_use(settings):
    claimed = files.claimed(Path(settings.out), "out")
    with claimed, pytest.raises(ValueError, match="is in use by process"):
        prepare(settings)


def test_lost_shards_are_named(settings):
    prepare(settings, examples_per_shard=16)
    (Path(settings.out) / "images-00001.array_record").unlink()
    with pytest.raises(ValueError, match=r"lacks 1 of its 4 shards. Received: no images-00001"):
        load_source(f"prepared:{settings.out}")


def test_a_damaged_description_is_named(settings):
    prepare(settings)
    (Path(settings.out) / "prepared.json").write_text("{")
    with pytest.raises(ValueError, match=r"prepared.json, which is damaged"):
        load_source(f"prepared:{settings.out}")


@pytest.mark.parametrize("name", ["dataset", "out"])
def test_needed_flags(settings, name):
    with pytest.raises(ValueError, match=f"`--{name}` is needed"):
        prepare(dataclasses.replace(settings, **{name: ""}))


def test_the_command_says_what_it_did(tmp_path):
    out = tmp_path / "out"
    command = [sys.executable, "-m", "sagan_tf.prepare", "--dataset=digits", "--image_size=16"]
    done = subprocess.run([*command, f"--out={out}"], capture_output=True, text=True, check=True)
    assert f"1797 images in {out}; 0 unreadable ones left out." in done.stdout
    assert "images/s from the source" in done.stdout
    assert load_source(f"prepared:{out}").channels == 1


def test_it_leaves_gpus_alone(settings, monkeypatch):
    asked = []
    monkeypatch.setattr(devices, "use_device", asked.append)
    monkeypatch.setattr(signal, "signal", lambda *arguments: None)
    main(settings)
    assert asked == ["cpu"]


def test_sigterm_ends_with_a_message_and_keeps_shards(image_folder, tmp_path):
    for number in range(25, 3000):  # enough for seconds of work
        (image_folder / "cats" / f"{number}.png").hardlink_to(image_folder / "cats" / "00.png")
    script = (
        "import sys; from sagan_tf import command, prepare;"
        "prepare.prepare.__defaults__ = (50,);"
        "command.run(prepare.main, prepare.Settings)"
    )
    flags = [f"--dataset=folder:{image_folder}", "--image_size=512", f"--out={tmp_path / 'out'}"]
    process = subprocess.Popen(
        [sys.executable, "-c", script, *flags], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    while not (tmp_path / "out" / "images-00001.array_record").exists():
        assert process.poll() is None, process.stderr.read()
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 1
    assert b"the same command goes on from there" in output
    left = {path.name for path in (tmp_path / "out").iterdir()}
    assert {files.LOCK, "unfinished.json", "images-00001.array_record"} <= left
    assert not [name for name in left if name == "prepared.json" or name.endswith(".tmp")]
