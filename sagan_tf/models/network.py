"""The base class of the generator and the discriminator."""

from collections.abc import Mapping, Sequence
from typing import Any

import keras

from sagan_tf.architecture import check_sizes
from sagan_tf.layers import ResidualBottleneck2D, SelfAttention2D

# Layers that may follow a block at an attention resolution.
MIXERS = SelfAttention2D, ResidualBottleneck2D
# Radius of local attention, in cells of the map.
LOCAL_RADIUS = 3


class Network(keras.Model):
    """Base of both networks: checks the settings, keeps them for `get_config`, makes the stages."""

    # Filters of the network's feature maps, see `architecture`.
    filters_by_size: Mapping[int, Sequence[tuple[int, int]]]

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
        query_chunk_size: int | None = None,
        mixing: str = "attention",
        spectral_normalization: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if num_classes is not None and num_classes < 1:
            raise ValueError(
                "`num_classes` must be a positive integer, or None for an unconditional network. "
                f"Received: num_classes={num_classes}"
            )
        if channels not in (1, 3):
            raise ValueError(f"`channels` must be 1 or 3. Received: channels={channels}")
        check_sizes(
            self.filters_by_size,
            image_size,
            base_filters,
            attention_resolutions,
            query_key_ratio,
            value_ratio,
            mixing,
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
        self.query_chunk_size = query_chunk_size
        self.mixing = mixing
        self.spectral_normalization = spectral_normalization

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
            "query_chunk_size": self.query_chunk_size,
            "mixing": self.mixing,
            "spectral_normalization": self.spectral_normalization,
        }

    def _stages(self, blocks: list[tuple[int, keras.layers.Layer]]) -> list[keras.layers.Layer]:
        """The blocks in order; a mixer follows the first block of each attention resolution."""
        stages: list[keras.layers.Layer] = []
        attended: set[int] = set()
        for resolution, block in blocks:
            stages.append(block)
            if resolution in self.attention_resolutions and resolution not in attended:
                attended.add(resolution)
                stages.append(self._mixer(resolution))
        return stages

    def _freeze_as_told(self) -> None:
        """Freezes the layers as well if the network was made with `trainable=False`."""
        if not self.trainable:
            # Setting the network's flag again would not reach them: Keras skips an equal value.
            for layer in self.layers:
                layer.trainable = False

    def _mixer(self, resolution: int) -> keras.layers.Layer:
        shared = self._layer_arguments()
        size = f"{resolution}x{resolution}"
        if self.mixing == "residual":
            return ResidualBottleneck2D(
                self.query_key_ratio, self.value_ratio, name=f"bottleneck_{size}", **shared
            )
        return SelfAttention2D(
            self.query_key_ratio,
            self.value_ratio,
            self.pool_size,
            query_chunk_size=self.query_chunk_size,
            radius=LOCAL_RADIUS if self.mixing == "local_attention" else None,
            name=f"attention_{size}",
            **shared,
        )

    def _layer_arguments(self) -> dict[str, Any]:
        return {
            "kernel_initializer": self.kernel_initializer,
            "spectral_normalization": self.spectral_normalization,
            "dtype": self.dtype_policy,
        }

    def _check_labels(self, labels: Any) -> None:
        if (labels is None) != (self.num_classes is None):
            raise ValueError(
                "`labels` must be given exactly when the network has classes. Received: "
                f"labels={labels}, num_classes={self.num_classes}"
            )

    def _build_stages(self, shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Builds the stages for an input of `shape` and returns the shape of their output."""
        for stage in self.stages:
            stage.build(shape)
            if not isinstance(stage, MIXERS):
                shape = stage.compute_output_shape(shape)
        return shape
