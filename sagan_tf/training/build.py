"""Builds the networks, the optimizers and the model that trains them from the settings."""

import inspect
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from sagan_tf.config import TrainSettings
from sagan_tf.data.source import Description
from sagan_tf.machine import devices
from sagan_tf.machine.cluster import Cluster
from sagan_tf.machine.processors import num_cores
from sagan_tf.models import Discriminator, Generator
from sagan_tf.training.fused_adam import FusedAdam
from sagan_tf.training.regularization import Regularization
from sagan_tf.training.trainer import SAGAN

# Operations are small up to this product of maps' cells, squared filters, images and cores. Shared
# by two cores, they keep these waiting for each other: steps of the digits take 1.6 times as long.
# Measured on two cores, where the ratio is 1 at twice this product (docs/performance.md).
SMALL_OPERATIONS = 2**24


def make_strategy(
    settings: TrainSettings, cluster: Cluster | None = None
) -> tf.distribute.Strategy:
    """Sets up TensorFlow as the settings ask for; see `machine.devices.make_strategy`."""
    replicas = devices.replicas_here(settings.device, settings.num_replicas)
    images = settings.global_batch_size // replicas // settings.gradient_accumulation
    filters = settings.discriminator_base_filters or settings.base_filters
    # What XLA compiles is one operation, which would have one core.
    if are_small(settings.image_size, filters, images) and not settings.xla:
        devices.one_thread_per_operation(settings.device)
    return devices.make_strategy(
        settings.device,
        settings.num_replicas,
        settings.deterministic,
        cluster,
        settings.worker_timeout,
    )


def are_small(image_size: int, base_filters: int, batch_size: int) -> bool:
    """Whether a training step's operations are too small for several cores to share one."""
    return (image_size * base_filters) ** 2 * batch_size * num_cores() <= SMALL_OPERATIONS


def make_networks(
    settings: TrainSettings, source: Description, **kwargs: Any
) -> tuple[Generator, Discriminator]:
    """The generator and the discriminator, built.

    Args:
        settings: the run's settings.
        source: the data set, which determines the number of classes and channels.
        **kwargs: arguments of both constructors that override the settings.
    """
    shared = {
        "num_classes": source.num_classes if settings.conditional else None,
        "channels": source.channels,
        "dtype": settings.dtype_policy,
        **kwargs,
    }
    generator = Generator(
        **_arguments(Generator, settings)
        | {"spectral_normalization": settings.generator_spectral_normalization}
        | shared
    )
    if settings.discriminator_base_filters is not None:
        shared["base_filters"] = settings.discriminator_base_filters
    discriminator = Discriminator(**_arguments(Discriminator, settings) | shared)
    generator.build()
    discriminator.build()
    discriminator.freeze(settings.freeze_discriminator)
    return generator, discriminator


def make_sagan(
    settings: TrainSettings, source: Description, label_weights: np.ndarray | None = None
) -> SAGAN:
    """The compiled `SAGAN` of a run. Call this function under the strategy's scope.

    Args:
        settings: the run's settings.
        source: the data set, see `make_networks`.
        label_weights: float `(num_classes,)`, relative frequency of each class among generated
            images; `None` for equal frequencies.
    """

    def adam(name: str, learning_rate: float, updates: int) -> FusedAdam:
        schedules = keras.optimizers.schedules
        if settings.schedule == "linear":
            learning_rate = schedules.PolynomialDecay(learning_rate, updates, 0.0)
        elif settings.schedule == "cosine":
            learning_rate = schedules.CosineDecay(learning_rate, updates)
        # The published code uses TensorFlow 1's default epsilon, a tenth of Keras' default.
        return FusedAdam(learning_rate, settings.beta_1, settings.beta_2, epsilon=1e-8, name=name)

    keras.utils.set_random_seed(settings.seed)
    regularization = Regularization(
        policies=settings.augment,
        adaptive=settings.adaptive_augment,
        target=settings.augment_target,
        ramp_images=settings.augment_ramp_images,
        **_arguments(Regularization, settings),
    )
    sagan = SAGAN(
        *make_networks(settings, source),
        regularization=regularization,
        label_weights=label_weights,
        **_arguments(SAGAN, settings),
    )
    d_updates = settings.steps * settings.d_steps
    sagan.compile(
        adam("generator_optimizer", settings.generator_learning_rate, settings.steps),
        adam("discriminator_optimizer", settings.discriminator_learning_rate, d_updates),
        xla=uses_xla(settings),
        sync_batch_norm=settings.sync_batch_norm,
    )
    return sagan


def uses_xla(settings: TrainSettings) -> bool:
    """Whether to compile with XLA, under the strategy's scope: as set, or where it pays.

    On one H200 the steps then take a quarter to a half of the time; on a CPU of two cores they take
    longer. On several GPUs XLA has not been tried.
    """
    if settings.xla is not None:
        return settings.xla
    replicas = tf.distribute.get_strategy().num_replicas_in_sync
    one_gpu = replicas == len(tf.config.get_visible_devices("GPU")) == 1
    return one_gpu and not settings.deterministic


def _arguments(cls: type, settings: TrainSettings) -> dict[str, Any]:
    """The settings whose names are arguments of the constructors of `cls` and its base classes."""
    constructors = [vars(base)["__init__"] for base in cls.__mro__ if "__init__" in vars(base)]
    names = {name for init in constructors for name in inspect.signature(init).parameters}
    return {name: getattr(settings, name) for name in names if hasattr(settings, name)}
