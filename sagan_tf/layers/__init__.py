"""Layers of SAGAN, usable in any Keras model on any Keras backend.

`self_attention` lets the positions of a feature map attend to one another; `residual_bottleneck`
is a convolutional block with as many weights, to compare it with. `spectral_norm` has the
spectrally normalised convolution, dense layer and embedding, `resampling` the convolutions that
upsample or pool, and `conditional_batch_norm` the batch normalisation with a scale and an offset
per class. All layers check their input with `inputs`.
"""

from sagan_tf.layers.conditional_batch_norm import ConditionalBatchNormalization
from sagan_tf.layers.resampling import SpectralConv2DMeanPool, SpectralUpsampleConv2D
from sagan_tf.layers.residual_bottleneck import ResidualBottleneck2D
from sagan_tf.layers.self_attention import SelfAttention2D
from sagan_tf.layers.spectral_norm import SpectralConv2D, SpectralDense, SpectralEmbedding

__all__ = [
    "ConditionalBatchNormalization",
    "ResidualBottleneck2D",
    "SelfAttention2D",
    "SpectralConv2D",
    "SpectralConv2DMeanPool",
    "SpectralDense",
    "SpectralEmbedding",
    "SpectralUpsampleConv2D",
]
