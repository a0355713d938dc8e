"""The sizes of both networks, and what they share."""

from typing import Any

import keras

from sagan_tf.layers import ResidualBottleneck2D, SelfAttention2D

# What may stand between the blocks, and how far local attention looks, in cells of the map.
MIXINGS = ("attention", "local_attention", "residual")
MIXERS = SelfAttention2D, ResidualBottleneck2D
LOCAL_RADIUS = 3

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


class Network(keras.Model):
    """What both networks share: settings, checked and kept for `get_config`, and the stages."""

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
        if mixing not in MIXINGS:
            raise ValueError(f"`mixing` must be one of {MIXINGS}. Received: mixing={mixing!r}")
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
        """The blocks in order, what mixes after the first block at its resolution."""
        stages: list[keras.layers.Layer] = []
        attended: set[int] = set()
        for resolution, block in blocks:
            stages.append(block)
            if resolution in self.attention_resolutions and resolution not in attended:
                attended.add(resolution)
                stages.append(self._mixer(resolution))
        return stages

    def _freeze_as_told(self) -> None:
        """Freezes the layers, too, if the network was made with `trainable=False`."""
        if not self.trainable:
            # To set the network's own flag again would not reach them: Keras skips an equal value.
            for layer in self._flatten_layers(recursive=False, include_self=False):
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
