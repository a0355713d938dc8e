"""How sure a classifier is of each image, and how varied its answers are."""

import numpy as np
from scipy.special import log_softmax


def inception_score(
    logits: np.ndarray, splits: int = 10, shuffle_seed: int | None = 2020
) -> tuple[float, float]:
    """`exp(E KL(p(y|x) || p(y)))`, Salimans et al., arXiv 1606.03498.

    Args:
        logits: `(N, classes)`; the published scores take all 1,008, without their bias.
        splits: parts of consecutive images whose scores are averaged.
        shuffle_seed: images are shuffled first, since parts of images that are sorted by class
            have no variety; `None` keeps their order. 2020 is torch-fidelity's.

    Returns:
        Mean and standard deviation (of the population) over the splits.

    Raises:
        ValueError: for fewer images than splits.
    """
    count = len(logits)
    if not 1 <= splits <= count:
        raise ValueError(f"`splits` must be in [1, {count}], the images. Received: {splits}")
    if shuffle_seed is not None:
        logits = logits[np.random.RandomState(shuffle_seed).permutation(count)]
    log_p = log_softmax(np.asarray(logits, np.float64), axis=1)
    scores = []
    for split in range(splits):
        part = log_p[split * count // splits : (split + 1) * count // splits]
        p = np.exp(part)
        marginal = p.mean(axis=0)
        # A class that no image has, has no part in the sum.
        log_marginal = np.log(marginal, where=marginal > 0, out=np.zeros_like(marginal))
        scores.append(np.exp(np.sum(p * (part - log_marginal), axis=1).mean()))
    return float(np.mean(scores)), float(np.std(scores))
