"""What Keras users give and do: what is refused, in one line that says the way out.

What works is tested where the part stands; `test_user_fault_table` has the whole list.
"""

import json
import os
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from sagan_tf.layers import SelfAttention2D
from sagan_tf.models import Discriminator, Generator
from sagan_tf.registration import CLASSES
from sagan_tf.training.trainer import SAGAN
from tests.support import commands
from tests.support.small_sagan import IMAGES, LABELS, NETWORK, make_sagan


def optimizer(**kwargs):
    return keras.optimizers.Adam(1e-3, **kwargs)


def fit(images=IMAGES, labels=LABELS, **kwargs):
    return lambda sagan: sagan.fit(images, labels, verbose=0, **kwargs)


def fit_batches(images=IMAGES, labels=LABELS, batch_size=8):
    dataset = tf.data.Dataset.from_tensor_slices((images, labels))
    if batch_size is not None:
        dataset = dataset.batch(batch_size)
    return lambda sagan: sagan.fit(dataset, shuffle=False, verbose=0)


def fit_dictionaries(sagan):
    dataset = tf.data.Dataset.from_tensors({"image": IMAGES, "label": LABELS})
    sagan.fit(dataset, shuffle=False, verbose=0)


def one_batch(images=IMAGES, labels=LABELS):
    return lambda sagan: sagan.train_on_batch(images, labels)


def compiled(first=None, second=None, **kwargs):
    return lambda sagan: sagan.compile(first or optimizer(), second or optimizer(), **kwargs)


def shared():
    both = optimizer()
    return compiled(both, both)


# Row, what is done, and what the message says.
REFUSED = [
    ("13 halves", fit(labels=LABELS + 0.5), r"`labels` must be whole numbers in \[0, 10\)"),
    ("13 not a number", fit(labels=LABELS * np.nan), r"`labels` must be whole.*\[nan"),
    ("13 from 1 to 10", fit(labels=LABELS + 9), r"counted from 0.*Received: \["),
    ("13 negative", fit(labels=LABELS - 10), r"`labels` must be whole numbers"),
    ("13 one-hot", fit(labels=np.eye(10)[LABELS]), r"`argmax\(labels, axis=-1\)`"),
    ("13 names", fit(labels=np.array(["cat"] * 8)), r"`np.unique\(labels, return_inverse"),
    ("13 none", fit(labels=None), r"`labels` are missing"),
    ("13 one-hot batches", fit_batches(labels=np.eye(10)[LABELS]), r"`argmax\(labels"),
    ("13 halves in batches", fit_batches(labels=LABELS + 0.5), r"^`labels` must be whole"),
    ("single images", fit_batches(batch_size=None), r"`data.batch\(N\)` makes batches"),
    ("dictionaries", fit_dictionaries, r"pairs of images and labels.*dictionaries of image, label"),
    ("one batch, labels", one_batch(labels=LABELS + 9), r"^`labels` must be whole"),
    ("one batch, 0 ... 255", one_batch(IMAGES * 127 + 128), r"^`images` must be in"),
    ("not finite", fit(np.where(IMAGES > 0.99, np.nan, IMAGES)), r"`images` must be finite"),
    (
        "learning rate by a callback",
        fit(callbacks=[keras.callbacks.ReduceLROnPlateau()]),
        r"cannot hold ReduceLROnPlateau.*`keras.optimizers.schedules`",
    ),
    ("one optimizer", lambda sagan: sagan.compile("adam"), "takes two optimizers"),
    ("no optimizer", lambda sagan: sagan.compile(), "takes two optimizers"),
    ("other arguments", compiled(loss="mse"), "takes two optimizers.*Received: loss"),
    ("compiled by Keras", compiled(jit_compile=True), r"`xla=True` compiles.*jit_compile"),
    ("bytes", fit((IMAGES * 127 + 128).astype("uint8")), r"`images / 127.5 - 1`.*dtype=uint8"),
    ("0 ... 255", fit(IMAGES * 127 + 128), r"`images` must be in \[-1, 1\]"),
    ("0 ... 255 in batches", fit_batches(IMAGES * 127 + 128), r"^`images` must be in"),
    ("other size", fit(IMAGES[:, :8]), r"`images` must have the shape \(N, 16, 16, 1\)"),
    ("14 average", compiled(optimizer(use_ema=True)), r"`SAGAN\(..., ema_decay=0.999\)`"),
    ("14 the other one", compiled(None, optimizer(use_ema=True)), r"`discriminator_optimizer`"),
    (
        "14 accumulation",
        compiled(optimizer(gradient_accumulation_steps=2)),
        r"`SAGAN\(..., gradient_accumulation=N\)`",
    ),
    (
        "14 loss scale",
        compiled(keras.optimizers.LossScaleOptimizer(optimizer())),
        "mixed_bfloat16, which needs no scaling",
    ),
    (
        "14 scale",
        compiled(optimizer(loss_scale_factor=8.0)),
        "Adam, loss_scale_factor=8.0",
    ),
    ("one optimizer for both", shared(), "must be two objects"),
    ("validation data", fit(validation_data=(IMAGES, LABELS)), "`validation_data` cannot be given"),
    ("validation split", fit(validation_split=0.5), "`validation_split` cannot be given"),
    ("evaluate", lambda sagan: sagan.evaluate(IMAGES, LABELS, verbose=0), "python -m sagan_tf"),
    (
        "predict",
        lambda sagan: sagan.predict(IMAGES, verbose=0),
        r"`sampling_generator\(\)` returns",
    ),
    ("export", lambda sagan: sagan.export("folder"), r"`sampling_generator\(\)` returns"),
    ("HDF5 file", lambda sagan: sagan.save("sagan.h5"), "`filepath` must end in .keras"),
    ("weights of classes", fit(class_weight=dict.fromkeys(range(10), 1.0)), "`label_weights`"),
    ("weights of images", fit(sample_weight=np.ones(8)), "`sample_weight` and `class_weight`"),
]


