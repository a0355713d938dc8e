import keras
import numpy as np
import pytest
import tensorflow as tf

from sagan_tf.layers import ConditionalBatchNormalization
from sagan_tf.layers.conditional_batch_norm import centred_by_formula, centred_by_operations


def random_array(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def make_built(num_classes=3, channels=4, **kwargs):
    layer = ConditionalBatchNormalization(num_classes, **kwargs)
    layer.build((None, None, None, channels))
    return layer


def make_random(num_classes=3, channels=4, **kwargs):
    """A layer whose tables have a different row for each class."""
    layer = make_built(num_classes, channels, **kwargs)
    layer.gamma.assign(random_array(num_classes or 1, channels, seed=1))
    layer.beta.assign(random_array(num_classes or 1, channels, seed=2))
    return layer


def test_two_numbers_by_hand():
    """Mean 2, variance 1; the second class doubles and adds a half."""
    layer = make_built(num_classes=2, channels=1, epsilon=0.0)
    layer.gamma.assign([[1], [2]])
    layer.beta.assign([[0], [0.5]])
    images = np.array([1, 3], "float32").reshape(2, 1, 1, 1)
    outputs = layer(images, np.array([0, 1]), training=True)
    np.testing.assert_allclose(outputs.numpy().ravel(), [-1, 2.5], rtol=1e-6)


def test_starts_as_plain_normalization():
    outputs = make_built()(5 * random_array(8, 6, 6, 4) + 3, np.arange(8) % 3, training=True)
    np.testing.assert_allclose(outputs.numpy().mean(axis=(0, 1, 2)), 0, atol=1e-5)
    np.testing.assert_allclose(outputs.numpy().std(axis=(0, 1, 2)), 1, atol=1e-4)


@pytest.mark.parametrize("num_classes", [None, 1, 3])
def test_uniform_tables_equal_keras(num_classes):
    layer = make_built(num_classes, momentum=0.9, epsilon=1e-3)
    reference = keras.layers.BatchNormalization(momentum=0.9, epsilon=1e-3)
    reference.build((None, None, None, 4))
    for name in ("gamma", "beta"):
        row = random_array(4, seed=len(name))
        getattr(layer, name).assign(np.tile(row, (num_classes or 1, 1)))
        getattr(reference, name).assign(row)
    labels = None if num_classes is None else np.arange(5) % num_classes
    for seed, training in ((0, True), (1, True), (2, False)):
        images = tf.constant(3 + 2 * random_array(5, 3, 2, 4, seed=seed))
        with tf.GradientTape(persistent=True) as tape:
            tape.watch(images)
            ours = layer(images, labels, training=training)
            theirs = reference(images, training=training)
            losses = [tf.reduce_sum(ours**3), tf.reduce_sum(theirs**3)]
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5)
        gradients = [tape.gradient(loss, images).numpy() for loss in losses]
        largest = np.abs(gradients[1]).max()
        np.testing.assert_allclose(*gradients, rtol=0, atol=1e-5 * largest)
    for name in ("moving_mean", "moving_variance"):
        np.testing.assert_allclose(getattr(layer, name), getattr(reference, name), rtol=1e-5)


def test_labels_select_rows():
    layer = make_random()
    images, labels = random_array(4, 2, 2, 4), np.array([2, 0, 2, 1])
    outputs = layer(images, labels).numpy()
    normalized = make_built()(images, labels).numpy()
    gamma, beta = layer.gamma.numpy()[labels], layer.beta.numpy()[labels]
    expected = normalized * gamma[:, None, None] + beta[:, None, None]
    np.testing.assert_allclose(outputs, expected, rtol=1e-5, atol=1e-6)


def test_weights_of_classes_blend_their_rows():
    layer, images = make_random(), random_array(1, 2, 2, 4)
    first, last = (layer(images, np.array([label])).numpy() for label in (0, 2))
    for weight in (0, 0.25, 1):
        blend = layer(images, np.array([[1 - weight, 0, weight]], "float32")).numpy()
        np.testing.assert_allclose(blend, (1 - weight) * first + weight * last, atol=1e-6)


