import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from sagan_tf.layers import SpectralConv2D, SpectralDense, SpectralEmbedding

# By layer: how to make it, and one input per entry of a weight's column, so that without a bias
# the outputs are the normalized weight itself.
MAKE = {
    "conv2d": lambda **kwargs: SpectralConv2D(6, 3, **kwargs),
    "dense": lambda **kwargs: SpectralDense(5, **kwargs),
    "embedding": lambda **kwargs: SpectralEmbedding(7, 4, **kwargs),
}
UNIT_INPUTS = {
    "conv2d": np.eye(18, dtype="float32").reshape(18, 3, 3, 2),
    "dense": np.eye(8, dtype="float32"),
    "embedding": np.arange(7),
}
every_layer = pytest.mark.parametrize("name", MAKE)


def make_built(name, **kwargs):
    layer = MAKE[name](**kwargs)
    layer.build(UNIT_INPUTS[name].shape)
    return layer


def weight(layer):
    """The stored weight: kernel or table."""
    return layer.trainable_variables[0]


def as_matrix(name, values):
    """The matrix whose norm counts, as the released code shapes it."""
    values = np.asarray(values)
    return values.T if name == "embedding" else values.reshape(-1, values.shape[-1])


def vectors(layer):
    return [layer.vector_u.numpy(), layer.vector_v.numpy()]


def set_vectors(layer, values):
    layer.vector_u.assign(values[0])
    layer.vector_v.assign(values[1])


def call(layer, inputs, **kwargs):
    return ops.convert_to_numpy(layer(inputs, **kwargs))


@every_layer
def test_singular_value_is_the_largest_of_the_decomposition(name):
    layer = make_built(name, power_iterations=100)
    layer(UNIT_INPUTS[name], training=True)
    expected = np.linalg.svd(as_matrix(name, weight(layer)), compute_uv=False)[0]
    assert float(layer.singular_value()) == pytest.approx(expected, rel=1e-3)


@every_layer
def test_vectors_converge_to_those_of_the_decomposition(name):
    layer = make_built(name, power_iterations=300)
    layer(UNIT_INPUTS[name], training=True)
    left, _, right = np.linalg.svd(as_matrix(name, weight(layer)))
    vector_u, vector_v = vectors(layer)
    assert abs(vector_u[0] @ right[0]) == pytest.approx(1, abs=1e-3)
    assert abs(vector_v[:, 0] @ left[:, 0]) == pytest.approx(1, abs=1e-3)


def test_singular_value_of_the_2x2_ones_is_2():
    layer = SpectralDense(2, kernel_initializer="ones", use_bias=False)
    outputs = call(layer, np.array([[1.0, 0.0], [3.0, 5.0]], "float32"), training=True)
    assert float(layer.singular_value()) == pytest.approx(2, rel=1e-6)
    np.testing.assert_allclose(outputs, [[0.5, 0.5], [4, 4]], rtol=1e-6)


@every_layer
def test_output_is_that_of_the_weight_over_its_singular_value(name):
    layer = make_built(name, **({} if name == "embedding" else {"use_bias": False}))
    outputs = call(layer, UNIT_INPUTS[name], training=True)
    expected = weight(layer).numpy() / float(layer.singular_value())
    np.testing.assert_allclose(outputs.reshape(expected.shape), expected, rtol=1e-5, atol=1e-6)


def gradient(name, layer, directions):
    """d sum(directions * W / sigma(W)) / d W, and the value's `u`, `v` left in the layer."""
    with tf.GradientTape() as tape:
        outputs = layer(UNIT_INPUTS[name], training=True)
        loss = tf.reduce_sum(tf.reshape(outputs, directions.shape) * directions)
    return tape.gradient(loss, weight(layer).value).numpy()


