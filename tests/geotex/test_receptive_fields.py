"""How far the discriminator sees; `tests/by_hand/receptive_fields.py` prints the tables."""

import numpy as np
import pytest
import tensorflow as tf

from sagan_tf.geotex import GEOMETRIES
from sagan_tf.models import Discriminator
from tests.by_hand.receptive_fields import part_distances, receptive_fields


def test_receptive_fields_by_hand():
    # 3x3 twice is 5 pixels, pooled 6; then 4 times 2 pixels more, and 2 for pooling; and so on.
    assert receptive_fields(32) == [(16, 6), (8, 16), (8, 32), (8, 48)]


@pytest.mark.parametrize("number", [0, 1, 2])
def test_a_feature_depends_on_its_receptive_field_alone(number):
    network = Discriminator(64, None, base_filters=8, attention_resolutions=())
    network.build()
    images = tf.random.stateless_uniform((4, 64, 64, 3), seed=(0, 0), minval=-1, maxval=1)
    with tf.GradientTape() as tape:
        tape.watch(images)
        hidden = images
        for stage in network.stages[: number + 1]:
            hidden = stage(hidden)
        middle = hidden.shape[1] // 2
        seen = tf.reduce_sum(hidden[:, middle, middle] ** 2)
    gradients = np.abs(tape.gradient(seen, images)).sum(axis=(0, 1, 3))
    columns = np.flatnonzero(gradients)
    assert columns.max() - columns.min() + 1 == receptive_fields(64)[number][1]


@pytest.mark.parametrize("name", GEOMETRIES)
def test_parts_are_farther_apart_than_features_of_the_map_with_attention_see(name):
    for image_size in (32, 64):
        gap, distance = part_distances(name, image_size, count=20)
        assert dict(receptive_fields(image_size))[16] < gap < distance < image_size
