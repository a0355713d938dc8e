import numpy as np
import pytest

from sagan_tf.data.order import coin_flips, shuffled_indices


@pytest.mark.parametrize("num_examples", [1, 2, 3, 7, 64, 1797])
def test_every_epoch_is_a_permutation(num_examples):
    epochs = shuffled_indices(np.arange(5 * num_examples), num_examples, seed=3)
    for epoch in epochs.reshape(5, num_examples):
        np.testing.assert_array_equal(np.sort(epoch), np.arange(num_examples))


def test_epochs_and_seeds_differ():
    first, second = shuffled_indices(np.arange(2000), 1000, seed=0).reshape(2, 1000)
    other = shuffled_indices(np.arange(1000), 1000, seed=1)
    # Two unrelated orders agree at one place in a thousand, on average once.
    assert (first == second).sum() < 8
    assert (first == other).sum() < 8


def test_a_position_means_the_same_wherever_a_run_starts():
    whole = shuffled_indices(np.arange(300), 100, seed=5)
    np.testing.assert_array_equal(shuffled_indices(np.arange(170, 300), 100, seed=5), whole[170:])
    np.testing.assert_array_equal(shuffled_indices(np.array([299]), 100, seed=5), whole[299:])


def test_a_position_deep_in_a_huge_data_set_costs_nothing():
    positions = 10**15 + np.arange(8)
    indices = shuffled_indices(positions, 10**12, seed=0)
    assert ((indices >= 0) & (indices < 10**12)).all()
    assert len(set(indices.tolist())) == 8


def test_batches_hold_labels_as_a_true_shuffle_would():
    """The number of one class per batch varies as the hypergeometric distribution says."""
    num_examples, batch, epochs = 1797, 32, 400
    order = shuffled_indices(np.arange(epochs * num_examples), num_examples, seed=0)
    of_one_class = order.reshape(epochs, num_examples)[:, : 56 * batch] // 180 == 3
    counts = of_one_class.reshape(-1, batch).sum(axis=1)
    share = 180 / num_examples
    expected = batch * share * (1 - share) * (num_examples - batch) / (num_examples - 1)
    assert counts.var() == pytest.approx(expected, rel=0.05)


def test_coins_are_fair_and_owned_by_their_position():
    flips = coin_flips(np.arange(10000), seed=0)
    assert flips.mean() == pytest.approx(0.5, abs=0.02)
    assert np.corrcoef(flips[1:], flips[:-1])[0, 1] == pytest.approx(0, abs=0.04)
    np.testing.assert_array_equal(coin_flips(np.arange(500, 600), seed=0), flips[500:600])
    assert (coin_flips(np.arange(10000), seed=1) != flips).any()