def test_a_label_outside_the_tables_gives_zeros():
    outputs = make_random()(random_array(3, 2, 2, 4), np.array([-1, 2, 3])).numpy()
    assert outputs.any(axis=(1, 2, 3)).tolist() == [False, True, False]


def test_moving_statistics_after_updates():
    """k updates by the same batch keep momentum ** k of the start."""
    layer = make_built(momentum=0.9)
    images = 2 * random_array(8, 3, 3, 4) + 5
    for _ in range(4):
        layer(images, np.zeros(8, "int32"), training=True)
    mean, variance = images.mean(axis=(0, 1, 2)), images.var(axis=(0, 1, 2))
    np.testing.assert_allclose(layer.moving_mean, (1 - 0.9**4) * mean, rtol=1e-5)
    np.testing.assert_allclose(layer.moving_variance, 0.9**4 + (1 - 0.9**4) * variance, rtol=1e-5)


def test_inference_uses_moving_statistics_and_leaves_them():
    layer = make_built(epsilon=0.0)
    layer.moving_mean.assign([1, 2, 3, 4])
    layer.moving_variance.assign([1, 4, 9, 16])
    outputs = layer(np.full((2, 3, 3, 4), 5, "float32"), np.array([0, 1]))
    np.testing.assert_allclose(outputs[0, 0, 0], [4, 1.5, 2 / 3, 0.25], rtol=1e-6)
    assert layer.moving_mean.numpy().tolist() == [1, 2, 3, 4]
    assert layer.moving_variance.numpy().tolist() == [1, 4, 9, 16]


def test_large_mean_with_small_variance_loses_no_digits():
    images = np.random.default_rng(0).normal(300, 0.1, (16, 8, 8, 4)).astype("float32")
    outputs = make_built()(images, np.zeros(16, "int32"), training=True).numpy()
    np.testing.assert_allclose(outputs.std(axis=(0, 1, 2)), 1, atol=1e-2)


def test_statistics_are_float32_under_mixed_precision():
    """In bfloat16 the mean would be 258 and the variance 1.33."""
    layer = make_built(channels=1, dtype="mixed_bfloat16", momentum=0.0)
    images = tf.cast(tf.reshape([256.0, 258.0, 258.0], (3, 1, 1, 1)), "bfloat16")
    outputs = layer(images, np.zeros(3, "int32"), training=True)
    assert outputs.dtype == tf.bfloat16
    assert {variable.dtype for variable in layer.variables} == {"float32"}
    np.testing.assert_allclose(layer.moving_mean, [772 / 3], rtol=1e-6)
    np.testing.assert_allclose(layer.moving_variance, [8 / 9], rtol=1e-4)


@pytest.mark.parametrize("shape", [(5, 4, 3, 2), (None, None, None, 2)])
def test_the_formula_has_the_gradient_of_the_operations(shape):
    """Of all three results; in float64; and the gradient's own gradient, as penalties need it."""
    maps = tf.constant(3 + np.random.default_rng(0).normal(size=(5, 4, 3, 2)))
    weights = [tf.constant(np.random.default_rng(1).normal(size=s)) for s in (maps.shape, 2, 2)]

    def derivatives(centre):
        @tf.function(input_signature=[tf.TensorSpec(shape, tf.float64)], autograph=False)
        def of_maps(inputs):
            with tf.GradientTape() as outer:
                outer.watch(inputs)
                with tf.GradientTape() as inner:
                    inner.watch(inputs)
                    results = centre(inputs)
                    loss = sum(
                        tf.reduce_sum(weight * result**3)
                        for weight, result in zip(weights, results, strict=True)
                    )
                gradient = inner.gradient(loss, inputs)
                penalty = tf.reduce_sum(gradient**2)
            return [*results, gradient, outer.gradient(penalty, inputs)]

        return of_maps(maps)

    expected = derivatives(lambda inputs: centred_by_operations(inputs, tf.identity))
    for ours, theirs in zip(derivatives(centred_by_formula), expected, strict=True):
        assert ours.shape == theirs.shape
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-12 * np.abs(theirs).max())


