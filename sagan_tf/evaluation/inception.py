"""Extracts features with the 2015 Inception network, on which IS, FID, KID and sFID are based."""

import os
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from sagan_tf.evaluation.extractor_base import check_resize, extract, resize_images
from sagan_tf.evaluation.inception_network import IMAGE_SIZE, TAPS, build_network
from sagan_tf.evaluation.inception_weights import find_weights, fingerprint, load_weights


class InceptionExtractor:
    """Feature extractor with the 2015 Inception network.

    It computes in float32, whatever the global policy and TensorFloat-32 setting are, because
    scores of different precision are not comparable.

    Args:
        weights: a file of weights, in PyTorch's format or as frozen graph (`.pb`); `None` for the
            path in the environment variable `SAGAN_TF_INCEPTION`, or else the published file,
            which is downloaded once.
        resize: `legacy` or `clean`; see `sagan_tf.evaluation.extractor_base.resize_images`.
        taps: names of the features to return; see
            `sagan_tf.evaluation.inception_network.build_network`.

    Attributes:
        name: name of the network and its weights.
        identity: see `feature_files.Extractor`.

    Raises:
        ValueError: for an unknown tap or resize method, and for weights that cannot be found or
            downloaded, or are not this network's.

    Example:

    >>> extractor = InceptionExtractor(taps=("2048",))  # doctest: +SKIP
    >>> extractor(images)["2048"].shape  # doctest: +SKIP
    (1000, 2048)
    """

    name = "inception-2015-12-05"

    def __init__(
        self,
        weights: str | os.PathLike | None = None,
        resize: str = "legacy",
        taps: Sequence[str] = ("2048", "logits_unbiased"),
    ) -> None:
        check_resize(resize)
        unknown = [tap for tap in taps if tap not in TAPS]
        if unknown or not taps or isinstance(taps, str):
            raise ValueError(f"`taps` must be some of {TAPS}. Received: taps={taps!r}")
        self._resize = resize
        path = find_weights(weights)
        self.identity = {
            "network": self.name,
            "weights": fingerprint(path),
            "resize": resize,
            "taps": sorted(taps),
        }
        network = build_network()
        load_weights(network, path)
        self._network = keras.Model(network.input, {tap: network.output[tap] for tap in taps})
        # One trace for all sizes of images and batches.
        images = tf.TensorSpec((None, None, None, 3), tf.float32)
        self._features = tf.function(self._compute, input_signature=[images], autograph=False)

    def __call__(self, images: Any) -> dict[str, np.ndarray]:
        """Features by tap, float32 `(N, D)`.

        Args:
            images: uint8 `(N, H, W, 3)`, or `(N, H, W, 1)`, which is repeated; any N > 0. Images
                that were never rounded are float32 in [0, 256].

        Raises:
            ValueError: for images of another dtype or shape.
        """
        return extract(self._features, images)

    def _compute(self, images: tf.Tensor) -> dict[str, tf.Tensor]:
        resized = resize_images(images, (IMAGE_SIZE, IMAGE_SIZE), self._resize)
        return self._network((resized - 128.0) / 128.0)
