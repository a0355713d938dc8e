"""SAGAN's two networks as loops over resolutions."""

from sagan_tf.models.discriminator import Discriminator
from sagan_tf.models.generator import Generator

__all__ = ["Discriminator", "Generator"]
