"""What extractors of features share: images in, resizing, float32 without shortcuts."""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import tensorflow as tf

# Images that are resized and computed at a time, always: bounds memory, and no feature depends on
# how many there are, as it would by rounding in kernels that are chosen by size.
BATCH_SIZE = 32
RESIZES = ("legacy", "clean")


def resize_images(images: Any, size: tuple[int, int], method: str) -> tf.Tensor:
    """Images as a network wants them, still in [0, 255].

    The method moves every score, so it belongs to the score's name:

    - `legacy`: bilinear without half-pixel centers or antialiasing, as in TensorFlow 1 and in the
      frozen Inception graph, for scores to compare with the literature's;
    - `clean`: bicubic with antialiasing and limited to [0, 255] but not rounded (Parmar et al.,
      "On Aliased Resizing and Surprising Subtleties in GAN Evaluation", arXiv 2104.11222).

    Args:
        images: uint8 or float32 `(N, H, W, C)`.
        size: height and width.
        method: one of `RESIZES`.

    Returns:
        float32 `(N, *size, C)`.

    Raises:
        ValueError: for an unknown method.
    """
    check_resize(method)
    if method == "legacy":
        resized = tf.raw_ops.ResizeBilinear(
            images=images, size=size, align_corners=False, half_pixel_centers=False
        )
    else:
        resized = tf.image.resize(images, size, method="bicubic", antialias=True)
        resized = tf.clip_by_value(resized, 0.0, 255.0)
    return tf.ensure_shape(resized, (None, *size, None))


def check_resize(method: str) -> None:
    """Raises `ValueError` for an unknown method of resizing."""
    if method not in RESIZES:
        raise ValueError(f"`resize` must be one of {RESIZES}. Received: resize={method!r}")


def extract(
    function: Callable[[tf.Tensor], Mapping[str, tf.Tensor]], images: Any, channels: int = 3
) -> dict[str, np.ndarray]:
    """Calls a function on images, a limited number at a time, with TensorFloat-32 off.

    Args:
        function: of float32 `(N, H, W, channels)`, gives float32 arrays by name.
        images: uint8 `(N, H, W, 1 or 3)`, N > 0, or float32 of the same range that were never
            rounded; gray ones are repeated if 3 channels are wanted.
        channels: that the function wants.

    Returns:
        What the function gives, for all images.

    Raises:
        ValueError: for other images.
    """
    images = np.asarray(images)
    known = images.ndim == 4 and images.shape[-1] in {1, channels} and images.size
    if not known or images.dtype not in (np.uint8, np.float32):
        shapes = " or ".join(f"(N, H, W, {number})" for number in sorted({1, channels}))
        raise ValueError(
            f"`images` must be uint8 or float32 {shapes} with N > 0; `sagan_tf.sampling.to_uint8` "
            f"makes them of what lies in [-1, 1]. Received: {images.dtype} {images.shape}"
        )
    parts = []
    with tensor_float_32_off():
        for first in range(0, len(images), BATCH_SIZE):
            part = images[first : first + BATCH_SIZE].astype(np.float32)
            part = np.broadcast_to(part, (*part.shape[:-1], channels))
            filled = np.pad(part, [(0, BATCH_SIZE - len(part)), (0, 0), (0, 0), (0, 0)])
            outputs = function(filled)
            parts.append({name: value[: len(part)].numpy() for name, value in outputs.items()})
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


@contextlib.contextmanager
def tensor_float_32_off() -> Iterator[None]:
    """Products of float32 keep all their bits; GPUs otherwise round the factors to 11.

    That alone moves features by parts in a thousand. The process's setting returns at the end.
    """
    before = tf.config.experimental.tensor_float_32_execution_enabled()
    tf.config.experimental.enable_tensor_float_32_execution(False)
    try:
        yield
    finally:
        tf.config.experimental.enable_tensor_float_32_execution(before)
