import keras
import numpy as np
import pytest
import tensorflow as tf

from sagan_tf.layers import SpectralConv2DMeanPool, SpectralUpsampleConv2D
from sagan_tf.layers.resampling import (
    SMALL_KERNEL_PAIRS,
    SMALLEST_MERGED_SIZE,
    mean_pool,
    upsample,
)

both_layers = pytest.mark.parametrize("cls", [SpectralUpsampleConv2D, SpectralConv2DMeanPool])
sizes = pytest.mark.parametrize("size", [(2, 2), (4, 4), (8, 8), (16, 16), (6, 10)])


def random_images(*shape):
    return np.random.default_rng(0).normal(size=shape).astype("float32")


def make_trained(cls, images, **kwargs):
    """A layer with a bias and singular vectors that have moved; the same ones each time."""
    keras.utils.set_random_seed(1)
    layer = cls(5, bias_initializer="random_normal", power_iterations=5, **kwargs)
    layer(images, training=True)
    return layer


def outputs_and_gradients(layer, images):
    """Outputs, then gradients of their weighted sum by input, kernel and bias."""
    images = tf.constant(images)
    variables = [images, layer.kernel.value, layer.bias.value]
    with tf.GradientTape() as tape:
        tape.watch(images)
        outputs = layer(images, training=True)
        loss = tf.reduce_sum(outputs * random_images(*outputs.shape))
    return [outputs.numpy(), *(gradient.numpy() for gradient in tape.gradient(loss, variables))]


def assert_close(ours, expected):
    np.testing.assert_allclose(ours, expected, rtol=0, atol=1e-5 * np.abs(expected).max())


@both_layers
@sizes
def test_merged_equals_plain_with_all_gradients(cls, size):
    images = random_images(2, *size, 3)
    plain, merged = (make_trained(cls, images, form=form) for form in ("plain", "merged"))
    for ours, expected in zip(
        outputs_and_gradients(merged, images), outputs_and_gradients(plain, images), strict=True
    ):
        assert_close(ours, expected)
    np.testing.assert_array_equal(merged.vector_u.numpy(), plain.vector_u.numpy())


@both_layers
@sizes
@pytest.mark.parametrize("form", ["plain", "merged", "auto"])
def test_equals_a_chain_of_keras_layers(cls, size, form):
    images = random_images(2, *size, 3)
    layer = make_trained(cls, images, form=form, activation="tanh")
    conv = keras.layers.Conv2D(5, 3, padding="same")
    conv.build(images.shape)
    conv.set_weights([layer.kernel / layer.singular_value(), layer.bias])
    if cls is SpectralUpsampleConv2D:
        expected = conv(keras.layers.UpSampling2D()(images))
    else:
        expected = keras.layers.AveragePooling2D(2)(conv(images))
    outputs = layer(images)
    assert_close(outputs.numpy(), np.tanh(expected.numpy()))
    assert layer.compute_output_shape(images.shape) == tuple(outputs.shape)


@both_layers
@pytest.mark.parametrize("form", ["plain", "merged"])
def test_spectral_norm_is_that_of_the_3x3_kernel(cls, form):
    layer = make_trained(cls, random_images(1, 8, 8, 3), form=form)
    layer.power_iterations = 200
    layer(random_images(1, 8, 8, 3), training=True)
    matrix = layer.kernel.numpy().reshape(27, 5)
    expected = np.linalg.svd(matrix, compute_uv=False)[0]
    assert float(layer.singular_value()) == pytest.approx(expected, rel=1e-4)


def operations(layer, shape):
    """Types of the operations a call traces to."""
    traced = tf.function(layer).get_concrete_function(tf.TensorSpec(shape))
    return {operation.type for operation in traced.graph.get_operations()}


