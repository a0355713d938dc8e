"""Checks the images and labels that `SAGAN` trains on, and converts them to one dtype and shape.

Types and shapes are checked when a step is traced, which costs nothing later. Two assertions check
the ranges of images and labels in every batch. On a GPU they copy two booleans to the host in
parallel to the step's other work; only the discriminator's update waits for the labels' boolean.
The command's loop leaves them out: it reads uint8 images, and its loader checks the labels. The
assertions are outside the code that `compile(xla=True)` compiles. A caller who compiles a whole
step with XLA loses them, as XLA drops assertions; a label out of range then gets zeros for its
class.
"""

import contextlib
import re
import warnings
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf

# Resized images may exceed 1 a little; uint8 values and standardised pixels exceed it by far.
LARGEST_PIXEL = 1.5

_ASSERTION = re.compile(r"assertion failed: \[(`.*?)\] \[(.*?)\]", re.DOTALL)


def unpacked(data: Any) -> tuple[Any, Any]:
    """Images and labels (or `None`) from the data that Keras passes to a training step.

    Raises:
        ValueError: if the data contains sample weights or class weights.
    """
    images, labels, weights = keras.utils.unpack_x_y_sample_weight(data)
    if weights is not None:
        raise ValueError(
            "`sample_weight` and `class_weight` are not used by `SAGAN`; the argument "
            "`label_weights` of its constructor sets how often each class is generated. Leave them "
            "out."
        )
    return images, labels


def checked_images(images: Any, image_shape: tuple[int | None, ...]) -> Any:
    """Images as float32 `(N, H, W, C)`.

    Args:
        images: `(N, H, W, C)` in [-1, 1], any floating-point dtype.
        image_shape: `(H, W, C)`; `None` allows any size.

    Raises:
        ValueError: for another dtype or shape, or values out of range (see `asserted`).
    """
    images = tf.convert_to_tensor(images)
    if not images.dtype.is_floating:
        raise ValueError(
            "`images` must be floats in [-1, 1]; `images / 127.5 - 1` makes them of bytes. "
            f"Received: dtype={images.dtype.name}"
        )
    if not images.shape.is_compatible_with((None, *image_shape)):
        raise ValueError(
            f"`images` must have the shape (N, {', '.join(map(str, image_shape))}), as the "
            f"discriminator's. Received: shape={tuple(images.shape)}"
        )
    largest = tf.reduce_max(tf.abs(images))
    return asserted(
        tf.cast(images, tf.float32),
        # Values that are not finite pass: the loss shows them, and the command's loop can go back.
        (largest <= LARGEST_PIXEL) | ~tf.math.is_finite(largest),
        "`images` must be in [-1, 1]; `images / 127.5 - 1` brings 0 ... 255 there. "
        "Received: largest magnitude=",
        largest,
    )


def checked_labels(labels: Any, num_classes: int) -> Any:
    """Labels as int64 `(N,)`.

    Args:
        labels: whole numbers in [0, num_classes) of any dtype, `(N,)` or `(N, 1)`.
        num_classes: number of classes.

    Raises:
        ValueError: for labels that are missing, have another dtype or shape, or are out of range
            or not whole (see `asserted`).
    """
    if labels is None:
        raise ValueError(
            "`labels` are missing: networks with classes train on pairs of images and labels, as "
            "in `fit(images, labels)`; `num_classes=None` makes networks without. "
            "Received: labels=None"
        )
    labels = tf.convert_to_tensor(labels)
    if not (labels.dtype.is_integer or labels.dtype.is_floating or labels.dtype.is_bool):
        raise ValueError(
            f"`labels` must be whole numbers in [0, {num_classes}); `np.unique(labels, "
            f"return_inverse=True)[1]` makes them of names. Received: dtype={labels.dtype.name}"
        )
    rank = labels.shape.rank
    if rank is not None and rank != 1 and (rank != 2 or labels.shape[1] not in (1, None)):
        raise ValueError(
            "`labels` must have the shape (N,) or (N, 1); `argmax(labels, axis=-1)` makes them of "
            f"one-hot labels. Received: shape={tuple(labels.shape)}"
        )
    labels = tf.reshape(labels, (-1,))
    numbers = tf.cast(labels, tf.int64)
    valid = (numbers >= 0) & (numbers < num_classes)
    if labels.dtype.is_floating:
        valid &= tf.cast(numbers, labels.dtype) == labels
    return asserted(
        numbers,
        tf.reduce_all(valid),
        f"`labels` must be whole numbers in [0, {num_classes}), counted from 0 and fewer than "
        "`num_classes` of the networks. Received: ",
        tf.boolean_mask(labels, ~valid)[:5],
    )


