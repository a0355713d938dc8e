import keras
import numpy as np
import pytest

from sagan_tf.attention import attention_layers, attention_maps, maps, maps_at
from sagan_tf.layers import SelfAttention2D
from sagan_tf.models import Discriminator, Generator

NETWORK = {"image_size": 32, "num_classes": 3, "base_filters": 8, "attention_resolutions": (8, 16)}


def random_images(*shape):
    return np.random.default_rng(0).uniform(-1, 1, shape).astype(np.float32)


@pytest.fixture(scope="module")
def discriminator():
    return Discriminator(**NETWORK)


class Subclassed(keras.Model):
    """Builds its layer at its first call."""

    def build(self, input_shape):
        self.inner = keras.Sequential([SelfAttention2D(name="hidden")], name="inner")

    def call(self, inputs, added):
        return self.inner(inputs + added)


def functional():
    inputs = keras.Input((8, 8, 8))
    hidden = SelfAttention2D(pool_size=1, name="same")(inputs)
    inner = keras.Input((8, 8, 8))
    nested = keras.Model(inner, SelfAttention2D(name="same")(inner))
    return keras.Model(inputs, keras.layers.Flatten()(nested(hidden)))


def test_both_networks(discriminator):
    points = [(0, 0), (31, 31), (12, 20)]
    generator = Generator(latent_dim=8, **NETWORK)
    labels = np.array([0, 2])
    seen = {
        generator: (random_images(2, 8), labels),
        discriminator: (random_images(2, 32, 32, 3), labels),
    }
    for network, inputs in seen.items():
        found = attention_maps(network, inputs, points)
        shapes = {path.rpartition("_")[2]: of_layer.shape for path, of_layer in found.items()}
        assert shapes == {"8x8": (2, 3, 4, 4), "16x16": (2, 3, 8, 8)}
        for of_layer in found.values():
            np.testing.assert_allclose(of_layer.sum(axis=(2, 3)), 1, rtol=1e-5)
        everywhere = attention_maps(network, inputs)
        for path, of_layer in everywhere.items():
            side = of_layer.shape[1]
            cell = of_layer[:, 12 * side // 32, 20 * side // 32]
            np.testing.assert_array_equal(found[path][:, 2], cell)
            np.testing.assert_array_equal(maps_at(of_layer, points, (32, 32)), found[path])


def test_models_of_other_kinds():
    found = attention_maps(functional(), random_images(2, 8, 8, 8), [(1, 7)])
    assert set(found) == {"same", "same:1"}
    assert {of_layer.shape for of_layer in found.values()} == {(2, 1, 8, 8), (2, 1, 4, 4)}
    model = Subclassed()
    found = attention_maps(model, (random_images(1, 8, 8, 8), random_images(1, 8, 8, 8)))
    (path,) = attention_layers(model)
    assert found[path].shape == (1, 8, 8, 4, 4)


def test_two_equal_far_apart_patches_see_each_other_and_nothing_else():
    layer = SelfAttention2D(1, 1, 2, spectral_normalization=False)
    model = keras.Sequential([keras.Input((8, 8, 2)), layer])
    for convolution in (layer.query, layer.key):
        convolution.kernel.assign(20 * np.eye(2).reshape(1, 1, 2, 2))
    image = np.zeros((1, 8, 8, 2), np.float32)
    image[..., 1] = 1  # the ground
    image[0, 0:2, 0:2] = image[0, 6:8, 6:8] = (1, 0)
    points = [(0, 1), (7, 7), (3, 3)]
    found = attention_maps(model, image, points)[layer.path][0]
    patches = np.zeros((4, 4), np.float32)
    patches[0, 0] = patches[3, 3] = 1 / 2
    ground = np.where(patches > 0, 0, np.float32(1 / 14))
    # A key that does not match is exp(-400) times as strong, which float32 does not know.
    np.testing.assert_array_equal(found[:2], [patches, patches])
    np.testing.assert_allclose(found[2], ground, rtol=1e-6)


def test_points_of_each_image_and_layers_by_choice(discriminator):
    images, labels = random_images(2, 32, 32, 3), np.array([0, 1])
    path = "discriminator/attention_8x8"
    own = np.array([[(0, 0), (31, 0)], [(5, 9), (31, 31)]])
    found = attention_maps(discriminator, (images, labels), own, layers=[path])
    assert list(found) == [path]
    for index in range(2):
        alone = (images[index : index + 1], labels[index : index + 1])
        of_one = attention_maps(discriminator, alone, own[index], layers=[path])
        np.testing.assert_allclose(found[path][index], of_one[path][0], rtol=1e-4, atol=1e-6)


def test_few_images_at_a_time_give_the_same(discriminator, monkeypatch):
    inputs = (random_images(3, 32, 32, 3), np.array([0, 1, 2]))
    points = np.random.default_rng(1).integers(32, size=(3, 4, 2))
    together = attention_maps(discriminator, inputs, points)
    monkeypatch.setattr(maps, "_SCORES_AT_A_TIME", 1)
    for path, of_layer in attention_maps(discriminator, inputs, points).items():
        np.testing.assert_allclose(of_layer, together[path], rtol=1e-4, atol=1e-6)


def test_the_model_is_left_as_it_was(discriminator):
    inputs = (random_images(2, 32, 32, 3), np.array([0, 1]))
    before = discriminator.get_weights(), np.array(discriminator(*inputs))
    attention_maps(discriminator, inputs)
    with pytest.raises(ValueError, match="labels"):
        attention_maps(discriminator, inputs[0])
    assert all("call" not in vars(layer) for layer in attention_layers(discriminator).values())
    np.testing.assert_array_equal(np.array(discriminator(*inputs)), before[1])
    for value, old in zip(discriminator.get_weights(), before[0], strict=True):
        np.testing.assert_array_equal(value, old)


@pytest.mark.parametrize(
    ("points", "message"),
    [
        ([(0, 32)], r"columns in \[0, 32\). Received: \(0, 32\)"),
        ([(-1, 0)], r"rows in \[0, 32\).*Received: \(-1, 0\)"),
        ([(0.5, 1)], r"whole numbers .*Received: float64 \(1, 2\)"),
        ([0, 1], r"shape \(P, 2\) or \(N, P, 2\)"),
        (np.zeros((3, 1, 2), int), "as many as the 2 images. Received: 3"),
    ],
)
def test_bad_points(discriminator, points, message):
    with pytest.raises(ValueError, match=message):
        attention_maps(discriminator, (random_images(2, 32, 32, 3), np.array([0, 1])), points)


def test_other_errors(discriminator):
    inputs = (random_images(1, 32, 32, 3), np.array([0]))
    with pytest.raises(ValueError, match=r"among \['discriminator/attention_16x16', .*\['here'\]"):
        attention_maps(discriminator, inputs, layers=["here"])
    plain = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)], name="plain")
    with pytest.raises(ValueError, match=r"`model` must have a `SelfAttention2D` layer.*plain"):
        attention_maps(plain, random_images(1, 4))
    layers = [keras.layers.Reshape((4, 4, 4)), SelfAttention2D(4), keras.layers.Flatten()]
    no_image = keras.Sequential([keras.Input((64,)), *layers])
    with pytest.raises(ValueError, match=r"`points` need images .*\[\(1, 64\), \(1, 64\)\]"):
        attention_maps(no_image, random_images(1, 64), [(0, 0)])
    half = Subclassed()
    half.spare = SelfAttention2D(name="spare")
    with pytest.raises(ValueError, match=r"\['spare'\], which were not called"):
        attention_maps(half, (random_images(1, 8, 8, 8), random_images(1, 8, 8, 8)))