@every_layer
@pytest.mark.parametrize("calls_before", [0, 3])
def test_gradient_equals_finite_differences(name, calls_before):
    layer = make_built(name, **({} if name == "embedding" else {"use_bias": False}))
    for _ in range(calls_before):
        layer(UNIT_INPUTS[name], training=True)
    stored = weight(layer).numpy().astype("float64")
    directions = np.random.default_rng(0).normal(size=stored.shape)
    ours = gradient(name, layer, directions.astype("float32"))
    vector_u, vector_v = (vector.astype("float64") for vector in vectors(layer))

    def loss(values):
        singular_value = (vector_v.T @ as_matrix(name, values) @ vector_u.T).item()
        return np.sum(directions * values) / singular_value

    expected = np.zeros_like(stored)
    for index in np.ndindex(stored.shape):
        step = np.zeros_like(stored)
        step[index] = 1e-5
        expected[index] = (loss(stored + step) - loss(stored - step)) / 2e-5
    np.testing.assert_allclose(ours, expected, rtol=0, atol=1e-5 * np.abs(expected).max())


@every_layer
def test_gradient_is_orthogonal_to_the_weight(name):
    """Scaling the weight changes nothing."""
    layer = make_built(name)
    directions = np.random.default_rng(0).normal(size=weight(layer).shape).astype("float32")
    ours, stored = gradient(name, layer, directions), weight(layer).numpy()
    cosine = np.sum(ours * stored) / (np.linalg.norm(ours) * np.linalg.norm(stored))
    assert abs(cosine) < 1e-5


@every_layer
def test_calls_never_change_the_stored_weight(name):
    layer = make_built(name)
    before = weight(layer).numpy()
    for training in (True, False, True):
        layer(UNIT_INPUTS[name], training=training)
    np.testing.assert_array_equal(weight(layer).numpy(), before)


@every_layer
def test_vectors_move_only_in_training(name):
    layer = make_built(name)
    before = vectors(layer)
    layer(UNIT_INPUTS[name])
    layer(UNIT_INPUTS[name], training=False)
    for now, then in zip(vectors(layer), before, strict=True):
        np.testing.assert_array_equal(now, then)
    layer(UNIT_INPUTS[name], training=True)
    for now, then in zip(vectors(layer), before, strict=True):
        assert np.abs(now - then).max() > 1e-3
        assert np.linalg.norm(now) == pytest.approx(1, rel=1e-5)


@every_layer
def test_one_call_on_two_parts_equals_a_call_on_each(name):
    layer = make_built(name)
    start = vectors(layer)
    together = call(layer, UNIT_INPUTS[name], training=True)
    after = vectors(layer)
    apart = []
    for part in (UNIT_INPUTS[name][:3], UNIT_INPUTS[name][3:]):
        set_vectors(layer, start)
        apart.append(call(layer, part, training=True))
    np.testing.assert_allclose(np.concatenate(apart), together, rtol=1e-6, atol=1e-7)
    for now, then in zip(vectors(layer), after, strict=True):
        np.testing.assert_array_equal(now, then)


@every_layer
def test_inference_uses_exactly_the_singular_value_of_the_last_training_call(name):
    layer = make_built(name)
    for _ in range(3):
        trained = float(layer.singular_value(training=True))
        assert float(layer.singular_value()) == trained
    np.testing.assert_array_equal(
        call(layer, UNIT_INPUTS[name], training=False),
        call(layer, UNIT_INPUTS[name], training=False),
    )


@every_layer
def test_three_power_iterations_equal_three_calls(name):
    thrice, once = make_built(name, power_iterations=3), make_built(name)
    weight(once).assign(weight(thrice))
    set_vectors(once, vectors(thrice))
    thrice(UNIT_INPUTS[name], training=True)
    for _ in range(3):
        once(UNIT_INPUTS[name], training=True)
    for ours, theirs in zip(vectors(thrice), vectors(once), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-7)


# Keras copies its variables into the file in a way that NumPy 2 deprecates.
@pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy")
@every_layer
def test_saved_model_keeps_vectors_and_outputs_bitwise(name, tmp_path):
    dtype = "int32" if name == "embedding" else "float32"
    inputs = keras.Input(UNIT_INPUTS[name].shape[1:], dtype=dtype)
    layer = MAKE[name](power_iterations=2)
    model = keras.Model(inputs, layer(inputs))
    layer(UNIT_INPUTS[name], training=True)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.layers[-1].power_iterations == 2
    for now, then in zip(vectors(loaded.layers[-1]), vectors(layer), strict=True):
        np.testing.assert_array_equal(now, then)
    np.testing.assert_array_equal(call(loaded, UNIT_INPUTS[name]), call(model, UNIT_INPUTS[name]))


