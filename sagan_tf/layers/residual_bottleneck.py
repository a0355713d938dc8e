"""A convolutional block with as many weights as self-attention, to compare attention with."""

import math
from typing import Any

import keras
from keras import ops

from sagan_tf.layers.inputs import check_channels_last, check_feature_map
from sagan_tf.layers.spectral_norm import SpectralConv2D


@keras.saving.register_keras_serializable("sagan_tf")
class ResidualBottleneck2D(keras.layers.Layer):
    """`x + gamma * f(x)` with three convolutions in `f`: the baseline for `SelfAttention2D`.

    `f` is a 1x1 convolution to a few filters, ReLU, 3x3 convolution, ReLU and a 1x1 convolution
    back to the input's channels; all are spectrally normalised and have no bias. The number of
    filters is chosen so that the number of weights comes nearest to that of `SelfAttention2D` on
    the same input. `gamma` starts at 0, as it does there. SAGAN's paper also compares with
    residual blocks of as many weights (arXiv 1805.08318, table 1), but does not describe them.

    Args:
        query_key_ratio: `query_key_ratio` of the `SelfAttention2D` to match.
        value_ratio: `value_ratio` of the `SelfAttention2D` to match.
        kernel_initializer: initializer of the three convolutions.
        spectral_normalization: whether the three convolutions are spectrally normalised.
        **kwargs: passed on to `keras.layers.Layer`.

    Input and output `(N, H, W, C)` in the policy's compute dtype.

    Raises:
        ValueError: if Keras' `image_data_format` is "channels_first"; at build, if the input does
            not have four axes with known channels, or has fewer channels than a ratio.

    Example:

    >>> layer = ResidualBottleneck2D()
    >>> tuple(layer(keras.ops.ones((2, 8, 8, 64))).shape)
    (2, 8, 8, 64)
    >>> layer.filters  # 18 * (64 + 9 * 18 + 64) = 5220 weights; attention has 5120
    18
    """

    def __init__(
        self,
        query_key_ratio: int = 8,
        value_ratio: int = 2,
        kernel_initializer: Any = "glorot_uniform",
        spectral_normalization: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        check_channels_last(self)
        self.query_key_ratio = query_key_ratio
        self.value_ratio = value_ratio
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.spectral_normalization = spectral_normalization

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Creates the three convolutions and `gamma` for `(N, H, W, C)`."""
        channels = check_feature_map(self, input_shape)
        for name in ("query_key_ratio", "value_ratio"):
            if channels < getattr(self, name):
                raise ValueError(
                    f"`{name}` must not exceed the input's channels. Received: "
                    f"{name}={getattr(self, name)}, channels={channels}"
                )
        weights = 2 * channels * (channels // self.query_key_ratio + channels // self.value_ratio)
        # The positive root of 9 b^2 + 2 b C = weights.
        root = (math.sqrt(channels**2 + 9 * weights) - channels) / 9
        self.filters = max(1, round(root))
        self.reduction = self._convolution(self.filters, 1, "reduction")
        self.spatial = self._convolution(self.filters, 3, "spatial")
        self.expansion = self._convolution(channels, 1, "expansion")
        self.reduction.build(input_shape)
        inner_shape = (*input_shape[:-1], self.filters)
        self.spatial.build(inner_shape)
        self.expansion.build(inner_shape)
        self.gamma = self.add_weight(name="gamma", shape=(), initializer="zeros")

    def call(self, inputs: Any, training: bool = False) -> Any:
        """Adds the convolutions' output; singular vectors are updated if `training`."""
        inputs = ops.cast(inputs, self.compute_dtype)
        hidden = ops.relu(self.reduction(inputs, training=training))
        hidden = ops.relu(self.spatial(hidden, training=training))
        # The convolution is linear, so `gamma` can scale its input, which has fewer channels.
        return inputs + self.expansion(self.gamma * hidden, training=training)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "query_key_ratio": self.query_key_ratio,
            "value_ratio": self.value_ratio,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "spectral_normalization": self.spectral_normalization,
        }

    def _convolution(self, filters: int, kernel_size: int, name: str) -> SpectralConv2D:
        return SpectralConv2D(
            filters,
            kernel_size,
            padding="same",
            use_bias=False,
            kernel_initializer=self.kernel_initializer.clone(),
            spectral_normalization=self.spectral_normalization,
            trainable=self.trainable,
            dtype=self.dtype_policy,
            name=name,
        )
