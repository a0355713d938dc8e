"""Mirror: the eight dark or light cells of the left column are repeated in the right column.

Each column has its own width, and each cell its own shade of dark or light.
"""

import itertools

import numpy as np

from sagan_tf.geotex.canvas import (
    MARGIN,
    blank,
    interval,
    middle_is_dead,
    side_columns,
    to_tones,
)
from sagan_tf.geotex.outcome import Outcome, Sides

NUM_BITS = 8
_WIDTHS = 0.15, MARGIN
# Area in which cells are read, well inside the narrowest column and the cell.
_READ_FROM, _READ_TO = 0.03, 0.12
_INNER_HALF = 0.25


def draw(random: np.random.Generator, size: int, valid: bool) -> tuple[np.ndarray, np.ndarray]:
    """Draws an image like `twin.draw`; the parts are the two columns."""
    bits = random.integers(2, size=(2, NUM_BITS))
    if valid:
        bits[1] = bits[0]
    shades = random.uniform(0.75, 1.0, size=bits.shape)
    edges = np.arange(NUM_BITS + 1) / NUM_BITS
    cells = np.stack([interval(*edge, size) for edge in itertools.pairwise(edges)])
    widths = random.uniform(*_WIDTHS, size=2)
    columns = interval(0, widths[0], size), interval(1 - widths[1], 1, size)
    image, parts = blank(size), []
    for column, tones in zip(columns, (2 * bits - 1) * shades, strict=True):
        image += np.outer(tones @ cells, column)[..., np.newaxis]
        parts.append(np.outer(np.ones(size), column))
    return image, np.stack(parts)


def check(images: np.ndarray) -> Outcome:
    """Reads all cells of uint8 images `(N, S, S, 3)`.

    `value` is float `(N,)`: the fraction of cells that agree with the opposite cell.
    """
    tones = to_tones(images)
    left = _cell_tones(tones)
    right = _cell_tones(tones[:, :, ::-1])
    readable = (np.abs(left) > 0.35).all(axis=1) & (np.abs(right) > 0.35).all(axis=1)
    readable &= middle_is_dead(tones)
    agreement = ((left > 0) == (right > 0)).mean(axis=1)
    return Outcome(readable, readable & (agreement == 1), agreement)


def read_sides(images: np.ndarray) -> Sides:
    """Reads which cells are light, bool `(N, 8)` for each side; single cells may be grey."""
    tones = to_tones(images)
    left, right = _cell_tones(tones), _cell_tones(tones[:, :, ::-1])
    located = middle_is_dead(tones)
    for side in (left, right):
        located &= np.abs(side).mean(axis=1) > 0.35
    return Sides(located, left > 0, right > 0)


def side_distance(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Share of unequal cells, for cells `(..., 8)`."""
    return (left != right).mean(axis=-1)


def parts_in(images: np.ndarray) -> np.ndarray:
    """Pixels of the left and of the right column, bool `(N, 2, S, S)`."""
    size = images.shape[1]
    # The absolute value is averaged over a pixel column, as cells of both tones would cancel.
    filled = np.abs(to_tones(images)).mean(axis=(1, 3)) > 0.45
    parts = np.zeros((len(images), 2, size, size), bool)
    for side, columns in enumerate(side_columns(size)):
        parts[:, side, :, columns] = filled[:, np.newaxis, columns]
    return parts


def _cell_tones(tones: np.ndarray) -> np.ndarray:
    """The mean tone inside each cell of the left column, `(N, 8)`."""
    size = tones.shape[1]
    columns = slice(round(_READ_FROM * size), round(_READ_TO * size))
    rows = tones[:, :, columns].mean(axis=(2, 3))
    middles = (np.arange(NUM_BITS) + 0.5) / NUM_BITS
    half = _INNER_HALF / NUM_BITS
    starts = np.floor((middles - half) * size + 0.5).astype(int)
    stops = np.floor((middles + half) * size + 0.5).astype(int)
    return np.stack(
        [rows[:, start:stop].mean(axis=1) for start, stop in zip(starts, stops, strict=True)],
        axis=1,
    )
