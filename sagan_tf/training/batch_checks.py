"""What `SAGAN` trains on: checked, and brought into one form.

Types and shapes are known when a step is traced, so they cost nothing. Whether numbers are in their
range is asked of every batch by two assertions. On a GPU these copy two truth values to the host,
beside the step's other work, and the discriminator's update waits for that of the labels. They
stand outside what `compile(xla=True)` compiles; a caller who compiles a whole step with XLA loses
them, as XLA leaves assertions out, and a label out of range then has zeros for its class.
"""

import contextlib
import re
import warnings
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf

# Resampling overshoots 1 a little; bytes and standardised pixels exceed it by far.
LARGEST_PIXEL = 1.5

_ASSERTION = re.compile(r"assertion failed: \[(`.*?)\] \[(.*?)\]", re.DOTALL)


def unpacked(data: Any) -> tuple[Any, Any]:
    """Images and labels, or `None`, of what Keras hands to a training step.

    Raises:
        ValueError: if there are weights of examples or classes, too.
    """
    images, labels, weights = keras.utils.unpack_x_y_sample_weight(data)
    if weights is not None:
        raise ValueError(
            "`sample_weight` and `class_weight` are not used by `SAGAN`; `label_weights` of its "
            "constructor says how often each class is generated. Leave them away."
        )
    return images, labels


def checked_images(images: Any, image_shape: tuple[int | None, ...]) -> Any:
    """Images as float32 `(N, H, W, C)`.

    Args:
        images: floats in [-1, 1] of any width.
        image_shape: `(H, W, C)`, each `None` if it is free.

    Raises:
        ValueError: for another type or shape, or values out of range, see `asserted`.
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
        # What is not finite passes: the loss shows it, and the command's loop can go back.
        (largest <= LARGEST_PIXEL) | ~tf.math.is_finite(largest),
        "`images` must be in [-1, 1]; `images / 127.5 - 1` brings 0 ... 255 there. "
        "Received: largest magnitude=",
        largest,
    )


def checked_labels(labels: Any, num_classes: int) -> Any:
    """Labels as int32 `(N,)`.

    Args:
        labels: whole numbers of any type, `(N,)` or `(N, 1)`.
        num_classes: they are in [0, num_classes).

    Raises:
        ValueError: for labels that are missing, or have another type or shape, or are out of range
            or not whole, see `asserted`.
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
        tf.cast(numbers, tf.int32),
        tf.reduce_all(valid),
        f"`labels` must be whole numbers in [0, {num_classes}), counted from 0 and fewer than "
        "`num_classes` of the networks. Received: ",
        tf.boolean_mask(labels, ~valid)[:5],
    )


def check_data_set(spec: Any, image_shape: tuple[int | None, ...], num_classes: int | None) -> None:
    """Checks the elements of a `tf.data.Dataset` that `fit` is given before it begins.

    Args:
        spec: `element_spec` of the data set.
        image_shape: `(H, W, C)` of an image.
        num_classes: of the networks, or `None`.

    Raises:
        ValueError: for elements that are not pairs of images and labels, or have no batches.
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
    """Warns that networks without classes do not look at labels."""
    warnings.warn(
        "The labels are not used: the networks have no classes (`num_classes=None`).", stacklevel=3
    )


def check_arrays(images: Any, labels: Any, image_shape: tuple, num_classes: int | None) -> None:
    """Checks what `fit` is given before it begins, where that is arrays.

    All labels are looked at, all images for numbers that are not finite, and as many as tell
    whether their range is right.

    Raises:
        ValueError: as `checked_images` and `checked_labels`.
    """
    if not (hasattr(images, "__array__") and hasattr(images, "shape")):
        return  # a data set, whose batches are checked
    with tf.device("CPU"):
        checked_images(np.asarray(images[:64]), image_shape)
        for start in range(0, len(images), 1024):
            if not np.isfinite(np.asarray(images[start : start + 1024])).all():
                raise ValueError(
                    "`images` must be finite: one number that is not makes all weights so. "
                    f"Received: NaN or infinity among images {start} to {start + 1023}"
                )
        least, largest = np.min(images), np.max(images)
        if least >= 0 and 0 < largest <= 1:
            warnings.warn(
                f"`images` are in [{least:.2g}, {largest:.2g}], so none is darker than the middle "
                "of [-1, 1], in which networks take and generate them; `images * 2 - 1` brings "
                "[0, 1] there.",
                stacklevel=3,
            )
        if num_classes is not None:
            checked_labels(None if labels is None else np.asarray(labels), num_classes)
        elif labels is not None:
            warn_of_unused_labels()


@contextlib.contextmanager
def readable() -> Iterator[None]:
    """Makes a `ValueError` of one line of an assertion above that fails inside."""
    try:
        yield
    except tf.errors.InvalidArgumentError as error:
        found = _ASSERTION.search(error.message)
        if not found:
            raise
        raise ValueError(f"{found[1]}{found[2]}") from None


def asserted(value: Any, condition: Any, message: str, received: Any) -> Any:
    """The value, available once the condition is found to hold.

    Raises:
        ValueError: if it does not; inside a `tf.function`, `tf.errors.InvalidArgumentError`.
    """
    if tf.executing_eagerly():
        if not condition:
            raise ValueError(f"{message}{received.numpy()}")
        return value
    with tf.control_dependencies([tf.debugging.Assert(condition, [message, received])]):
        return tf.identity(value)
