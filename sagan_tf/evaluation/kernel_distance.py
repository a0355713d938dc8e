"""Kernel distance (KID): squared maximum mean discrepancy of a cubic polynomial kernel.

Bińkowski et al., arXiv 1801.01401; `k(x, y) = (x.y / D + 1)^3`, estimated without bias.
"""

import numpy as np

# Rows of a block of the kernel matrix: 32 MiB of float64.
_BLOCK = 2048


def kernel_distance(real: np.ndarray, fake: np.ndarray) -> float:
    """The distance between all real and all generated features, without the noise of subsets.

    Args:
        real: `(M, D)`.
        fake: `(N, D)`.

    Raises:
        ValueError: for fewer than two rows of either.
    """
    _must_be_several(real, fake)
    within_real, within_fake = (
        (_kernel_sum(rows, rows) - _kernel_diagonal(rows).sum()) / (len(rows) * (len(rows) - 1))
        for rows in (real, fake)
    )
    between = _kernel_sum(real, fake) / (len(real) * len(fake))
    return float(within_real + within_fake - 2 * between)


def subset_kernel_distance(
    real: np.ndarray,
    fake: np.ndarray,
    subsets: int = 100,
    subset_size: int = 1000,
    seed: int = 2020,
) -> tuple[float, float]:
    """The same, averaged over random subsets, as most publish it.

    Args:
        real: `(M, D)`.
        fake: `(N, D)`.
        subsets: how many.
        subset_size: rows of each, of either side.
        seed: 2020 draws torch-fidelity's subsets.

    Returns:
        Mean and standard deviation (of the population) over the subsets.

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
    for _ in range(subsets):
        # Generated rows are drawn first, as torch-fidelity does.
        chosen_fake = fake[random.choice(len(fake), subset_size, replace=False)]
        chosen_real = real[random.choice(len(real), subset_size, replace=False)]
        distances.append(kernel_distance(chosen_real, chosen_fake))
    return float(np.mean(distances)), float(np.std(distances))


def _kernel_sum(first: np.ndarray, second: np.ndarray) -> float:
    second = np.asarray(second, np.float64)
    total = 0.0
    for start in range(0, len(first), _BLOCK):
        rows = np.asarray(first[start : start + _BLOCK], np.float64)
        for column in range(0, len(second), _BLOCK):
            total += _cube(rows @ second[column : column + _BLOCK].T, rows.shape[1]).sum()
    return total


def _kernel_diagonal(rows: np.ndarray) -> np.ndarray:
    rows = np.asarray(rows, np.float64)
    return _cube(np.einsum("nd,nd->n", rows, rows), rows.shape[1])


def _cube(products: np.ndarray, size: int) -> np.ndarray:
    products = products / size + 1
    return products * products * products


def _must_be_several(*sides: np.ndarray) -> None:
    for rows in sides:
        if len(rows) < 2:
            raise ValueError(f"A kernel distance needs at least 2 images. Received: {len(rows)}")
