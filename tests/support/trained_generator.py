"""Generators of every form, with weights as after training."""

import numpy as np

from sagan_tf.models import Generator

# Settings that lead to different operations.
FORMS = [
    {"attention_resolutions": (8, 16)},
    {"image_size": 16, "channels": 1, "attention_resolutions": (8,)},
    {"image_size": 64, "base_filters": 8, "attention_resolutions": (32,)},
    {"num_classes": None, "attention_resolutions": ()},
    {"attention_resolutions": (16,), "value_ratio": 8, "pool_size": 1},
    {"attention_resolutions": (16,), "query_chunk_size": 100},
    {"attention_resolutions": (8, 16), "mixing": "local_attention"},
    {"attention_resolutions": (8, 16), "mixing": "residual"},
    {"resampling": "plain"},
    {"resampling": "merged"},
    {"kernel_initializer": "orthogonal"},
    {"attention_resolutions": (8,), "spectral_normalization": False},
    {"attention_resolutions": (8,), "mixing": "residual", "spectral_normalization": False},
    {"dense_bias": False},
    # At 4x4, kernels of this size stay plain by themselves.
    {"image_size": 16, "base_filters": 128, "num_classes": None},
]


def trained(**settings):
    """A generator none of whose weights and statistics has the value it starts with."""
    generator = Generator(
        **{"image_size": 32, "num_classes": 5, "base_filters": 16, "latent_dim": 20, **settings}
    )
    generator.build()
    random = np.random.default_rng(0)
    for variable in generator.variables:
        if variable.name == "moving_variance":
            variable.assign(random.uniform(0.5, 2.0, variable.shape))
        elif variable.name in ("gamma", "beta", "moving_mean", "bias"):
            variable.assign(variable + 0.3 * random.normal(size=variable.shape))
    for _ in range(3):  # moves the singular vectors to where they belong
        generator(*inputs(generator), training=True)
    return generator


def inputs(generator, batch_size=4):
    latents = np.random.default_rng(1).normal(size=(batch_size, generator.latent_dim))
    labels = None if generator.num_classes is None else np.arange(batch_size) % 5
    return latents.astype("float32"), labels