def replica_mean(value):
    return tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.MEAN, value)


def run_on_two_replicas(layer, strategy, images, labels):
    """Outputs and input gradients of both replicas, joined again."""

    def forward_and_gradient(images, labels):
        with tf.GradientTape() as tape:
            tape.watch(images)
            outputs = layer(images, labels, training=True)
            loss = tf.reduce_sum(outputs**3)
        return outputs, tape.gradient(loss, images)

    parts = [
        strategy.experimental_distribute_values_from_function(
            lambda context, values=values: tf.split(values, 2)[context.replica_id_in_sync_group]
        )
        for values in (images, labels)
    ]
    results = tf.function(strategy.run)(forward_and_gradient, parts)
    return [np.concatenate([part.numpy() for part in result.values]) for result in results]


@pytest.mark.parametrize("joint", [True, False])
def test_two_replicas(joint, two_replicas):
    """With `replica_mean` they normalise the joint batch, without it each its own half."""
    images = 300 + random_array(8, 3, 3, 4) * np.repeat([0.1, 2], 4)[:, None, None, None]
    images, labels = images.astype("float32"), np.arange(8) % 3
    with two_replicas.scope():
        replicated = make_random()
    replicated.replica_mean = replica_mean if joint else None
    outputs, gradient = run_on_two_replicas(replicated, two_replicas, images, labels)

    expected_outputs, expected_gradient = [], []
    for part in np.split(np.arange(8), 1 if joint else 2):
        single, part_images = make_random(), tf.constant(images[part])
        with tf.GradientTape() as tape:
            tape.watch(part_images)
            part_outputs = single(part_images, labels[part], training=True)
            loss = tf.reduce_sum(part_outputs**3)
        expected_outputs.append(part_outputs)
        expected_gradient.append(tape.gradient(loss, part_images))
    for ours, expected in ((outputs, expected_outputs), (gradient, expected_gradient)):
        expected = np.concatenate(expected)
        np.testing.assert_allclose(ours, expected, rtol=0, atol=1e-4 * np.abs(expected).max())

    means = [value.numpy() for value in replicated.moving_mean.value.values]
    assert np.array_equal(*means) == joint
    if joint:
        np.testing.assert_allclose(means[0], single.moving_mean, rtol=1e-6)


@pytest.mark.parametrize("num_classes", [0, -1])
def test_number_of_classes_must_be_positive(num_classes):
    message = rf"`num_classes` must be a positive.*Received: num_classes={num_classes}"
    with pytest.raises(ValueError, match=message):
        ConditionalBatchNormalization(num_classes)


@pytest.mark.parametrize(("num_classes", "labels"), [(3, None), (None, np.array([0, 1]))])
def test_labels_must_come_exactly_with_classes(num_classes, labels):
    message = r"`labels` must be given exactly when the layer has classes.*num_classes="
    with pytest.raises(ValueError, match=message):
        make_built(num_classes)(random_array(2, 3, 3, 4), labels)


def test_a_frozen_layer_normalises_by_statistics_that_stand_still():
    """As Keras' own batch normalisation does."""
    layer, reference = make_built(None), keras.layers.BatchNormalization(epsilon=1e-5)
    images = 3 * random_array(8, 6, 6, 4) + 1
    reference.build(images.shape)
    layer(images, training=True)
    reference.moving_mean.assign(layer.moving_mean)
    reference.moving_variance.assign(layer.moving_variance)
    state = layer.get_weights()
    for frozen in (layer, reference):
        frozen.trainable = False
    outputs = layer(images, training=True)
    np.testing.assert_allclose(outputs, reference(images, training=True), rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(outputs, layer(images, training=False))
    for now, then in zip(layer.get_weights(), state, strict=True):
        np.testing.assert_array_equal(now, then)
    layer.trainable = True
    layer(images, training=True)
    assert not np.array_equal(layer.moving_mean, state[2])
