"""A generator of 16x16 images with weights that all differ, to be saved and read."""

import keras
import numpy as np

from sagan_tf.models import Generator


def make(num_classes=3, seed=0, name="generator", base_filters=4):
    keras.utils.set_random_seed(seed)
    generator = Generator(
        16, num_classes, base_filters=base_filters, channels=1, latent_dim=8, name=name
    )
    generator.build()
    for variable in generator.variables:  # tables and statistics start alike: make them differ
        variable.assign(np.random.default_rng(seed).normal(size=variable.shape))
    return generator


def equal(left, right):
    return all(
        np.array_equal(a, b) for a, b in zip(left.get_weights(), right.get_weights(), strict=True)
    )
