"""Distances between all rows of features, computed in blocks to limit memory."""

from collections.abc import Iterator

import numpy as np
from tqdm import tqdm

# Rows in a block of distances; limits memory and does not change results.
_BLOCK = 256


def squared_distances(
    first: np.ndarray, second: np.ndarray, middle: np.ndarray
) -> Iterator[tuple[int, np.ndarray]]:
    """Yields the first row's index of each block, and the block's squared distances to `second`.

    Args:
        first: `(M, D)`.
        second: `(N, D)`.
        middle: `(D,)`, a point near the rows' centre; relative to it, squares and their rounding
            errors are small.
    """
    second = second - middle
    squares = np.einsum("nd,nd->n", second, second)
    starts = range(0, len(first), _BLOCK)
    for start in tqdm(starts, desc="distances", unit="block", leave=None, delay=2):
        rows = first[start : start + _BLOCK] - middle
        distances = rows @ second.T
        distances *= -2
        distances += squares
        distances += np.einsum("nd,nd->n", rows, rows)[:, None]
        yield start, np.maximum(distances, 0, out=distances)


def nearest(rows: np.ndarray, others: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The nearest neighbours of each row among `others`, the nearest first.

    Args:
        rows: `(M, D)`.
        others: `(N, D)`.
        count: number of neighbours, at most N.

    Returns:
        Distances and indices, `(M, count)` each.
    """
    distances = np.empty((len(rows), count), np.float32)
    indices = np.empty((len(rows), count), np.int64)
    for start, block in squared_distances(rows, others, others.mean(axis=0)):
        part = slice(start, start + len(block))
        found = np.argpartition(block, count - 1, axis=1)[:, :count]
        squared = np.take_along_axis(block, found, axis=1)
        order = np.argsort(squared, axis=1, kind="stable")
        indices[part] = np.take_along_axis(found, order, axis=1)
        distances[part] = np.sqrt(np.take_along_axis(squared, order, axis=1))
    return distances, indices
