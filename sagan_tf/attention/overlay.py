"""Attention maps laid over the images they belong to."""

from typing import Any

from keras import ops

# Share of an image's own colour that the overlay replaces where attention is strongest.
STRENGTH = 0.7


def overlay(images: Any, maps: Any) -> Any:
    """Images tinted from red to yellow, the more strongly a position is attended to.

    Maps are enlarged bilinearly, so that each key covers the pixels it was pooled from, and
    divided by their own largest value.

    Args:
        images: float32 `(N, H, W, 1 or 3)` in [-1, 1].
        maps: `(N, Hk, Wk)`, one for each image.

    Returns:
        float32 `(N, H, W, 3)` in [-1, 1].
    """
    if images.shape[-1] == 1:
        images = ops.repeat(images, 3, axis=-1)
    size = images.shape[1:3]
    heat = ops.image.resize(maps[..., None], size, data_format="channels_last")
    heat = ops.divide_no_nan(heat, ops.max(heat, axis=(1, 2), keepdims=True))
    colour = ops.concatenate([ops.ones_like(heat), 2 * heat - 1, -ops.ones_like(heat)], axis=-1)
    strength = STRENGTH * heat
    return (1 - strength) * images + strength * colour