def check_data_set(spec: Any, image_shape: tuple[int | None, ...], num_classes: int | None) -> None:
    """Checks the elements of a `tf.data.Dataset` before `fit` begins.

    Args:
        spec: `element_spec` of the data set.
        image_shape: `(H, W, C)` of an image.
        num_classes: number of classes of the networks, or `None`.

    Raises:
        ValueError: for elements that are not pairs of images and labels, or are not batches.
    """
    if isinstance(spec, dict):
        raise ValueError(
            "A data set must have pairs of images and labels as elements, or images alone without "
            "classes; `data.map(lambda item: (item['image'], item['label']))` makes them. "
            f"Received: dictionaries of {', '.join(map(str, spec))}"
        )
    images, labels, *_ = (*spec, None) if isinstance(spec, tuple) else (spec, None)
    if isinstance(images, tf.TensorSpec) and images.shape.rank == len(image_shape):
        raise ValueError(
            f"`images` must have the shape (N, {', '.join(map(str, image_shape))}); "
            f"`data.batch(N)` makes batches. Received: single images, {tuple(images.shape)}"
        )
    if labels is not None and num_classes is None:
        warn_of_unused_labels()


def warn_of_unused_labels() -> None:
    """Warns that networks without classes do not use labels."""
    warnings.warn(
        "The labels are not used: the networks have no classes (`num_classes=None`).", stacklevel=3
    )


def check_arrays(images: Any, labels: Any, image_shape: tuple, num_classes: int | None) -> None:
    """Checks the arrays given to `fit` before it begins.

    All labels are checked. All images are checked for values that are not finite, and the first 64
    for their dtype, shape and range.

    Raises:
        ValueError: in the same cases as `checked_images` and `checked_labels`, and for images with
            values that are not finite.
    """
    if not (hasattr(images, "__array__") and hasattr(images, "shape")):
        return  # a data set, whose batches are checked
    with tf.device("CPU"):
        checked_images(np.asarray(images[:64]), image_shape)
        for start in range(0, len(images), 1024):
            if not np.isfinite(np.asarray(images[start : start + 1024])).all():
                raise ValueError(
                    "`images` must be finite: a single NaN or infinity spreads to all weights. "
                    f"Received: NaN or infinity among images {start} to {start + 1023}"
                )
        least, largest = np.min(images), np.max(images)
        if least >= 0 and 0 < largest <= 1:
            warnings.warn(
                f"`images` are in [{least:.2g}, {largest:.2g}], but the networks take and generate "
                "images in [-1, 1], where 0 is the middle grey; `images * 2 - 1` brings [0, 1] "
                "there.",
                stacklevel=3,
            )
        if num_classes is not None:
            checked_labels(None if labels is None else np.asarray(labels), num_classes)
        elif labels is not None:
            warn_of_unused_labels()


@contextlib.contextmanager
def readable() -> Iterator[None]:
    """Turns a failed assertion of this module inside the context into a one-line `ValueError`."""
    try:
        yield
    except tf.errors.InvalidArgumentError as error:
        found = _ASSERTION.search(error.message)
        if not found:
            raise
        raise ValueError(f"{found[1]}{found[2]}") from None


def asserted(value: Any, condition: Any, message: str, received: Any) -> Any:
    """The value, available once the condition has been checked.

    Raises:
        ValueError: if the condition is false; inside a `tf.function`, a
            `tf.errors.InvalidArgumentError` instead.
    """
    if tf.executing_eagerly():
        if not condition:
            raise ValueError(f"{message}{received.numpy()}")
        return value
    with tf.control_dependencies([tf.debugging.Assert(condition, [message, received])]):
        return tf.identity(value)
