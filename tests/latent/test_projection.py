import numpy as np
import pytest

from sagan_tf import sampling
from sagan_tf.latent.drawing import draw
from sagan_tf.latent.projection import project
from sagan_tf.models import Generator


@pytest.fixture(scope="module")
def generator():
    return sampling.load_generator("digits")


def distance(left, right):
    return np.sqrt(np.mean((left.astype(float) - right) ** 2))


def test_a_picture_that_the_generator_drew_is_found_again(generator):
    (picture,) = sampling.sample(generator, [77777], [3])
    before = [variable.numpy() for variable in generator.variables]
    found = project(generator, picture)
    assert found.distance < 2  # levels of 255
    assert found.sample_distance > 20
    assert found.distance == pytest.approx(distance(found.image, picture))
    assert found.class_weights.argmax() == 3
    assert found.class_weights.sum() == pytest.approx(1, abs=1e-5)
    assert np.linalg.norm(found.latents) == pytest.approx(8, rel=0.05)
    (again,) = draw(generator, found.latents[None], found.class_weights[None])
    assert np.abs(again.astype(int) - found.image).max() <= 1
    for value, variable in zip(before, generator.variables, strict=True):
        np.testing.assert_array_equal(value, variable)


def test_noise_is_not_found(generator):
    noise = np.random.default_rng(0).integers(0, 256, (16, 16, 1), dtype=np.uint8)
    found = project(generator, noise)
    assert found.distance > 60
    assert found.distance > found.flat_distance  # one grey would be nearer
    assert found.flat_distance == pytest.approx(noise.std())


def test_the_nearest_sample_is_the_nearest(generator):
    seeds = np.arange(1000)
    samples = np.stack(list(sampling.sample(generator, seeds, seeds % 10)))
    found = project(generator, samples[123], restarts=1)
    assert found.sample_distance < 1
    assert found.distance < 2
    far = project(generator, 255 - samples[123], restarts=1)
    nearest = min(distance(sample, 255 - samples[123]) for sample in samples)
    assert far.sample_distance == pytest.approx(nearest, abs=0.2)


def test_a_generator_without_classes_and_with_colour():
    generator = Generator(16, None, base_filters=4, channels=3, latent_dim=8)
    generator.build()
    found = project(generator, np.zeros((16, 16, 3), np.uint8), restarts=2)
    assert found.class_weights is None
    assert found.latents.shape == (8,)
    assert found.flat_distance == 0


@pytest.mark.parametrize(
    ("image", "restarts", "message"),
    [
        (np.zeros((16, 16, 3), np.uint8), 1, r"uint8 of shape \(16, 16, 1\).*uint8 \(16, 16, 3\)"),
        (np.zeros((16, 16, 1)), 1, r"Received: float64 \(16, 16, 1\)"),
        (np.zeros((16, 16, 1), np.uint8), 0, r"`restarts` must be in \[1, 1000\]. Received: 0"),
    ],
)
def test_bad_arguments(generator, image, restarts, message):
    with pytest.raises(ValueError, match=message):
        project(generator, image, restarts)
