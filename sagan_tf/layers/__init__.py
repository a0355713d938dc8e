"""Layers of SAGAN, usable in any Keras model on any Keras backend.

`self_attention`, whose softmax is in `dot_product`, and, in its place, `residual_bottleneck`;
`spectral_norm` (its method `singular_value` has the power iteration) of convolutions, dense layers
and embeddings, and of `resampling` convolutions; `conditional_batch_norm`. All of them check their
`inputs` alike. `nested` finds layers of a kind in a model.
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
