import json
import os
import subprocess
import sys
import zipfile

import keras
import numpy as np
import onnx
import pytest
from ai_edge_litert.interpreter import Interpreter

from sagan_tf import sampling
from sagan_tf.serving.exporting import file_formats, keras_format, onnx_format, tflite_format
from sagan_tf.serving.exporting.file_formats import write_file
from sagan_tf.serving.exporting.folding import FoldedGenerator
from tests.support import commands
from tests.support.trained_generator import FORMS, inputs, trained

# Keras copies its variables into the file in a way that NumPy 2 deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy")

FORMATS = {"onnx": onnx_format, "tflite": tflite_format, "keras": keras_format}
NOTES = {"class_names.json": '["Noël"]', "settings.json": '{"seed": 0}', "model_card.md": "# Ü\n"}
every_format = pytest.mark.parametrize("name", FORMATS)


def write(folder, name, generator):
    """The path of a file with the notes of `NOTES`, and the difference that was found."""
    path = folder / f"sagan.{name}"
    return path, write_file(path, FORMATS[name], generator, ["Noël"], {"seed": 0}, "# Ü\n")


def named_inputs(generator, batch_size=4):
    latents, labels = inputs(generator, batch_size)
    return {"latents": latents} | ({} if labels is None else {"class_id": labels.astype("int32")})


@pytest.mark.parametrize("settings", FORMS, ids=str)
def test_gives_the_same_images_in_every_batch_size(settings, tmp_path):
    generator = trained(**settings)
    folded = FoldedGenerator(generator)
    for name, file_format in FORMATS.items():
        path = tmp_path / name
        file_format.write(path, folded, {})
        function = file_format.load(path)
        for batch_size in (4, 1, 7):
            expected = generator(*inputs(generator, batch_size)).numpy()
            images = function(**named_inputs(generator, batch_size))
            assert images.dtype == np.float32
            atol = 1e-5 * np.abs(expected).max()
            np.testing.assert_allclose(images, expected, rtol=0, atol=atol, err_msg=name)


def test_8_bits_move_images_little_and_take_a_third(tmp_path):
    """Of the digits that ship: most pixels by a few levels of 255."""
    generator = sampling.load_generator("digits")
    folded = FoldedGenerator(generator)
    sizes = []
    for file_format in (tflite_format, tflite_format.Int8()):
        file_format.write(tmp_path / "file", folded, {})
        sizes.append((tmp_path / "file").stat().st_size)
    assert sizes[1] < 0.35 * sizes[0]
    latents, labels = inputs(generator, 50)
    images = file_format.load(tmp_path / "file")(latents=latents, class_id=labels.astype("int32"))
    error = 127.5 * (images - generator(latents, labels))
    assert 1 < np.sqrt(np.mean(np.square(error))) < 6


@every_format
def test_holds_the_notes_where_its_users_look(name, tmp_path):
    path, difference = write(tmp_path, name, trained())
    assert 0 < difference < 1e-5
    assert os.listdir(tmp_path) == [path.name]
    if name == "onnx":
        notes = {entry.key: entry.value for entry in onnx.load(path).metadata_props}
    else:
        archive = zipfile.ZipFile(path)
        assert archive.testzip() is None
        notes = {key: archive.read(key).decode() for key in NOTES}
    assert notes["model_card.md"] == NOTES["model_card.md"]
    for key in ("class_names.json", "settings.json"):
        assert json.loads(notes[key]) == json.loads(NOTES[key])


@pytest.mark.parametrize("num_classes", [5, None])
def test_inputs_and_outputs_have_names_and_sizes(num_classes, tmp_path):
    generator = trained(num_classes=num_classes)
    names = ["latents", "class_id"][: 1 + bool(num_classes)]
    graph = onnx.load(write(tmp_path, "onnx", generator)[0]).graph
    shapes = {
        value.name: [size.dim_param or size.dim_value for size in value.type.tensor_type.shape.dim]
        for value in (*graph.input, *graph.output)
    }
    expected = {"latents": ["N", 20], "class_id": ["N"], "images": ["N", 32, 32, 3]}
    assert shapes == {key: expected[key] for key in (*names, "images")}
    interpreter = Interpreter(str(write(tmp_path, "tflite", generator)[0]))
    signature = {"inputs": sorted(names), "outputs": ["images"]}
    assert interpreter.get_signature_list() == {"serving_default": signature}
    model = keras.saving.load_model(write(tmp_path, "keras", generator)[0])
    assert sorted(model.input) == sorted(names)
    assert model.output_shape == (None, 32, 32, 3)


