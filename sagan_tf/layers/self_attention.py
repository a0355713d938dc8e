"""Self-attention over the positions of a feature map."""

from typing import Any

import keras
import numpy as np
from keras import ops

from sagan_tf.layers.dot_product import attend, attend_in_chunks, attend_without_scores
from sagan_tf.layers.inputs import check_channels_last, check_feature_map
from sagan_tf.layers.spectral_norm import SpectralConv2D


@keras.saving.register_keras_serializable("sagan_tf")
class SelfAttention2D(keras.layers.Layer):
    """Lets every position of a feature map attend to every other: `x + gamma * attention(x)`.

    `query`, `key` and `value` are 1x1 convolutions without bias (the paper's g, f and h), `output`
    is a 1x1 convolution that brings the attended values back to the input's channels, and the
    scalar `gamma` starts at 0, so that the layer starts as the identity. Logits are not divided by
    the square root of the number of query channels. The defaults follow the released code
    (`non_local.py`); the paper's equations (arXiv 1805.08318, section 3) are
    `value_ratio=8, pool_size=1`.

    Args:
        query_key_ratio: input channels per query channel, and per key channel.
        value_ratio: input channels per value channel.
        pool_size: window and stride of the max pooling of keys and values; 1 does not pool. If it
            does not divide the map's size, the last window is smaller.
        spectral_normalization: whether the four convolutions are spectrally normalised.
        kernel_initializer: initializer of the four convolutions.
        query_chunk_size: largest number of positions that attend at a time; `None` for all. The
            result is the same. Memory holds the scores of one chunk instead of all scores, and
            each chunk is computed a second time for its gradient.
        radius: largest distance, in cells of the map and between centres, over which a position
            attends; `None` for no limit. It changes neither the weights nor the cost.
        **kwargs: passed on to `keras.layers.Layer`.

    Input and output `(N, H, W, C)` in the policy's compute dtype; integer inputs are cast to it.
    Logits and softmax are float32 under every policy: float16 ends at 65504, which the product of
    two maps of 256 channels with standard deviation 16 exceeds. A frozen layer (`trainable =
    False`) keeps its singular vectors.

    With `return_attention_scores=True` the call also returns the scores, float32
    `(N, H, W, H / pool_size, W / pool_size)` with the last two sizes rounded up. They sum to 1
    over the last two axes. All scores are computed at once then, whatever `query_chunk_size`.

    Raises:
        ValueError: if an argument is not positive, if `radius` comes with `query_chunk_size`, if
            Keras' `image_data_format` is "channels_first"; at build, if the input does not have
            four axes with known channels (and, with `radius`, known height and width), or if a
            ratio does not divide the channels.

    Example:

    >>> layer = SelfAttention2D()
    >>> outputs, scores = layer(keras.ops.ones((2, 8, 8, 16)), return_attention_scores=True)
    >>> tuple(outputs.shape), tuple(scores.shape)
    ((2, 8, 8, 16), (2, 8, 8, 4, 4))
    """

    def __init__(
        self,
        query_key_ratio: int = 8,
        value_ratio: int = 2,
        pool_size: int = 2,
        spectral_normalization: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        query_chunk_size: int | None = None,
        radius: float | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        check_channels_last(self)
        for name in ("query_key_ratio", "value_ratio", "pool_size"):
            value = locals()[name]
            if not isinstance(value, int) or value < 1:
                raise ValueError(f"`{name}` must be a positive integer. Received: {name}={value}")
            setattr(self, name, value)
        if query_chunk_size is not None and (
            not isinstance(query_chunk_size, int) or query_chunk_size < 1
        ):
            raise ValueError(
                "`query_chunk_size` must be a positive integer, or None for all queries at once. "
                f"Received: query_chunk_size={query_chunk_size}"
            )
        if radius is not None and (not radius > 0 or query_chunk_size is not None):
            raise ValueError(
                "`radius` must be positive, and without `query_chunk_size`. Received: "
                f"radius={radius}, query_chunk_size={query_chunk_size}"
            )
        self.query_chunk_size = query_chunk_size
        self.radius = radius
        self.spectral_normalization = spectral_normalization
        self.kernel_initializer = keras.initializers.get(kernel_initializer)

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Creates the four convolutions and `gamma` for `(N, H, W, C)`."""
        channels = check_feature_map(self, input_shape)
        for name in ("query_key_ratio", "value_ratio"):
            if channels % getattr(self, name):
                raise ValueError(
                    f"`{name}` must divide the input's channels; 1 always does. Received: "
                    f"{name}={getattr(self, name)}, channels={channels}"
                )
        self.mask = None
        if self.radius is not None:
            height, width = input_shape[1:3]
            if height is None or width is None:
                raise ValueError(
                    "`radius` needs a map of known size. Received: "
                    f"radius={self.radius}, input_shape={input_shape}"
                )
            distances = query_key_distances(height, width, self.pool_size)
            self.mask = np.where(distances > self.radius, np.float32(-1e30), np.float32(0))
        self.query = self._convolution(channels // self.query_key_ratio, "query")
        self.key = self._convolution(channels // self.query_key_ratio, "key")
        self.value = self._convolution(channels // self.value_ratio, "value")
        self.output_convolution = self._convolution(channels, "output")
        for convolution in (self.query, self.key, self.value):
            convolution.build(input_shape)
        self.output_convolution.build((*input_shape[:-1], channels // self.value_ratio))
        self.gamma = self.add_weight(name="gamma", shape=(), initializer="zeros")

    def call(
        self, inputs: Any, training: bool = False, return_attention_scores: bool = False
    ) -> Any:
        """Attends over `inputs`; singular vectors are updated if `training`."""
        inputs = ops.cast(inputs, self.compute_dtype)
        _, height, width, channels = ops.shape(inputs)
        query = self._flatten(self.query(inputs, training=training))  # (N, L, C/8)
        keys = self._pool(self.key(inputs, training=training))
        key = self._flatten(keys)  # (N, M, C/8)
        value = self._flatten(self._pool(self.value(inputs, training=training)))  # (N, M, C/2)

        if return_attention_scores:
            attended, scores = attend(query, key, value, self.mask)  # (N, L, C/2), (N, L, M)
        elif self.query_chunk_size is not None:
            attended = attend_in_chunks(query, key, value, self.query_chunk_size)
        else:
            attended = attend_without_scores(query, key, value, self.mask)
        attended = ops.reshape(attended, (-1, height, width, channels // self.value_ratio))
        # The convolution is linear, so `gamma` can scale its input, which has fewer channels.
        outputs = inputs + self.output_convolution(self.gamma * attended, training=training)
        if not return_attention_scores:
            return outputs
        key_height, key_width = ops.shape(keys)[1:3]
        return outputs, ops.reshape(scores, (-1, height, width, key_height, key_width))

    def compute_output_spec(
        self, inputs: Any, training: bool = False, return_attention_scores: bool = False
    ) -> Any:
        """The output's shape and dtype, and those of the scores if they are requested."""
        outputs = keras.KerasTensor(inputs.shape, dtype=self.compute_dtype)
        if not return_attention_scores:
            return outputs
        size = inputs.shape[1:3]
        pooled = (None if side is None else -(-side // self.pool_size) for side in size)
        return outputs, keras.KerasTensor((inputs.shape[0], *size, *pooled), dtype="float32")

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "query_key_ratio": self.query_key_ratio,
            "value_ratio": self.value_ratio,
            "pool_size": self.pool_size,
            "spectral_normalization": self.spectral_normalization,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "query_chunk_size": self.query_chunk_size,
            "radius": self.radius,
        }

    def _convolution(self, filters: int, name: str) -> keras.layers.Layer:
        layer = SpectralConv2D if self.spectral_normalization else keras.layers.Conv2D
        # A copy: an initializer with a seed would draw the same numbers for every convolution.
        return layer(
            filters,
            kernel_size=1,
            use_bias=False,
            kernel_initializer=self.kernel_initializer.clone(),
            trainable=self.trainable,
            dtype=self.dtype_policy,
            name=name,
        )

    def _pool(self, tensor: Any) -> Any:
        if self.pool_size == 1:
            return tensor
        size = self.pool_size
        return ops.max_pool(tensor, size, strides=size, padding="same", data_format="channels_last")

    def _flatten(self, tensor: Any) -> Any:
        _, height, width, channels = ops.shape(tensor)
        return ops.reshape(tensor, (-1, height * width, channels))


def query_key_distances(height: int, width: int, pool_size: int) -> np.ndarray:
    """Distances between the centres of the map's cells and of the pooled keys, in cells.

    Args:
        height: height of the map, in cells.
        width: width of the map, in cells.
        pool_size: window and stride of the keys' pooling.

    Returns:
        float64 `(H * W, Hk * Wk)`.
    """
    rows = np.subtract.outer(np.arange(height), _key_centres(height, pool_size))
    columns = np.subtract.outer(np.arange(width), _key_centres(width, pool_size))
    distances = np.hypot(rows[:, None, :, None], columns[None, :, None, :])
    return distances.reshape(height * width, -1)


def _key_centres(size: int, pool_size: int) -> np.ndarray:
    """Centre of the cells that each key was pooled from; "same" padding is split over both ends."""
    count = -(-size // pool_size)
    first = np.arange(count) * pool_size - (count * pool_size - size) // 2
    last = first + pool_size - 1
    return (np.maximum(first, 0) + np.minimum(last, size - 1)) / 2
