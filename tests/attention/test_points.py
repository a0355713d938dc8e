import itertools

import numpy as np
import pytest

from sagan_tf.attention import automatic_points


def test_corners_of_a_square_are_found():
    image = np.zeros((16, 16, 3), np.uint8)
    image[4:12, 4:12] = 255
    points = automatic_points(image, 4)
    assert points.shape == (4, 2)
    for corner in itertools.product((3.5, 11.5), repeat=2):
        assert np.abs(points - corner).max(axis=1).min() <= 1.5
    np.testing.assert_array_equal(points, automatic_points(image, 4))


def test_where_nothing_changes_points_are_still_far_apart():
    points = automatic_points(np.zeros((8, 8, 1)), 4)
    assert {tuple(point) for point in points.tolist()} == {(0, 0), (7, 7), (0, 7), (7, 0)}


def test_points_are_different_to_the_last():
    points = automatic_points(np.random.default_rng(0).integers(256, size=(4, 4, 1)), 16)
    assert len({tuple(point) for point in points.tolist()}) == 16


def test_errors():
    with pytest.raises(ValueError, match=r"`count` must be in \[1, 64\]. Received: count=65"):
        automatic_points(np.zeros((8, 8, 1)), 65)
    with pytest.raises(ValueError, match=r"`image` must have shape \(H, W, C\).*shape=\(8, 8\)"):
        automatic_points(np.zeros((8, 8)))
