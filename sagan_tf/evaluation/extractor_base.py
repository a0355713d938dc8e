"""Functions that feature extractors share: resizing, batching and full float32 precision."""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import tensorflow as tf

# Images per call of the network. Every call has this many, which limits memory and makes features
# independent of the number of images: kernels chosen by the batch size would round differently.
BATCH_SIZE = 32
RESIZES = ("legacy", "clean")


def resize_images(images: Any, size: tuple[int, int], method: str) -> tf.Tensor:
    """Images resized to a network's input size, still in [0, 255].

    The method changes every score, so state it with the score:

    - `legacy`: bilinear without half-pixel centers or antialiasing, as in TensorFlow 1 and in the
      frozen Inception graph, for scores that are comparable with the literature's;
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
        function: takes float32 `(N, H, W, channels)` and returns float32 tensors by name.
        images: uint8 `(N, H, W, 1 or 3)`, N > 0, or float32 of the same range that were never
            rounded; gray images are repeated if the function takes 3 channels.
        channels: number of channels that the function takes.

    Returns:
        The function's results for all images, as arrays by name.

    Raises:
        ValueError: for images of another dtype or shape.
    """
    images = np.asarray(images)
    known = images.ndim == 4 and images.shape[-1] in {1, channels} and images.size
    if not known or images.dtype not in (np.uint8, np.float32):
        shapes = " or ".join(f"(N, H, W, {number})" for number in sorted({1, channels}))
        raise ValueError(
            f"`images` must be uint8 or float32 {shapes} with N > 0; `sagan_tf.sampling.to_uint8` "
            f"makes them from images in [-1, 1]. Received: {images.dtype} {images.shape}"
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
    """Computes float32 products at full precision; GPUs may otherwise round factors to 11 bits.

    That rounding alone changes features by parts in a thousand. The process's setting is restored
    at the end.
    """
    before = tf.config.experimental.tensor_float_32_execution_enabled()
    tf.config.experimental.enable_tensor_float_32_execution(False)
    try:
        yield
    finally:
        tf.config.experimental.enable_tensor_float_32_execution(before)