def test_a_class_that_is_not_there_is_refused_but_for_onnx_counts_from_the_end(tmp_path):
    generator = trained()
    latents = inputs(generator)[0]
    last, before, beyond = (np.full(4, label, "int32") for label in (4, -1, 5))
    function = onnx_format.load(write(tmp_path, "onnx", generator)[0])
    np.testing.assert_array_equal(
        function(latents=latents, class_id=before), function(latents=latents, class_id=last)
    )
    with pytest.raises(Exception, match="out of data bounds"):
        function(latents=latents, class_id=beyond)
    function = tflite_format.load(write(tmp_path, "tflite", generator)[0])
    for label in (before, beyond):
        with pytest.raises(RuntimeError, match="out of bounds"):
            function(latents=latents, class_id=label)


def test_is_float32_whatever_the_policy(tmp_path):
    _, difference = write(tmp_path, "onnx", trained(dtype="mixed_bfloat16"))
    assert difference < 1e-5


@pytest.mark.parametrize(("backend", "mixing"), [("jax", "residual"), ("torch", "local_attention")])
def test_keras_reads_it_without_tensorflow_and_without_this_package(backend, mixing, tmp_path):
    generator = trained(attention_resolutions=(8,), mixing=mixing)
    path, _ = write(tmp_path, "keras", generator)
    np.savez(tmp_path / "inputs.npz", **named_inputs(generator))
    script = f"""
import sys, keras, numpy as np
model = keras.saving.load_model({str(path)!r})
with np.load({str(tmp_path / "inputs.npz")!r}) as inputs:
    images = model.predict(dict(inputs), verbose=0)
np.save({str(tmp_path / "images.npy")!r}, images)
print(keras.backend.backend(), "sagan_tf" in sys.modules)
"""
    finished = subprocess.run(
        [sys.executable, "-c", script],
        env=commands.without_tensorflow(tmp_path, backend),
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr[-3000:]
    assert finished.stdout.splitlines()[-1] == f"{backend} False"
    expected = generator(*inputs(generator))
    np.testing.assert_allclose(np.load(tmp_path / "images.npy"), expected, atol=1e-5)


def test_what_was_there_is_replaced_only_by_what_is_whole(tmp_path, monkeypatch):
    path = tmp_path / "sagan.onnx"
    path.write_text("of before")
    monkeypatch.setattr(file_formats, "TOLERANCE", 0)
    with pytest.raises(RuntimeError, match="differ"):
        write(tmp_path, "onnx", trained())
    assert path.read_text() == "of before"
    monkeypatch.undo()
    write(tmp_path, "onnx", trained())
    onnx.checker.check_model(path)


@pytest.mark.parametrize(
    ("label", "factor", "message"),
    [
        (0, 1.01, "images differ from the checkpoint's"),
        (4, 0.0, "images differ from the checkpoint's"),
        (2, np.nan, "weights .* are not all finite"),
    ],
)
@every_format
def test_a_file_that_is_wrong_for_one_class_is_refused(
    name, label, factor, message, tmp_path, monkeypatch
):
    def wrong(generator):
        folded = FoldedGenerator(generator)
        table = folded.table.numpy()
        table[label] *= factor
        folded.table.assign(table)
        return folded

    monkeypatch.setattr(file_formats, "FoldedGenerator", wrong)
    with pytest.raises(RuntimeError, match=message):
        write(tmp_path, name, trained())
    assert os.listdir(tmp_path) == []


@every_format
def test_an_interrupt_leaves_nothing(name, tmp_path, monkeypatch):
    def interrupted(path):
        assert path.stat().st_size > 0
        raise KeyboardInterrupt

    monkeypatch.setattr(FORMATS[name], "load", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write(tmp_path, name, trained())
    assert os.listdir(tmp_path) == []


@every_format
def test_a_full_disk_leaves_nothing(name, tmp_path, file_size_limit):
    with file_size_limit(1000), pytest.raises(OSError, match=r"large|space|Input/output"):
        write(tmp_path, name, trained())
    assert os.listdir(tmp_path) == []
