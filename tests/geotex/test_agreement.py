import numpy as np
import pytest

from sagan_tf.geotex.agreement import cohen_kappa, mutual_information

EIGHT = np.arange(8)


def test_equal_pairs_of_eight_colours():
    pairs = np.stack([EIGHT, EIGHT], axis=1).repeat(1000, axis=0)
    assert cohen_kappa(pairs, 8) == pytest.approx(1)
    assert mutual_information(pairs, 8) == pytest.approx(3, abs=1e-3)


def test_independent_pairs():
    pairs = np.stack(np.meshgrid(EIGHT, EIGHT), axis=-1).reshape(-1, 2).repeat(100, axis=0)
    assert cohen_kappa(pairs, 8) == pytest.approx(0)
    # 49 degrees of freedom over 2 N ln 2 are taken off.
    assert mutual_information(pairs, 8) == pytest.approx(-49 / (2 * 6400 * np.log(2)))
    few = np.random.default_rng(0).integers(8, size=(400, 300, 2))
    assert np.mean([mutual_information(pairs, 8) for pairs in few]) == pytest.approx(0, abs=0.01)


def test_a_generator_of_one_colour_agrees_by_chance():
    pairs = np.full((100, 2), 3)
    assert cohen_kappa(pairs, 8) == 0
    assert mutual_information(pairs, 8) == 0


def test_a_permutation_of_colours_tells_all_and_agrees_never():
    pairs = np.stack([EIGHT, (EIGHT + 1) % 8], axis=1).repeat(1000, axis=0)
    assert cohen_kappa(pairs, 8) == pytest.approx(-1 / 7)
    assert mutual_information(pairs, 8) == pytest.approx(3, abs=1e-3)


@pytest.mark.parametrize("pairs", [np.zeros((0, 2), int), np.zeros(3, int), np.full((1, 2), 8)])
def test_what_are_no_pairs(pairs):
    with pytest.raises(ValueError, match=r"`pairs` must be .* from 0 to 7"):
        cohen_kappa(pairs, 8)
