"""Mean and covariance of features, computed from a stream."""

import dataclasses

import numpy as np
from scipy.linalg.blas import dsyrk

# Rows to multiply at a time: with fewer, the processor waits for memory.
_ROWS = 1024


@dataclasses.dataclass(frozen=True)
class Moments:
    """Mean and covariance of features, from which a Fréchet distance is computed.

    Attributes:
        count: number of rows; `None` if it is not known.
        mean: float64 `(D,)`.
        covariance: float64 `(D, D)`, unbiased (divided by `count - 1`).
    """

    count: int | None
    mean: np.ndarray
    covariance: np.ndarray


class MomentsStream:
    """Computes `Moments` in float64 without keeping the features.

    Rows are centred around the first rows' mean before they are multiplied, to avoid cancellation.
    Streams over parts of the data can be merged, with the result of a single stream over all data.

    Args:
        size: length of a row.
    """

    def __init__(self, size: int) -> None:
        self._shift: np.ndarray | None = None
        self._count = 0
        self._sum = np.zeros(size)
        # dsyrk adds to this matrix in place, which needs Fortran order.
        self._products = np.zeros((size, size), order="F")
        self._waiting: list[np.ndarray] = []

    def update(self, features: np.ndarray) -> None:
        """Adds rows, `(N, D)` of any float type.

        Raises:
            ValueError: for rows of another size, or numbers that are not finite.
        """
        features = np.asarray(features)
        if features.ndim != 2 or features.shape[1] != len(self._sum):
            raise ValueError(
                f"`features` must have the shape (N, {len(self._sum)}). Received: {features.shape}"
            )
        if not np.isfinite(features).all():
            row = int(np.argwhere(~np.isfinite(features))[0, 0])
            raise ValueError(
                "`features` must be finite. Received: a value that is not, in row "
                f"{self._count + sum(map(len, self._waiting)) + row} of the stream"
            )
        if len(features):
            self._waiting.append(features)
        if sum(map(len, self._waiting)) >= _ROWS:
            self._add_waiting()

    def merge(self, other: "MomentsStream") -> None:
        """Adds the rows of another stream."""
        self._add_waiting()
        other._add_waiting()
        if other._shift is None:
            return
        if self._shift is None:
            self._shift = other._shift
        # The other stream's sums, converted to this stream's shift.
        step = other._shift - self._shift
        cross = np.outer(step, other._sum)
        self._products += other._products
        self._products += np.triu(cross + cross.T + other._count * np.outer(step, step))
        self._sum += other._sum + other._count * step
        self._count += other._count

    def result(self) -> Moments:
        """The moments of all rows so far.

        Raises:
            ValueError: for fewer than two rows, which have no covariance.
        """
        self._add_waiting()
        if self._shift is None or self._count < 2:
            raise ValueError(f"A covariance needs at least 2 images. Received: {self._count}")
        centred = self._products - np.outer(self._sum, self._sum) / self._count
        covariance = np.triu(centred) / (self._count - 1)
        covariance += np.triu(covariance, 1).T
        return Moments(self._count, self._shift + self._sum / self._count, covariance)

    def _add_waiting(self) -> None:
        if not self._waiting:
            return
        rows = np.concatenate(self._waiting).astype(np.float64)
        self._waiting = []
        if self._shift is None:
            self._shift = rows.mean(axis=0)
        rows -= self._shift
        self._count += len(rows)
        self._sum += rows.sum(axis=0)
        # The transpose of C-ordered rows has Fortran order, so dsyrk copies nothing.
        self._products = dsyrk(1.0, rows.T, beta=1.0, c=self._products, overwrite_c=True)


def moments_of(features: np.ndarray) -> Moments:
    """The moments of an array of features, `(N, D)`."""
    stream = MomentsStream(features.shape[1])
    stream.update(features)
    return stream.result()
