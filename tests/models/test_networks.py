import keras
import numpy as np
import pytest
import tensorflow as tf

from sagan_tf.layers import ConditionalBatchNormalization, SelfAttention2D
from sagan_tf.layers.nested import layers_of_kind
from sagan_tf.layers.spectral_norm import SpectralNormalization
from sagan_tf.models import Discriminator, Generator

IMAGE_SIZES = [16, 32, 64, 128, 256]
both_networks = pytest.mark.parametrize("network", [Generator, Discriminator])
# Small enough for any test; two channels per query, so that two base filters will do.
TINY = {"image_size": 16, "num_classes": 5, "base_filters": 2, "query_key_ratio": 2}


def sublayers(network, cls):
    return layers_of_kind(network, cls)


def inputs_of(network, batch_size=2):
    """Latents or images, and labels if the network takes them."""
    rng = np.random.default_rng(0)
    side = network.image_size
    is_generator = isinstance(network, Generator)
    shape = (network.latent_dim,) if is_generator else (side, side, network.channels)
    inputs = rng.normal(size=(batch_size, *shape)).clip(-1, 1).astype("float32")
    if network.num_classes is None:
        return (inputs,)
    return inputs, rng.integers(0, network.num_classes, batch_size)


def values(variables):
    return [variable.numpy() for variable in variables]


def make_lively(network):
    """Builds a network and gives gates, tables and statistics values that matter."""
    network.build()
    rng = np.random.default_rng(0)
    for layer in sublayers(network, SelfAttention2D):
        layer.gamma.assign(0.5)
    for layer in sublayers(network, ConditionalBatchNormalization):
        for variable in layer.variables:
            variable.assign(rng.uniform(0.5, 2, variable.shape))
    for layer in sublayers(network, SpectralNormalization):
        if getattr(layer, "bias", None) is not None:
            layer.bias.assign(rng.normal(size=layer.bias.shape))
    for _ in range(3):
        network(*inputs_of(network), training=True)
    return network


# Published counts.


@pytest.mark.parametrize(
    ("attention_resolutions", "generator_parameters", "discriminator_parameters"),
    [
        ((), 41_996_931, 39_443_137),
        ((32,), 42_078_852, 39_463_618),
        ((64,), 42_017_412, 39_448_258),
    ],
)
def test_parameters_equal_those_of_the_released_code(
    attention_resolutions, generator_parameters, discriminator_parameters
):
    for network, expected in (
        (Generator, generator_parameters),
        (Discriminator, discriminator_parameters),
    ):
        built = network(attention_resolutions=attention_resolutions, kernel_initializer="zeros")
        built.build()
        assert sum(np.prod(variable.shape) for variable in built.trainable_variables) == expected


def test_numbers_of_normalized_matrices_and_batch_norms():
    generator, discriminator = (
        network(base_filters=8, attention_resolutions=(32,), num_classes=3)
        for network in (Generator, Discriminator)
    )
    generator.build()
    discriminator.build()
    assert len(sublayers(generator, SpectralNormalization)) == 21
    assert len(sublayers(discriminator, SpectralNormalization)) == 23
    norms = sublayers(generator, ConditionalBatchNormalization)
    assert sorted(str(norm.num_classes) for norm in norms) == ["3"] * 10 + ["None"]
    assert not sublayers(discriminator, ConditionalBatchNormalization)
    for network, matrices in ((generator, 21), (discriminator, 23)):  # None left bare.
        ranks = [len(v.shape) for v in network.trainable_variables if "norm" not in v.path]
        assert sum(rank > 1 for rank in ranks) == matrices


def test_stages_of_the_published_networks():
    generator = Generator(base_filters=8, attention_resolutions=(32,))
    assert [stage.name for stage in generator.stages] == [
        "block_8x8",
        "block_16x16",
        "block_32x32",
        "attention_32x32",
        "block_64x64",
        "block_128x128",
    ]
    discriminator = Discriminator(base_filters=8, attention_resolutions=(32,))
    assert [stage.name for stage in discriminator.stages] == [
        "block_0_64x64",
        "block_1_32x32",
        "attention_32x32",
        "block_2_16x16",
        "block_3_8x8",
        "block_4_4x4",
        "block_5_4x4",
    ]


