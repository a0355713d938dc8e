import numpy as np
import pytest

from sagan_tf.data.order import (
    class_balanced_indices,
    class_members,
    coin_flips,
    shuffled_indices,
)

# Classes of 1, 3, 50, 2 and 7 images, mixed.
LABELS = np.random.default_rng(0).permutation(np.repeat(np.arange(5), [1, 3, 50, 2, 7]))
MEMBERS = class_members(LABELS, 5)


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


def test_the_order_stays_the_same_in_later_versions():
    """Runs are resumed by newer code. Recorded from the first version."""
    indices = shuffled_indices(np.arange(3590, 3598), 1797, seed=5)
    assert indices.tolist() == [733, 954, 14, 1695, 1449, 1796, 360, 639]
    assert shuffled_indices(np.arange(6), 3, seed=2**64 - 1).tolist() == [0, 1, 2, 2, 0, 1]
    # A power of two, which fills its bits.
    assert shuffled_indices(np.arange(60, 66), 64, seed=2).tolist() == [16, 19, 0, 51, 16, 51]
    far = shuffled_indices(10**15 + np.arange(3), 10**12, seed=0)
    assert far.tolist() == [500901919086, 811404731451, 849886250900]


@pytest.mark.parametrize("num_examples", [2**k + d for k in (1, 2, 5, 31, 40) for d in (-1, 0, 1)])
def test_sizes_around_powers_of_two(num_examples):
    """Indices stay inside, and differ, where the number of bits changes."""
    count = min(num_examples, 500)
    indices = shuffled_indices(np.arange(count), num_examples, seed=1)
    assert 0 <= indices.min() <= indices.max() < num_examples
    assert len(set(indices.tolist())) == count


def test_members_are_grouped_by_class():
    members = class_members(np.array([2, 0, 2, 2, 0]), 4)
    assert members.examples.tolist() == [1, 4, 0, 2, 3]
    assert members.starts.tolist() == [0, 2, 2, 5]
    assert members.counts.tolist() == [2, 0, 3, 0]


def test_balanced_rounds_hold_each_class_once_in_changing_order():
    classes = LABELS[class_balanced_indices(np.arange(5000), MEMBERS, seed=0)].reshape(1000, 5)
    np.testing.assert_array_equal(np.sort(classes), np.tile(np.arange(5), (1000, 1)))
    # 120 orders, about 8 times each; every class at every place a fifth of the time.
    assert len(np.unique(classes, axis=0)) == 120
    for place in range(5):
        assert np.bincount(classes[:, place]) == pytest.approx(200, abs=60)


def test_balanced_classes_go_through_their_own_images_in_shuffled_epochs():
    indices = class_balanced_indices(np.arange(5 * 300), MEMBERS, seed=0)
    for label, count in enumerate(MEMBERS.counts):
        visits = indices[LABELS[indices] == label]
        epochs = visits[: len(visits) // count * count].reshape(-1, count)
        np.testing.assert_array_equal(
            np.sort(epochs), np.tile(np.sort(epochs[0]), (len(epochs), 1))
        )
        assert set(epochs[0].tolist()) == set(np.flatnonzero(label == LABELS).tolist())
        if count == 50:
            assert (epochs[1:] == epochs[:-1]).mean() < 0.1  # by chance 0.02


def test_classes_of_equal_size_go_through_their_images_differently():
    members = class_members(np.repeat(np.arange(2), 100), 2)
    indices = class_balanced_indices(np.arange(2000), members, seed=0)
    first, second = indices[indices < 100], indices[indices >= 100] - 100
    assert (first == second).mean() < 0.04  # by chance 0.01


def test_a_balanced_position_means_the_same_wherever_a_run_starts():
    whole = class_balanced_indices(np.arange(300), MEMBERS, seed=5)
    tail = class_balanced_indices(np.arange(172, 300), MEMBERS, seed=5)
    np.testing.assert_array_equal(tail, whole[172:])
    assert (class_balanced_indices(np.arange(300), MEMBERS, seed=6) != whole).any()
    far = class_balanced_indices(10**15 + np.arange(5), MEMBERS, seed=5)
    assert sorted(LABELS[far]) == [0, 1, 2, 3, 4]


def test_balancing_one_class_is_a_shuffle():
    members = class_members(np.zeros(9, np.int32), 1)
    indices = class_balanced_indices(np.arange(18), members, seed=0).reshape(2, 9)
    np.testing.assert_array_equal(np.sort(indices), np.tile(np.arange(9), (2, 1)))
