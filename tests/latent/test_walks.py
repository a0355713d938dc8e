import numpy as np
import pytest

from sagan_tf import sampling
from sagan_tf.latent.drawing import draw
from sagan_tf.latent.walks import swing, through


@pytest.fixture(scope="module")
def generator():
    return sampling.load_generator("digits")


def jumps(values):
    """How far each frame is from the next one, the first following the last."""
    others = np.roll(values, -1, axis=0).astype(float)
    return np.sqrt(np.square(values - others).reshape(len(values), -1).mean(axis=1))


def test_stops_are_frames(generator):
    stops = [(3, 1), (4, 1), (4, 2)]
    latents, classes = through(generator, stops, frames=12)
    expected = sampling.latents_from_seeds([3, 4, 4], 64)
    np.testing.assert_allclose(latents[::4], expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(classes[::4, :3], [[0, 1, 0], [0, 1, 0], [0, 0, 1]])
    np.testing.assert_allclose(classes[5], np.eye(10)[1] * 0.75 + np.eye(10)[2] * 0.25)
    np.testing.assert_allclose(latents[4:9], np.repeat(expected[1:2], 5, axis=0), rtol=1e-5)
    np.testing.assert_allclose(classes.sum(axis=1), 1, rtol=1e-6)


def test_the_norm_hardly_changes_on_the_way(generator):
    latents, _ = through(generator, [(0, 1), (1, 1), (2, 1)], frames=60)
    norms = np.linalg.norm(latents, axis=1)
    ends = norms[[0, 20, 40]]
    assert ends.min() * 0.98 < norms.min()
    assert norms.max() < ends.max() * 1.02


def test_a_walk_ends_where_it_begins(generator):
    """No jump from the last frame to the first is larger than those between others."""
    frames = draw(generator, *through(generator, [(0, 3), (1, 8), (2, 5)], frames=60))
    found = jumps(frames)
    assert found[-1] <= found[:-1].max()
    assert found.max() < 0.4 * jumps(frames[::20]).min()  # a cut between two stops
    # Broken off before the way back, there is a jump.
    cut = jumps(frames[:41])
    assert cut[-1] > 4 * cut[:-1].max()


def test_a_swing_begins_and_ends_at_rest(generator):
    latents = sampling.latents_from_seeds([7], 64).numpy()[0]
    direction = np.eye(64, dtype=np.float32)[3]
    found = swing(latents, direction, reach=4.0, frames=40)
    np.testing.assert_array_equal(found[0], latents)
    np.testing.assert_allclose(found[10] - latents, 4 * direction, atol=1e-6)
    np.testing.assert_allclose(found[30] - latents, -4 * direction, atol=1e-6)
    frames = draw(generator, found, np.full(40, 3))
    assert jumps(frames)[-1] <= 1.05 * jumps(frames)[:-1].max()


@pytest.mark.parametrize(("count", "frames"), [(1, 10), (0, 10), (5, 4)])
def test_too_few_stops_or_frames(generator, count, frames):
    with pytest.raises(ValueError, match=rf"Received: {count} stops, frames={frames}"):
        through(generator, [(seed, 0) for seed in range(count)], frames)


def test_a_generator_without_classes():
    from sagan_tf.models import Generator

    generator = Generator(16, None, base_filters=4, channels=3, latent_dim=8)
    latents, classes = through(generator, [(0, None), (1, None)], frames=6)
    assert classes is None
    assert draw(generator, latents, classes).shape == (6, 16, 16, 3)
