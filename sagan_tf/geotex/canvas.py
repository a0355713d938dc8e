"""Drawing primitives of GeoTex: tones on a grey background, and antialiased shapes.

Coordinates are fractions of the image's side, with x to the right and y down. A pixel's coverage is
the fraction of it, 0 to 1, that a shape fills.
"""

import numpy as np

# Grey level of tone 0 and difference between tones 0 and 1, out of 255. No tone reaches 0 or 255,
# so that noise is not clipped.
GREY = 128.0
STEP = 96.0
# The parts of a geometry image lie within this fraction of the side from the left or right edge.
MARGIN = 0.22


def blank(size: int, channels: int = 3) -> np.ndarray:
    """A grey image in tones, float64 `(size, size, channels)`."""
    return np.zeros((size, size, channels))


def paint(image: np.ndarray, coverage: np.ndarray, tone: float | np.ndarray) -> None:
    """Paints a shape with coverage `(S, S)` onto an image, in one tone or one per channel."""
    image += coverage[..., np.newaxis] * (tone - image)


def to_levels(image: np.ndarray) -> np.ndarray:
    """Tones as uint8 levels; -1 becomes 32, 0 becomes 128 and 1 becomes 224."""
    return np.clip(np.rint(GREY + STEP * image), 0, 255).astype(np.uint8)


def to_tones(images: np.ndarray) -> np.ndarray:
    """uint8 levels as float32 tones."""
    return (images.astype(np.float32) - np.float32(GREY)) / np.float32(STEP)


def centres(size: int) -> np.ndarray:
    """Coordinates of the centres of a row's pixels, float64 `(size,)`."""
    return (np.arange(size) + 0.5) / size


def interval(start: float, stop: float, size: int) -> np.ndarray:
    """Coverage of a row of pixels by the interval `[start, stop]`, `(size,)`."""
    edges = np.arange(size)
    return np.clip(np.minimum(stop * size, edges + 1) - np.maximum(start * size, edges), 0, 1)


def rectangle(left: float, right: float, top: float, bottom: float, size: int) -> np.ndarray:
    """Coverage by a rectangle, `(size, size)`."""
    return np.outer(interval(top, bottom, size), interval(left, right, size))


def disc(x: float, y: float, radius: float, size: int) -> np.ndarray:
    """Coverage by a disc, `(size, size)`; exact except for the curvature within a pixel."""
    distance = np.hypot(centres(size) - x, (centres(size) - y)[:, np.newaxis])
    return np.clip((radius - distance) * size + 0.5, 0, 1)


def stroke(left_y: float, right_y: float, width: float, size: int) -> np.ndarray:
    """Coverage by a straight line from `(0, left_y)` to `(1, right_y)`, `(size, size)`."""
    slope = right_y - left_y
    height = centres(size)[:, np.newaxis] - (left_y + slope * centres(size))
    distance = np.abs(height) / np.hypot(1, slope)
    return np.clip((width / 2 - distance) * size + 0.5, 0, 1)


def side_columns(size: int) -> tuple[slice, slice]:
    """The pixel columns that the left part and the right part may touch."""
    width = int(np.ceil(MARGIN * size))
    return slice(0, width), slice(size - width, size)


def middle_is_dead(tones: np.ndarray) -> np.ndarray:
    """Whether images `(N, S, S, C)` are empty between the parts, bool `(N,)`."""
    left, right = side_columns(tones.shape[2])
    middle = np.abs(tones[:, :, left.stop + 1 : right.start - 1]).mean(axis=-1)
    return (middle > 0.5).mean(axis=(1, 2)) <= 0.02
