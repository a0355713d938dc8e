"""The layers in whatever Keras users build: the outputs are those of the layers called by hand."""

import keras
import numpy as np
import pytest

from sagan_tf.layers import (
    ConditionalBatchNormalization,
    SelfAttention2D,
    SpectralConv2D,
    SpectralConv2DMeanPool,
    SpectralDense,
    SpectralUpsampleConv2D,
)

# Keras copies its variables into the file in a way that NumPy 2 deprecates.
saves = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy")
IMAGES = np.random.default_rng(0).normal(size=(4, 8, 6, 3)).astype("float32")


def make_layers():
    return [
        SpectralConv2D(8, 3, padding="same", activation="relu"),
        SpectralConv2DMeanPool(8),
        SelfAttention2D(),
        SpectralUpsampleConv2D(8),
        ConditionalBatchNormalization(None),
        keras.layers.GlobalAveragePooling2D(),
        SpectralDense(1),
    ]


def chain(layers, images, **kwargs):
    for layer in layers:
        images = layer(images, **kwargs)
    return images


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__()
        self.chain = make_layers()

    def call(self, images):
        return chain(self.chain, images)


def functional(shape=IMAGES.shape[1:]):
    inputs = keras.Input(shape)
    return keras.Model(inputs, chain(make_layers(), inputs))


WAYS = {
    "functional": functional,
    "sequential": lambda: keras.Sequential(make_layers()),
    "subclassed": Subclassed,
    "dynamic": lambda: functional((None, None, 3)),
}


@pytest.fixture(scope="module")
def expected():
    """Outputs and weights of the layers called by hand, their state moved, `gamma` not zero."""
    layers = make_layers()
    chain(layers, IMAGES)
    layers[2].gamma.assign(0.7)
    chain(layers[:5], IMAGES, training=True)
    return chain(layers, IMAGES).numpy(), [w for layer in layers for w in layer.get_weights()]


def assert_outputs(outputs, expected):
    np.testing.assert_allclose(outputs, expected, rtol=0, atol=1e-5 * np.abs(expected).max())


@saves
@pytest.mark.parametrize("way", WAYS)
def test_computes_saves_and_trains(way, expected, tmp_path):
    outputs, weights = expected
    model = WAYS[way]()
    model(IMAGES)
    model.set_weights(weights)
    assert_outputs(model(IMAGES), outputs)
    assert_outputs(model.predict(IMAGES, verbose=0), outputs)
    lines = []
    model.summary(print_fn=lines.append)
    assert "SelfAttention2D" in "\n".join(lines)
    model.save_weights(tmp_path / "model.weights.h5")
    other = WAYS[way]()
    other(IMAGES)
    other.load_weights(tmp_path / "model.weights.h5")
    assert_outputs(other(IMAGES), outputs)


@pytest.mark.parametrize("jit_compile", [False, True])
def test_fit_lowers_the_loss(jit_compile):
    model = functional()
    model.compile(keras.optimizers.Adam(1e-2), "mse", jit_compile=jit_compile)
    losses = model.fit(IMAGES, np.arange(4.0), epochs=8, verbose=0).history["loss"]
    assert losses[-1] < losses[0]


@saves
def test_clone_and_file(expected, tmp_path):
    outputs, weights = expected
    model = functional()
    model.set_weights(weights)
    copy = keras.models.clone_model(model)
    copy.set_weights(weights)
    assert_outputs(copy(IMAGES), outputs)
    model.save(tmp_path / "model.keras")
    assert_outputs(keras.saving.load_model(tmp_path / "model.keras")(IMAGES), outputs)


def test_time_distributed():
    layer = SelfAttention2D(query_key_ratio=3, value_ratio=3)
    frames = np.stack([IMAGES, 2 * IMAGES], axis=1)  # (N, T, H, W, C)
    outputs = keras.layers.TimeDistributed(layer)(frames)
    layer.gamma.assign(0.7)
    outputs = keras.layers.TimeDistributed(layer)(frames)
    for index in range(2):
        assert_outputs(outputs[:, index], layer(frames[:, index]).numpy())


def test_a_policy_for_one_layer():
    layers = make_layers()
    mixed = SelfAttention2D(dtype="mixed_bfloat16")
    layers[2] = mixed
    outputs = chain(layers, IMAGES)
    assert outputs.dtype == "float32"
    assert mixed(np.ones((1, 4, 4, 8), "float32")).dtype == "bfloat16"
    assert {variable.dtype for variable in mixed.variables} == {"float32"}
