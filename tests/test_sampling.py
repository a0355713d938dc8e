import math

import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

from sagan_tf import sampling
from sagan_tf.models import Generator


@pytest.fixture(scope="module")
def generator():
    generator = Generator(16, 10, base_filters=4, channels=3, latent_dim=8)
    generator.build()
    for seed in range(3):  # singular vectors that fit their weights
        generator(sampling.latents_from_seeds([seed], 8), np.array([seed]), training=True)
    table = generator.stages[0].norm_0.gamma  # as if trained: classes differ
    table.assign(np.random.default_rng(0).normal(1, 0.5, table.shape))
    return generator


def test_latents_of_a_seed_are_the_same_in_every_batch():
    alone = sampling.latents_from_seeds([1234], 16)
    among = sampling.latents_from_seeds([7, 1234, 2**53 - 1], 16)
    traced = tf.function(lambda seeds: sampling.latents_from_seeds(seeds, 16))
    np.testing.assert_array_equal(alone[0], among[1])
    np.testing.assert_array_equal(traced(tf.constant([5, 1234], tf.int64))[1], alone[0])
    assert not np.allclose(among[0], among[2])


def test_a_seed_gives_the_numbers_of_tensorflows_philox():
    seeds = [0, 1234, 2**40 + 7, 2**53 - 1, 2**63 - 1]
    uniform = sampling._uniforms(tf.constant(seeds, tf.int64), 33)
    for row, seed in zip(uniform, seeds, strict=True):
        pair = tf.constant([seed, 0], tf.int64)
        expected = tf.random.stateless_uniform((33,), pair, dtype=tf.float64, alg="philox")
        np.testing.assert_array_equal(row, expected)


def test_latents_are_normal():
    latents = sampling.latents_from_seeds(np.arange(500), 64).numpy().ravel()
    assert stats.kstest(latents, "norm").pvalue > 0.001
    assert latents.dtype == np.float32


def test_truncated_latents_are_a_truncated_normal():
    latents = sampling.latents_from_seeds(np.arange(500), 64, truncation=0.5).numpy().ravel()
    assert np.abs(latents).max() <= 0.5
    assert stats.kstest(latents, stats.truncnorm(-0.5, 0.5).cdf).pvalue > 0.001


def test_truncation_may_differ_by_image():
    limits = np.array([0.1, math.inf])
    latents = sampling.latents_from_seeds([3, 3], 64, limits).numpy()
    assert np.abs(latents[0]).max() <= 0.1 < np.abs(latents[1]).max()
    np.testing.assert_array_equal(latents[1], sampling.latents_from_seeds([3], 64)[0])


def test_images_do_not_depend_on_the_batch(generator, monkeypatch):
    seeds, labels = range(5), [0, 1, 2, 3, 4]
    together = list(sampling.sample(generator, seeds, labels))
    monkeypatch.setattr(sampling, "BATCH_SIZE", 2)
    apart = list(sampling.sample(generator, seeds, labels))
    difference = np.abs(np.int32(together) - np.int32(apart))
    assert difference.max() <= 1
    assert together[0].shape == (16, 16, 3)
    assert together[0].dtype == np.uint8
    assert np.std(together) > 0


def test_rounding_to_the_nearest_level():
    images = np.array([-1.0, 1.0, 0.0, -1 + 0.49 / 127.5, -1 + 0.51 / 127.5])
    np.testing.assert_array_equal(sampling.to_uint8(images), [0, 255, 128, 0, 1])


def test_interpolation_ends_at_its_ends(generator):
    row = sampling.interpolate(generator, (3, 4), (1, 2), steps=5)
    ends = list(sampling.sample(generator, [3, 4], [1, 2]))
    assert row.shape == (5, 16, 16, 3)
    for actual, expected in ((row[0], ends[0]), (row[-1], ends[1])):
        assert np.abs(np.int32(actual) - np.int32(expected)).max() <= 1
    # One seed under two labels: only the class tables move.
    blend = sampling.interpolate(generator, (3, 3), (1, 2), steps=3)
    assert not np.array_equal(blend[0], blend[1])


@pytest.mark.parametrize(
    ("seeds", "labels", "truncation", "message"),
    [
        ([-1], [0], math.inf, "`seeds` must not be negative"),
        ([0], [10], math.inf, r"`labels` must be in \[0, 10\). Received: 10"),
        ([0], None, math.inf, "`labels` must be given exactly"),
        ([0, 1], [1], math.inf, "of one length. Received: 1 labels, 2 seeds"),
        ([0], [0], 0.0, "`truncation` must be positive"),
        ([0], [0], math.nan, "`truncation` must be positive"),
    ],
)
def test_bad_requests(generator, seeds, labels, truncation, message):
    with pytest.raises(ValueError, match=message):
        list(sampling.sample(generator, seeds, labels, truncation))


def test_no_run_to_load(tmp_path):
    with pytest.raises(ValueError, match="holds no training run"):
        sampling.load_generator(tmp_path)


@pytest.mark.parametrize(
    ("seeds", "labels", "message"),
    [
        ([0], [1.7], r"`labels` must be a list of whole numbers.*Received: labels=\[1.7\]"),
        ([1.5], [1], r"`seeds` must be a list of whole numbers"),
        ([0], ["cat"], r"class_number` gives a name's label. Received: labels=\['cat'\]"),
        ([0], ["3"], "`labels` must be a list of whole numbers"),
        ([0], [True], "`labels` must be a list of whole numbers"),
        ([0], 3, "one per image"),
        (0, [3], "one per image"),
        ([[0]], [3], "one per image"),
    ],
)
def test_what_is_no_whole_number_is_not_rounded(generator, seeds, labels, message):
    with pytest.raises(ValueError, match=message):
        list(sampling.sample(generator, seeds, labels))
