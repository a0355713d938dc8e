import keras
import numpy as np
import pytest
import tensorflow as tf

from sagan_tf.layers import ResidualBottleneck2D, SelfAttention2D, SpectralConv2D, dot_product

RELEASED = {}
PAPER = {"value_ratio": 8, "pool_size": 1}
both_forms = pytest.mark.parametrize("form", [RELEASED, PAPER], ids=["released", "paper"])


def random_images(*shape):
    return np.random.default_rng(0).normal(size=shape).astype("float32")


def make_built(shape, gamma=0.7, **kwargs):
    layer = SelfAttention2D(**kwargs)
    layer.build(shape)
    layer.gamma.assign(gamma)
    return layer


def attend(layer, images, **kwargs):
    """Outputs and scores as arrays."""
    results = layer(images, return_attention_scores=True, **kwargs)
    return [result.numpy() for result in results]


@both_forms
def test_starts_as_exactly_the_identity(form):
    images = random_images(2, 6, 6, 16)
    outputs = SelfAttention2D(**form)(images, training=True)
    np.testing.assert_array_equal(outputs.numpy(), images)


@pytest.mark.parametrize(
    ("size", "pool_size", "key_size"),
    [((8, 8), 2, (4, 4)), ((8, 8), 1, (8, 8)), ((5, 7), 2, (3, 4)), ((5, 7), 3, (2, 3))],
)
def test_scores_are_a_distribution_over_the_keys(size, pool_size, key_size):
    images = random_images(2, *size, 16)
    layer = make_built(images.shape, pool_size=pool_size)
    outputs, scores = attend(layer, images)
    assert outputs.shape == images.shape
    assert scores.shape == (2, *size, *key_size)
    assert scores.dtype == np.float32
    assert scores.min() >= 0
    assert scores.std() > 0
    np.testing.assert_allclose(scores.sum(axis=(-2, -1)), 1, rtol=0, atol=1e-6)


def normalized(convolution):
    """The matrix of a 1x1 convolution over its largest singular value, in float64.

    Also sets the convolution's singular vectors, as after many training calls.
    """
    matrix = convolution.kernel.numpy()[0, 0].astype("float64")
    left, singular_values, right = np.linalg.svd(matrix)
    convolution.vector_u.assign(right[:1])
    convolution.vector_v.assign(left[:, :1])
    return matrix / singular_values[0]


def pooled(maps, size):
    """Maximum over windows; the last ones may be smaller."""
    height, width = maps.shape[1:3]
    rows = [
        [maps[:, y : y + size, x : x + size].max(axis=(1, 2)) for x in range(0, width, size)]
        for y in range(0, height, size)
    ]
    return np.stack([np.stack(row, axis=1) for row in rows], axis=1)


def reference(layer, images):
    """`x + gamma * attention(x)` position by position, without a line of Keras."""
    query, key, value, output = (
        normalized(getattr(layer, name)) for name in ("query", "key", "value", "output_convolution")
    )
    size = layer.pool_size
    queries, keys, values = images @ query, pooled(images @ key, size), pooled(images @ value, size)
    outputs = np.empty(images.shape)
    scores = np.empty((*images.shape[:3], *keys.shape[1:3]))
    for index in np.ndindex(images.shape[:3]):
        logits = np.exp(keys[index[0]] @ queries[index])
        scores[index] = logits / logits.sum()
        attended = np.einsum("yx,yxc->c", scores[index], values[index[0]])
        outputs[index] = images[index] + float(layer.gamma) * (attended @ output)
    return outputs, scores


