"""SAGAN's networks: `generator` and `discriminator`, loops over resolutions.

Their common base class is in `network`.
"""

from sagan_tf.models.discriminator import Discriminator
from sagan_tf.models.generator import Generator

__all__ = ["Discriminator", "Generator"]
