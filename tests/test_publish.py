import json
import shutil

import huggingface_hub
import pytest
from PIL import Image

from sagan_tf import publish
from sagan_tf.publish import PublishSettings
from sagan_tf.run.workdir import add_score, load_description, write_description
from tests.support import commands

SCORE = {
    "step": 20,
    "images": {"num_images": 20},
    "real": {"dataset": "prepared:/home/me/digits", "split": "train"},
    "extractor": {"network": "classifier"},
    "protocol": {"name": "fidelity", "num_images": 20},
    "scores": {"frechet_distance": 12.5, "precision": None},
}


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def run(digits, tmp_path):
    """The run, as if of somebody's own pictures, with scores of two steps."""
    workdir = shutil.copytree(digits, tmp_path / "run")
    description = load_description(workdir)
    description["dataset"] = description["settings"]["dataset"] = "folder:/home/me/cats"
    write_description(workdir, description)
    add_score(workdir, SCORE)
    add_score(workdir, {**SCORE, "step": 10})
    return workdir


def test_a_folder_as_the_hub_expects_it(run, tmp_path, capsys):
    publish.main(PublishSettings(workdir=str(run), out="models/cats", license="cc-by-4.0"))
    assert "published: models/cats\n" in capsys.readouterr().out
    folder = tmp_path / "models" / "cats"
    names = {"README.md", "config.json", "model.safetensors", "samples.png", "scores.jsonl"}
    assert {path.name for path in folder.iterdir()} == names
    assert [path.name for path in folder.parent.iterdir()] == ["cats"]
    with Image.open(folder / "samples.png") as grid:
        assert grid.size == (3 * (10 * 17 - 1), 3 * (12 + 8 * 17 - 1))
    for path in folder.iterdir():
        assert b"/home/me" not in path.read_bytes()
        assert str(tmp_path).encode() not in path.read_bytes()


def test_the_card_tells_the_hub_and_its_readers(run, tmp_path):
    publish.main(PublishSettings(workdir=str(run), out="cats", license="cc-by-4.0"))
    card = huggingface_hub.ModelCard.load(tmp_path / "cats" / "README.md")
    assert card.data.license == "cc-by-4.0"
    assert card.data.library_name == "sagan_tf"
    (result,) = card.data.eval_results  # of two records and two scores
    assert (result.metric_type, result.metric_value) == ("frechet_distance", 12.5)
    assert result.dataset_name == "prepared:digits"
    assert result.metric_args["protocol"] == "fidelity"
    assert "16x16, 1 channel, conditioned on 10 classes" in card.text
    assert "- Data: `folder:cats`." in card.text
    assert "| frechet distance | 12.5 |" in card.text
    assert 'sampling.load_generator("cats")' in card.text
    (score,) = map(json.loads, (tmp_path / "cats" / "scores.jsonl").read_text().splitlines())
    assert score == {**SCORE, "real": {"dataset": "prepared:digits", "split": "train"}}


def test_the_lines_of_the_card_run(run, tmp_path):
    publish.main(PublishSettings(workdir=str(run), out="cats"))
    text = (tmp_path / "cats" / "README.md").read_text(encoding="utf-8")
    names = {}
    exec(text.partition("```python\n")[2].partition("```")[0], names)
    assert names["images"][0].shape == (16, 16, 1)


def test_a_folder_is_published_like_a_run(tmp_path):
    """And every command that reads a run reads the folder."""
    publish.main(PublishSettings(workdir="digits", out="first"))
    publish.main(PublishSettings(workdir="first", out="second"))
    for name in ("model.safetensors", "config.json", "samples.png"):
        assert (tmp_path / "first" / name).read_bytes() == (tmp_path / "second" / name).read_bytes()
    flags = f"--workdir={tmp_path}/second", "--labels=7"
    commands.run("sample", *flags, f"--out={tmp_path}/grid.png")
    printed = commands.run("attend", *flags, f"--out={tmp_path}/attention")
    assert "discriminator/attention_8x8: distance" in printed
    commands.run("latent.__main__", *flags, "--directions=2", f"--out={tmp_path}/sheet.png")
    commands.run("export", flags[0], f"--export_dir={tmp_path}/exports")


def test_an_existing_folder_stays(run, tmp_path):
    (tmp_path / "cats").mkdir()
    with pytest.raises(ValueError, match=r"`--out` cats is there already"):
        publish.main(PublishSettings(workdir=str(run), out="cats"))


def test_private_is_of_a_repository():
    with pytest.raises(ValueError, match=r"`--private` is for `--repo`"):
        publish.main(PublishSettings(workdir="digits", private=True))


def test_a_failure_leaves_nothing(run, tmp_path, monkeypatch):
    def fail(*_):
        raise OSError(28, "No space left on device", "samples.png")

    monkeypatch.setattr("sagan_tf.output.pictures.save_png", fail)
    with pytest.raises(OSError, match=r"`--out` models cannot be written: No space left"):
        publish.main(PublishSettings(workdir=str(run), out="models/cats"))
    assert list((tmp_path / "models").iterdir()) == []
