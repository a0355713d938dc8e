"""How much two readings agree beyond what their frequencies give by chance.

A generator that draws only red discs always has twins of one colour. These measures take its own
frequencies into account: it scores 0.
"""

import numpy as np
from sklearn.metrics import cohen_kappa_score


def cohen_kappa(pairs: np.ndarray, num_values: int) -> float:
    """Agreement beyond chance over the most that there can be (Cohen 1960): 1 always, 0 by chance.

    Args:
        pairs: int `(N, 2)` in `[0, num_values)`.
        num_values: how many values there are.
    """
    _joint(pairs, num_values)  # which complains of other pairs
    pairs = np.asarray(pairs)
    if np.unique(pairs).size == 1:
        return 0.0  # as of one value, agreement tells nothing
    return float(cohen_kappa_score(pairs[:, 0], pairs[:, 1]))


def mutual_information(pairs: np.ndarray, num_values: int) -> float:
    """Bits that one reading tells of the other: at most log2 of `num_values`.

    Few pairs look related by chance, which Miller (1955) corrects to first order; so independent
    readings average 0 and may come out below.

    Args:
        pairs: int `(N, 2)` in `[0, num_values)`.
        num_values: how many values there are.
    """
    joint = _joint(pairs, num_values)
    left, right = joint.sum(axis=1), joint.sum(axis=0)
    excess = (np.count_nonzero(joint) - np.count_nonzero(left) - np.count_nonzero(right) + 1) / (
        2 * len(pairs) * np.log(2)
    )
    return float(_entropy(left) + _entropy(right) - _entropy(joint) - excess)


def _joint(pairs: np.ndarray, num_values: int) -> np.ndarray:
    """The share of each pair of values, float64 `(num_values, num_values)`."""
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
    """In bits."""
    shares = shares[shares > 0]
    return float(-(shares * np.log2(shares)).sum())
