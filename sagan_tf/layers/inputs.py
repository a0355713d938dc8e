"""Checks of the layers' inputs and labels, whose errors say how to correct them."""

from typing import Any

import keras
from keras import ops


def check_channels_last(layer: keras.layers.Layer) -> None:
    """Raises `ValueError` if Keras is set to channels-first feature maps, `(N, C, H, W)`."""
    if keras.config.image_data_format() != "channels_last":
        raise ValueError(
            f"`{type(layer).__name__}` expects feature maps (N, H, W, C), but Keras' "
            "`image_data_format` is 'channels_first', which is set in keras.json (in ~/.keras or "
            "$KERAS_HOME) or by `keras.config.set_image_data_format`. Call "
            "`keras.config.set_image_data_format('channels_last')` before the layer is made. "
            "Received: image_data_format='channels_first'"
        )


def check_feature_map(layer: keras.layers.Layer, shape: Any) -> int:
    """Returns `C` of a shape `(N, H, W, C)`; raises `ValueError` for others or an unknown C."""
    if len(shape) != 4 or shape[-1] is None:
        raise ValueError(
            f"`{type(layer).__name__}` expects an input of shape (N, H, W, C) with C known. "
            f"Received: input_shape={tuple(shape)}"
        )
    return shape[-1]


def label_vector(labels: Any) -> Any:
    """Labels `(N,)` or `(N, 1)` of any type as int32 `(N,)`.

    Raises:
        ValueError: for any other shape.
    """
    labels = ops.convert_to_tensor(labels)
    if len(labels.shape) == 2 and labels.shape[1] == 1:
        labels = ops.squeeze(labels, axis=1)
    if len(labels.shape) != 1:
        raise ValueError(
            "`labels` must be class numbers of shape (N,) or (N, 1); `argmax(labels, axis=-1)` "
            f"makes them of one-hot labels. Received: labels.shape={tuple(labels.shape)}"
        )
    return ops.cast(labels, "int32")


def class_weights(labels: Any, num_classes: int) -> Any:
    """One weight per class and image, `(N, num_classes)`: one-hot for class numbers.

    Args:
        labels: class numbers `(N,)` or `(N, 1)`, or weights `(N, num_classes)`, which are returned
            unchanged. With a single class, floats `(N, 1)` are taken as weights.
        num_classes: length of a row.

    Returns:
        float32. A class number outside the classes gives zeros (on the PyTorch backend, one that
        is too large raises an error).

    Raises:
        ValueError: for any other shape.
    """
    labels = ops.convert_to_tensor(labels)
    is_float = "float" in keras.backend.standardize_dtype(labels.dtype)
    if len(labels.shape) == 2 and labels.shape[1] == num_classes and (num_classes > 1 or is_float):
        return ops.cast(labels, "float32")
    if len(labels.shape) > 2 or (len(labels.shape) == 2 and labels.shape[1] != 1):
        raise ValueError(
            "`labels` must be class numbers of shape (N,) or (N, 1), or weights of shape "
            f"(N, {num_classes}). Received: labels.shape={tuple(labels.shape)}"
        )
    return ops.one_hot(label_vector(labels), num_classes, dtype="float32")
