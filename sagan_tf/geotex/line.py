"""Line: one straight line whose middle an occluder hides.

The occluder takes 38 % of the side, so what is seen of the line lies 0.69 sides apart from centre
to centre.
"""

import numpy as np

from sagan_tf.geotex.canvas import blank, centres, paint, rectangle, stroke, to_tones
from sagan_tf.geotex.outcome import Outcome

_OCCLUDER = 0.31, 0.69
_DARK, _LIGHT = -1.0, 0.7
_WIDTH = 0.09
_HEIGHTS = 0.15, 0.85
# Of the side, root mean square: how far a piece may be from straight, and both from one line. In
# images of 32 pixels noise of 10 levels moves both by 0.004 at most.
_STRAIGHT = 0.015
TOLERANCE = 0.008
# What is lighter than this is background, whatever the noise.
_THRESHOLD = 0.4


def draw(random: np.random.Generator, size: int, valid: bool) -> tuple[np.ndarray, np.ndarray]:
    """As `twin.draw`; the parts are the two visible pieces."""
    lines = random.uniform(*_HEIGHTS, size=(2, 2))
    if valid:
        lines[1] = lines[0]
    left_window = rectangle(0, _OCCLUDER[0], 0, 1, size)
    parts = np.stack(
        [
            stroke(*line, _WIDTH, size) * window
            for line, window in zip(lines, (left_window, left_window[:, ::-1]), strict=True)
        ]
    )
    image = blank(size)
    paint(image, rectangle(*_OCCLUDER, 0, 1, size), _LIGHT)
    paint(image, parts.sum(axis=0), _DARK)
    return image, parts


def check(images: np.ndarray) -> Outcome:
    """Fits a line to both pieces in images uint8 `(N, S, S, 3)`.

    `value` is float `(N,)`: the root mean square distance in pixels, along y, of the pieces from
    the one line that fits them best.
    """
    size = images.shape[1]
    tones = to_tones(images).mean(axis=-1)
    heights, seen = _heights(-tones)
    sides = [np.where(columns, seen, 0) for columns in _sides(size)]
    readable = _has_occluder(tones)
    for columns, weights in zip(_sides(size), sides, strict=True):
        readable &= weights.sum(axis=1) >= 0.8 * columns.sum()
        readable &= _distance_from_line(heights, weights) <= _STRAIGHT * size
    distance = _distance_from_line(heights, sides[0] + sides[1])
    return Outcome(readable, readable & (distance <= TOLERANCE * size), distance)


def parts_in(images: np.ndarray) -> np.ndarray:
    """Pixels of the left and of the right piece, bool `(N, 2, S, S)`."""
    dark = to_tones(images).mean(axis=-1) < -0.5
    return np.stack([dark & columns for columns in _sides(images.shape[1])], axis=1)


def _sides(size: int) -> tuple[np.ndarray, np.ndarray]:
    """The columns of pixels that show the left and the right piece whole, bool `(S,)`."""
    left = (np.arange(size) + 1) / size < _OCCLUDER[0]
    return left, left[::-1]


def _has_occluder(tones: np.ndarray) -> np.ndarray:
    size = tones.shape[1]
    first, last = _OCCLUDER
    middle = tones[:, :, round(first * size) + 1 : round(last * size) - 1]
    return (np.abs(middle - _LIGHT) < 0.4).mean(axis=(1, 2)) >= 0.98


def _heights(darkness: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The line's centre in each column, in pixels, and whether there is one, both `(N, S)`."""
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


def _distance_from_line(heights: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Root mean square distance of the columns of weight 1 from the line that fits them best."""
    count = np.maximum(weights.sum(axis=1), 1)[:, np.newaxis]
    places = np.arange(heights.shape[1]) - (weights @ np.arange(heights.shape[1]))[:, None] / count
    rises = heights - (weights * heights).sum(axis=1, keepdims=True) / count
    variance = np.maximum((weights * places**2).sum(axis=1, keepdims=True), 1e-6)
    slope = (weights * places * rises).sum(axis=1, keepdims=True) / variance
    return np.sqrt((weights * (rises - slope * places) ** 2).sum(axis=1) / count[:, 0])