# Everything that can be configured runs.


def check_runs(network):
    """A training and an inference call give images or logits as documented."""
    for training in (True, False):
        outputs = network(*inputs_of(network), training=training).numpy()
        if isinstance(network, Generator):
            assert outputs.shape == (2, network.image_size, network.image_size, network.channels)
            assert np.abs(outputs).max() <= 1
            assert outputs.std() > 0
        else:
            assert outputs.shape == (2, 1)
            assert outputs[0] != outputs[1]
        assert outputs.dtype == np.float32
        assert np.isfinite(outputs).all()


@both_networks
@pytest.mark.parametrize("image_size", IMAGE_SIZES)
def test_every_image_size_runs_with_attention_everywhere(network, image_size):
    attention_resolutions = [8 * 2**i for i in range(5) if 8 * 2**i < image_size]
    built = network(
        **{**TINY, "image_size": image_size},
        attention_resolutions=attention_resolutions,
        pool_size=4,
    )
    check_runs(built)
    attended = [layer.name for layer in sublayers(built, SelfAttention2D)]
    assert sorted(attended) == sorted(f"attention_{size}x{size}" for size in attention_resolutions)


@both_networks
@pytest.mark.parametrize("attention_resolutions", [(), (8,), (16,), (16, 8), [8]])
def test_any_set_of_resolutions_attends(network, attention_resolutions):
    """Also where several blocks share a resolution: the first one's map attends."""
    built = network(**{**TINY, "image_size": 32}, attention_resolutions=attention_resolutions)
    check_runs(built)
    names = [stage.name for stage in built.stages]
    for size in attention_resolutions:
        attention = names.index(f"attention_{size}x{size}")
        assert names[attention - 1].endswith(f"{size}x{size}")
        assert not names[attention - 2].endswith(f"_{size}x{size}")
    assert len(sublayers(built, SelfAttention2D)) == len(attention_resolutions)


@both_networks
@pytest.mark.parametrize("num_classes", [None, 1, 1000])
@pytest.mark.parametrize("channels", [1, 3])
def test_classes_and_channels(network, num_classes, channels):
    check_runs(network(**{**TINY, "num_classes": num_classes}, channels=channels))


# The function they compute, against NumPy.