@every_layer
def test_mixed_precision_keeps_the_float32_weight_and_singular_value(name):
    layer, exact = make_built(name, dtype="mixed_bfloat16"), make_built(name)
    weight(layer).assign(weight(exact))
    set_vectors(layer, vectors(exact))
    before = weight(layer).numpy()
    outputs = layer(UNIT_INPUTS[name], training=True)
    exact(UNIT_INPUTS[name], training=True)
    assert keras.backend.standardize_dtype(outputs.dtype) == "bfloat16"
    assert {variable.dtype for variable in layer.variables} == {"float32"}
    np.testing.assert_array_equal(weight(layer).numpy(), before)
    assert float(layer.singular_value()) == float(exact.singular_value())
    np.testing.assert_array_equal(layer.vector_u.numpy(), exact.vector_u.numpy())


@every_layer
def test_vectors_agree_on_two_replicas_that_see_different_inputs(name, two_replicas):
    with two_replicas.scope():
        layer = make_built(name)
    before = vectors(layer)
    parts = two_replicas.experimental_distribute_values_from_function(
        lambda context: tf.constant(UNIT_INPUTS[name][context.replica_id_in_sync_group :][:2])
    )
    for _ in range(2):
        two_replicas.run(lambda part: layer(part, training=True), (parts,))
    for vector, start in zip((layer.vector_u, layer.vector_v), before, strict=True):
        first, second = (value.numpy() for value in vector.value.values)
        np.testing.assert_array_equal(first, second)
        assert np.abs(first - start).max() > 1e-3


@pytest.mark.parametrize(
    "arguments",
    [
        {"strides": 2, "padding": "valid"},
        {"padding": "same", "dilation_rate": 2, "activation": "relu"},
        {"strides": (1, 2), "padding": "same", "activation": "tanh", "use_bias": False},
        {"groups": 2, "bias_initializer": "ones"},
    ],
)
def test_conv2d_takes_the_arguments_of_keras(arguments):
    images = np.random.default_rng(0).normal(size=(2, 9, 8, 4)).astype("float32")
    layer, reference = SpectralConv2D(6, 3, **arguments), keras.layers.Conv2D(6, 3, **arguments)
    outputs = call(layer, images, training=True)
    reference.build(images.shape)
    reference.kernel.assign(layer.kernel / layer.singular_value())
    np.testing.assert_allclose(outputs, call(reference, images), rtol=1e-5, atol=1e-6)
    assert layer.compute_output_shape(images.shape) == outputs.shape


