import numpy as np
import pytest
import tensorflow as tf

from sagan_tf.training import augmentation
from sagan_tf.training.augmentation import (
    POLICIES,
    augment,
    color,
    cutout,
    num_uniforms,
    translation,
)


@pytest.fixture
def images():
    return np.random.default_rng(0).uniform(-1, 1, (4, 16, 16, 3)).astype("float32")


def test_color_by_hand():
    images = np.zeros((1, 1, 2, 3), "float32")
    images[0, 0, 0] = [0.5, 0.0, -0.5]  # grey value 0
    images[0, 0, 1] = [0.3, 0.3, 0.3]
    # Brighter by 0.25; saturation twice 0.5 is as it was; contrast 0.5 + 0.5 is as it was.
    np.testing.assert_allclose(
        color(images, np.array([[0.75, 0.5, 0.5]])), images + 0.25, atol=1e-6
    )
    # No saturation: each pixel its own grey.
    grey = np.array(color(images, np.array([[0.5, 0.0, 0.5]])))
    np.testing.assert_allclose(grey[0, 0], [[0, 0, 0], [0.3, 0.3, 0.3]], atol=1e-6)
    # Half the contrast: half as far from the mean, 0.15.
    half = np.array(color(images, np.array([[0.5, 0.5, 0.0]])))
    np.testing.assert_allclose(half, (images - 0.15) / 2 + 0.15, atol=1e-6)


@pytest.mark.parametrize("shift", [(0, 0), (2, -1), (-2, 2)])
def test_translation_moves_by_whole_pixels(images, shift):
    """At 16 pixels up to 2: five equal parts of [0, 1)."""
    uniforms = np.tile((np.array(shift) + 2 + 0.5) / 5, (4, 1)).astype("float32")
    moved = np.array(translation(images, uniforms))
    down, right = shift
    padded = np.pad(images, ((0, 0), (2, 2), (2, 2), (0, 0)))
    expected = padded[:, 2 - down : 18 - down, 2 - right : 18 - right]
    np.testing.assert_array_equal(moved, expected)


def test_every_shift_comes_equally_often():
    uniforms = np.random.default_rng(1).uniform(size=(5000, 2)).astype("float32")
    images = np.zeros((5000, 16, 16, 1), "float32")
    images[:, 8, 8] = 1
    rows = np.array(translation(images, uniforms)).sum(axis=(2, 3)).argmax(axis=1)
    counts = np.bincount(rows, minlength=16)
    assert counts[6:11].sum() == 5000
    assert counts[6:11].min() > 900


def test_cutout_takes_a_square_of_half_the_side(images):
    middle = np.full((4, 2), 8.5 / 17, "float32")
    kept = np.array(cutout(images, middle)) != 0
    expected = np.ones((16, 16), bool)
    expected[4:12, 4:12] = False
    assert (kept == expected[None, :, :, None]).all()
    corner = np.array(cutout(images, np.zeros((4, 2), "float32"))) != 0
    assert np.count_nonzero(~corner[0, :, :, 0]) == 4 * 4  # the rest is outside


def test_probability_decides_for_each_image(images):
    policies = tuple(POLICIES)
    uniforms = np.random.default_rng(2).uniform(size=(4, num_uniforms(policies)))
    uniforms = uniforms.astype("float32")
    np.testing.assert_array_equal(augment(images, uniforms, policies, 0.0), images)
    uniforms[:, 0] = [0.1, 0.9, 0.1, 0.9]
    changed = np.array(augment(images, uniforms, ("color",), 0.5))
    assert [np.array_equal(*pair) for pair in zip(changed, images, strict=True)] == [
        False,
        True,
        False,
        True,
    ]


def test_an_image_does_not_depend_on_the_others(images):
    policies = tuple(POLICIES)
    uniforms = np.random.default_rng(3).uniform(size=(4, num_uniforms(policies)))
    uniforms = uniforms.astype("float32")
    together = np.array(augment(images, uniforms, policies))
    alone = np.array(augment(images[2:3], uniforms[2:3], policies))
    np.testing.assert_allclose(alone[0], together[2], atol=1e-6)


def test_gradients_flow_back_to_where_pixels_came_from(images):
    uniforms = tf.constant([[0.9, 0.1]] * 4)
    variable = tf.Variable(images)
    with tf.GradientTape() as tape:
        moved = translation(variable, uniforms)
        total = tf.reduce_sum(moved[:, 10, 3])  # from 2 up and 2 to the right
    gradient = tape.gradient(total, variable).numpy()
    assert gradient.sum() == 4 * 3
    assert (gradient[:, 8, 5] == 1).all()


@pytest.mark.parametrize("policies", [("colour",), ("color", "color")])
def test_unknown_policies_are_named(policies):
    with pytest.raises(ValueError, match="`augment` must name some of color, translation, cutout"):
        augmentation.check_policies(policies)