@pytest.fixture(scope="module")
def sagan():
    return make_sagan()


@pytest.mark.parametrize(
    ("act", "message"), [row[1:] for row in REFUSED], ids=[r[0] for r in REFUSED]
)
def test_is_refused_in_one_line(sagan, act, message):
    before = [variable.numpy() for variable in sagan.discriminator.trainable_variables]
    with pytest.raises(ValueError, match=message) as caught:
        act(sagan)
    assert "\n" not in str(caught.value)
    for variable, then in zip(sagan.discriminator.trainable_variables, before, strict=True):
        np.testing.assert_array_equal(variable, then)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"num_classes": 5}, "must have the same `num_classes`. Received: 10 and 5"),
        ({"channels": 3}, "must have the same `channels`"),
        ({"dtype": "mixed_float16"}, "must not compute in float16.*mixed_bfloat16"),
    ],
)
def test_networks_that_do_not_fit_are_refused(changed, message):
    with pytest.raises(ValueError, match=message):
        SAGAN(Generator(**NETWORK), Discriminator(**{**NETWORK, **changed}))


def test_sagan_names_the_backend_it_needs(monkeypatch):
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    with pytest.raises(ValueError, match=r"set KERAS_BACKEND=tensorflow.*Received: backend='jax'"):
        make_sagan()


