"""SAGAN's two networks as loops over resolutions."""

from typing import Any

import keras
from keras import ops

from sagan_tf.layers import (
    ConditionalBatchNormalization,
    SelfAttention2D,
    SpectralConv2D,
    SpectralConv2DMeanPool,
    SpectralDense,
    SpectralEmbedding,
    SpectralUpsampleConv2D,
)
from sagan_tf.layers.resampling import mean_pool, upsample

# Filters of each feature map, as multiples of `base_filters`, by image size. The generator's
# table gives {resolution: multiple}; the discriminator's gives (resolution, multiple) per block,
# and a block whose resolution is its predecessor's does not downsample.
#   16: ours, for small data.
#   32: the CIFAR-10 networks of SNGAN (arXiv 1802.05957, table 4): 256 and 128 at 64 base filters.
#   64, 256: BigGAN's discriminators (arXiv 1809.11096, tables 6 and 8), with its generator at 256;
#       at 64 the generator halves from 16 to 1 as PyTorch-StudioGAN's `resnet.py` does.
#   128: SAGAN's released code (`generator.py`, `discriminator.py`).
GENERATOR_FILTERS = {
    16: {4: 4, 8: 2, 16: 1},
    32: {4: 4, 8: 4, 16: 4, 32: 4},
    64: {4: 16, 8: 8, 16: 4, 32: 2, 64: 1},
    128: {4: 16, 8: 16, 16: 8, 32: 4, 64: 2, 128: 1},
    256: {4: 16, 8: 16, 16: 8, 32: 8, 64: 4, 128: 2, 256: 1},
}
DISCRIMINATOR_FILTERS = {
    16: ((8, 1), (4, 2), (4, 4)),
    32: ((16, 2), (8, 2), (8, 2), (8, 2)),
    64: ((32, 1), (16, 2), (8, 4), (4, 8), (4, 16)),
    128: ((64, 1), (32, 2), (16, 4), (8, 8), (4, 16), (4, 16)),
    256: ((128, 1), (64, 2), (32, 4), (16, 8), (8, 8), (4, 16), (4, 16)),
}


class _Network(keras.Model):
    """The settings both networks share, checked and kept for `get_config`."""

    def __init__(
        self,
        image_size: int,
        num_classes: int | None,
        base_filters: int = 64,
        channels: int = 3,
        attention_resolutions: tuple[int, ...] = (),
        query_key_ratio: int = 8,
        value_ratio: int = 2,
        pool_size: int = 2,
        kernel_initializer: str = "glorot_uniform",
        resampling: str = "auto",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if image_size not in GENERATOR_FILTERS:
            raise ValueError(
                f"`image_size` must be one of {sorted(GENERATOR_FILTERS)}. "
                f"Received: image_size={image_size}"
            )
        if num_classes is not None and num_classes < 1:
            raise ValueError(
                "`num_classes` must be a positive integer, or None for an unconditional network. "
                f"Received: num_classes={num_classes}"
            )
        if channels not in (1, 3):
            raise ValueError(f"`channels` must be 1 or 3. Received: channels={channels}")
        if base_filters < 1:
            raise ValueError(
                f"`base_filters` must be a positive integer. Received: base_filters={base_filters}"
            )
        available = [size for size in GENERATOR_FILTERS[image_size] if 4 < size < image_size]
        if not set(attention_resolutions) <= set(available):
            raise ValueError(
                f"`attention_resolutions` must be among {available} at image size {image_size}. "
                f"Received: attention_resolutions={tuple(attention_resolutions)}"
            )
        self.image_size = image_size
        self.num_classes = num_classes
        self.base_filters = base_filters
        self.channels = channels
        self.attention_resolutions = tuple(attention_resolutions)
        self.query_key_ratio = query_key_ratio
        self.value_ratio = value_ratio
        self.pool_size = pool_size
        self.kernel_initializer = kernel_initializer
        self.resampling = resampling

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            **keras.layers.Layer.get_config(self),
            "image_size": self.image_size,
            "num_classes": self.num_classes,
            "base_filters": self.base_filters,
            "channels": self.channels,
            "attention_resolutions": self.attention_resolutions,
            "query_key_ratio": self.query_key_ratio,
            "value_ratio": self.value_ratio,
            "pool_size": self.pool_size,
            "kernel_initializer": self.kernel_initializer,
            "resampling": self.resampling,
        }

    def _stages(self, blocks: list[tuple[int, keras.layers.Layer]]) -> list[keras.layers.Layer]:
        """The blocks in order, self-attention after the first block at its resolution."""
        stages: list[keras.layers.Layer] = []
        attended: set[int] = set()
        for resolution, block in blocks:
            stages.append(block)
            if resolution in self.attention_resolutions and resolution not in attended:
                attended.add(resolution)
                stages.append(
                    SelfAttention2D(
                        self.query_key_ratio,
                        self.value_ratio,
                        self.pool_size,
                        kernel_initializer=self.kernel_initializer,
                        dtype=self.dtype_policy,
                        name=f"attention_{resolution}x{resolution}",
                    )
                )
        return stages

    def _block_arguments(self) -> dict[str, Any]:
        return {
            "kernel_initializer": self.kernel_initializer,
            "resampling": self.resampling,
            "dtype": self.dtype_policy,
        }

    def _check_labels(self, labels: Any) -> None:
        if (labels is None) != (self.num_classes is None):
            raise ValueError(
                "`labels` must be given exactly when the network has classes. Received: "
                f"labels={labels}, num_classes={self.num_classes}"
            )


