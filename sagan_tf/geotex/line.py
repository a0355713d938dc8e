"""Line: one straight line whose middle is hidden by an occluder.

The occluder covers 38 % of the side, so the centres of the two visible pieces are 0.69 sides apart.
"""

from typing import NamedTuple

import numpy as np

from sagan_tf.geotex.canvas import blank, centres, paint, rectangle, stroke, to_tones
from sagan_tf.geotex.outcome import Outcome, Sides

_OCCLUDER = 0.31, 0.69
_DARK, _LIGHT = -1.0, 0.7
_WIDTH = 0.09
_HEIGHTS = 0.15, 0.85
# Largest distance by which the pieces miss one another, and largest bend of a piece, as fractions
# of the side.
TOLERANCE = 0.05
_STRAIGHT = 0.015
# Pixels with less darkness than this are background, despite noise.
_THRESHOLD = 0.4


class _Fit(NamedTuple):
    """One fitted line per image, as arrays `(N,)`, in pixels.

    Attributes:
        middle: mean column of the piece.
        height: height of the line at `middle`.
        slope: slope of the line.
        error: root mean square distance of the piece from the line, along y.
    """

    middle: np.ndarray
    height: np.ndarray
    slope: np.ndarray
    error: np.ndarray

    def height_at(self, column: np.ndarray) -> np.ndarray:
        """Height of the line in a column, `(N,)`."""
        return self.height + self.slope * (column - self.middle)


def draw(random: np.random.Generator, size: int, valid: bool) -> tuple[np.ndarray, np.ndarray]:
    """Draws an image like `twin.draw`; the parts are the two visible pieces."""
    lines = random.uniform(*_HEIGHTS, size=(2, 2))
    if valid:
        lines[1] = lines[0]
    left_window = rectangle(0, _OCCLUDER[0], 0, 1, size)
    parts = np.stack(
        [
            stroke(first, last, _WIDTH, size) * window
            for (first, last), window in zip(
                lines, (left_window, left_window[:, ::-1]), strict=True
            )
        ]
    )
    image = blank(size)
    paint(image, rectangle(*_OCCLUDER, 0, 1, size), _LIGHT)
    paint(image, parts.sum(axis=0), _DARK)
    return image, parts


def check(images: np.ndarray) -> Outcome:
    """Fits a line to both pieces in uint8 images `(N, S, S, 3)`.

    `value` is float `(N,)`: the distance in pixels, along y, by which each piece's extension misses
    the middle of the other piece; the root mean square of both.
    """
    size = images.shape[1]
    tones = to_tones(images).mean(axis=-1)
    heights, seen = _heights(-tones)
    readable = _has_occluder(tones)
    fits = []
    for columns in _sides(size):
        readable &= (seen & columns).sum(axis=1) >= 0.8 * columns.sum()
        fits.append(_fit(heights, seen & columns))
        readable &= fits[-1].error <= _STRAIGHT * size
    miss = _miss(*fits)
    return Outcome(readable, readable & (miss <= TOLERANCE * size), miss)


def read_sides(images: np.ndarray) -> Sides:
    """Fits a line to each piece, which may be bent or have gaps; `_Fit` as columns, `(N, 4)`."""
    tones = to_tones(images).mean(axis=-1)
    heights, seen = _heights(-tones)
    located, fits = _has_occluder(tones), []
    for columns in _sides(images.shape[1]):
        located &= (seen & columns).sum(axis=1) >= 0.5 * columns.sum()
        fits.append(np.stack(_fit(heights, seen & columns), axis=-1))
    return Sides(located, fits[0], fits[1])


def side_distance(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """The miss of two pieces, as `check` has it, for fits `(..., 4)`."""
    return _miss(_Fit(*np.moveaxis(left, -1, 0)), _Fit(*np.moveaxis(right, -1, 0)))


def parts_in(images: np.ndarray) -> np.ndarray:
    """Pixels of the left and of the right piece, bool `(N, 2, S, S)`."""
    dark = to_tones(images).mean(axis=-1) < -0.5
    left = centres(images.shape[1]) < _OCCLUDER[0]
    return np.stack([dark & left, dark & left[::-1]], axis=1)


def _miss(left: _Fit, right: _Fit) -> np.ndarray:
    """How far each piece's extension is from the middle of the other: root mean square of both."""
    ahead = left.height_at(right.middle) - right.height
    back = right.height_at(left.middle) - left.height
    return np.sqrt((ahead**2 + back**2) / 2)


def _sides(size: int) -> tuple[np.ndarray, np.ndarray]:
    """The pixel columns entirely left and entirely right of the occluder, bool `(S,)` each."""
    left = (np.arange(size) + 1) / size < _OCCLUDER[0]
    return left, left[::-1]


def _has_occluder(tones: np.ndarray) -> np.ndarray:
    size = tones.shape[1]
    first, last = _OCCLUDER
    middle = tones[:, :, round(first * size) + 1 : round(last * size) - 1]
    return (np.abs(middle - _LIGHT) < 0.4).mean(axis=(1, 2)) >= 0.98


def _heights(darkness: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The line's centre in each column, in pixels, and whether the column has a line, `(N, S)`."""
    size = darkness.shape[1]
    weights = np.clip(darkness - _THRESHOLD, 0, 1)
    mass = weights.sum(axis=1)
    shares = weights / np.maximum(mass, 1e-6)[:, np.newaxis]
    rows = centres(size)[:, np.newaxis] * size
    heights = (shares * rows).sum(axis=1)
    spread = np.sqrt((shares * (rows - heights[:, np.newaxis]) ** 2).sum(axis=1))
    width = _WIDTH * size
    full = (1 - _THRESHOLD) * width
    # The steepest line is 1.23 times as high as it is wide.
    return heights, (mass > 0.5 * full) & (mass < 1.8 * full) & (spread < 0.6 * width)


def _fit(heights: np.ndarray, seen: np.ndarray) -> _Fit:
    """The least-squares line through the columns selected by `seen`, bool `(N, S)`."""
    columns = np.arange(heights.shape[1])
    count = np.maximum(seen.sum(axis=1), 1)
    middle, height = (seen @ columns) / count, (seen * heights).sum(axis=1) / count
    places, rises = columns - middle[:, np.newaxis], heights - height[:, np.newaxis]
    slope = (seen * places * rises).sum(axis=1) / np.maximum((seen * places**2).sum(axis=1), 1e-6)
    errors = seen * (rises - slope[:, np.newaxis] * places)
    return _Fit(middle, height, slope, np.sqrt((errors**2).sum(axis=1) / count))