def run(script, **environment):
    """What a new process prints; it must succeed."""
    finished = subprocess.run(
        [sys.executable, "-c", script],
        env=os.environ | commands.ENVIRONMENT | {"PYTHONPATH": str(commands.ROOT)} | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr[-3000:]
    return finished.stdout


LOAD = """
import sys
model = keras.saving.load_model({path!r})
print(type(model.layers[1]).__module__)
import numpy as np
print(float(np.sum(model(np.ones((1, 8, 8, 8), "float32")))))
sagan = keras.saving.load_model({sagan!r})
print(sagan.compiled, type(sagan.generator).__name__)
"""


# Keras copies its variables into the file in a way that NumPy 2 deprecates.
@pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy")
@pytest.mark.parametrize(
    "imports",
    ["import sagan_tf, keras", "import keras\nfrom sagan_tf.layers import SelfAttention2D"],
)
def test_a_saved_model_loads_in_a_new_process(imports, sagan, tmp_path):
    inputs = keras.Input((8, 8, 8))
    model = keras.Model(inputs, SelfAttention2D()(inputs))
    model.layers[1].gamma.assign(1.0)
    paths = {"path": str(tmp_path / "model.keras"), "sagan": str(tmp_path / "sagan.keras")}
    model.save(paths["path"])
    sagan.save(paths["sagan"])
    printed = run(f"{imports}\n{LOAD.format(**paths)}").splitlines()
    assert printed[0] == "sagan_tf.layers.self_attention"
    expected = float(np.sum(model(np.ones((1, 8, 8, 8), "float32"))))
    assert float(printed[1]) == pytest.approx(expected, rel=1e-6)
    assert printed[2] == "True Generator"


def test_every_registered_class_has_a_stand_in():
    import sagan_tf.models
    import sagan_tf.training.build  # noqa: F401 - each registers its classes

    registered = {
        (value.__module__, value.__name__)
        for name, value in keras.saving.get_custom_objects().items()
        if name.startswith("sagan_tf>") and isinstance(value, type)
    }
    assert registered == {(module, name) for module, names in CLASSES.items() for name in names}


def refused(name, *arguments, **environment):
    """The one line that a command ends with."""
    finished = subprocess.run(
        [sys.executable, "-m", f"sagan_tf.{name}", *arguments],
        env={**os.environ, **commands.ENVIRONMENT, **environment},
        cwd=commands.ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 1
    assert finished.stdout == ""
    assert "Traceback" not in finished.stderr
    return finished.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    "command",
    ["train", "sample", "evaluate", "export", "attend", "prepare", "convert", "benchmark", "study"],
)
def test_commands_name_the_variable_with_another_backend(command, tmp_path):
    line = refused(command, KERAS_BACKEND="jax", KERAS_HOME=str(tmp_path))
    assert "Keras' `backend` must be 'tensorflow': set KERAS_BACKEND=tensorflow" in line
    assert line.endswith("Received: 'jax', from the environment variable KERAS_BACKEND")


@pytest.mark.parametrize(
    ("settings", "way_out"),
    [
        ({"backend": "torch"}, "set KERAS_BACKEND=tensorflow in the environment"),
        ({"image_data_format": "channels_first"}, '"image_data_format": "channels_last"'),
        ({"floatx": "float16"}, "`--dtype_policy` chooses mixed precision"),
        ({"floatx": "float64"}, '"floatx": "float32"'),
    ],
    ids=str,
)
def test_commands_name_the_file(settings, way_out, tmp_path):
    (tmp_path / "keras.json").write_text(json.dumps(settings))
    environment = {"KERAS_HOME": str(tmp_path), "KERAS_BACKEND": ""}
    line = refused("train", "--dataset=digits", "--dry_run", **environment)
    assert way_out in line
    assert line.endswith(f"Received: {next(iter(settings.values()))!r}, from {tmp_path}/keras.json")


def test_the_variable_goes_before_the_file(tmp_path):
    (tmp_path / "keras.json").write_text('{"backend": "jax"}')
    line = refused("sample", "--scale=0", KERAS_HOME=str(tmp_path), KERAS_BACKEND="tensorflow")
    assert line.startswith("error: `--scale`")


def test_what_needs_no_keras_does_not_ask():
    line = refused("playground", "--port=0", KERAS_BACKEND="jax")
    assert line.startswith("error: `--port`")


KERAS_PAGE = (commands.ROOT / "docs" / "keras.md").read_text(encoding="utf-8")
NOTEBOOK = KERAS_PAGE.split("## In a notebook")[1].split("```python\n")[1].split("```")[0]
SMALL = """"steps": 2, "image_size": 16, "base_filters": 4, "query_key_ratio": 4, "latent_dim": 8,
"global_batch_size": 8, "d_steps": 1, "attention_resolutions": (8,)"""
BEFORE = """
import tensorflow as tf
tf.random.normal((2, 2)) @ tf.ones((2, 2))  # TensorFlow has started.
"""
AFTER = """
from sagan_tf.machine.devices import make_strategy
try:
    make_strategy(num_replicas=2)
except ValueError as error:
    print("error:", error)
"""


def test_a_notebook_trains_and_samples_after_tensorflow_was_used(tmp_path):
    cells = NOTEBOOK.replace("runs/digits", str(tmp_path)).replace('"steps": 2000', SMALL)
    cells = cells.replace("digits.png", f"{tmp_path}/grid.png")
    lines = run(BEFORE + cells + AFTER).splitlines()
    assert f"grid: {tmp_path}/grid.png" in lines
    assert (tmp_path / "grid.png").exists()
    assert lines[-1].startswith("error: `--num_replicas=2 on the CPU` must come before TensorFlow")
    assert "Restart the notebook's kernel" in lines[-1]