@pytest.mark.parametrize(
    "arguments", [{"activation": "relu"}, {"use_bias": False}, {"bias_initializer": "ones"}]
)
@pytest.mark.parametrize("shape", [(3, 4), (2, 3, 4)])
def test_dense_takes_the_arguments_of_keras(arguments, shape):
    inputs = np.random.default_rng(0).normal(size=shape).astype("float32")
    layer, reference = SpectralDense(5, **arguments), keras.layers.Dense(5, **arguments)
    outputs = call(layer, inputs, training=True)
    reference.build(shape)
    reference.kernel.assign(layer.kernel / layer.singular_value())
    np.testing.assert_allclose(outputs, call(reference, inputs), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("shape", [(3,), (2, 3)])
def test_embedding_looks_up_like_keras(shape):
    labels = np.random.default_rng(0).integers(0, 7, shape)
    layer, reference = SpectralEmbedding(7, 4), keras.layers.Embedding(7, 4)
    outputs = call(layer, labels, training=True)
    reference.build()
    reference.embeddings.assign(layer.embeddings / layer.singular_value())
    np.testing.assert_allclose(outputs, call(reference, labels), rtol=1e-5, atol=1e-6)


def test_embedding_starts_from_given_weights():
    table = np.random.default_rng(0).normal(size=(7, 4)).astype("float32")
    layer = SpectralEmbedding(7, 4, weights=table)
    np.testing.assert_array_equal(layer.embeddings.numpy(), table)
    outputs = call(layer, np.arange(7), training=True)
    np.testing.assert_allclose(outputs, table / float(layer.singular_value()), rtol=1e-5)


def test_a_label_outside_the_embedding_gives_zeros():
    outputs = call(SpectralEmbedding(7, 4), np.array([-1, 6, 7]))
    assert np.abs(outputs).max(axis=-1).astype(bool).tolist() == [False, True, False]


@pytest.mark.parametrize(
    ("layer", "reference"),
    [
        (SpectralConv2D(6, 3), keras.layers.Conv2D(6, 3)),
        (SpectralDense(5), keras.layers.Dense(5)),
        (SpectralEmbedding(7, 4), keras.layers.Embedding(7, 4)),
    ],
    ids=MAKE,
)
def test_config_extends_that_of_keras(layer, reference):
    ours, theirs = layer.get_config(), reference.get_config()
    assert set(ours) - set(theirs) == {"power_iterations", "epsilon", "spectral_normalization"}
    assert {key: ours[key] for key in theirs if key != "name"} == {
        key: theirs[key] for key in theirs if key != "name"
    }


@every_layer
@pytest.mark.parametrize("power_iterations", [0, -1, 1.5])
def test_power_iterations_must_be_positive(name, power_iterations):
    message = (
        r"`power_iterations` must be a positive integer. "
        rf"Received: power_iterations={power_iterations}"
    )
    with pytest.raises(ValueError, match=message):
        MAKE[name](power_iterations=power_iterations)


def test_channels_first_is_refused():
    message = r"`data_format` must be 'channels_last'.*Received: data_format='channels_first'"
    with pytest.raises(ValueError, match=message):
        SpectralConv2D(6, 3, data_format="channels_first")


@pytest.mark.parametrize("name", MAKE)
def test_lora_is_refused(name):
    with pytest.raises(ValueError, match=r"`lora_rank`.*Received: lora_rank=2"):
        MAKE[name](lora_rank=2)


@every_layer
def test_a_frozen_layer_stands_still_and_goes_on_when_unfrozen(name):
    layer, free = make_built(name, trainable=False), make_built(name)
    free.set_weights(layer.get_weights())
    start = vectors(layer)
    outputs = [call(layer, UNIT_INPUTS[name], training=True) for _ in range(5)]
    assert layer.trainable_variables == []
    for later in outputs:
        np.testing.assert_array_equal(later, call(layer, UNIT_INPUTS[name], training=False))
    for now, then in zip(vectors(layer), start, strict=True):
        np.testing.assert_array_equal(now, then)
    layer.trainable = True
    layer(UNIT_INPUTS[name], training=True)
    free(UNIT_INPUTS[name], training=True)  # its first: none was counted in between
    for ours, expected in zip(vectors(layer), vectors(free), strict=True):
        np.testing.assert_array_equal(ours, expected)


def test_what_is_frozen_stands_still_while_the_rest_trains():
    """A layer of its own, then a model around it; its output changed by half in 5 epochs."""
    images = np.random.default_rng(0).normal(size=(8, 6, 6, 3)).astype("float32")
    frozen, free = SpectralConv2D(16, 3, trainable=False), SpectralConv2D(16, 3)
    body = keras.Sequential([keras.Input((6, 6, 3)), frozen, free, keras.layers.Flatten()])
    model = keras.Sequential([body, keras.layers.Dense(1)])

    def fit():
        model.compile("sgd", "mse")
        model.fit(images, np.ones(8), epochs=5, verbose=0)

    before, start = call(frozen, images), vectors(free)
    fit()
    np.testing.assert_array_equal(call(frozen, images), before)
    assert np.abs(vectors(free)[0] - start[0]).max() > 1e-3
    body.trainable = False
    state = body.get_weights()
    fit()
    for now, then in zip(body.get_weights(), state, strict=True):
        np.testing.assert_array_equal(now, then)
    body.trainable = True
    fit()
    assert np.abs(call(frozen, images) - before).max() > 1e-3
