import keras
import numpy as np
import pytest

from sagan_tf.attention import attention_measures, partner_lift, score_measures
from sagan_tf.layers import SelfAttention2D
from sagan_tf.layers.self_attention import _key_centres, query_key_distances


@pytest.mark.parametrize(("size", "distance"), [(16, 8.30), (32, 16.67), (64, 33.36)])
def test_uniform_attention_is_the_unit(size, distance):
    keys = (size // 2) ** 2
    scores = np.full((2, size, size, size // 2, size // 2), 1 / keys, np.float32)
    measures = score_measures(scores, pool_size=2)
    assert measures["distance"] == pytest.approx(1)
    assert measures["entropy"] == pytest.approx(1)
    assert measures["effective_keys"] == pytest.approx(keys, rel=1e-4)
    assert measures["far_mass"] == pytest.approx(0.84, abs=5e-3)
    assert query_key_distances(size, size, 2).mean() == pytest.approx(distance, abs=5e-3)


def test_attention_to_the_nearest_key():
    distances = query_key_distances(16, 16, 2)
    scores = np.eye(64)[distances.argmin(axis=1)].reshape(1, 16, 16, 8, 8)
    measures = score_measures(scores, pool_size=2)
    # A query is half a cell from its key's centre along both axes.
    assert measures["distance"] * distances.mean() == pytest.approx(np.sqrt(0.5))
    assert (measures["entropy"], measures["effective_keys"], measures["far_mass"]) == (0, 1, 0)


def test_attention_to_two_keys_of_four():
    scores = np.zeros((1, 2, 2, 2, 2))
    scores[..., 0, :] = 0.5  # the upper two
    measures = score_measures(scores, pool_size=1)
    assert measures["entropy"] == pytest.approx(0.5)
    assert measures["effective_keys"] == pytest.approx(2)
    # Above: to itself and its neighbour, 0 and 1; below: 1 and the diagonal. All of one mean.
    assert measures["distance"] == pytest.approx(1)
    assert measures["far_mass"] == pytest.approx(0.75)  # all but what the upper ones keep


def test_a_single_key_is_attended_to_uniformly():
    assert score_measures(np.ones((1, 2, 2, 1, 1)), 2)["entropy"] == 1
    assert score_measures(np.ones((1, 1, 1, 1, 1)), 1)["distance"] == 1


def test_keys_stand_in_the_middle_of_what_they_were_pooled_from():
    np.testing.assert_array_equal(_key_centres(8, 2), [0.5, 2.5, 4.5, 6.5])
    np.testing.assert_array_equal(_key_centres(5, 2), [0.5, 2.5, 4])  # the last one has one cell
    np.testing.assert_array_equal(_key_centres(7, 3), [0.5, 3, 5.5])  # both ends have two


def corners():
    """Of two images: the upper left quarter and the lower right one; in the other no right one."""
    parts = np.zeros((2, 2, 8, 8), bool)
    parts[:, 0, :4, :4] = True
    parts[0, 1, 4:, 4:] = True
    return parts


def test_partner_lift_by_hand():
    uniform = np.full((2, 4, 4, 2, 2), 1 / 4)
    lifts = partner_lift(uniform, corners())
    assert lifts[0] == pytest.approx(1)
    assert np.isnan(lifts[1])
    # All of each part's attention goes to the other one, which is a quarter of the image.
    crossed = np.zeros((2, 4, 4, 2, 2))
    crossed[:, :2, :2, 1, 1] = 1
    crossed[:, 2:, 2:, 0, 0] = 1
    assert partner_lift(crossed, corners())[0] == pytest.approx(4)
    # To itself, or one way alone.
    assert partner_lift(crossed[:, ::-1, ::-1], corners())[0] == pytest.approx(0)
    crossed[:, 2:, 2:] = crossed[:, 2:, 2:, ::-1, ::-1]
    assert partner_lift(crossed, corners())[0] == pytest.approx(2)


def test_partner_lift_counts_cells_by_what_a_part_takes_of_them():
    parts = np.zeros((1, 2, 4, 4), bool)
    parts[0, 0, 0, 0] = True
    parts[0, 1, 3, 2:] = True  # half of a key's cell, a quarter of which it looks at
    scores = np.zeros((1, 2, 2, 2, 2))
    scores[0, 0, 0] = [[0.75, 0], [0, 0.25]]
    scores[0, 1, 1] = [[0.5, 0], [0, 0.5]]
    # A quarter times a half over an eighth of the image; a half times a quarter over a 16th.
    assert partner_lift(scores, parts) == pytest.approx((1 + 2) / 2)


def test_usage_is_what_gamma_lets_through():
    layer = SelfAttention2D(1, 1, 1, spectral_normalization=False)
    model = keras.Sequential([keras.Input((4, 4, 2)), layer])
    images = np.random.default_rng(0).normal(size=(3, 4, 4, 2)).astype(np.float32)
    assert attention_measures(model, images)[layer.path]["usage"] == 0
    # Uniform attention adds gamma times the mean, which for equal pixels is the pixel.
    layer.query.kernel.assign(np.zeros((1, 1, 2, 2)))
    for convolution in (layer.value, layer.output_convolution):
        convolution.kernel.assign(np.eye(2).reshape(1, 1, 2, 2))
    layer.gamma.assign(0.25)
    measures = attention_measures(model, np.full((3, 4, 4, 2), 7, np.float32))[layer.path]
    assert measures["usage"] == pytest.approx(0.25)
    assert measures["entropy"] == pytest.approx(1)
    assert attention_measures(model, np.zeros((1, 4, 4, 2)))[layer.path]["usage"] == 0
