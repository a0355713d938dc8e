import numpy as np
import pytest
from PIL import Image

from sagan_tf.evaluation.extractor_base import resize_images


def test_legacy_resizing_by_hand():
    # Twice as large without half-pixel centers: every other pixel is the mean of its neighbours,
    # and the last one is repeated.
    row = np.array([0, 10, 30], np.uint8).reshape(1, 1, 3, 1)
    resized = resize_images(row, (1, 6), "legacy")
    np.testing.assert_array_equal(np.ravel(resized), [0, 5, 10, 20, 30, 30])


@pytest.mark.parametrize("size", [32, 128, 512])
def test_clean_resizing_is_pillows(size):
    image = np.random.default_rng(0).integers(0, 256, (size, size), np.uint8)
    wanted = Image.fromarray(image.astype(np.float32)).resize((299, 299), Image.Resampling.BICUBIC)
    resized = resize_images(image[None, ..., None], (299, 299), "clean")[0, ..., 0]
    np.testing.assert_allclose(resized, np.clip(wanted, 0, 255), atol=0.01)
    assert np.any(resized % 1)  # not rounded


def test_clean_resizing_keeps_means_where_legacy_skips_pixels():
    stripes = np.zeros((1, 4, 600, 1), np.uint8)
    stripes[:, :, ::2] = 200
    small = (4, 300)
    assert np.ptp(resize_images(stripes, small, "clean")[:, :, 10:-10]) < 1
    np.testing.assert_array_equal(
        resize_images(stripes, small, "legacy"), np.full((1, 4, 300, 1), 200)
    )
