"""How far training is, in host memory, so that no step has to wait for a GPU to tell."""

from typing import Any, NamedTuple

import tensorflow as tf


class Counts(NamedTuple):
    """Counts before a training step: int32 scalars, which TensorFlow keeps in host memory.

    Attributes:
        step: number of training steps.
        discriminator_updates: number of updates of the discriminator.
        rollbacks: how often training went back to a checkpoint.
    """

    step: Any
    discriminator_updates: Any
    rollbacks: Any

    @classmethod
    def read(cls, *variables: Any) -> "Counts":
        """The values of the three variables; on a GPU, this waits until they are known."""
        with tf.device("CPU:0"):
            return cls(*(tf.cast(variable.value, tf.int32) for variable in variables))

    def step_of_noise(self) -> Any:
        """The step as int64: the type is part of the noise's seed."""
        with tf.device("CPU:0"):
            return tf.cast(self.step, tf.int64)

    def after(self, steps: Any, d_steps: int) -> "Counts":
        """The counts after more steps, each with `d_steps` updates of the discriminator."""
        with tf.device("CPU:0"):
            return self._replace(
                step=self.step + steps,
                discriminator_updates=self.discriminator_updates + steps * d_steps,
            )
