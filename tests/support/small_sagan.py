"""A SAGAN of 16x16 images that trains in a second, a batch for it, and comparisons of states."""

import keras
import numpy as np

from sagan_tf.models import Discriminator, Generator
from sagan_tf.training.fused_adam import FusedAdam
from sagan_tf.training.trainer import SAGAN

NETWORK = {
    "image_size": 16,
    "num_classes": 10,
    "base_filters": 4,
    "channels": 1,
    "attention_resolutions": (8,),
    "query_key_ratio": 4,
}
_RNG = np.random.default_rng(0)
IMAGES = _RNG.uniform(-1, 1, (8, 16, 16, 1)).astype("float32")
LABELS = _RNG.integers(0, 10, 8)


def adam(name):
    return FusedAdam(1e-3, beta_1=0.0, name=name)  # as `train` uses it; a third fewer operations


def sgd(name):
    return keras.optimizers.SGD(1e-2, name=name)


def make_networks(frozen_blocks=0, **changes):
    """Generator and discriminator, always with the same weights."""
    keras.utils.set_random_seed(1)
    network = {**NETWORK, **changes}
    return (
        Generator(latent_dim=8, **network),
        Discriminator(frozen_blocks=frozen_blocks, **network),
    )


def make_sagan(
    optimizer=adam,
    xla=False,
    sync_batch_norm=False,
    num_classes=10,
    frozen_blocks=0,
    dtype="float32",
    **kwargs,
):
    """A compiled SAGAN of these networks; `kwargs` are its own arguments."""
    networks = make_networks(frozen_blocks, num_classes=num_classes, dtype=dtype)
    sagan = SAGAN(*networks, **kwargs)
    sagan.compile(
        optimizer("generator_optimizer"),
        optimizer("discriminator_optimizer"),
        xla=xla,
        sync_batch_norm=sync_batch_norm,
    )
    return sagan


def eager(sagan):
    """The model, whose `fit` does not trace its step: that takes longer than a few steps do."""
    sagan.run_eagerly = True
    return sagan


def snapshot(network):
    return {variable.path: variable.value.numpy() for variable in network.variables}


def assert_close(actual, expected, tolerance=1e-6):
    """Equal to `tolerance` of the largest magnitude."""
    actual, expected = np.asarray(actual), np.asarray(expected)
    assert np.max(np.abs(actual - expected)) <= tolerance * max(np.max(np.abs(expected)), 1e-12)


def assert_replicas_agree(sagan):
    for network in (sagan.generator, sagan.discriminator, sagan.ema_generator):
        for variable in network.variables:
            first, second = (value.numpy() for value in variable.value.values)
            np.testing.assert_array_equal(first, second, err_msg=variable.path)