def conv(maps, layer):
    """A convolution with zero padding by the kernel over its singular value, in float64."""
    kernel = layer.kernel.numpy() / singular_value(layer)
    reach = kernel.shape[0] // 2
    padded = np.pad(maps, ((0, 0), (reach, reach), (reach, reach), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, kernel.shape[:2], axis=(1, 2))
    outputs = np.einsum("nyxcij,ijco->nyxo", windows, kernel, optimize=True)
    return outputs if layer.bias is None else outputs + layer.bias.numpy()


def singular_value(layer):
    vector_u, vector_v = layer.vector_u.numpy(), layer.vector_v.numpy()
    return (vector_v.T.astype("float64") @ layer.weight_matrix().numpy() @ vector_u.T).item()


def norm(maps, layer, rows):
    scale = layer.gamma.numpy()[rows] / np.sqrt(layer.moving_variance.numpy() + 1e-5)
    centred = maps - layer.moving_mean.numpy()
    return centred * scale[:, None, None] + layer.beta.numpy()[rows][:, None, None]


def relu(maps):
    return np.maximum(maps, 0)


def double(maps):
    return maps.repeat(2, axis=1).repeat(2, axis=2)


def halve(maps):
    return (maps[:, ::2, ::2] + maps[:, 1::2, ::2] + maps[:, ::2, 1::2] + maps[:, 1::2, 1::2]) / 4


def attend(maps, layer):
    batch, height, width, _ = maps.shape
    query, key, value = (conv(maps, part) for part in (layer.query, layer.key, layer.value))

    def pooled(tensor):
        return tensor.reshape(batch, height // 2, 2, width // 2, 2, -1).max(axis=(2, 4))

    logits = np.exp(np.einsum("nyxc,nijc->nyxij", query, pooled(key)))
    scores = logits / logits.sum(axis=(3, 4), keepdims=True)
    attended = np.einsum("nyxij,nijc->nyxc", scores, pooled(value))
    return maps + float(layer.gamma) * conv(attended, layer.output_convolution)


def test_generator_equals_an_independent_implementation():
    generator = make_lively(Generator(**TINY, attention_resolutions=(8,)))
    latents, labels = inputs_of(generator)
    dense = generator.dense
    maps = latents.astype("float64") @ dense.kernel.numpy() / singular_value(dense)
    maps = (maps + dense.bias.numpy()).reshape(2, 4, 4, 8)
    for stage in generator.stages:
        if isinstance(stage, SelfAttention2D):
            maps = attend(maps, stage)
            continue
        hidden = conv(double(relu(norm(maps, stage.norm_0, labels))), stage.conv_0)
        hidden = conv(relu(norm(hidden, stage.norm_1, labels)), stage.conv_1)
        maps = hidden + conv(double(maps), stage.shortcut)
    maps = relu(norm(maps, generator.output_norm, np.zeros(2, int)))
    expected = np.tanh(conv(maps, generator.output_convolution))
    np.testing.assert_allclose(generator(latents, labels), expected, rtol=0, atol=2e-5)


@pytest.mark.parametrize("relu_shortcut", [False, True])
def test_discriminator_equals_an_independent_implementation(relu_shortcut):
    discriminator = make_lively(
        Discriminator(**TINY, attention_resolutions=(8,), relu_shortcut=relu_shortcut)
    )
    seen = relu if relu_shortcut else np.asarray  # by the shortcut
    images, labels = inputs_of(discriminator)
    first, attention, second, third = discriminator.stages
    maps = images.astype("float64")
    hidden = halve(conv(relu(conv(maps, first.conv_0)), first.conv_1))
    maps = attend(hidden + conv(halve(maps), first.shortcut), attention)
    hidden = halve(conv(relu(conv(relu(maps), second.conv_0)), second.conv_1))
    maps = hidden + halve(conv(seen(maps), second.shortcut))
    hidden = conv(relu(conv(relu(maps), third.conv_0)), third.conv_1)
    features = relu(hidden + conv(seen(maps), third.shortcut)).sum(axis=(1, 2))
    head, embedding = discriminator.logit, discriminator.embedding
    logits = features @ head.kernel.numpy() / singular_value(head) + head.bias.numpy()
    rows = embedding.embeddings.numpy()[labels] / singular_value(embedding)
    expected = logits + (features * rows).sum(axis=-1, keepdims=True)
    np.testing.assert_allclose(
        discriminator(images, labels), expected, rtol=0, atol=1e-5 * np.abs(expected).max()
    )


def test_discriminator_keeps_the_input_as_shortcut_where_channels_stay():
    """The last published block: 16 to 16 base filters without pooling."""
    last = Discriminator(base_filters=1, num_classes=None, image_size=128).stages[-1]
    maps = np.random.default_rng(0).normal(size=(1, 4, 4, 16)).astype("float32")
    outputs = last(maps, training=True).numpy()
    assert last.shortcut is None
    expected = maps + conv(relu(conv(relu(maps), last.conv_0)), last.conv_1)
    np.testing.assert_allclose(outputs, expected, rtol=0, atol=1e-5)


@both_networks
@pytest.mark.parametrize("form", ["auto", "merged"])
@pytest.mark.parametrize("training", [False, True])
def test_resampling_changes_no_number(network, form, training):
    settings = {**TINY, "image_size": 32, "attention_resolutions": (16,)}
    plain = make_lively(network(**settings, resampling="plain"))
    other = network(**settings, resampling=form)
    other.build()
    other.set_weights(plain.get_weights())
    inputs = inputs_of(plain, batch_size=4)
    expected = plain(*inputs, training=training).numpy()
    ours = other(*inputs, training=training).numpy()
    np.testing.assert_allclose(ours, expected, rtol=0, atol=1e-5 * np.abs(expected).max())


@both_networks
def test_blocks_tell_their_shape_for_maps_of_any_size(network):
    model = network(**TINY)
    model.build()
    block = model.stages[0]
    assert block.compute_output_shape((None, None, None, 4)) == (None, None, None, block.filters)


@both_networks
def test_attention_in_chunks_changes_no_number(network):
    settings = {**TINY, "image_size": 32, "attention_resolutions": (16, 8)}
    plain = make_lively(network(**settings))
    chunked = network(**settings, query_chunk_size=100)
    chunked.build()
    chunked.set_weights(plain.get_weights())
    sizes = [layer.query_chunk_size for layer in sublayers(chunked, SelfAttention2D)]
    assert sizes == [100, 100]
    inputs = inputs_of(plain, batch_size=4)
    expected = plain(*inputs, training=True).numpy()
    ours = chunked(*inputs, training=True).numpy()
    np.testing.assert_allclose(ours, expected, rtol=0, atol=1e-5 * np.abs(expected).max())


# Classes.


def test_labels_and_weights_of_classes_agree():
    generator = make_lively(Generator(**TINY))
    latents, labels = inputs_of(generator)
    weights = np.eye(5, dtype="float32")[labels]
    images = generator(latents, labels).numpy()
    np.testing.assert_array_equal(generator(latents, weights), images)
    blend = generator(latents, (weights + weights[::-1]) / 2).numpy()
    assert np.abs(blend - images).max() > 1e-2


def test_a_blend_of_classes_is_a_class_with_the_mean_of_their_rows():
    generator = make_lively(Generator(**TINY))
    latents, _ = inputs_of(generator)
    blend = generator(latents, np.tile([[0.25, 0.75, 0, 0, 0]], (2, 1)).astype("float32")).numpy()
    for layer in sublayers(generator, ConditionalBatchNormalization):
        for table in (layer.gamma, layer.beta):
            if layer.num_classes:
                rows = table.numpy()
                rows[4] = 0.25 * rows[0] + 0.75 * rows[1]
                table.assign(rows)
    np.testing.assert_allclose(generator(latents, np.array([4, 4])), blend, rtol=0, atol=1e-5)


@both_networks
def test_labels_matter(network):
    built = make_lively(network(**TINY))
    inputs, _ = inputs_of(built)
    first, second = (built(inputs, np.full(2, label)).numpy() for label in (0, 1))
    assert np.abs(first - second).max() > 1e-3


# State.


@both_networks
def test_inference_changes_nothing(network):
    built = make_lively(network(**TINY, attention_resolutions=(8,)))
    before = values(built.variables)
    built(*inputs_of(built))
    for now, then in zip(values(built.variables), before, strict=True):
        np.testing.assert_array_equal(now, then)


@both_networks
def test_training_moves_all_statistics_and_vectors_but_no_weight(network):
    built = network(**TINY, attention_resolutions=(8,))
    built.build()
    trainable, state = values(built.trainable_variables), values(built.non_trainable_variables)
    built(*inputs_of(built), training=True)
    for now, then in zip(values(built.trainable_variables), trainable, strict=True):
        np.testing.assert_array_equal(now, then)
    for variable, then in zip(built.non_trainable_variables, state, strict=True):
        # Of a single row or column the vector is 1, up to its sign, from the start.
        if then.size > 1 or "moving" in variable.path:
            assert np.abs(variable.numpy() - then).max() > 0, variable.path


def test_two_training_calls_iterate_twice():
    generator = Generator(**TINY)
    generator.build()
    matrix = generator.dense.kernel.numpy().astype("float64")
    vector_u = generator.dense.vector_u.numpy()
    for _ in range(2):
        generator(*inputs_of(generator), training=True)
        vector_v = matrix @ vector_u.T
        vector_v /= np.linalg.norm(vector_v)
        vector_u = vector_v.T @ matrix
        vector_u /= np.linalg.norm(vector_u)
    np.testing.assert_allclose(generator.dense.vector_u, vector_u, rtol=0, atol=1e-6)
    np.testing.assert_allclose(generator.dense.vector_v, vector_v, rtol=0, atol=1e-6)


def test_two_updates_per_iteration_forget_like_the_eight_of_the_released_code():
    generator = Generator(**TINY)
    norms = sublayers(generator, ConditionalBatchNormalization)
    for norm_layer in norms:
        released = 0.9999 if norm_layer is generator.output_norm else 0.999
        assert norm_layer.momentum**2 == pytest.approx(released**8, rel=1e-12)


@both_networks
def test_gradient_reaches_every_weight(network):
    built = make_lively(network(**TINY, attention_resolutions=(8,)))
    inputs = inputs_of(built)
    with tf.GradientTape() as tape:
        outputs = built(*inputs, training=True)
        loss = tf.reduce_sum(outputs * np.random.default_rng(1).normal(size=outputs.shape))
    variables = built.trainable_variables
    gradients = tape.gradient(loss, [variable.value for variable in variables])
    for variable, gradient in zip(variables, gradients, strict=True):
        assert np.abs(gradient.numpy()).max() > 0, variable.path


# Mixed precision.


@both_networks
def test_mixed_precision_keeps_float32_where_it_matters(network):
    built = network(**TINY, attention_resolutions=(8,), dtype="mixed_bfloat16")
    check_runs(built)
    assert {variable.dtype for variable in built.variables} == {"float32"}
    assert {stage.compute_dtype for stage in built.stages} == {"bfloat16"}
    convolutions = [
        layer for stage in built.stages for layer in sublayers(stage, keras.layers.Layer)
    ]
    assert {layer.compute_dtype for layer in convolutions} == {"bfloat16"}


def test_head_is_float32_under_mixed_precision():
    discriminator = Discriminator(**TINY, dtype="mixed_bfloat16")
    assert discriminator.logit.compute_dtype == "float32"
    assert discriminator.embedding.compute_dtype == "float32"
    traced = tf.function(discriminator).get_concrete_function(
        tf.TensorSpec((2, 16, 16, 3)), tf.TensorSpec((2,), tf.int32)
    )
    sums = [op for op in traced.graph.get_operations() if op.type == "Sum"]
    assert sums
    assert {op.outputs[0].dtype for op in sums} == {tf.float32}


@both_networks
def test_mixed_precision_is_close_to_float32(network):
    exact = make_lively(network(**TINY, attention_resolutions=(8,)))
    mixed = network(**TINY, attention_resolutions=(8,), dtype="mixed_bfloat16")
    mixed.build()
    mixed.set_weights(exact.get_weights())
    inputs = inputs_of(exact)
    expected = exact(*inputs).numpy()
    # bfloat16 has 8 significant bits; a dozen layers lose some of them.
    np.testing.assert_allclose(mixed(*inputs), expected, rtol=0, atol=0.1 * np.abs(expected).max())


# Errors.


@both_networks
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"image_size": 48}, r"`image_size` must be one of 16, 32, 64, 128, 256 pixels; .*=48"),
        ({"num_classes": 0}, r"`num_classes` must be a positive integer, or None.*num_classes=0"),
        ({"channels": 2}, r"`channels` must be 1 or 3. Received: channels=2"),
        ({"base_filters": 0}, r"`base_filters` must be a positive integer. .*base_filters=0"),
        (
            {"image_size": 32, "attention_resolutions": (12,)},
            r"`attention_resolutions` must be among \[8, 16\] at image size 32. .*=\(12,\)",
        ),
        (
            {"image_size": 32, "attention_resolutions": (8, 32)},
            r"must be among \[8, 16\] at image size 32. .*=\(8, 32\)",
        ),
        ({"resampling": "fast"}, r"'auto', 'merged' or 'plain'. Received: .*'fast'"),
    ],
)
def test_settings_that_are_not_supported(network, arguments, message):
    with pytest.raises(ValueError, match=message):
        network(**arguments)


@both_networks
def test_labels_must_come_exactly_with_classes(network):
    conditional, unconditional = (network(**{**TINY, "num_classes": n}) for n in (5, None))
    inputs, labels = inputs_of(conditional)
    message = r"`labels` must be given exactly when the network has classes.*num_classes={}"
    with pytest.raises(ValueError, match=message.format(5)):
        conditional(inputs)
    with pytest.raises(ValueError, match=message.format(None)):
        unconditional(inputs, labels)