@both_forms
@pytest.mark.parametrize("size", [(4, 6), (5, 3)])
def test_equals_an_independent_implementation(form, size):
    images = random_images(2, *size, 16)
    layer = make_built(images.shape, **form)
    expected_outputs, expected_scores = reference(layer, images.astype("float64"))
    outputs, scores = attend(layer, images)
    np.testing.assert_allclose(scores, expected_scores, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(outputs, expected_outputs, rtol=1e-4, atol=1e-5)


def test_equal_patches_far_apart_attend_to_each_other():
    """Channels say: background, patch. A patch's query asks for patches, with a huge logit."""
    images = np.zeros((1, 8, 8, 2), "float32")
    images[..., 0] = 1
    for y, x in ((0, 0), (7, 6)):
        images[0, y, x] = [0, 1]
    layer = make_built(
        images.shape,
        gamma=1.0,
        query_key_ratio=1,
        value_ratio=1,
        pool_size=1,
        spectral_normalization=False,
    )
    layer.query.kernel.assign(np.diag([0.0, 100.0])[None, None])
    for convolution in (layer.key, layer.value, layer.output_convolution):
        convolution.kernel.assign(np.eye(2)[None, None])
    outputs, scores = attend(layer, images)

    expected = np.zeros((8, 8))
    expected[0, 0] = expected[7, 6] = 0.5
    np.testing.assert_allclose(scores[0, 0, 0], expected, atol=1e-6)
    np.testing.assert_allclose(scores[0, 7, 6], expected, atol=1e-6)
    np.testing.assert_allclose(scores[0, 3, 3], 1 / 64, atol=1e-6)  # A background asks nothing.
    np.testing.assert_allclose(outputs[0, 0, 0], [0, 2], atol=1e-5)
    np.testing.assert_allclose(outputs[0, 3, 3], [1 + 62 / 64, 2 / 64], atol=1e-5)


def test_permuting_positions_permutes_the_output():
    images = random_images(2, 4, 6, 16)
    order = np.random.default_rng(1).permutation(24)
    permuted = images.reshape(2, 24, 16)[:, order].reshape(images.shape)
    layer = make_built(images.shape, pool_size=1)
    outputs, scores = attend(layer, images)
    permuted_outputs, permuted_scores = attend(layer, permuted)
    np.testing.assert_allclose(
        permuted_outputs.reshape(2, 24, 16), outputs.reshape(2, 24, 16)[:, order], atol=1e-5
    )
    np.testing.assert_allclose(
        permuted_scores.reshape(2, 24, 24),
        scores.reshape(2, 24, 24)[:, order][:, :, order],
        atol=1e-6,
    )


@both_forms
def test_unknown_sizes_in_a_functional_model(form):
    inputs = keras.Input((None, None, 16))
    layer = SelfAttention2D(**form)
    outputs, scores = layer(inputs, return_attention_scores=True)
    assert outputs.shape == (None, None, None, 16)
    assert scores.shape == (None,) * 5
    layer.gamma.assign(0.5)
    model = keras.Model(inputs, [outputs, scores])
    for size in ((4, 6), (5, 7)):
        images = random_images(2, *size, 16)
        for result, expected in zip(model(images), attend(layer, images), strict=True):
            np.testing.assert_allclose(result.numpy(), expected, atol=1e-6)


@pytest.mark.parametrize("pool_size", [1, 2, 3])
def test_symbolic_shapes_are_those_of_the_results(pool_size):
    layer = SelfAttention2D(pool_size=pool_size)
    symbolic = layer(keras.Input((5, 8, 16), batch_size=2), return_attention_scores=True)
    assert [result.shape for result in symbolic] == [
        result.shape for result in attend(layer, random_images(2, 5, 8, 16))
    ]
    assert layer(keras.Input((5, 8, 16))).shape == (None, 5, 8, 16)


def test_unknown_sizes_inside_a_traced_function():
    layer = make_built((None, None, None, 16))
    traced = tf.function(layer, input_signature=[tf.TensorSpec((None, None, None, 16))])
    for shape in ((1, 4, 6, 16), (3, 5, 7, 16)):
        images = random_images(*shape)
        np.testing.assert_allclose(traced(images).numpy(), layer(images).numpy(), atol=1e-6)


def test_softmax_is_float32_under_mixed_precision():
    images = 300 * random_images(1, 8, 8, 16)
    layer = make_built(images.shape, dtype="mixed_bfloat16")
    layer(images, training=True)
    outputs, scores = attend(layer, images)
    assert outputs.dtype == "bfloat16"
    assert scores.dtype == np.float32
    assert np.isfinite(outputs.astype("float32")).all()
    np.testing.assert_allclose(scores.sum(axis=(-2, -1)), 1, rtol=0, atol=1e-6)
    # bfloat16 would round the even distribution over 3x3 keys.
    _, uniform = attend(layer, np.zeros((1, 6, 6, 16), "float32"))
    np.testing.assert_allclose(uniform, 1 / 9, rtol=1e-6)


@both_forms
def test_parameters_of_the_released_and_the_paper_form(form):
    channels = 32
    layer = make_built((None, 8, 8, channels), **form)
    value_channels = channels // form.get("value_ratio", 2)
    expected = 2 * channels * channels // 8 + 2 * channels * value_channels + 1
    assert sum(np.prod(variable.shape) for variable in layer.trainable_variables) == expected
    assert not [variable.path for variable in layer.variables if "bias" in variable.path]


@pytest.mark.parametrize("normalized", [True, False])
def test_spectral_normalization_is_of_all_four_convolutions_or_none(normalized):
    layer = make_built((None, 8, 8, 16), spectral_normalization=normalized)
    convolutions = [layer.query, layer.key, layer.value, layer.output_convolution]
    assert [isinstance(conv, SpectralConv2D) for conv in convolutions] == [normalized] * 4
    kernels = [conv.kernel.numpy() for conv in convolutions[:2]]
    assert np.abs(kernels[0] - kernels[1]).max() > 1e-3  # Each drew its own.


def test_gradient_reaches_every_weight():
    images = tf.constant(random_images(2, 4, 4, 16))
    layer = make_built(images.shape)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(layer(images, training=True) ** 2)
    for gradient in tape.gradient(loss, [v.value for v in layer.trainable_variables]):
        assert np.abs(gradient.numpy()).max() > 1e-4


# Attention in chunks of queries.


def outputs_and_gradients(layer, images):
    """Outputs, and the gradients of a loss of them with respect to the images and the weights."""
    images = tf.convert_to_tensor(images)
    variables = [variable.value for variable in layer.trainable_variables]
    with tf.GradientTape() as tape:
        tape.watch(images)
        outputs = layer(images, training=True)
        loss = tf.reduce_sum(tf.cast(outputs, "float32") ** 3)
    return outputs, *tape.gradient(loss, [images, *variables])


def in_chunks(layer, size):
    """The same layer, its weights included, that attends in chunks."""
    copy = SelfAttention2D.from_config({**layer.get_config(), "query_chunk_size": size})
    copy.build((None, None, None, 16))
    copy.set_weights(layer.get_weights())
    return copy


@both_forms
@pytest.mark.parametrize("size", [1, 8, 34, 35, 100], ids="chunks of {}".format)
def test_chunks_change_neither_outputs_nor_gradients_nor_state(form, size):
    """35 positions: one by one, padded, nearly all, all, and a chunk that is larger."""
    images = random_images(2, 5, 7, 16)
    layer = make_built((None, None, None, 16), **form)
    chunked = in_chunks(layer, size)
    traced = tf.function(
        lambda images: [outputs_and_gradients(each, images) for each in (chunked, layer)],
        input_signature=[tf.TensorSpec((None, None, None, 16))],
    )
    for result, reference in zip(*traced(images), strict=True):
        largest = np.abs(reference).max()
        assert largest > 1e-3
        np.testing.assert_allclose(result, reference, rtol=0, atol=1e-5 * largest)
    for ours, theirs in zip(chunked.get_weights(), layer.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)  # The singular vectors moved once.
    assert attend(chunked, images)[1].shape == attend(layer, images)[1].shape


def test_scores_in_chunks_are_float32_under_mixed_precision():
    images = random_images(2, 8, 8, 16)
    layer = make_built(images.shape, dtype="mixed_bfloat16")
    chunked = in_chunks(layer, 20)
    ours, expected = (outputs_and_gradients(each, images) for each in (chunked, layer))
    assert ours[0].dtype == "bfloat16"
    for result, reference in zip(ours, expected, strict=True):
        result, reference = tf.cast(result, "float32"), tf.cast(reference, "float32")
        largest = np.abs(reference).max()
        np.testing.assert_allclose(result, reference, rtol=0, atol=1e-2 * largest)
    softmaxes = {
        operation.outputs[0].dtype for operation in operations_of(chunked, images)
        if operation.type == "Softmax"
    }  # fmt: skip
    assert softmaxes == {tf.float32}


def operations_of(layer, images):
    """Every operation of the layer's pass and gradients, those inside loops included."""
    graph = tf.function(lambda images: outputs_and_gradients(layer, images))
    graph = graph.get_concrete_function(tf.TensorSpec(images.shape)).graph
    loops = [graph._get_function(name).graph for name in graph._functions]
    return [operation for part in (graph, *loops) for operation in part.get_operations()]


@pytest.mark.parametrize(("size", "largest"), [(None, 12 * 12 * 36), (20, 18 * 36)])
def test_no_tensor_holds_more_than_the_scores_of_a_chunk(size, largest):
    """144 positions in 8 chunks of 18, and 36 keys; the 4 channels are smaller."""
    images = random_images(1, 12, 12, 4)
    layer = make_built(images.shape, query_key_ratio=4, query_chunk_size=size)
    sizes = [
        output.shape.num_elements() or 0
        for operation in operations_of(layer, images)
        for output in operation.outputs
        if output.shape.rank is not None
    ]
    assert max(sizes) == largest


# Errors.


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"query_key_ratio": 5}, r"`query_key_ratio` must divide.*query_key_ratio=5, channels=16"),
        ({"value_ratio": 3}, r"`value_ratio` must divide.*value_ratio=3, channels=16"),
    ],
)
def test_ratios_must_divide_the_channels(arguments, message):
    with pytest.raises(ValueError, match=message):
        SelfAttention2D(**arguments).build((None, 8, 8, 16))


