"""Inception Score: how confident a classifier is of each image, and how varied its answers are."""

import numpy as np
from scipy.special import log_softmax, xlogy

# Rows in memory at a time.
_ROWS = 4096


def inception_score(
    logits: np.ndarray, splits: int = 10, shuffle_seed: int | None = 2020
) -> tuple[float, float]:
    """Inception Score, `exp(E KL(p(y|x) || p(y)))`, Salimans et al., arXiv 1606.03498.

    Args:
        logits: `(N, classes)`; the published scores use all 1,008 logits, without bias.
        splits: number of parts, of consecutive images, whose scores are averaged.
        shuffle_seed: seed with which images are shuffled first, as parts of images sorted by class
            would have no variety; `None` keeps their order. torch-fidelity uses 2020.

    Returns:
        Mean and population standard deviation over the splits.

    Raises:
        ValueError: for fewer images than splits.
    """
    count = len(logits)
    if not 1 <= splits <= count:
        raise ValueError(f"`splits` must be in [1, {count}], the images. Received: {splits}")
    order = np.arange(count)
    if shuffle_seed is not None:
        order = np.random.RandomState(shuffle_seed).permutation(count)
    parts = (
        order[split * count // splits : (split + 1) * count // splits] for split in range(splits)
    )
    scores = [_score(logits, part) for part in parts]
    return float(np.mean(scores)), float(np.std(scores))


def _score(logits: np.ndarray, rows: np.ndarray) -> float:
    """The score of some rows: the exponential of a difference of two entropies."""
    sum_p, sum_p_log_p = 0.0, 0.0
    for start in range(0, len(rows), _ROWS):
        part = np.asarray(logits[rows[start : start + _ROWS]], np.float64)
        log_p = log_softmax(part, axis=1)
        p = np.exp(log_p)
        sum_p += p.sum(axis=0)
        sum_p_log_p += np.sum(p * log_p)
    marginal = sum_p / len(rows)
    return np.exp(sum_p_log_p / len(rows) - xlogy(marginal, marginal).sum())
