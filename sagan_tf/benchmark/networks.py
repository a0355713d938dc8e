"""Networks, models and batches for the benchmarks."""

from collections.abc import Iterator
from typing import Any

import tensorflow as tf
from keras import ops

from sagan_tf.layers.spectral_norm import SpectralNormalization
from sagan_tf.models import Discriminator, Generator
from sagan_tf.training.fused_adam import FusedAdam
from sagan_tf.training.trainer import SAGAN


def make_networks(
    image_size: int, base_filters: int, **kwargs: Any
) -> tuple[Generator, Discriminator]:
    """Both networks, built, with attention at half the image's size."""
    settings: dict[str, Any] = {
        "attention_resolutions": (image_size // 2,),
        "query_key_ratio": min(8, base_filters),
        **kwargs,
    }
    generator = Generator(image_size, base_filters=base_filters, **settings)
    discriminator = Discriminator(image_size, base_filters=base_filters, **settings)
    generator.build()
    discriminator.build()
    return generator, discriminator


def make_generator(**settings: Any) -> Generator:
    """A generator whose singular vectors and moving statistics fit its weights."""
    generator, _ = make_networks(**settings)
    for _ in range(10):
        latents = tf.random.normal((16, generator.latent_dim))
        generator(latents, tf.range(16) % generator.num_classes, training=True)
    return generator


def make_sagan(
    xla: bool = False,
    spectral_norm: bool = True,
    gradient_accumulation: int = 1,
    ema_decay: float = 0.999,
    **settings: Any,
) -> SAGAN:
    """A compiled model with new weights."""
    if not spectral_norm:
        # A case has a process of its own, so the method of the class may be replaced.
        SpectralNormalization.normalized = (  # type: ignore[method-assign]
            lambda self, weight, training=False: ops.cast(weight, self.compute_dtype)
        )
    sagan = SAGAN(
        *make_networks(**settings), gradient_accumulation=gradient_accumulation, ema_decay=ema_decay
    )
    sagan.compile(
        FusedAdam(1e-4, beta_1=0.0, name="generator_optimizer"),
        FusedAdam(4e-4, beta_1=0.0, name="discriminator_optimizer"),
        xla=xla,
    )
    return sagan


def random_batches(sagan: SAGAN, batch_size: int) -> Iterator[tuple[tf.Tensor, tf.Tensor]]:
    """Yields batches of noise images and random labels without end."""
    side, classes = sagan.generator.image_size, sagan.generator.num_classes
    while True:
        images = tf.random.uniform((batch_size, side, side, 3), -1.0, 1.0)
        yield images, tf.random.uniform((batch_size,), 0, classes, tf.int32)
