"""The discriminator: images and labels -> logits."""

from typing import Any

import keras
from keras import ops

from sagan_tf.architecture import DISCRIMINATOR_FILTERS
from sagan_tf.layers import (
    SpectralConv2D,
    SpectralConv2DMeanPool,
    SpectralDense,
    SpectralEmbedding,
)
from sagan_tf.layers.inputs import label_vector
from sagan_tf.layers.resampling import mean_pool
from sagan_tf.models.network import MIXERS, Network


@keras.saving.register_keras_serializable("sagan_tf")
class Discriminator(Network):
    """Tells real images from generated ones, given their labels.

    The network consists of residual blocks with pooling, self-attention, ReLU and a sum over
    space. The logit is a dense layer's output plus the inner product with the label's embedding
    (released SAGAN code, `discriminator.py`; projection: arXiv 1802.05637). Every weight matrix is
    spectrally normalised. Sum, projection and logit are float32 under every dtype policy.

    Args:
        image_size: see `Generator`.
        num_classes: see `Generator`.
        base_filters: filters of the first block; the other blocks have multiples of it.
        channels: see `Generator`.
        attention_resolutions: see `Generator`.
        query_key_ratio: see `SelfAttention2D`.
        value_ratio: see `SelfAttention2D`.
        pool_size: see `SelfAttention2D`.
        kernel_initializer: initializer of every convolution, dense layer and embedding.
        resampling: see `Generator`; here the form of the convolutions with pooling, see
            `SpectralConv2DMeanPool`.
        query_chunk_size: see `SelfAttention2D`.
        mixing: see `Generator`.
        spectral_normalization: whether every weight is spectrally normalised.
        relu_shortcut: whether the shortcut of every block except the first also starts from the
            block's first ReLU. The published network does not do so, but PyTorch code with
            in-place ReLUs does; use it for weights that were trained by such code.
        frozen_blocks: number of blocks not to train, see `freeze`.

    Call: `images` float `(N, image_size, image_size, channels)` in [-1, 1] and `labels` integers
    of any type `(N,)` or `(N, 1)`, `None` if unconditional. Returns logits, float32 `(N, 1)`.

    Raises:
        ValueError: in the same cases as `Generator`, and if `frozen_blocks` is out of range.

    Example:

    >>> discriminator = Discriminator(image_size=16, num_classes=10, base_filters=8)
    >>> images, labels = keras.ops.zeros((2, 16, 16, 3)), keras.ops.array([3, 9])
    >>> tuple(discriminator(images, labels).shape)
    (2, 1)
    """

    filters_by_size = DISCRIMINATOR_FILTERS

    def __init__(
        self,
        image_size: int = 128,
        num_classes: int | None = 1000,
        relu_shortcut: bool = False,
        frozen_blocks: int = 0,
        **kwargs: Any,
    ) -> None:
        kwargs.setdefault("name", "discriminator")
        super().__init__(image_size, num_classes, **kwargs)
        self.relu_shortcut = relu_shortcut
        blocks = []
        previous = image_size
        for index, (resolution, multiple) in enumerate(DISCRIMINATOR_FILTERS[image_size]):
            block = DiscriminatorBlock(
                multiple * self.base_filters,
                first=index == 0,
                downsample=resolution < previous,
                relu_shortcut=relu_shortcut,
                resampling=self.resampling,
                name=f"block_{index}_{resolution}x{resolution}",
                **self._layer_arguments(),
            )
            blocks.append((resolution, block))
            previous = resolution
        self.stages = self._stages(blocks)
        head = {**self._layer_arguments(), "dtype": "float32"}
        self.logit = SpectralDense(1, name="logit", **head)
        self.embedding = None
        if num_classes is not None:
            features = DISCRIMINATOR_FILTERS[image_size][-1][1] * self.base_filters
            head["embeddings_initializer"] = head.pop("kernel_initializer")
            self.embedding = SpectralEmbedding(num_classes, features, name="embedding", **head)
        self.freeze(frozen_blocks)
        self._freeze_as_told()

    def build(self, images_shape: Any = None, labels_shape: Any = None) -> None:
        """Creates every weight; the shapes follow from the constructor's arguments."""
        shape = self._build_stages((None, self.image_size, self.image_size, self.channels))
        self.logit.build((None, shape[-1]))
        if self.embedding is not None:
            self.embedding.build()

    def call(self, images: Any, labels: Any = None, training: bool = False) -> Any:
        """Computes the logits of `images`; the singular vectors are updated if `training`."""
        self._check_labels(labels)
        hidden = ops.cast(images, self.compute_dtype)
        for stage in self.stages:
            hidden = stage(hidden, training=training)
        features = ops.sum(ops.relu(ops.cast(hidden, "float32")), axis=(1, 2))  # (N, C)
        logits = self.logit(features, training=training)
        if self.embedding is not None:
            embedded = self.embedding(label_vector(labels), training=training)
            logits = logits + ops.sum(features * embedded, axis=-1, keepdims=True)
        return logits

    def freeze(self, blocks: int) -> None:
        """Freezes the first blocks, next to the image, and lets the others train.

        Neither weights nor singular vectors of frozen blocks change. The first blocks of a trained
        discriminator detect features that are useful for other images, too, and with fewer weights
        to train, a small data set is memorised less easily (FreezeD, Mo et al., arXiv 2002.10964).
        Call this method before the discriminator is compiled into a `SAGAN`.

        Args:
            blocks: number of blocks to freeze; attention that follows a frozen block is frozen
                with it.

        Raises:
            ValueError: if `blocks` is negative or exceeds the number of blocks.
        """
        places = [i for i, stage in enumerate(self.stages) if not isinstance(stage, MIXERS)]
        if not 0 <= blocks <= len(places):
            raise ValueError(
                f"`freeze_discriminator` must be in 0-{len(places)}, the discriminator's blocks at "
                f"image size {self.image_size}. Received: {blocks}"
            )
        frozen = [*places, len(self.stages)][blocks]
        for index, stage in enumerate(self.stages):
            stage.trainable = index >= frozen
        self.frozen_blocks = blocks

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "relu_shortcut": self.relu_shortcut,
            "frozen_blocks": self.frozen_blocks,
        }


