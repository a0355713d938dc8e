import hashlib

import keras
import numpy as np
import pytest

from sagan_tf.evaluation.extractor_base import resize_images
from sagan_tf.evaluation.keras_extractor import KerasExtractor, refuse_other_inception

# Keras's own, when it writes weights.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy")


def saved(path, *layers):
    model = keras.Sequential(layers)
    model.save(path)
    return path


def images(channels, size=8):
    return np.random.default_rng(0).integers(0, 256, (3, size, size, channels), np.uint8)


def test_features_are_the_flattened_output(tmp_path):
    path = tmp_path / "thirds.keras"
    saved(path, keras.Input((None, None, 3)), keras.layers.Rescaling(1 / 3))
    extractor = KerasExtractor(path)
    features = extractor(images(3))
    assert list(features) == ["features"]
    np.testing.assert_allclose(features["features"], images(3).reshape(3, -1) / 3, rtol=1e-6)
    assert extractor.name == "thirds"
    assert extractor.identity["weights"] == hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("resize", ["clean", "legacy"])
def test_images_get_the_models_size(resize, tmp_path):
    path = saved(tmp_path / "x.keras", keras.Input((5, 6, 3)), keras.layers.Flatten())
    extractor = KerasExtractor(path, resize)
    assert extractor.identity["resize"] == resize
    wanted = np.reshape(resize_images(images(3), (5, 6), resize), (3, -1))
    np.testing.assert_array_equal(extractor(images(3))["features"], wanted)


def test_channels(tmp_path):
    path = saved(tmp_path / "rgb.keras", keras.Input((8, 8, 3)), keras.layers.Flatten())
    gray = images(1)
    features = KerasExtractor(path)(gray)["features"]
    np.testing.assert_array_equal(features, np.repeat(gray, 3, axis=-1).reshape(3, -1))
    path = saved(tmp_path / "gray.keras", keras.Input((8, 8, 1)), keras.layers.Flatten())
    with pytest.raises(
        ValueError, match=r"`images` must be uint8 or float32 \(N, H, W, 1\) with N > 0"
    ):
        KerasExtractor(path)(images(3))


def test_features_of_half_precision_are_float32(tmp_path):
    layer = keras.layers.Conv2D(2, 3, dtype="mixed_bfloat16")
    path = saved(tmp_path / "x.keras", keras.Input((8, 8, 3)), layer)
    assert KerasExtractor(path)(images(3))["features"].dtype == np.float32


def test_refused_models(tmp_path):
    first, second = keras.Input((8, 8, 3)), keras.Input((4,))
    keras.Model([first, second], [first, second]).save(tmp_path / "two.keras")
    saved(tmp_path / "vector.keras", keras.Input((4,)), keras.layers.Dense(2))
    for name in ["two", "vector"]:
        with pytest.raises(ValueError, match=r"one image \(N, H, W, C\) as input and one output"):
            KerasExtractor(tmp_path / f"{name}.keras")
    with pytest.raises(ValueError, match=r"absent\.keras"):
        KerasExtractor(tmp_path / "absent.keras")
    path = saved(tmp_path / "x.keras", keras.Input((4, 4, 3)), keras.layers.Flatten())
    with pytest.raises(ValueError, match="`resize` must be one of"):
        KerasExtractor(path, resize="nearest")


def test_files_that_keras_cannot_load_are_one_message(tmp_path):
    class Unknown(keras.layers.Layer):
        def call(self, inputs):
            return inputs

    path = saved(tmp_path / "own.keras", keras.Input((8, 8, 3)), Unknown(), keras.layers.Flatten())
    with pytest.raises(ValueError, match=r"own\.keras is no model that Keras can load here: ."):
        KerasExtractor(path)
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(ValueError, match=r"own\.keras is no model that Keras can load here: ."):
        KerasExtractor(path)


def test_the_inception_of_keras_is_refused_with_the_reason():
    shape = 75, 75, 3
    model = keras.applications.InceptionV3(
        include_top=False, weights=None, input_shape=shape, name="renamed"
    )
    inside = keras.Sequential([keras.Input(shape), keras.layers.Rescaling(1 / 255), model])
    for refused in [model, inside]:
        with pytest.raises(ValueError, match="is not the network that FID"):
            refuse_other_inception(refused)
    refuse_other_inception(keras.Sequential([keras.Input(shape), keras.layers.Flatten()]))
