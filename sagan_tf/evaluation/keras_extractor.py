"""Extracts features with any Keras model, for scores that need not match published ones."""

import os
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from sagan_tf.evaluation.extractor_base import check_resize, extract, resize_images
from sagan_tf.evaluation.inception_weights import fingerprint

# Names of the blocks in `keras.applications.InceptionV3`.
_MIXED = {f"mixed{number}" for number in range(11)}


class KerasExtractor:
    """Feature extractor that returns a Keras model's flattened output as `features`.

    The model receives float32 images in [0, 255], resized if it has a fixed input size. It must
    rescale pixel values itself, for example by `keras.layers.Rescaling`.

    Args:
        path: file of a Keras model (`.keras`) with one image as input and one output.
        resize: `clean` or `legacy`; see `sagan_tf.evaluation.extractor_base.resize_images`.

    Attributes:
        name: name of the file without its suffix.
        identity: see `feature_files.Extractor`.

    Raises:
        ValueError: for a model with other inputs or outputs, one that Keras cannot load, and for
            `keras.applications.InceptionV3`.
    """

    def __init__(self, path: str | os.PathLike, resize: str = "clean") -> None:
        check_resize(resize)
        model = _load(path)
        refuse_other_inception(model)
        if len(model.inputs) != 1 or len(model.outputs) != 1 or len(model.inputs[0].shape) != 4:
            raise ValueError(
                "`path` must be of a model with one image (N, H, W, C) as input and one output. "
                f"Received: inputs {model.input_shape}, outputs {model.output_shape}"
            )
        self.name = Path(path).stem
        self.identity = {"network": self.name, "weights": fingerprint(path), "resize": resize}
        self._model = model
        self._resize = resize
        *size, self._channels = model.inputs[0].shape[1:]
        self._size = None if None in size else tuple(size)
        images = tf.TensorSpec((None, None, None, self._channels), tf.float32)
        self._features = tf.function(self._compute, input_signature=[images], autograph=False)

    def __call__(self, images: Any) -> dict[str, np.ndarray]:
        """Features by tap, float32 `(N, D)`.

        Args:
            images: uint8 `(N, H, W, C)` with the model's channels, or `(N, H, W, 1)`, which is
                repeated.

        Raises:
            ValueError: for images of another dtype or shape.
        """
        return extract(self._features, images, self._channels)

    def _compute(self, images: tf.Tensor) -> dict[str, tf.Tensor]:
        if self._size is not None:
            images = resize_images(images, self._size, self._resize)
        features = tf.cast(self._model(images, training=False), tf.float32)
        return {"features": tf.reshape(features, (tf.shape(features)[0], -1))}


def _load(path: str | os.PathLike) -> keras.Model:
    try:
        return keras.models.load_model(path, compile=False)
    except Exception as error:  # Keras passes on any exception of the model's parts
        reason = str(error).strip().splitlines()[0]
        raise ValueError(
            f"`--extractor` {os.fspath(path)} is no model that Keras can load here: {reason} Save "
            "it by `model.save`, and build it of Keras's own layers."
        ) from error


def refuse_other_inception(model: keras.Model) -> None:
    """Raises `ValueError` for `keras.applications.InceptionV3`, alone or inside another model."""
    if model.name == "inception_v3" or {layer.name for layer in model.layers} >= _MIXED:
        raise ValueError(
            "keras.applications.InceptionV3 is not the network that FID and Inception Score are "
            "defined by: it has other blocks and other weights, so its scores compare with no "
            "others. Use sagan_tf.evaluation.inception.InceptionExtractor."
        )
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            refuse_other_inception(layer)
