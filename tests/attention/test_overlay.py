import numpy as np
from keras import ops

from sagan_tf.attention.overlay import STRENGTH, overlay


def test_heat_is_greatest_where_the_map_is_and_absent_where_nothing_is_attended_to():
    images = np.full((1, 8, 8, 1), -0.5, np.float32)
    maps = np.zeros((1, 4, 4), np.float32)
    maps[0, 0, 3] = 1
    tinted = ops.convert_to_numpy(overlay(images, maps))
    assert tinted.shape == (1, 8, 8, 3)
    np.testing.assert_allclose(tinted[0, :, :4], -0.5)  # all far from the key
    yellow = (1 - STRENGTH) * -0.5 + STRENGTH * np.array([1, 1, -1])
    np.testing.assert_allclose(tinted[0, 0, 7], yellow, rtol=1e-6)  # the corner is the key's alone


def test_a_map_of_nothing_leaves_the_image():
    image = np.linspace(-1, 1, 48, dtype=np.float32).reshape(1, 4, 4, 3)
    tinted = overlay(image, np.zeros((1, 2, 2), np.float32))
    np.testing.assert_array_equal(ops.convert_to_numpy(tinted), image)
