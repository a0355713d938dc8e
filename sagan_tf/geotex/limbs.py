"""Limbs: a body with four places for limbs on each side; exactly four of the eight have a limb.

The body is always the same: two upright bars and a spine between them.
"""

import numpy as np

from sagan_tf.geotex.canvas import MARGIN, blank, paint, rectangle, to_tones
from sagan_tf.geotex.outcome import Outcome, Sides

NUM_LIMBS = 4
_PLACES = 0.14, 0.38, 0.62, 0.86
_DARK = -1.0
_BAR = MARGIN, MARGIN + 0.07
_THICKNESS = 0.09
_LENGTHS = 0.14, 0.19
_SHIFT = 0.03
# Columns in which limbs are read, between the bar and the end of the shortest limb.
_READ_FROM, _READ_TO = 0.1, 0.19


def draw(random: np.random.Generator, size: int, valid: bool) -> tuple[np.ndarray, np.ndarray]:
    """Draws an image like `twin.draw`; the parts are the strips with all places for limbs."""
    num_places = 2 * len(_PLACES)
    if valid:
        taken = random.permutation(num_places) < NUM_LIMBS
    else:
        taken = random.integers(2, size=num_places).astype(bool)
    lengths = random.uniform(*_LENGTHS, size=num_places)
    shifts = random.uniform(-_SHIFT, _SHIFT, size=num_places)
    image = blank(size)
    paint(image, _body(size), _DARK)
    limbs = zip(taken, lengths, shifts, _PLACES * 2, strict=True)
    for index, (is_taken, length, shift, place) in enumerate(limbs):
        if is_taken:
            top = place + shift - _THICKNESS / 2
            limb = rectangle(MARGIN - length, MARGIN, top, top + _THICKNESS, size)
            paint(image, limb if index < len(_PLACES) else limb[:, ::-1], _DARK)
    return image, _strips(size)


def check(images: np.ndarray) -> Outcome:
    """Counts the limbs of uint8 images `(N, S, S, 3)`.

    `value` is int `(N,)`: the number of limbs minus four.
    """
    darkness = -to_tones(images).mean(axis=-1)
    fills, gaps = zip(*(_read_side(side) for side in (darkness, darkness[:, :, ::-1])), strict=True)
    fills = np.concatenate(fills, axis=1)
    readable = _has_body(darkness) & np.concatenate(gaps, axis=1).all(axis=1)
    readable &= ((fills > 0.65) | (fills < 0.35)).all(axis=1)
    excess = (fills > 0.5).sum(axis=1) - NUM_LIMBS
    return Outcome(readable, readable & (excess == 0), excess)


def read_sides(images: np.ndarray) -> Sides:
    """Counts the limbs of each side, int `(N,)`; they may be half grown."""
    darkness = -to_tones(images).mean(axis=-1)
    left, right = (_read_side(side)[0] for side in (darkness, darkness[:, :, ::-1]))
    counts = [(fills > 0.5).sum(axis=1) for fills in (left, right)]
    return Sides(_has_body(darkness), counts[0], counts[1])


def side_distance(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Difference between the limbs of both sides together and four, for counts `(...)`."""
    return np.abs(left + right - NUM_LIMBS)


def parts_in(images: np.ndarray) -> np.ndarray:
    """Pixels of both strips, bool `(N, 2, S, S)`; like the body, the same in all images."""
    return np.repeat(_strips(images.shape[1])[np.newaxis] > 0.5, len(images), axis=0)


def _body(size: int) -> np.ndarray:
    bar = rectangle(*_BAR, 0.08, 0.92, size)
    spine = rectangle(_BAR[1], 1 - _BAR[1], 0.46, 0.54, size)
    return np.clip(bar + bar[:, ::-1] + spine, 0, 1)


def _strips(size: int) -> np.ndarray:
    left = rectangle(0, MARGIN, 0.05, 0.95, size)
    return np.stack([left, left[:, ::-1]])


def _has_body(darkness: np.ndarray) -> np.ndarray:
    """Whether the middle shows the body and nothing else, bool `(N,)`."""
    size = darkness.shape[1]
    body = _body(size)
    inside = darkness[:, body > 0.9]
    middle = rectangle(_BAR[1], 1 - _BAR[1], 0, 1, size) > 0.9
    outside = np.abs(darkness[:, middle & (body < 0.1)])
    return ((inside > 0.5).mean(axis=1) >= 0.95) & ((outside > 0.5).mean(axis=1) <= 0.02)


def _read_side(darkness: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How full the places on the left are, `(N, 4)`, and whether the gaps between are empty."""
    size = darkness.shape[1]
    rows = darkness[:, :, round(_READ_FROM * size) : round(_READ_TO * size)].mean(axis=2)
    reach = _THICKNESS / 2 + _SHIFT
    # A limb fills at least one whole row near its place, whatever its shift.
    fills = [rows[:, _rows(place, reach, size)].max(axis=1) for place in _PLACES]
    between = (np.array(_PLACES[:-1]) + np.array(_PLACES[1:])) / 2
    gaps = [rows[:, _rows(gap, 0.02, size)].mean(axis=1) < 0.35 for gap in between]
    return np.stack(fills, axis=1), np.stack(gaps, axis=1)


def _rows(middle: float, reach: float, size: int) -> slice:
    return slice(round((middle - reach) * size), round((middle + reach) * size))
