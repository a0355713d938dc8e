"""The generator: latents and labels -> images."""

from typing import Any

import keras
from keras import ops

from sagan_tf.architecture import GENERATOR_FILTERS
from sagan_tf.layers import (
    ConditionalBatchNormalization,
    SpectralConv2D,
    SpectralDense,
    SpectralUpsampleConv2D,
)
from sagan_tf.layers.inputs import class_weights
from sagan_tf.layers.resampling import upsample
from sagan_tf.models.network import MIXERS, Network


@keras.saving.register_keras_serializable("sagan_tf")
class Generator(Network):
    """Turns latents and labels into images.

    The network is a dense layer to 4x4, one residual block per doubling of the size,
    self-attention, batch norm, ReLU, a 3x3 convolution and tanh (released SAGAN code,
    `generator.py`). All convolutions and the dense layer are spectrally normalised; the tables of
    the class-conditional batch norm are not.

    Args:
        image_size: 16, 32, 64, 128 or 256 pixels.
        num_classes: number of classes to condition on, or `None` for an unconditional network.
        base_filters: filters of the last feature map at 128 pixels; all feature maps have
            multiples of it (`architecture.GENERATOR_FILTERS`).
        channels: channels of the image, 1 or 3.
        attention_resolutions: sizes of the feature maps with self-attention; none, one or several
            of 8 ... `image_size / 2`.
        query_key_ratio: see `SelfAttention2D`.
        value_ratio: see `SelfAttention2D`.
        pool_size: see `SelfAttention2D`.
        kernel_initializer: initializer of every convolution and of the dense layer.
        resampling: "auto", "merged" or "plain", the form of the upsampling convolutions (see
            `SpectralUpsampleConv2D`); "plain" also leaves the shortcuts' 1x1 convolutions on the
            larger map, as published.
        query_chunk_size: see `SelfAttention2D`.
        mixing: layer at the attention resolutions: "attention"; "local_attention", which attends
            to positions within 3 cells; or "residual", a `ResidualBottleneck2D`.
        spectral_normalization: whether every weight is spectrally normalised.
        latent_dim: length of a latent vector.
        dense_bias: whether the first dense layer has a bias, as published. Its spectrally
            normalised kernel cannot grow, but its bias can: at high learning rates the bias, which
            is the same for all latents, outweighs them, and all images of a class become alike.
        batch_norm_momentum: momentum of the blocks' moving statistics. The released code updates
            them with 0.999 eight times per iteration (4 towers, 2 updates each); with the 2
            updates of this package, the fourth power decays as fast.
        output_batch_norm_momentum: momentum of the last batch norm, derived likewise from 0.9999.
        batch_norm_epsilon: added to the variance in every batch norm.

    Call: `latents` float `(N, latent_dim)` and `labels` integers `(N,)` or `(N, 1)`, or weights of
    the classes `(N, num_classes)`, `None` if unconditional. Returns images, float32
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

    filters_by_size = GENERATOR_FILTERS

    def __init__(
        self,
        image_size: int = 128,
        num_classes: int | None = 1000,
        latent_dim: int = 128,
        dense_bias: bool = True,
        batch_norm_momentum: float = 0.999**4,
        output_batch_norm_momentum: float = 0.9999**4,
        batch_norm_epsilon: float = 1e-5,
        **kwargs: Any,
    ) -> None:
        kwargs.setdefault("name", "generator")
        super().__init__(image_size, num_classes, **kwargs)
        self.latent_dim = latent_dim
        self.dense_bias = dense_bias
        self.batch_norm_momentum = batch_norm_momentum
        self.output_batch_norm_momentum = output_batch_norm_momentum
        self.batch_norm_epsilon = batch_norm_epsilon

        multiples = dict(GENERATOR_FILTERS[image_size])
        self.first_filters = multiples.pop(4) * self.base_filters
        self.dense = SpectralDense(
            4 * 4 * self.first_filters,
            use_bias=dense_bias,
            name="dense",
            **self._layer_arguments(),
        )
        blocks = [
            (
                resolution,
                GeneratorBlock(
                    multiple * self.base_filters,
                    num_classes,
                    batch_norm_momentum,
                    batch_norm_epsilon,
                    self.resampling,
                    name=f"block_{resolution}x{resolution}",
                    **self._layer_arguments(),
                ),
            )
            for resolution, multiple in multiples.items()
        ]
        self.stages = self._stages(blocks)
        self.output_norm = ConditionalBatchNormalization(
            None,
            output_batch_norm_momentum,
            batch_norm_epsilon,
            dtype=self.dtype_policy,
            name="output_norm",
        )
        self.output_convolution = SpectralConv2D(
            self.channels, 3, padding="same", name="output_convolution", **self._layer_arguments()
        )
        self._freeze_as_told()

    def build(self, latents_shape: Any = None, labels_shape: Any = None) -> None:
        """Creates every weight; the shapes follow from the constructor's arguments."""
        self.dense.build((None, self.latent_dim))
        shape = self._build_stages((None, 4, 4, self.first_filters))
        self.output_norm.build(shape)
        self.output_convolution.build(shape)

    def call(self, latents: Any, labels: Any = None, training: bool = False) -> Any:
        """Generates images; moving statistics and singular vectors are updated if `training`."""
        self._check_labels(labels)
        if labels is not None and self.num_classes is not None:
            labels = class_weights(labels, self.num_classes)  # once for all layers
        hidden = self.dense(latents, training=training)
        hidden = ops.reshape(hidden, (-1, 4, 4, self.first_filters))
        for stage in self.stages:
            if isinstance(stage, MIXERS):
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
            "dense_bias": self.dense_bias,
            "batch_norm_momentum": self.batch_norm_momentum,
            "output_batch_norm_momentum": self.output_batch_norm_momentum,
            "batch_norm_epsilon": self.batch_norm_epsilon,
        }


class GeneratorBlock(keras.layers.Layer):
    """Residual block: norm, ReLU, upsample, conv, norm, ReLU, conv; plus an upsampled shortcut."""

    def __init__(
        self,
        filters: int,
        num_classes: int | None,
        momentum: float,
        epsilon: float,
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

        def norm(name: str) -> ConditionalBatchNormalization:
            return ConditionalBatchNormalization(
                num_classes, momentum, epsilon, name=name, dtype=self.dtype_policy
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
        return batch, height and 2 * height, width and 2 * width, self.filters
