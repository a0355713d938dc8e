"""What layers are given that does not fit is refused in one message, what can fit is taken."""

import keras
import numpy as np
import pytest

from sagan_tf.layers import (
    ConditionalBatchNormalization,
    ResidualBottleneck2D,
    SelfAttention2D,
    SpectralConv2D,
    SpectralConv2DMeanPool,
    SpectralDense,
    SpectralEmbedding,
    SpectralUpsampleConv2D,
)
from sagan_tf.layers.inputs import class_weights, label_vector
from sagan_tf.models import Discriminator, Generator

ON_MAPS = {
    "SpectralConv2D": lambda **kwargs: SpectralConv2D(4, 3, **kwargs),
    "SpectralUpsampleConv2D": lambda **kwargs: SpectralUpsampleConv2D(4, **kwargs),
    "SpectralConv2DMeanPool": lambda **kwargs: SpectralConv2DMeanPool(4, **kwargs),
    "SelfAttention2D": SelfAttention2D,
    "ResidualBottleneck2D": ResidualBottleneck2D,
    "ConditionalBatchNormalization": lambda **kwargs: ConditionalBatchNormalization(None, **kwargs),
}
every = pytest.mark.parametrize("name", ON_MAPS)
SMALL = {"image_size": 16, "num_classes": 5, "base_filters": 2}


@every
@pytest.mark.parametrize("shape", [(8,), (2, 8), (2, 8, 8), (2, 2, 8, 8, 8)])
def test_another_rank_is_refused(name, shape):
    with pytest.raises(ValueError, match=r"expects an input of shape \(N, H, W, C\)|min_ndim=4"):
        ON_MAPS[name]()(np.ones(shape, "float32"))


@every
def test_other_channels_than_at_first_are_refused(name):
    layer = ON_MAPS[name]()
    layer(np.ones((2, 8, 8, 8), "float32"))
    with pytest.raises(ValueError, match="is incompatible with the layer"):
        layer(np.ones((2, 8, 8, 1), "float32"))


@pytest.mark.parametrize("name", ["SelfAttention2D", "ResidualBottleneck2D"])
def test_too_few_channels_are_refused(name):
    with pytest.raises(ValueError, match=r"`query_key_ratio` must .*query_key_ratio=8, channels=4"):
        ON_MAPS[name]()(np.ones((2, 8, 8, 4), "float32"))


@pytest.mark.parametrize("dtype", ["uint8", "int32", "int64", "float64", "float16"])
@every
def test_numbers_of_any_type_count_as_those_of_the_compute_dtype(name, dtype):
    layer = ON_MAPS[name]()
    images = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 8))
    outputs, expected = layer(images.astype(dtype)), layer(images.astype("float32"))
    assert outputs.dtype == "float32"
    np.testing.assert_array_equal(outputs, expected)


def test_dense_takes_integers():
    layer = SpectralDense(3)
    numbers = np.array([[1, 2], [3, 255]], "uint8")
    np.testing.assert_array_equal(layer(numbers), layer(numbers.astype("float32")))


@pytest.mark.parametrize(
    "policy", ["float16", "bfloat16", "mixed_float16", "mixed_bfloat16", "float64"]
)
@every
def test_every_dtype_policy_computes_nearly_the_same(name, policy):
    exact, layer = ON_MAPS[name](), ON_MAPS[name](dtype=policy)
    images = np.random.default_rng(0).normal(size=(2, 8, 8, 8)).astype("float32")
    expected = exact(images).numpy()
    layer(images)
    layer.set_weights(exact.get_weights())
    outputs = layer(images)
    assert outputs.dtype == layer.compute_dtype
    tolerance = 1e-6 if policy == "float64" else 0.05
    np.testing.assert_allclose(
        np.asarray(outputs, "float32"), expected, rtol=0, atol=tolerance * np.abs(expected).max()
    )


@every
def test_channels_first_names_its_place(name):
    keras.config.set_image_data_format("channels_first")
    try:
        with pytest.raises(ValueError, match=r"'channels_first'") as caught:
            ON_MAPS[name]()
    finally:
        keras.config.set_image_data_format("channels_last")
    assert "keras.json" in str(caught.value)
    assert "keras.config.set_image_data_format" in str(caught.value)


@pytest.mark.parametrize("name", ["SpectralUpsampleConv2D", "SpectralConv2DMeanPool"])
@pytest.mark.parametrize("form", ["plain", "merged"])
def test_channels_last_holds_whatever_keras_is_set_to(name, form):
    images = np.random.default_rng(0).normal(size=(2, 8, 8, 4)).astype("float32")
    layer = ON_MAPS[name](form=form, data_format="channels_last")
    expected = layer(images)
    keras.config.set_image_data_format("channels_first")
    try:
        outputs = layer(images)
    finally:
        keras.config.set_image_data_format("channels_last")
    np.testing.assert_array_equal(outputs, expected)


@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint32", "int64", "bool", "float32"])
@pytest.mark.parametrize("shape", [(2,), (2, 1)])
def test_labels_of_any_type(dtype, shape):
    labels = np.array([0, 1], dtype).reshape(shape)
    assert label_vector(labels).numpy().tolist() == [0, 1]
    assert class_weights(labels, 3).numpy().tolist() == [[1, 0, 0], [0, 1, 0]]


def test_weights_of_classes_stay():
    blend = np.array([[0.25, 0.75], [1, 0]], "float32")
    np.testing.assert_array_equal(class_weights(blend, 2), blend)
    # Of one class: floats weigh it, integers are its number.
    assert class_weights(np.array([[0.5]], "float32"), 1).numpy().tolist() == [[0.5]]
    assert class_weights(np.array([[0]]), 1).numpy().tolist() == [[1]]


@pytest.mark.parametrize("shape", [(), (2, 3), (2, 1, 1)])
def test_labels_of_another_shape_are_refused(shape):
    for check in (label_vector, lambda labels: class_weights(labels, 5)):
        with pytest.raises(ValueError, match=r"`labels` must be class numbers of shape \(N,\)"):
            check(np.zeros(shape, "int32"))


def test_networks_take_a_column_of_labels():
    """As `keras.Input((1,))` gives it; a row more would make N x N pairs of images and labels."""
    generator, discriminator = Generator(latent_dim=3, **SMALL), Discriminator(**SMALL)
    latents = np.random.default_rng(0).normal(size=(3, 3)).astype("float32")
    labels = np.array([0, 4, 2])
    images = generator(latents, labels)
    np.testing.assert_array_equal(generator(latents, labels[:, None].astype("uint8")), images)
    logits = discriminator(images, labels)
    np.testing.assert_array_equal(discriminator(images, labels[:, None]), logits)
    with pytest.raises(ValueError, match=r"`argmax\(labels, axis=-1\)`"):
        discriminator(images, np.eye(5)[labels])


def test_embedding_takes_floats_as_keras_does():
    layer = SpectralEmbedding(5, 2)
    np.testing.assert_array_equal(layer(np.array([1.0, 4.0])), layer(np.array([1, 4])))
