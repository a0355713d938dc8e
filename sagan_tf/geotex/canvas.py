"""What all images of GeoTex are made of: tones on grey, and shapes as shares of pixels.

Shapes are given in shares of the side, with x to the right and y down, and are antialiased: a
pixel's coverage is the part of it, 0 to 1, that the shape fills.
"""

import numpy as np

# Of 255. No tone is at either end, so that noise is not cut off there.
GREY = 128.0
STEP = 96.0
# The parts of a geometry image lie within this share of the side from the left and right edge.
MARGIN = 0.22


def blank(size: int, channels: int = 3) -> np.ndarray:
    """A grey image, float64 `(size, size, channels)`, in tones."""
    return np.zeros((size, size, channels))


def paint(image: np.ndarray, coverage: np.ndarray, tone: float | np.ndarray) -> None:
    """Lays a tone, or one per channel, over an image where a shape `(S, S)` covers it."""
    image += coverage[..., np.newaxis] * (tone - image)


def to_levels(image: np.ndarray) -> np.ndarray:
    """Tones -> uint8; -1 is 32, 0 is 128 and 1 is 224."""
    return np.clip(np.rint(GREY + STEP * image), 0, 255).astype(np.uint8)


def to_tones(images: np.ndarray) -> np.ndarray:
    """Uint8 -> tones, float32."""
    return (images.astype(np.float32) - np.float32(GREY)) / np.float32(STEP)


def centres(size: int) -> np.ndarray:
    """Where the centres of a row's pixels lie, float64 `(size,)`."""
    return (np.arange(size) + 0.5) / size


def interval(start: float, stop: float, size: int) -> np.ndarray:
    """Coverage of a row of pixels by `[start, stop]`, `(size,)`."""
    edges = np.arange(size)
    return np.clip(np.minimum(stop * size, edges + 1) - np.maximum(start * size, edges), 0, 1)


def rectangle(left: float, right: float, top: float, bottom: float, size: int) -> np.ndarray:
    """Coverage by a rectangle, `(size, size)`."""
    return np.outer(interval(top, bottom, size), interval(left, right, size))


def disc(x: float, y: float, radius: float, size: int) -> np.ndarray:
    """Coverage by a disc, `(size, size)`: exact to the curvature within a pixel."""
    distance = np.hypot(centres(size) - x, (centres(size) - y)[:, np.newaxis])
    return np.clip((radius - distance) * size + 0.5, 0, 1)


def stroke(left_y: float, right_y: float, width: float, size: int) -> np.ndarray:
    """Coverage by a straight line from `(0, left_y)` to `(1, right_y)`, `(size, size)`."""
    slope = right_y - left_y
    height = centres(size)[:, np.newaxis] - (left_y + slope * centres(size))
    distance = np.abs(height) / np.hypot(1, slope)
    return np.clip((width / 2 - distance) * size + 0.5, 0, 1)


def side_columns(size: int) -> tuple[slice, slice]:
    """The columns of pixels that the left part and the right part may touch."""
    width = int(np.ceil(MARGIN * size))
    return slice(0, width), slice(size - width, size)


def middle_is_dead(tones: np.ndarray) -> np.ndarray:
    """Whether images `(N, S, S, C)` show nothing between the parts, bool `(N,)`."""
    left, right = side_columns(tones.shape[2])
    middle = np.abs(tones[:, :, left.stop + 1 : right.start - 1]).mean(axis=-1)
    return (middle > 0.5).mean(axis=(1, 2)) <= 0.02
