import functools

import numpy as np
import pytest

from sagan_tf.geotex import draw_class
from sagan_tf.geotex.textures import TEXTURES


@functools.cache
def draw_levels(name):
    """One channel of 300 images of 64 pixels, around their mean."""
    levels = draw_class(name, 300, 64)[..., 1].astype(np.float32)
    return levels - levels.mean(axis=(1, 2), keepdims=True)


def correlations(name, lag, axis):
    """Correlation of levels so many pixels apart, of all images together."""
    levels = np.moveaxis(draw_levels(name), axis, 2)
    return (levels[:, :, :-lag] * levels[:, :, lag:]).mean() / (levels**2).mean()


@pytest.mark.parametrize("name", TEXTURES)
@pytest.mark.parametrize("axis", [1, 2])
def test_pixels_far_apart_are_unrelated(name, axis):
    # Both edges too: a periodic field would give 1 at a lag of 63.
    assert all(abs(correlations(name, lag, axis)) < 0.1 for lag in (20, 40, 63))


def test_near_pixels_are_related_each_texture_its_own_way():
    assert correlations("fur", 3, axis=1) > 0.7  # along the hairs
    assert correlations("fur", 3, axis=2) > 0.3  # a wave across them is 3.3 pixels
    assert correlations("fur", 5, axis=2) < -0.3
    assert correlations("cells", 3, axis=1) == pytest.approx(
        correlations("cells", 3, axis=2), abs=0.1
    )
    assert correlations("clouds", 3, axis=1) > 0.5 > correlations("cells", 3, axis=1)


def test_the_grain_does_not_grow_with_the_image():
    for name in TEXTURES:
        steps = [
            np.abs(np.diff(draw_class(name, 60, size).astype(float), axis=2)).mean()
            for size in (32, 64)
        ]
        assert steps[0] == pytest.approx(steps[1], rel=0.15)