class _GeneratorBlock(keras.layers.Layer):
    """Norm, ReLU, upsample, conv, norm, ReLU, conv; plus an upsampled 1x1 shortcut."""

    def __init__(
        self,
        filters: int,
        num_classes: int | None,
        momentum: float,
        kernel_initializer: str,
        resampling: str,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        shared = {"kernel_initializer": kernel_initializer, "dtype": self.dtype_policy}

        def norm(name: str) -> ConditionalBatchNormalization:
            return ConditionalBatchNormalization(
                num_classes, momentum, name=name, dtype=self.dtype_policy
            )

        self.filters = filters
        self.resampling = resampling
        self.norm_0 = norm("norm_0")
        self.conv_0 = SpectralUpsampleConv2D(filters, resampling, name="conv_0", **shared)
        self.norm_1 = norm("norm_1")
        self.conv_1 = SpectralConv2D(filters, 3, padding="same", name="conv_1", **shared)
        self.shortcut = SpectralConv2D(filters, 1, name="shortcut", **shared)

    def build(self, inputs_shape: tuple[int | None, ...], labels_shape: Any = None) -> None:
        outputs_shape = self.compute_output_shape(inputs_shape)
        for layer in (self.norm_0, self.conv_0, self.shortcut):
            layer.build(inputs_shape)
        for layer in (self.norm_1, self.conv_1):
            layer.build(outputs_shape)

    def call(self, inputs: Any, labels: Any = None, training: bool = False) -> Any:
        hidden = ops.relu(self.norm_0(inputs, labels, training=training))
        hidden = self.conv_0(hidden, training=training)
        hidden = ops.relu(self.norm_1(hidden, labels, training=training))
        hidden = self.conv_1(hidden, training=training)
        if self.resampling == "plain":
            return hidden + self.shortcut(upsample(inputs), training=training)
        # A 1x1 convolution commutes with upsampling and is cheaper before it.
        return hidden + upsample(self.shortcut(inputs, training=training))

    def compute_output_shape(
        self, inputs_shape: tuple[int | None, ...], labels_shape: Any = None
    ) -> tuple[int | None, ...]:
        batch, height, width, _ = inputs_shape
        return batch, 2 * height, 2 * width, self.filters


class _DiscriminatorBlock(keras.layers.Layer):
    """ReLU, conv, ReLU, conv, pool; plus a pooled 1x1 shortcut.

    The first block sees the image and has no ReLU before its convolution. A block that does not
    downsample keeps its input as the shortcut if the channels allow it.
    """

    def __init__(
        self,
        filters: int,
        first: bool,
        downsample: bool,
        kernel_initializer: str,
        resampling: str,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        shared = {"kernel_initializer": kernel_initializer, "dtype": self.dtype_policy}
        self.filters = filters
        self.resampling = resampling
        self.first = first
        self.downsample = downsample
        self.conv_0 = SpectralConv2D(filters, 3, padding="same", name="conv_0", **shared)
        if downsample:
            self.conv_1 = SpectralConv2DMeanPool(filters, resampling, name="conv_1", **shared)
        else:
            self.conv_1 = SpectralConv2D(filters, 3, padding="same", name="conv_1", **shared)
        self.kernel_initializer = kernel_initializer

    def build(self, inputs_shape: tuple[int | None, ...]) -> None:
        self.shortcut = None
        if self.downsample or inputs_shape[-1] != self.filters:
            self.shortcut = SpectralConv2D(
                self.filters,
                1,
                kernel_initializer=self.kernel_initializer,
                dtype=self.dtype_policy,
                name="shortcut",
            )
            self.shortcut.build(inputs_shape)
        self.conv_0.build(inputs_shape)
        self.conv_1.build((*inputs_shape[:-1], self.filters))

    def call(self, inputs: Any, training: bool = False) -> Any:
        hidden = inputs if self.first else ops.relu(inputs)
        hidden = ops.relu(self.conv_0(hidden, training=training))
        hidden = self.conv_1(hidden, training=training)
        return hidden + self._shortcut(inputs, training)

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
        return batch, height // stride, width // stride, self.filters


@keras.saving.register_keras_serializable("sagan_tf")
class Generator(_Network):
    """Turns latents and labels into images.

    Dense to 4x4, one residual block per doubling, self-attention, batch norm, ReLU, 3x3
    convolution, tanh (released SAGAN code, `generator.py`). All convolutions and the dense layer
    are spectrally normalised; the class tables are not.

    Args:
        image_size: 16, 32, 64, 128 or 256 pixels.
        num_classes: classes to condition on, or `None` for none.
        base_filters: filters of the last feature map at 128; others are multiples of it.
        channels: 1 or 3, of the image.
        attention_resolutions: sizes of the feature maps that attend; any, none or several of
            8 ... `image_size / 2`.
        query_key_ratio: see `SelfAttention2D`.
        value_ratio: see `SelfAttention2D`.
        pool_size: see `SelfAttention2D`.
        kernel_initializer: of every convolution and of the dense layer.
        resampling: "auto", "merged" or "plain", the form of the upsampling convolutions (see
            `SpectralUpsampleConv2D`); "plain" also leaves the shortcuts' 1x1 convolutions on the
            larger map, as published.
        latent_dim: length of a latent vector.
        batch_norm_momentum: of the blocks' moving statistics. The released code updates them with
            0.999 eight times per iteration (4 towers, 2 updates each); with our 2 updates the
            fourth power decays as fast.
        output_batch_norm_momentum: of the last batch norm's, likewise from 0.9999.

    Call: `latents` float `(N, latent_dim)` and `labels` integers `(N,)` or weights of the classes
    `(N, num_classes)`, none if unconditional. Returns images, float32
    `(N, image_size, image_size, channels)` in [-1, 1].

    Raises:
        ValueError: for a size, class count, channel count or attention resolution that is not
            supported, and for labels that do not fit `num_classes`.

    Example:

    >>> generator = Generator(image_size=16, num_classes=10, base_filters=8)
    >>> latents, labels = keras.ops.zeros((2, 128)), keras.ops.array([3, 9])
    >>> tuple(generator(latents, labels).shape)
    (2, 16, 16, 3)
    """

    def __init__(
        self,
        image_size: int = 128,
        num_classes: int | None = 1000,
        latent_dim: int = 128,
        batch_norm_momentum: float = 0.999**4,
        output_batch_norm_momentum: float = 0.9999**4,
        **kwargs: Any,
    ) -> None:
        kwargs.setdefault("name", "generator")
        super().__init__(image_size, num_classes, **kwargs)
        self.latent_dim = latent_dim
        self.batch_norm_momentum = batch_norm_momentum
        self.output_batch_norm_momentum = output_batch_norm_momentum

        multiples = dict(GENERATOR_FILTERS[image_size])
        self.first_filters = multiples.pop(4) * self.base_filters
        self.dense = SpectralDense(
            4 * 4 * self.first_filters,
            kernel_initializer=self.kernel_initializer,
            dtype=self.dtype_policy,
            name="dense",
        )
        blocks = [
            (
                resolution,
                _GeneratorBlock(
                    multiple * self.base_filters,
                    num_classes,
                    batch_norm_momentum,
                    name=f"block_{resolution}x{resolution}",
                    **self._block_arguments(),
                ),
            )
            for resolution, multiple in multiples.items()
        ]
        self.stages = self._stages(blocks)
        self.output_norm = ConditionalBatchNormalization(
            None, output_batch_norm_momentum, dtype=self.dtype_policy, name="output_norm"
        )
        self.output_convolution = SpectralConv2D(
            self.channels,
            3,
            padding="same",
            kernel_initializer=self.kernel_initializer,
            dtype=self.dtype_policy,
            name="output_convolution",
        )

    def build(self, latents_shape: Any = None, labels_shape: Any = None) -> None:
        """Creates every weight; the shapes follow from the constructor's arguments."""
        self.dense.build((None, self.latent_dim))
        shape = (None, 4, 4, self.first_filters)
        for stage in self.stages:
            stage.build(shape)
            shape = (
                shape if isinstance(stage, SelfAttention2D) else stage.compute_output_shape(shape)
            )
        self.output_norm.build(shape)
        self.output_convolution.build(shape)

    def call(self, latents: Any, labels: Any = None, training: bool = False) -> Any:
        """Generates images; batch statistics and singular vectors move if `training`."""
        self._check_labels(labels)
        hidden = self.dense(latents, training=training)
        hidden = ops.reshape(hidden, (-1, 4, 4, self.first_filters))
        for stage in self.stages:
            if isinstance(stage, SelfAttention2D):
                hidden = stage(hidden, training=training)
            else:
                hidden = stage(hidden, labels, training=training)
        hidden = ops.relu(self.output_norm(hidden, training=training))
        images = self.output_convolution(hidden, training=training)
        return ops.tanh(ops.cast(images, "float32"))

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "latent_dim": self.latent_dim,
            "batch_norm_momentum": self.batch_norm_momentum,
            "output_batch_norm_momentum": self.output_batch_norm_momentum,
        }


@keras.saving.register_keras_serializable("sagan_tf")
class Discriminator(_Network):
    """Tells real images from generated ones, given their labels.

    Residual blocks with pooling, self-attention, ReLU, sum over space, then a dense logit plus
    the inner product with the label's embedding (released SAGAN code, `discriminator.py`;
    projection: arXiv 1802.05637). Every weight matrix is spectrally normalised. Sum, projection
    and logit are float32 under every dtype policy.

    Args:
        image_size: see `Generator`.
        num_classes: see `Generator`.
        base_filters: filters of the first block; others are multiples of it.
        channels: see `Generator`.
        attention_resolutions: see `Generator`.
        query_key_ratio: see `SelfAttention2D`.
        value_ratio: see `SelfAttention2D`.
        pool_size: see `SelfAttention2D`.
        kernel_initializer: of every convolution, dense layer and embedding.
        resampling: see `Generator`; of the pooled convolutions, see `SpectralConv2DMeanPool`.

    Call: `images` float `(N, image_size, image_size, channels)` in [-1, 1] and `labels` integers
    `(N,)`, none if unconditional. Returns logits, float32 `(N, 1)`.

    Raises:
        ValueError: as `Generator`.

    Example:

    >>> discriminator = Discriminator(image_size=16, num_classes=10, base_filters=8)
    >>> images, labels = keras.ops.zeros((2, 16, 16, 3)), keras.ops.array([3, 9])
    >>> tuple(discriminator(images, labels).shape)
    (2, 1)
    """

    def __init__(
        self, image_size: int = 128, num_classes: int | None = 1000, **kwargs: Any
    ) -> None:
        kwargs.setdefault("name", "discriminator")
        super().__init__(image_size, num_classes, **kwargs)
        blocks = []
        previous = image_size
        for index, (resolution, multiple) in enumerate(DISCRIMINATOR_FILTERS[image_size]):
            block = _DiscriminatorBlock(
                multiple * self.base_filters,
                first=index == 0,
                downsample=resolution < previous,
                name=f"block_{index}_{resolution}x{resolution}",
                **self._block_arguments(),
            )
            blocks.append((resolution, block))
            previous = resolution
        self.stages = self._stages(blocks)
        head = {"kernel_initializer": self.kernel_initializer, "dtype": "float32"}
        self.logit = SpectralDense(1, name="logit", **head)
        self.embedding = None
        if num_classes is not None:
            features = DISCRIMINATOR_FILTERS[image_size][-1][1] * self.base_filters
            self.embedding = SpectralEmbedding(
                num_classes,
                features,
                embeddings_initializer=self.kernel_initializer,
                dtype="float32",
                name="embedding",
            )

    def build(self, images_shape: Any = None, labels_shape: Any = None) -> None:
        """Creates every weight; the shapes follow from the constructor's arguments."""
        shape = (None, self.image_size, self.image_size, self.channels)
        for stage in self.stages:
            stage.build(shape)
            shape = (
                shape if isinstance(stage, SelfAttention2D) else stage.compute_output_shape(shape)
            )
        self.logit.build((None, shape[-1]))
        if self.embedding is not None:
            self.embedding.build()

    def call(self, images: Any, labels: Any = None, training: bool = False) -> Any:
        """Judges `images`; the singular vectors move if `training`."""
        self._check_labels(labels)
        hidden = ops.cast(images, self.compute_dtype)
        for stage in self.stages:
            hidden = stage(hidden, training=training)
        features = ops.sum(ops.relu(ops.cast(hidden, "float32")), axis=(1, 2))  # (N, C)
        logits = self.logit(features, training=training)
        if self.embedding is not None:
            embedded = self.embedding(labels, training=training)
            logits = logits + ops.sum(features * embedded, axis=-1, keepdims=True)
        return logits
