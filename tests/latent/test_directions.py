import numpy as np
import pytest
from scipy import linalg

from sagan_tf import sampling
from sagan_tf.latent.directions import class_directions, directions
from sagan_tf.models import Generator


@pytest.fixture
def generator():
    """Latents of three numbers, which go into the first layer 1, 3 and 2 times as strongly."""
    generator = Generator(16, None, base_filters=4, channels=1, latent_dim=3)
    generator.build()
    kernel = np.zeros(generator.dense.kernel.shape, np.float32)
    kernel[[0, 1, 2], [5, 0, 9]] = 1, -3, 2
    generator.dense.kernel.assign(kernel)
    return generator


def test_a_kernel_known_by_hand(generator):
    expected = [[0, 1, 0], [0, 0, 1], [1, 0, 0]]
    np.testing.assert_allclose(directions(generator, 3), expected, atol=1e-7)
    found = directions(generator, 2)
    assert found.shape == (2, 3)
    assert found.dtype == np.float32


def test_turned_latents_have_turned_directions(generator):
    turn = linalg.expm([[0, 1, -0.5], [-1, 0, 0.3], [0.5, -0.3, 0]])
    generator.dense.kernel.assign(turn @ generator.dense.kernel.numpy())
    cosines = np.abs(directions(generator, 3) @ turn)
    np.testing.assert_allclose(cosines, [[0, 1, 0], [0, 0, 1], [1, 0, 0]], atol=1e-6)


def test_digits():
    generator = sampling.load_generator("digits")
    found = directions(generator, 64)
    np.testing.assert_allclose(found @ found.T, np.eye(64), atol=1e-5)
    np.testing.assert_array_equal(found[:5], directions(generator, 5))
    assert (found.max(axis=1) >= np.abs(found).max(axis=1)).all()
    kernel = generator.dense.normalized(generator.dense.kernel)
    lengths = np.linalg.norm(found @ kernel, axis=1)
    np.testing.assert_allclose(lengths, linalg.svdvals(kernel), rtol=1e-4)
    # The first direction changes images more than the last.
    latents = np.array(sampling.latents_from_seeds(range(50), 64))
    labels = np.arange(50) % 10
    change = [np.std(generator(latents + n, labels) - generator(latents, labels)) for n in found]
    assert change[0] > 2 * change[-1]


def test_weights_that_are_not_finite(generator):
    generator.dense.kernel.assign(generator.dense.kernel * np.nan)
    with pytest.raises(ValueError, match="training has diverged"):
        directions(generator, 1)


def test_class_tables_known_by_hand():
    """Three classes, of which only the first two differ in one scale, the third in an offset."""
    generator = Generator(16, 3, base_filters=4, channels=1, latent_dim=3)
    generator.build()
    norm = generator.stages[0].norm_0
    norm.gamma.assign(np.ones(norm.gamma.shape))
    gamma = np.ones(norm.gamma.shape, np.float32)
    gamma[:2, 1] = 4, -2
    norm.gamma.assign(gamma)
    beta = np.zeros(norm.beta.shape, np.float32)
    beta[2, 0] = 0.5
    norm.beta.assign(beta)
    found = class_directions(generator, 2)
    assert found.dtype == np.float32
    expected = [np.array([1, -1, 0]) / 2**0.5, np.array([-1, -1, 2]) / 6**0.5]
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_class_directions_of_digits():
    """They are orthogonal, take from some classes what they give others, and rank by change."""
    generator = sampling.load_generator("digits")
    found = class_directions(generator, 9)
    np.testing.assert_allclose(found @ found.T, np.eye(9), atol=1e-5)
    np.testing.assert_allclose(found.sum(axis=1), 0, atol=1e-5)
    latents = np.array(sampling.latents_from_seeds(range(30), 64))
    weights = np.eye(10, dtype="float32")[np.arange(30) % 10]
    images = generator(latents, weights)
    change = [np.std(generator(latents, weights + n) - images) for n in found]
    assert change[0] > 1.2 * change[-1]


def test_class_directions_want_classes(generator):
    with pytest.raises(ValueError, match="with classes"):
        class_directions(generator, 1)
    with pytest.raises(ValueError, match=r"\[1, 2\], one less .*Received: count=3"):
        class_directions(Generator(16, 3, base_filters=4), 3)


@pytest.mark.parametrize("count", [0, 4, -1])
def test_a_count_beyond_the_latents(generator, count):
    with pytest.raises(ValueError, match=rf"\[1, 3\].*Received: count={count}"):
        directions(generator, count)