@pytest.mark.parametrize("name", ["query_key_ratio", "value_ratio", "pool_size"])
@pytest.mark.parametrize("value", [0, -1, 1.5])
def test_ratios_and_pool_size_must_be_positive(name, value):
    message = rf"`{name}` must be a positive integer. Received: {name}={value}"
    with pytest.raises(ValueError, match=message):
        SelfAttention2D(**{name: value})


@pytest.mark.parametrize("value", [0, -1, 1.5, "all"])
def test_query_chunk_size_must_be_positive_or_none(value):
    message = rf"`query_chunk_size` must be a positive integer, or None.*query_chunk_size={value}"
    with pytest.raises(ValueError, match=message):
        SelfAttention2D(query_chunk_size=value)


@pytest.mark.parametrize("shape", [(None, 8, 16), (None, 8, 8, None)])
def test_input_must_be_a_map_with_known_channels(shape):
    with pytest.raises(ValueError, match=r"expects an input of shape \(N, H, W, C\) with C known"):
        SelfAttention2D().build(shape)


def test_within_a_radius_far_places_have_no_part():
    layer = SelfAttention2D(pool_size=1, radius=2)
    inputs = keras.random.normal((1, 7, 8, 16), seed=0)
    _, scores = layer(inputs, return_attention_scores=True)
    scores = np.array(scores)[0]
    rows, columns = np.indices((7, 8))
    for row, column in ((0, 0), (3, 4), (6, 7)):
        near = np.hypot(rows - row, columns - column) <= 2
        assert (scores[row, column] > 0).tolist() == near.tolist()
        assert scores[row, column].sum() == pytest.approx(1, abs=1e-5)


