"""Settings -> networks, optimizers and the model that trains them."""

from typing import Any

import keras
import numpy as np

from sagan_tf.config import TrainSettings
from sagan_tf.data.source import Description
from sagan_tf.models import Discriminator, Generator
from sagan_tf.training.regularization import Regularization
from sagan_tf.training.trainer import SAGAN


def make_networks(
    settings: TrainSettings, source: Description, **kwargs: Any
) -> tuple[Generator, Discriminator]:
    """Both networks, built.

    Args:
        settings: of the run.
        source: whose classes and channels they have.
        **kwargs: of both constructors, instead of what the settings say.
    """
    shared = {
        "image_size": settings.image_size,
        "num_classes": source.num_classes if settings.conditional else None,
        "base_filters": settings.base_filters,
        "channels": source.channels,
        "attention_resolutions": settings.attention_resolutions,
        "mixing": settings.mixing,
        "query_key_ratio": settings.query_key_ratio,
        "value_ratio": settings.value_ratio,
        "pool_size": settings.pool_size,
        "kernel_initializer": settings.kernel_initializer,
        "resampling": settings.resampling,
        "query_chunk_size": settings.query_chunk_size,
        "dtype": settings.dtype_policy,
        **kwargs,
    }
    generator = Generator(
        latent_dim=settings.latent_dim,
        dense_bias=settings.dense_bias,
        spectral_normalization=settings.generator_spectral_normalization,
        batch_norm_momentum=settings.batch_norm_momentum,
        output_batch_norm_momentum=settings.output_batch_norm_momentum,
        batch_norm_epsilon=settings.batch_norm_epsilon,
        **shared,
    )
    if settings.discriminator_base_filters is not None:
        shared["base_filters"] = settings.discriminator_base_filters
    discriminator = Discriminator(relu_shortcut=settings.relu_shortcut, **shared)
    generator.build()
    discriminator.build()
    discriminator.freeze(settings.freeze_discriminator)
    return generator, discriminator


def make_sagan(
    settings: TrainSettings, source: Description, label_weights: np.ndarray | None = None
) -> SAGAN:
    """The model, compiled; to be called under the strategy's scope.

    Args:
        settings: of the run.
        source: as for `make_networks`.
        label_weights: float `(num_classes,)`, how often generated images are of each class; `None`
            for all alike.
    """

    def adam(name: str, learning_rate: float, updates: int) -> keras.optimizers.Adam:
        schedules = keras.optimizers.schedules
        if settings.schedule == "linear":
            learning_rate = schedules.PolynomialDecay(learning_rate, updates, 0.0)
        elif settings.schedule == "cosine":
            learning_rate = schedules.CosineDecay(learning_rate, updates)
        # TensorFlow 1's epsilon, which the published code relies on, is a tenth of Keras'.
        return keras.optimizers.Adam(
            learning_rate, settings.beta_1, settings.beta_2, epsilon=1e-8, name=name
        )

    keras.utils.set_random_seed(settings.seed)
    sagan = SAGAN(
        *make_networks(settings, source),
        d_steps=settings.d_steps,
        gradient_accumulation=settings.gradient_accumulation,
        ema_decay=settings.ema_decay,
        ema_start_step=settings.ema_start_step,
        ema_half_life=settings.ema_half_life,
        ema_ramp=settings.ema_ramp,
        regularization=_regularization(settings),
        label_weights=label_weights,
        seed=settings.seed,
    )
    d_updates = settings.steps * settings.d_steps
    sagan.compile(
        adam("generator_optimizer", settings.generator_learning_rate, settings.steps),
        adam("discriminator_optimizer", settings.discriminator_learning_rate, d_updates),
        xla=settings.xla,
        sync_batch_norm=settings.sync_batch_norm,
    )
    return sagan


def _regularization(settings: TrainSettings) -> Regularization:
    return Regularization(
        policies=settings.augment,
        adaptive=settings.adaptive_augment,
        target=settings.augment_target,
        ramp_images=settings.augment_ramp_images,
        consistency_weight=settings.consistency_weight,
        lecam_weight=settings.lecam_weight,
        r1_weight=settings.r1_weight,
        r1_interval=settings.r1_interval,
    )
