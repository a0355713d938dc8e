"""Images of latents, and what a point of them attends to."""

from collections.abc import Iterator

import keras
import numpy as np

from sagan_tf.attention import attention_maps
from sagan_tf.attention.figure import attention_figure
from sagan_tf.sampling import BATCH_SIZE, to_uint8


def draw(generator: keras.Model, latents: np.ndarray, classes: np.ndarray | None) -> np.ndarray:
    """Draws the images of latents.

    Args:
        generator: a `Generator`.
        latents: float32 `(N, latent_dim)`.
        classes: labels `(N,)` or weights of the classes `(N, num_classes)`; `None` for an
            unconditional generator.

    Returns:
        uint8 `(N, image_size, image_size, channels)`.
    """
    return np.concatenate([to_uint8(generator(*inputs)) for inputs in _batches(latents, classes)])


def draw_attention(
    generator: keras.Model,
    latents: np.ndarray,
    classes: np.ndarray | None,
    point: tuple[int, int],
) -> np.ndarray:
    """Draws the images of latents, and beside each one what a point of it attends to.

    Of several attention layers the one with the finest map is taken.

    Args:
        generator: a `Generator` with attention.
        latents: see `draw`.
        classes: see `draw`.
        point: row and column of a pixel.

    Returns:
        uint8 `(N, H, W, 3)`, the rows of `attention.figure.attention_figure`.

    Raises:
        ValueError: for a generator without attention, or a point outside the image.
    """
    figures = []
    for inputs in _batches(latents, classes):
        layers = attention_maps(generator, inputs, points=[point])
        maps = max(layers.values(), key=lambda maps: maps.shape[-1])
        for image, seen in zip(to_uint8(generator(*inputs)), maps, strict=True):
            figures.append(attention_figure(image[None], np.array([[point]]), seen[None]))
    return np.stack(figures)


def _batches(
    latents: np.ndarray, classes: np.ndarray | None
) -> Iterator[tuple[np.ndarray, np.ndarray | None]]:
    """What the generator is called with, a few images at a time."""
    for first in range(0, len(latents), BATCH_SIZE):
        part = slice(first, first + BATCH_SIZE)
        yield latents[part], None if classes is None else classes[part]
