"""Measures of agreement between two readings, corrected for chance.

A generator that draws only red discs always has twins of the same colour. These measures take its
frequencies of colours into account, so it scores 0.
"""

import numpy as np


def cohen_kappa(pairs: np.ndarray, num_values: int) -> float:
    """Cohen's kappa (1960): 1 for full agreement, 0 for agreement by chance.

    Args:
        pairs: int `(N, 2)` in `[0, num_values)`.
        num_values: number of possible values.
    """
    from sklearn.metrics import cohen_kappa_score  # only here: it takes a second to import

    _joint(pairs, num_values)  # raises `ValueError` for other pairs
    pairs = np.asarray(pairs)
    if np.unique(pairs).size == 1:
        return 0.0  # with a single value, agreement means nothing
    return float(cohen_kappa_score(pairs[:, 0], pairs[:, 1]))


def mutual_information(pairs: np.ndarray, num_values: int) -> float:
    """Mutual information of the two readings in bits, at most log2 of `num_values`.

    With few pairs, readings look related by chance. Miller's correction (1955) removes this bias to
    first order, so independent readings give 0 on average, and sometimes less.

    Args:
        pairs: int `(N, 2)` in `[0, num_values)`.
        num_values: number of possible values.
    """
    joint = _joint(pairs, num_values)
    left, right = joint.sum(axis=1), joint.sum(axis=0)
    excess = (np.count_nonzero(joint) - np.count_nonzero(left) - np.count_nonzero(right) + 1) / (
        2 * len(pairs) * np.log(2)
    )
    return float(_entropy(left) + _entropy(right) - _entropy(joint) - excess)


def _joint(pairs: np.ndarray, num_values: int) -> np.ndarray:
    """The relative frequency of each pair of values, float64 `(num_values, num_values)`."""
    pairs = np.asarray(pairs)
    fits = pairs.ndim == 2 and pairs.shape[1:] == (2,) and len(pairs)
    if not fits or pairs.min() < 0 or pairs.max() >= num_values:
        raise ValueError(
            f"`pairs` must be (N, 2), N above 0, of numbers from 0 to {num_values - 1}. Received: "
            f"{pairs.shape}" + (f" from {pairs.min()} to {pairs.max()}." if pairs.size else ".")
        )
    cells = np.bincount(pairs[:, 0] * num_values + pairs[:, 1], minlength=num_values**2)
    return cells.reshape(num_values, num_values) / len(pairs)


def _entropy(shares: np.ndarray) -> float:
    """The entropy of relative frequencies, in bits."""
    shares = shares[shares > 0]
    return float(-(shares * np.log2(shares)).sum())