def test_a_radius_over_all_is_no_radius():
    inputs = keras.random.normal((2, 8, 8, 16), seed=0)
    everywhere, limited = SelfAttention2D(), SelfAttention2D(radius=12)
    for layer in (everywhere, limited):
        layer.build(inputs.shape)
        layer.gamma.assign(1.0)
    limited.set_weights(everywhere.get_weights())
    np.testing.assert_array_equal(everywhere(inputs), limited(inputs))
    assert SelfAttention2D.from_config(limited.get_config()).radius == 12


@pytest.mark.parametrize("arguments", [{"radius": 0}, {"radius": 3, "query_chunk_size": 4}])
def test_a_radius_that_cannot_be(arguments):
    with pytest.raises(ValueError, match="`radius` must be positive, and without"):
        SelfAttention2D(**arguments)


def test_a_radius_needs_a_known_size():
    with pytest.raises(ValueError, match="`radius` needs a map of known size"):
        SelfAttention2D(radius=3).build((None, None, 8, 16))


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16", "float16"])
@pytest.mark.parametrize("query_chunk_size", [None, 10])
def test_scores_of_large_maps_do_not_overflow(policy, query_chunk_size):
    """Products of queries and keys exceed 65504, where float16 ends."""
    images = 16 * random_images(2, 8, 8, 256)
    exact = make_built(images.shape)
    layer = make_built(images.shape, dtype=policy, query_chunk_size=query_chunk_size)
    for convolution in ("query", "key"):  # the same feature, strong in both
        kernel = np.zeros((1, 1, 256, 32), "float32")
        kernel[0, 0, np.arange(32), np.arange(32)] = 1
        getattr(exact, convolution).kernel.assign(kernel)
        normalized(getattr(exact, convolution))
    layer.set_weights([weight.numpy() for weight in exact.weights])

    def outputs_and_gradient(layer):
        tensor = tf.constant(images)
        with tf.GradientTape() as tape:
            tape.watch(tensor)
            outputs = layer(tensor)
            loss = tf.reduce_sum(tf.cast(outputs, "float32") ** 2) / 1e4
        return [tf.cast(outputs, "float32").numpy(), tape.gradient(loss, tensor).numpy()]

    features = images[..., :32].reshape(2, 64, 32)
    assert np.abs(features @ features.transpose(0, 2, 1)).max() > 2e3
    for ours, expected in zip(
        outputs_and_gradient(layer), outputs_and_gradient(exact), strict=True
    ):
        assert np.isfinite(ours).all()
        np.testing.assert_allclose(ours, expected, rtol=0, atol=0.1 * np.abs(expected).max())
    huge = tf.cast(tf.fill((1, 3, 32), 100.0), layer.compute_dtype)
    means, scores = dot_product.attend(huge, huge, huge)  # logits of 320,000
    np.testing.assert_allclose(scores, 1 / 3, rtol=1e-6)
    np.testing.assert_allclose(tf.cast(means, "float32"), 100, rtol=1e-2)