class DiscriminatorBlock(keras.layers.Layer):
    """Residual block: ReLU, conv, ReLU, conv, pool; plus a pooled 1x1 shortcut.

    The first block takes the image and has no ReLU before its first convolution. In a block that
    neither downsamples nor changes the number of channels, the shortcut is the identity.
    """

    def __init__(
        self,
        filters: int,
        first: bool,
        downsample: bool,
        relu_shortcut: bool,
        resampling: str,
        kernel_initializer: str,
        spectral_normalization: bool,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        shared = {
            "kernel_initializer": kernel_initializer,
            "spectral_normalization": spectral_normalization,
            "dtype": self.dtype_policy,
        }
        self.filters = filters
        self.resampling = resampling
        self.first = first
        self.downsample = downsample
        self.relu_shortcut = relu_shortcut
        self.conv_0 = SpectralConv2D(filters, 3, padding="same", name="conv_0", **shared)
        if downsample:
            self.conv_1 = SpectralConv2DMeanPool(filters, resampling, name="conv_1", **shared)
        else:
            self.conv_1 = SpectralConv2D(filters, 3, padding="same", name="conv_1", **shared)
        self._shared = shared

    def build(self, inputs_shape: tuple[int | None, ...]) -> None:
        self.shortcut = None
        if self.downsample or inputs_shape[-1] != self.filters:
            self.shortcut = SpectralConv2D(
                self.filters, 1, name="shortcut", trainable=self.trainable, **self._shared
            )
            self.shortcut.build(inputs_shape)
        self.conv_0.build(inputs_shape)
        self.conv_1.build((*inputs_shape[:-1], self.filters))

    def call(self, inputs: Any, training: bool = False) -> Any:
        activated = inputs if self.first else ops.relu(inputs)
        hidden = ops.relu(self.conv_0(activated, training=training))
        hidden = self.conv_1(hidden, training=training)
        return hidden + self._shortcut(activated if self.relu_shortcut else inputs, training)

    def _shortcut(self, inputs: Any, training: bool) -> Any:
        if self.shortcut is None:
            return inputs
        if not self.downsample:
            return self.shortcut(inputs, training=training)
        if self.resampling == "plain" and not self.first:
            return mean_pool(self.shortcut(inputs, training=training))
        # A 1x1 convolution commutes with mean pooling and is cheaper after it.
        return self.shortcut(mean_pool(inputs), training=training)

    def compute_output_shape(self, inputs_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        batch, height, width, _ = inputs_shape
        stride = 2 if self.downsample else 1
        return batch, height and height // stride, width and width // stride, self.filters
