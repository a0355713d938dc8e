"""Query points: positions of an image whose attention maps are worth looking at."""

import numpy as np


def automatic_points(image: np.ndarray, count: int = 5) -> np.ndarray:
    """Points far apart where the image changes most; the same image gives the same points.

    The first point lies where the brightness changes most; each further one where the change times
    the distance to the nearest earlier point is largest.

    Args:
        image: `(H, W, C)`, both sides at least 2.
        count: number of points.

    Returns:
        int64 `(count, 2)`, row and column in pixels, all different.

    Raises:
        ValueError: if `image` has another shape, or `count` is not in [1, H * W].

    Example:

    >>> automatic_points(np.eye(4)[..., np.newaxis], 2).shape
    (2, 2)
    """
    if np.ndim(image) != 3 or min(image.shape[:2]) < 2:
        raise ValueError(
            "`image` must have shape (H, W, C), its sides at least 2. Received: "
            f"shape={np.shape(image)}"
        )
    height, width = image.shape[:2]
    if not 1 <= count <= height * width:
        raise ValueError(f"`count` must be in [1, {height * width}]. Received: count={count}")
    change = np.hypot(*np.gradient(np.asarray(image, np.float64).mean(axis=-1)))
    # The small constant lets the distance decide where nothing changes.
    worth = change + 1e-3 * (change.max() or 1)
    places = np.indices((height, width))
    nearest = np.ones((height, width))
    points: list[tuple[int, int]] = []
    for _ in range(count):
        row, column = divmod(int(np.argmax(worth * nearest)), width)
        distance = np.hypot(places[0] - row, places[1] - column)
        nearest = np.minimum(nearest, distance) if points else distance
        points.append((row, column))
    return np.array(points)