@pytest.mark.parametrize("mixer", [SelfAttention2D, ResidualBottleneck2D])
def test_frozen_before_it_is_built(mixer):
    layer, images = mixer(trainable=False), random_images(2, 6, 6, 16)
    layer.build(images.shape)
    layer.gamma.assign(0.7)
    state, outputs = layer.get_weights(), layer(images)
    np.testing.assert_array_equal(layer(images, training=True), outputs)
    for now, then in zip(layer.get_weights(), state, strict=True):
        np.testing.assert_array_equal(now, then)
    assert layer.trainable_variables == []
    layer.trainable = True
    assert np.abs(layer(images, training=True) - outputs).max() > 1e-4


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("masked", [False, True])
def test_the_formula_has_the_gradient_of_the_operations(compiled, masked):
    """The means as well, and the gradient's own gradient, as the R1 penalty needs it."""
    generator = np.random.default_rng(0)
    inputs = [
        tf.constant(generator.normal(size=shape), tf.float32)
        for shape in ((2, 6, 3), (2, 4, 3), (2, 4, 5))
    ]
    mask = np.where(generator.uniform(size=(6, 4)) < 0.3, np.float32(-1e30), np.float32(0))
    mask = mask if masked else None
    weights = tf.constant(generator.normal(size=(2, 6, 5)), tf.float32)

    def derivatives(means_of):
        def of_inputs(*inputs):
            with tf.GradientTape() as outer:
                outer.watch(inputs)
                with tf.GradientTape() as inner:
                    inner.watch(inputs)
                    means = means_of(*inputs)
                    loss = tf.reduce_sum(weights * means**2)
                gradients = inner.gradient(loss, inputs)
                penalty = sum(tf.reduce_sum(gradient**2) for gradient in gradients)
            return [means, *gradients, *outer.gradient(penalty, inputs)]

        if compiled:
            signature = [tf.TensorSpec((None, None, size), tf.float32) for size in (3, 3, 5)]
            of_inputs = tf.function(of_inputs, input_signature=signature, autograph=False)
        return of_inputs(*inputs)

    expected = derivatives(lambda *inputs: dot_product.attend(*inputs, mask)[0])
    ours = derivatives(lambda *inputs: dot_product.attend_by_formula(*inputs, mask))
    for one, other in zip(ours, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-5 * np.abs(other).max())


def test_gradients_do_not_depend_on_whether_scores_are_asked_for():
    """Without them the layer takes the formula, with them what TensorFlow derives."""
    layer = SelfAttention2D()
    maps = tf.constant(np.random.default_rng(0).normal(size=(2, 8, 8, 16)), tf.float32)
    layer.build(maps.shape)
    layer.gamma.assign(0.5)

    def gradients(**arguments):
        with tf.GradientTape() as tape:
            tape.watch(maps)
            outputs = layer(maps, **arguments)
            loss = tf.reduce_sum((outputs[0] if arguments else outputs) ** 3)
        return tape.gradient(loss, [maps, *(v.value for v in layer.trainable_variables)])

    for one, other in zip(gradients(), gradients(return_attention_scores=True), strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-5 * np.abs(other).max())