# What only the plain form does.
MARKS = {SpectralUpsampleConv2D: "Conv2D", SpectralConv2DMeanPool: "AvgPool"}
# From the smaller to the larger of the two maps.
LARGER = {SpectralUpsampleConv2D: 1, SpectralConv2DMeanPool: 2}
BIG = SMALL_KERNEL_PAIRS // 4 + 1  # channels: with four filters, one pair too many


@both_layers
@pytest.mark.parametrize(
    ("form", "smaller_map", "channels", "is_merged"),
    [
        ("auto", (SMALLEST_MERGED_SIZE, SMALLEST_MERGED_SIZE), BIG, True),
        ("auto", (SMALLEST_MERGED_SIZE - 1, 16), BIG, False),
        ("auto", (16, SMALLEST_MERGED_SIZE - 1), BIG, False),
        ("auto", (SMALLEST_MERGED_SIZE - 1, 16), BIG - 1, True),
        ("auto", (None, None), 3, False),
        ("auto", (16, None), 3, False),
        ("merged", (2, 2), BIG, True),
        ("plain", (16, 16), 3, False),
    ],
)
def test_form_that_is_computed(cls, form, smaller_map, channels, is_merged):
    layer = cls(4, form=form, kernel_initializer="zeros")
    sides = [side and side * LARGER[cls] for side in smaller_map]
    layer.build((None, *sides, channels))
    assert (MARKS[cls] not in operations(layer, (None, *sides, channels))) == is_merged


@both_layers
def test_unknown_size_in_a_functional_model(cls):
    inputs = keras.Input((None, None, 3))
    layer = cls(5)
    model = keras.Model(inputs, layer(inputs))
    assert model.output_shape == (None, None, None, 5)
    images = random_images(2, 8, 10, 3)
    assert_close(model(images).numpy(), layer(images).numpy())


def test_upsample_and_mean_pool_by_hand():
    image = np.array([[1, 2], [3, 6]], "float32").reshape(1, 2, 2, 1)
    expected = [[1, 1, 2, 2], [1, 1, 2, 2], [3, 3, 6, 6], [3, 3, 6, 6]]
    np.testing.assert_array_equal(upsample(image)[0, ..., 0], expected)
    np.testing.assert_array_equal(mean_pool(image), [[[[3]]]])
    np.testing.assert_array_equal(mean_pool(upsample(image)), image)


@pytest.mark.parametrize("shape", [(2, 3, 5, 4), (None, 3, 5, 4), (None, None, None, 4)])
def test_upsample_repeats_rows_and_columns_with_few_operations(shape):
    def repeated(images):
        return tf.repeat(tf.repeat(images, 2, axis=1), 2, axis=2)

    def traced(function):
        signature = [tf.TensorSpec(shape, tf.float32)]
        return tf.function(function, input_signature=signature).get_concrete_function()

    images = random_images(2, 3, 5, 4)
    ours, reference = traced(upsample), traced(repeated)
    np.testing.assert_array_equal(ours(images), reference(images))
    count, most = (len(each.graph.get_operations()) for each in (ours, reference))
    assert count < (most if None in shape[1:] else most / 2)


@pytest.mark.parametrize("size", [(5, 4), (4, 5), (None, 7)])
def test_odd_size_cannot_be_pooled(size):
    message = r"expects an even height and width. Received: input_shape="
    with pytest.raises(ValueError, match=message):
        SpectralConv2DMeanPool(5).build((None, *size, 3))


@both_layers
def test_unknown_form_is_refused(cls):
    message = r"`form` must be 'auto', 'merged' or 'plain'. Received: form='fast'"
    with pytest.raises(ValueError, match=message):
        cls(5, form="fast")


@both_layers
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("kernel_size", 5),
        ("strides", 2),
        ("padding", "valid"),
        ("dilation_rate", 2),
        ("groups", 5),
    ],
)
def test_fixed_arguments_cannot_be_changed(cls, name, value):
    message = rf"`{name}` must be .* where a convolution resamples. Received: {name}={value!r}"
    with pytest.raises(ValueError, match=message):
        cls(5, **{name: value})
