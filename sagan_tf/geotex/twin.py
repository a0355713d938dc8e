"""Twin: a disc on the left and one on the right, both in the same one of eight colours.

Positions and sizes are independent. The colours are the corners of an RGB cube around the grey of
the background: the sign of each channel is one of three bits.
"""

import numpy as np

from sagan_tf.geotex.canvas import (
    MARGIN,
    blank,
    disc,
    middle_is_dead,
    paint,
    side_columns,
    to_tones,
)
from sagan_tf.geotex.outcome import Outcome, Sides

NUM_COLOURS = 8
_RADII = 0.09, 0.105
_CHANNELS = np.arange(3)
# Pixels with less colour than this, on average over the channels, are background. A disc of mixed
# colour is paler than a pure one, so that `read_sides` takes less.
_COLOURED, _PALE = 0.5, 0.25


def draw(random: np.random.Generator, size: int, valid: bool) -> tuple[np.ndarray, np.ndarray]:
    """An image in tones `(S, S, 3)`, and the coverage of its two parts `(2, S, S)`.

    Args:
        random: generator of all random choices.
        size: side in pixels.
        valid: whether the constraint holds; otherwise the parts are independent.
    """
    colours = random.integers(NUM_COLOURS, size=2)
    if valid:
        colours[1] = colours[0]
    image, parts = blank(size), []
    for is_right, colour in enumerate(colours):
        radius = random.uniform(*_RADII)
        x = random.uniform(radius, MARGIN - radius)
        y = random.uniform(0.15, 0.85)
        part = disc(1 - x if is_right else x, y, radius, size)
        paint(image, part, (colour >> _CHANNELS & 1) * 2.0 - 1)
        parts.append(part)
    return image, np.stack(parts)


def check(images: np.ndarray) -> Outcome:
    """Reads both discs of uint8 images `(N, S, S, 3)`.

    `value` is int `(N, 2)`: the colours on the left and on the right, -1 if unreadable.
    """
    tones = to_tones(images)
    discs = [_read_disc(tones[:, :, columns]) for columns in side_columns(images.shape[2])]
    readable = discs[0][1] & discs[1][1] & middle_is_dead(tones)
    colours = np.stack([discs[0][0], discs[1][0]], axis=1)
    colours[~readable] = -1
    return Outcome(readable, readable & (colours[:, 0] == colours[:, 1]), colours)


def read_sides(images: np.ndarray) -> Sides:
    """Reads the mean colour of each disc, in tones `(N, 3)`; a disc may be pale or of any form."""
    tones = to_tones(images)
    least, most = _areas(images.shape[2])
    found, colours = [], []
    for columns in side_columns(images.shape[2]):
        side = tones[:, :, columns]
        disc_pixels = (np.abs(side).mean(axis=-1) > _PALE).astype(np.float32)
        area = disc_pixels.sum(axis=(1, 2))
        found.append((area > 0.25 * least) & (area < 2.5 * most))
        colour = (side * disc_pixels[..., np.newaxis]).sum(axis=(1, 2))
        colours.append(colour / np.maximum(area, 1)[:, np.newaxis])
    return Sides(found[0] & found[1] & middle_is_dead(tones), colours[0], colours[1])


def side_distance(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Euclidean distance of colours `(..., 3)`."""
    return np.linalg.norm(left - right, axis=-1)


def parts_in(images: np.ndarray) -> np.ndarray:
    """Pixels of the left and of the right disc, bool `(N, 2, S, S)`."""
    coloured = np.abs(to_tones(images)).mean(axis=-1) > _COLOURED
    parts = np.zeros((len(images), 2, *coloured.shape[1:]), bool)
    for side, columns in enumerate(side_columns(images.shape[2])):
        parts[:, side, :, columns] = coloured[:, :, columns]
    return parts


def _read_disc(tones: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The colour of the disc in each image `(N, S, W, 3)`, and whether there is exactly one."""
    size = tones.shape[1]
    coloured = (np.abs(tones).mean(axis=-1) > _COLOURED).astype(np.float32)
    area = coloured.sum(axis=(1, 2))
    shares = coloured / np.maximum(area, 1)[:, np.newaxis, np.newaxis]
    spread = sum(_variance(shares.sum(axis=axis)) for axis in (1, 2))
    # Among shapes of equal area a disc has the smallest spread, area / 2 pi.
    compact = spread * 2 * np.pi <= 1.35 * area
    least, most = _areas(size)
    colour = (tones * shares[..., np.newaxis]).sum(axis=(1, 2))
    pure = (np.abs(colour) > 0.5).all(axis=-1)
    readable = compact & pure & (area > 0.5 * least) & (area < 1.5 * most)
    return ((colour > 0) << _CHANNELS).sum(axis=-1), readable


def _areas(size: int) -> tuple[float, float]:
    """The areas of the smallest and of the largest disc, in pixels."""
    least, most = (np.pi * (radius * size) ** 2 for radius in _RADII)
    return least, most


def _variance(shares: np.ndarray) -> np.ndarray:
    """Variance of the position under the weights `shares`, `(N, L)`, of each row."""
    places = np.arange(shares.shape[1])
    mean = shares @ places
    return (shares * (places - mean[:, np.newaxis]) ** 2).sum(axis=1)
