"""SAGAN as a `keras.Model`: saved, loaded, checkpointed, and given data as users have them."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf

from sagan_tf.models import Discriminator, Generator
from sagan_tf.training.batch_checks import checked_images, checked_labels
from sagan_tf.training.regularization import Regularization
from sagan_tf.training.trainer import SAGAN
from tests.support import small_sagan
from tests.support.small_sagan import IMAGES, LABELS, NETWORK, eager

# Keras copies its variables into the file in a way that NumPy 2 deprecates.
saves = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy")

# No default, where another value does: a file must carry all of them.
SETTINGS = {
    "d_steps": 2,
    "gradient_accumulation": 2,
    "ema_decay": 0.75,
    "ema_start_step": 1,
    "ema_ramp": 0.1,
    "label_weights": np.arange(10.0) + 1,
    "seed": 3,
}
make_sagan = functools.partial(small_sagan.make_sagan, small_sagan.sgd)


def make_with_state():
    """A model each of whose parts has a state that a file must keep."""
    sagan = SAGAN(
        *small_sagan.make_networks(frozen_blocks=1),
        ema_decay=0.75,
        label_weights=SETTINGS["label_weights"],
        regularization=Regularization(policies=("translation",), adaptive=True, lecam_weight=0.1),
    )
    schedule = keras.optimizers.schedules.CosineDecay(1e-3, 100)
    sagan.compile(
        keras.optimizers.Adam(schedule, beta_1=0.0, name="first"),
        keras.optimizers.Adam(4e-4, beta_1=0.5, name="second"),
    )
    return sagan


def fit(sagan, epochs=1, labels=LABELS, **kwargs):
    return sagan.fit(
        IMAGES, labels, batch_size=8, epochs=epochs, shuffle=False, verbose=0, **kwargs
    ).history


def assert_same(left, right):
    for ours, expected in zip(left.variables, right.variables, strict=True):
        np.testing.assert_array_equal(ours, expected, err_msg=expected.path)


@saves
def test_a_loaded_model_goes_on_as_the_saved_one(tmp_path):
    sagan = make_with_state()
    fit(sagan, epochs=2)
    sagan.rollbacks.assign(1)
    sagan.save(tmp_path / "sagan.keras")
    expected = fit(sagan, epochs=2)
    loaded = keras.saving.load_model(tmp_path / "sagan.keras")
    assert loaded.get_config() == sagan.get_config()
    assert loaded.get_compile_config() == sagan.get_compile_config()
    assert loaded.generator_optimizer.iterations.numpy() == 2
    assert fit(loaded, epochs=2) == expected
    assert_same(loaded, sagan)
    for optimizer in ("generator_optimizer", "discriminator_optimizer"):
        assert_same(getattr(loaded, optimizer), getattr(sagan, optimizer))
    assert_same(loaded.sampling_generator(), sagan.sampling_generator())


def test_config_holds_every_argument():
    regularization = Regularization(policies=("color",), r1_weight=0.5, r1_interval=2)
    config = SAGAN(
        *small_sagan.make_networks(), regularization=regularization, **SETTINGS
    ).get_config()
    for name, value in SETTINGS.items():
        np.testing.assert_array_equal(config[name], value)
    copy = SAGAN.from_config(config)
    assert copy.get_config() == config
    assert copy.regularization.r1_interval == 2
    assert not copy.compiled
    copy.compile("adam", "sgd", xla=True)
    copy.compile_from_config(copy.get_compile_config())
    assert copy.xla
    assert isinstance(copy.discriminator_optimizer, keras.optimizers.SGD)


@saves
def test_model_checkpoint_saves_both_ways(tmp_path):
    sagan = eager(make_sagan(ema_decay=0.5))
    checkpoint = keras.callbacks.ModelCheckpoint
    fit(
        sagan,
        epochs=2,
        callbacks=[
            checkpoint(str(tmp_path / "{epoch}.keras")),
            checkpoint(str(tmp_path / "last.weights.h5"), save_weights_only=True),
            checkpoint(
                str(tmp_path / "best.keras"),
                monitor="discriminator_loss",
                mode="min",
                save_best_only=True,
            ),
        ],
    )
    assert {path.name for path in tmp_path.iterdir()} == {
        "1.keras", "2.keras", "last.weights.h5", "best.keras",
    }  # fmt: skip
    assert_same(keras.saving.load_model(tmp_path / "2.keras"), sagan)
    other = make_sagan(ema_decay=0.5)
    other.load_weights(tmp_path / "last.weights.h5")
    assert_same(other, sagan)
    uncompiled = keras.saving.load_model(tmp_path / "1.keras", compile=False)
    assert not uncompiled.compiled


@pytest.mark.parametrize("dtype", ["uint8", "int16", "int64", "uint64", "float64"])
@pytest.mark.parametrize("shape", [(-1,), (-1, 1)])
def test_labels_of_any_type_train_alike(dtype, shape):
    """The numbers of a step; `fit` hands them on as they are."""
    labels = tf.constant(LABELS.astype(dtype).reshape(shape))
    expected = checked_labels(tf.constant(LABELS, tf.int32), 10)
    ours = tf.function(checked_labels)(labels, 10)
    assert ours.dtype == tf.int64
    np.testing.assert_array_equal(ours, expected)


def test_fit_takes_a_column_of_bytes_as_labels():
    one, other = eager(make_sagan()), eager(make_sagan())
    logs = fit(one), fit(other, labels=LABELS.astype("uint8")[:, None])
    assert logs[0] == logs[1]
    assert_same(one, other)


def test_images_alone_train_networks_without_classes():
    network = {**NETWORK, "num_classes": None}
    sagan = SAGAN(Generator(latent_dim=8, **network), Discriminator(**network))
    sagan.compile("adam", "adam")
    logs = eager(sagan).fit(IMAGES.astype("float64"), batch_size=4, verbose=0).history
    assert np.isfinite(logs["generator_loss"]).all()


def test_images_that_fill_no_update_are_left_out():
    """Seven, for two updates of two parts each."""
    sagan = SAGAN(*small_sagan.make_networks(), d_steps=2, gradient_accumulation=2)
    assert [int(sagan._update_size(IMAGES[:count])) for count in (4, 7, 8)] == [2, 2, 4]
    with pytest.raises(ValueError, match=r"gradient_accumulation = 4 in every batch.*Received: 3"):
        sagan._update_size(IMAGES[:3])


def test_a_frozen_generator_keeps_its_average():
    sagan = make_sagan(ema_decay=0.5)
    sagan.generator.stages[0].trainable = False
    sagan.compile(keras.optimizers.SGD(1.0), keras.optimizers.SGD(1e-2))
    before = sagan.generator.stages[0].get_weights(), sagan.generator.dense.kernel.numpy()
    sagan.train_step((tf.constant(IMAGES), tf.constant(LABELS)))
    for now, then in zip(sagan.generator.stages[0].get_weights(), before[0], strict=True):
        np.testing.assert_array_equal(now, then)
    kernel, average = sagan.generator.dense.kernel, sagan.ema_generator.dense.kernel
    np.testing.assert_allclose(average, (before[1] + kernel.numpy()) / 2, rtol=1e-5, atol=1e-7)
    assert sagan.sampling_generator() is sagan.ema_generator


def test_nothing_moves_when_labels_are_out_of_range():
    """The assertion comes before the update, inside a compiled step, too."""
    sagan = make_sagan(ema_decay=0.5)
    labels = np.where(np.arange(8) == 5, 10, LABELS)
    dataset = tf.data.Dataset.from_tensor_slices((IMAGES, labels)).batch(8)
    before = [variable.numpy() for variable in sagan.discriminator.trainable_variables]
    with pytest.raises(ValueError, match=r"^`labels` must be .* Received: 10$"):
        sagan.fit(dataset, shuffle=False, verbose=0)
    for variable, then in zip(sagan.discriminator.trainable_variables, before, strict=True):
        np.testing.assert_array_equal(variable, then, err_msg=variable.path)


def test_a_little_overshoot_of_images_is_taken():
    images = tf.constant([[[[1.2]]], [[[-1.0]]]], tf.float64)
    assert checked_images(images, (None, None, 1)).dtype == tf.float32
    with pytest.raises(ValueError, match=r"`images` must be in \[-1, 1\]"):
        checked_images(tf.fill((1, 1, 1, 1), 1.6), (1, 1, 1))


def test_images_that_are_not_finite_are_left_to_the_loop():
    checked = tf.function(checked_images)(tf.fill((1, 1, 1, 1), np.nan), (1, 1, 1))
    assert np.isnan(checked).all()


def test_summary_and_clone():
    lines = []
    sagan = make_sagan(ema_decay=0.5)
    sagan.summary(print_fn=lines.append)
    assert "ema_generator" in "\n".join(lines)
    copy = keras.models.clone_model(sagan)
    assert copy.get_config() == sagan.get_config()


def test_labels_may_be_a_list():
    left, right = eager(make_sagan()), eager(make_sagan())
    assert fit(left, labels=LABELS.tolist()) == fit(right)


def test_images_from_0_to_1_and_unused_labels_are_warned_of():
    with pytest.warns(UserWarning, match=r"`images \* 2 - 1` brings \[0, 1\] there"):
        eager(make_sagan()).fit((IMAGES + 1) / 2, LABELS, batch_size=8, verbose=0)
    networks = small_sagan.make_networks(num_classes=None)
    data = tf.data.Dataset.from_tensors((IMAGES, LABELS))
    for given in ((IMAGES, LABELS), (data,)):
        sagan = SAGAN(*networks)
        sagan.compile(keras.optimizers.SGD(1e-2), keras.optimizers.SGD(1e-2))
        with pytest.warns(UserWarning, match="labels are not used: the networks have no classes"):
            eager(sagan).fit(*given, verbose=0, shuffle=False)


def with_nan(count=8):
    images = np.repeat(IMAGES, count // 8, axis=0)
    images[-1, 3, 2, 0] = np.nan
    return images


def test_numbers_that_are_not_finite_are_refused_in_arrays():
    sagan = make_sagan()
    before = [variable.numpy() for variable in sagan.variables]
    for images in (with_nan(), with_nan(2048), -np.inf * with_nan()):
        with pytest.raises(ValueError, match="`images` must be finite"):
            sagan.fit(images, np.resize(LABELS, len(images)), batch_size=8, verbose=0)
    for variable, then in zip(sagan.variables, before, strict=True):
        np.testing.assert_array_equal(variable, then)


@saves
def test_an_epoch_that_breaks_is_said_before_a_checkpoint_is_written(tmp_path):
    sagan = eager(make_sagan())
    data = tf.data.Dataset.from_tensors((with_nan(), LABELS))
    path = tmp_path / "model.keras"
    for callbacks in (
        [keras.callbacks.ModelCheckpoint(path)],
        keras.callbacks.ModelCheckpoint(path),
    ):
        with pytest.raises(ValueError, match=r"broke in epoch 1.*'discriminator_loss': nan"):
            sagan.fit(data, epochs=2, verbose=0, shuffle=False, callbacks=callbacks)
        assert not path.exists()
