import json
import os
import re
import shutil
import signal

import numpy as np
import pytest
import tensorflow as tf

from sagan_tf import sampling
from sagan_tf.serving.exporting import lint, saved_model
from sagan_tf.serving.exporting.lint import find_problems, read_meta_graph
from sagan_tf.serving.exporting.signatures import INPUTS
from tests.support import commands


@pytest.fixture
def generator(digits):
    return sampling.load_generator(digits)


def write(base_path, generator, version=1):
    base_path.mkdir(exist_ok=True)
    return saved_model.write_version(
        base_path, version, generator, [str(i) for i in range(10)], {"seed": 0}, "# card\n"
    )


def test_a_version_holds_what_its_users_need(exported, digits):
    version = exported / "1"
    assert [path.name for path in exported.iterdir() if not path.name.startswith(".")] == ["1"]
    assert json.loads((version / "assets.extra" / "class_names.json").read_text()) == list(
        "0123456789"
    )
    settings = json.loads((version / "assets.extra" / "settings.json").read_text())
    assert settings["base_filters"] == 4
    assert "workdir" not in settings
    card = (version / "model_card.md").read_text()
    assert "16x16, 1 channel, conditioned on 10 classes" in card
    assert "`digits`" in card
    assert "after step 20" in card
    assert "None recorded." in card
    assert str(digits) not in card
    assert find_problems(version) == []


def test_weights_are_stored_once_and_never_written(exported, generator):
    version = exported / "1"
    reader = tf.train.load_checkpoint(str(version / "variables" / "variables"))
    shapes = [
        shape for name, shape in reader.get_variable_to_shape_map().items() if "OBJECT" not in name
    ]
    stored = sum(int(np.prod(shape)) for shape in shapes)
    # Merged kernels are 16/9 of the 3x3 ones; there are no vectors of the spectral norms.
    trained = sum(int(np.prod(v.shape)) for v in generator.trainable_variables)
    assert trained < stored < 16 / 9 * trained
    meta_graph = read_meta_graph(version)
    operations = {node.op for name in INPUTS for node in lint._nodes(meta_graph, name)}
    assert "ReadVariableOp" in operations
    assert not {name for name in operations if name.startswith("Assign")}


def test_the_card_tells_the_scores(digits, tmp_path):
    workdir = shutil.copytree(digits, tmp_path / "run")
    commands.run("evaluate", f"--workdir={workdir}", "--num_images=20", "--num_real=50")
    commands.run("export", f"--workdir={workdir}", f"--export_dir={tmp_path}", "--name=scored")
    (score,) = [json.loads(line) for line in (workdir / "scores.jsonl").read_text().splitlines()]
    assert score["step"] == 20
    shown = ("scores", "protocol", "extractor", "real", "images")
    line = json.dumps({name: score[name] for name in shown})
    assert f"- {line}\n" in (tmp_path / "scored" / "1" / "model_card.md").read_text()


def test_versions_count_up_and_none_is_overwritten(exported, digits, tmp_path):
    base_path = tmp_path / "sagan"
    shutil.copytree(exported / "1", base_path / "7")
    (base_path / "latest").mkdir()  # no number
    output = commands.run("export", f"--workdir={digits}", f"--export_dir={tmp_path}")
    found = re.search(
        rf"exporting: step 20 of {digits}\nlargest difference from the checkpoint's images: (.*) "
        rf"of the largest value\nexported: {base_path / '8'}\n",
        output,
    )
    assert 0 < float(found[1]) < 1e-5
    before = (base_path / "7" / "fingerprint.pb").read_bytes()
    errors = commands.fail(
        "export", f"--workdir={digits}", f"--export_dir={tmp_path}", "--version=7"
    )
    assert "`--version` 7 of sagan is there already" in errors
    assert (base_path / "7" / "fingerprint.pb").read_bytes() == before


def test_a_killed_export_leaves_no_version_and_the_next_one_cleans_up(digits, tmp_path):
    base_path = tmp_path / "sagan"
    arguments = f"--workdir={digits}", f"--export_dir={tmp_path}"
    process = commands.start("export", *arguments)
    commands.stop_when(
        process, lambda: (base_path / "unfinished-1" / "saved_model.pb").exists(), signal.SIGKILL
    )
    assert saved_model.versions_in(base_path) == []
    assert (base_path / "unfinished-1").exists()
    commands.run("export", *arguments)
    assert sorted(os.listdir(base_path)) == [".lock", "1"]


def test_sigterm_leaves_nothing(digits, tmp_path):
    base_path = tmp_path / "sagan"
    process = commands.start("export", f"--workdir={digits}", f"--export_dir={tmp_path}")
    code, _, errors = commands.stop_when(
        process, lambda: (base_path / "unfinished-1" / "saved_model.pb").exists()
    )
    assert code == 1
    assert errors.strip().endswith("interrupted")
    assert not base_path.exists()


@pytest.mark.parametrize("fault", ["disk", "check"])
def test_a_failed_export_leaves_nothing(generator, tmp_path, monkeypatch, file_size_limit, fault):
    if fault == "check":

        def broken(*_):
            raise RuntimeError("not what was meant")

        monkeypatch.setattr(saved_model, "_check", broken)
        with pytest.raises(RuntimeError, match="not what was meant"):
            write(tmp_path / "sagan", generator)
    else:
        with file_size_limit(1000), pytest.raises(OSError, match=r"large|space|Input/output"):
            write(tmp_path / "sagan", generator)
    assert os.listdir(tmp_path / "sagan") == []


