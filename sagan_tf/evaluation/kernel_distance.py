"""Kernel distance (KID): squared maximum mean discrepancy with a cubic polynomial kernel.

This is the unbiased estimate of Bińkowski et al., arXiv 1801.01401; `k(x, y) = (x.y / D + 1)^3`.
"""

import itertools
from collections.abc import Iterable

import numpy as np
from tqdm import tqdm

# Rows of a block of the kernel matrix: 32 MiB of float64.
_BLOCK = 2048


def kernel_distance(real: np.ndarray, fake: np.ndarray) -> float:
    """The kernel distance between all real and all generated features, without subset noise.

    Args:
        real: features of real images, `(M, D)`.
        fake: features of generated images, `(N, D)`.

    Raises:
        ValueError: if either has fewer than two rows.
    """
    _must_be_several(real, fake)
    within_real, within_fake = (
        _sum_within(rows) / (len(rows) * (len(rows) - 1)) for rows in (real, fake)
    )
    between = _sum_between(real, fake) / (len(real) * len(fake))
    return float(within_real + within_fake - 2 * between)


def subset_kernel_distance(
    real: np.ndarray,
    fake: np.ndarray,
    subsets: int = 100,
    subset_size: int = 1000,
    seed: int = 2020,
) -> tuple[float, float]:
    """The kernel distance averaged over random subsets, as it is mostly published.

    Args:
        real: features of real images, `(M, D)`.
        fake: features of generated images, `(N, D)`.
        subsets: number of subsets.
        subset_size: number of real, and of generated rows in each subset.
        seed: seed of the subsets; 2020 draws torch-fidelity's.

    Returns:
        Mean and population standard deviation over the subsets.

    Raises:
        ValueError: if a side has fewer rows than a subset.
    """
    if not 2 <= subset_size <= min(len(real), len(fake)):
        raise ValueError(
            f"`subset_size` must be in [2, {min(len(real), len(fake))}], the images of the "
            f"smaller side. Received: {subset_size}"
        )
    random = np.random.RandomState(seed)
    distances = []
    for _ in tqdm(range(subsets), "subsets", leave=None, delay=2):
        # Generated rows are drawn first, as torch-fidelity does.
        chosen_fake = fake[random.choice(len(fake), subset_size, replace=False)]
        chosen_real = real[random.choice(len(real), subset_size, replace=False)]
        distances.append(kernel_distance(chosen_real, chosen_fake))
    return float(np.mean(distances)), float(np.std(distances))


def _sum_between(first: np.ndarray, second: np.ndarray) -> float:
    """The sum of the kernel over all pairs of a row of `first` and a row of `second`."""
    blocks = itertools.product(_starts(first), _starts(second))
    total = len(_starts(first)) * len(_starts(second))
    return sum(
        _cube(_block(first, row) @ _block(second, column).T, first.shape[1]).sum()
        for row, column in _shown(blocks, total)
    )


def _sum_within(rows: np.ndarray) -> float:
    """The sum of the kernel over all ordered pairs of two different rows."""
    starts = _starts(rows)
    blocks = itertools.combinations_with_replacement(starts, 2)
    total = 0.0
    for row, column in _shown(blocks, len(starts) * (len(starts) + 1) // 2):
        kernel = _cube(_block(rows, row) @ _block(rows, column).T, rows.shape[1])
        # Blocks off the diagonal count twice.
        total += 2 * kernel.sum() if row != column else kernel.sum() - np.trace(kernel)
    return total


def _starts(rows: np.ndarray) -> range:
    return range(0, len(rows), _BLOCK)


def _block(rows: np.ndarray, start: int) -> np.ndarray:
    return np.asarray(rows[start : start + _BLOCK], np.float64)


def _shown(blocks: Iterable[tuple[int, int]], total: int) -> Iterable[tuple[int, int]]:
    return tqdm(blocks, "kernels", total, leave=None, unit="block", delay=2)


def _cube(products: np.ndarray, size: int) -> np.ndarray:
    products = products / size + 1
    return products * products * products


def _must_be_several(*sides: np.ndarray) -> None:
    for rows in sides:
        if len(rows) < 2:
            raise ValueError(f"A kernel distance needs at least 2 images. Received: {len(rows)}")
