"""One table of layers and models; each runs through every test of `test_conformance.py`."""

import dataclasses
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from sagan_tf.layers import (
    ConditionalBatchNormalization,
    ResidualBottleneck2D,
    SelfAttention2D,
    SpectralConv2D,
    SpectralConv2DMeanPool,
    SpectralDense,
    SpectralEmbedding,
    SpectralUpsampleConv2D,
)
from sagan_tf.models import Discriminator, Generator

BATCH_SIZE = 4
NUM_CLASSES = 5


@dataclasses.dataclass(frozen=True)
class Descriptor:
    """How to make a layer, and what it takes.

    Attributes:
        name: what the test's report calls it.
        make: a function of the constructor's common arguments, such as `dtype`.
        shapes: of one example of each input; `None` is an integer label.
        output_dtype: under mixed precision.
        own_state: whether replicas that see different inputs come to different variables.
    """

    name: str
    make: Callable[..., keras.layers.Layer]
    shapes: tuple[tuple[int, ...] | None, ...]
    output_dtype: str = "bfloat16"
    own_state: bool = False

    def inputs(self, batch_size: int = BATCH_SIZE, seed: int = 0) -> tuple[np.ndarray, ...]:
        """Random inputs, the same for the same seed."""
        rng = np.random.default_rng(seed)
        return tuple(
            rng.integers(0, NUM_CLASSES, batch_size).astype("int32")
            if shape is None
            else rng.normal(size=(batch_size, *shape)).astype("float32")
            for shape in self.shapes
        )

    def symbolic_inputs(self) -> list[Any]:
        """What a functional model starts with."""
        return [
            keras.Input((), dtype="int32") if shape is None else keras.Input(shape)
            for shape in self.shapes
        ]

    def make_trained(self, **kwargs: Any) -> keras.layers.Layer:
        """A layer whose weights have left their initial values and whose state has moved."""
        layer = self.make(**kwargs)
        layer(*self.inputs(), training=True)
        rng = np.random.default_rng(1)
        for variable in layer.trainable_variables:
            variable.assign(variable + 0.1 * rng.normal(size=variable.shape))
        layer(*self.inputs(seed=1), training=True)
        return layer


def _network(cls: type, **settings: Any) -> Callable[..., keras.Model]:
    return lambda **kwargs: cls(16, base_filters=2, **settings, **kwargs)


# No default, where another value does: configs must carry all of them.
CONDITIONAL = {
    "num_classes": NUM_CLASSES,
    "attention_resolutions": (8,),
    "query_key_ratio": 2,
    "value_ratio": 1,
    "pool_size": 4,
    "query_chunk_size": 24,
}
UNCONDITIONAL = {
    "num_classes": None,
    "attention_resolutions": (8,),
    "mixing": "residual",
    "query_key_ratio": 2,
    "value_ratio": 1,
    "spectral_normalization": False,
    "resampling": "plain",
    "channels": 1,
    "kernel_initializer": "he_normal",
}
GENERATOR = {
    "latent_dim": 7,
    "batch_norm_momentum": 0.9,
    "output_batch_norm_momentum": 0.8,
    "batch_norm_epsilon": 1e-3,
}
MAP = (8, 6, 4)
LATENTS = (7,)
IMAGE = (16, 16, 3)
GREY_IMAGE = (16, 16, 1)

DESCRIPTORS = [
    Descriptor("SpectralConv2D", lambda **kwargs: SpectralConv2D(5, 3, **kwargs), (MAP,)),
    Descriptor(
        "SpectralDense", lambda **kwargs: SpectralDense(5, power_iterations=2, **kwargs), ((7,),)
    ),
    Descriptor(
        "SpectralEmbedding", lambda **kwargs: SpectralEmbedding(NUM_CLASSES, 4, **kwargs), (None,)
    ),
    Descriptor(
        "SpectralUpsampleConv2D plain",
        lambda **kwargs: SpectralUpsampleConv2D(5, "plain", **kwargs),
        (MAP,),
    ),
    Descriptor(
        "SpectralUpsampleConv2D merged",
        lambda **kwargs: SpectralUpsampleConv2D(5, "merged", **kwargs),
        (MAP,),
    ),
    Descriptor(
        "SpectralConv2DMeanPool plain",
        lambda **kwargs: SpectralConv2DMeanPool(5, "plain", **kwargs),
        (MAP,),
    ),
    Descriptor(
        "SpectralConv2DMeanPool merged",
        lambda **kwargs: SpectralConv2DMeanPool(5, "merged", **kwargs),
        (MAP,),
    ),
    Descriptor(
        "SelfAttention2D released",
        lambda **kwargs: SelfAttention2D(query_key_ratio=2, **kwargs),
        (MAP,),
    ),
    Descriptor(
        "SelfAttention2D paper",
        lambda **kwargs: SelfAttention2D(value_ratio=8, pool_size=1, **kwargs),
        ((8, 6, 16),),
    ),
    Descriptor(
        "SelfAttention2D in chunks",  # five of ten, two queries more than there are
        lambda **kwargs: SelfAttention2D(query_key_ratio=2, query_chunk_size=11, **kwargs),
        (MAP,),
    ),
    Descriptor(
        "SelfAttention2D to near places",
        lambda **kwargs: SelfAttention2D(query_key_ratio=2, radius=2.5, **kwargs),
        (MAP,),
    ),
    Descriptor(
        "ResidualBottleneck2D",
        lambda **kwargs: ResidualBottleneck2D(query_key_ratio=2, **kwargs),
        (MAP,),
    ),
    Descriptor(
        "SpectralConv2D without spectral normalisation",
        lambda **kwargs: SpectralConv2D(5, 3, spectral_normalization=False, **kwargs),
        (MAP,),
    ),
    Descriptor(
        "ConditionalBatchNormalization",
        lambda **kwargs: ConditionalBatchNormalization(NUM_CLASSES, 0.9, **kwargs),
        (MAP, None),
        own_state=True,
    ),
    Descriptor(
        "ConditionalBatchNormalization without classes",
        lambda **kwargs: ConditionalBatchNormalization(None, 0.9, **kwargs),
        (MAP,),
        own_state=True,
    ),
    Descriptor(
        "Generator",
        _network(Generator, **GENERATOR, **CONDITIONAL),
        (LATENTS, None),
        "float32",
        own_state=True,
    ),
    Descriptor(
        "Generator without classes",
        _network(Generator, **GENERATOR, **UNCONDITIONAL),
        (LATENTS,),
        "float32",
        own_state=True,
    ),
    Descriptor(
        "Discriminator",
        _network(Discriminator, relu_shortcut=True, frozen_blocks=1, **CONDITIONAL),
        (IMAGE, None),
        "float32",
    ),
    Descriptor(
        "Discriminator without classes",
        _network(Discriminator, **UNCONDITIONAL),
        (GREY_IMAGE,),
        "float32",
    ),
]
