import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from sagan_tf.evaluation.moments import moments_of
from sagan_tf.geotex import CLASS_NAMES, draw_class
from sagan_tf.study.patches import flat_distance, patch_distance, patches


def test_patches_are_pieces_of_their_images():
    images = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), np.uint8)
    rows = patches(images)
    assert rows.shape == (3 * 16, 8 * 8 * 3)
    windows = np.lib.stride_tricks.sliding_window_view(images, (8, 8), axis=(1, 2)) / 255
    for index in (0, 1, 47):
        of_image = windows[index % 3].reshape(-1, 192)
        assert (of_image == rows[index]).all(axis=1).any()


def test_equal_patches_are_no_distance_apart():
    image = np.tile(np.arange(32, dtype=np.uint8)[:, None, None] % 1, (4, 1, 32, 3))
    assert patch_distance(moments_of(patches(image)), image) == pytest.approx(0, abs=1e-9)


def test_flat_images_have_no_texture_to_lose():
    colours = np.random.default_rng(0).integers(0, 256, (40, 1, 1, 3), np.uint8)
    assert flat_distance(colours.repeat(32, axis=1).repeat(32, axis=2)) == pytest.approx(
        0, abs=1e-9
    )


@pytest.mark.parametrize("name", CLASS_NAMES)
def test_a_blur_is_far_from_the_drawn_and_other_drawn_images_are_near(name):
    real = moments_of(patches(draw_class(name, 200, 32)))
    other = draw_class(name, 200, 32, seed=1)
    smooth = gaussian_filter(other.astype(np.float32), (0, 1.5, 1.5, 0))
    near, far = patch_distance(real, other), patch_distance(real, np.uint8(np.rint(smooth)))
    assert near < 0.35 * far
    assert near < 0.1 * flat_distance(other)