@pytest.mark.parametrize(
    ("label", "factor", "message"),
    [
        (0, 1.5, "images differ from the checkpoint's"),
        (9, 0.0, "images differ from the checkpoint's"),
        (5, np.nan, "table/.* are not all finite"),
    ],
)
def test_an_export_that_is_wrong_for_one_class_is_refused(
    generator, tmp_path, monkeypatch, label, factor, message
):
    make = saved_model.FoldedGenerator

    def wrong(generator):
        folded = make(generator)
        table = folded.table.numpy()
        table[label] *= factor
        folded.table.assign(table)
        return folded

    monkeypatch.setattr(saved_model, "FoldedGenerator", wrong)
    with pytest.raises(RuntimeError, match=message):
        write(tmp_path / "sagan", generator)
    assert os.listdir(tmp_path / "sagan") == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--workdir=/nowhere"], "`workdir` holds no training run"),
        (["--name=a/b"], "`--name` expects letters, digits"),
        (["--name=.."], "`--name` expects letters, digits"),
        (["--version=0"], "`--version` expects a positive number or auto. Received: '0'"),
        (["--version=new"], "`--version` expects a positive number or auto. Received: 'new'"),
        (["--check=/nowhere"], "/nowhere holds no SavedModel"),
        (["--format=h5"], "`--format` must be one of saved_model, onnx, tflite, keras, html"),
        (["--format=onnx", "--version=2"], "`--version` is for SavedModels"),
        (["--int8"], "`--int8` is for `--format=tflite`. Leave it out. Received: 'saved_model'"),
        (["--format=onnx", "--device=gpu"], "`--device` must be auto or cpu for `--format=onnx`"),
        (["--format=onnx", "--export_dir=/proc/exports"], "/proc/exports cannot be written"),
        (["--export_dir=/proc/exports"], "`--export_dir` /proc/exports/sagan cannot be written"),
    ],
)
def test_bad_input_is_one_message(digits, arguments, message):
    if not arguments[0].startswith("--workdir"):
        arguments = [f"--workdir={digits}", *arguments]
    assert message in commands.fail("export", *arguments)


@pytest.mark.parametrize("name", ["onnx", "tflite", "keras"])
def test_a_file_is_compared_and_never_overwritten(name, digits, tmp_path):
    arguments = f"--workdir={digits}", f"--export_dir={tmp_path}", f"--format={name}"
    (tmp_path / f".sagan.{name}.tmp").write_text("of an export that was killed")
    output = commands.run("export", *arguments)
    path = tmp_path / f"sagan.{name}"
    found = re.fullmatch(
        rf"device: CPU.*\nexporting: step 20 of {digits}\nlargest difference from the checkpoint's "
        rf"images: (.*) of the largest value\nexported: {path}\n",
        output,
    )
    assert 0 < float(found[1]) < 1e-5
    assert sorted(os.listdir(tmp_path)) == [".lock", path.name]
    before = path.read_bytes()
    errors = commands.fail("export", *arguments)
    assert f"`--name` sagan is taken: {path} is there already. Choose another name" in errors
    assert path.read_bytes() == before


def test_a_file_of_8_bits_tells_its_error(digits, tmp_path):
    arguments = f"--workdir={digits}", f"--export_dir={tmp_path}", "--format=tflite"
    output = commands.run("export", *arguments, "--int8")
    found = re.search(r"largest difference from the checkpoint's images: (\S+) of ", output)
    assert 1e-4 < float(found[1]) < 0.5
    assert output.endswith(f"exported: {tmp_path / 'sagan.int8.tflite'}\n")
    commands.run("export", *arguments)
    sizes = [(tmp_path / f"sagan{kind}.tflite").stat().st_size for kind in ("", ".int8")]
    assert sizes[1] < sizes[0]


@pytest.mark.parametrize(("module", "extra"), [("tf2onnx", "onnx"), ("ai_edge_litert", "tflite")])
def test_without_the_extra_the_message_names_it(module, extra, digits, tmp_path, monkeypatch):
    (tmp_path / f"{module}.py").write_text(f"raise ModuleNotFoundError(name={module!r})\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    process = commands.start_anew("export", f"--workdir={digits}", f"--format={extra}")
    assert f"`{module}` is not installed; `pip install 'sagan_tf[{extra}]'`" in commands.failed(
        process
    )


def test_a_run_without_checkpoint_is_one_message(digits, tmp_path):
    workdir = shutil.copytree(digits, tmp_path / "run")
    shutil.rmtree(workdir / "checkpoints")
    errors = commands.fail("export", f"--workdir={workdir}", f"--export_dir={tmp_path}")
    assert "No checkpoint in" in errors
    assert not (tmp_path / "sagan").exists()


def test_check_names_problems_and_exits_with_1(exported, tmp_path):
    output = commands.run("export", f"--check={exported / '1'}")
    assert "nothing keeps it from being served" in output
    version = shutil.copytree(exported / "1", tmp_path / "1")
    (version / "assets.extra" / "tf_serving_warmup_requests").unlink()
    errors = commands.fail("export", f"--check={version}")
    assert "1 problem:\n  assets.extra/tf_serving_warmup_requests is missing" in errors
