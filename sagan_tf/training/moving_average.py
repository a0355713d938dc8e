"""The exponential moving average (EMA) of the generator's weights, used for sampling."""

from typing import Any

import keras
import tensorflow as tf

from sagan_tf.layers import ConditionalBatchNormalization
from sagan_tf.layers.nested import layers_of_kind
from sagan_tf.training.noise import Noise

# Number and size of the generated batches from which the average's moving statistics are computed.
STATISTICS_BATCHES = 16
STATISTICS_BATCH_SIZE = 64


class MovingAverage:
    """A copy of a generator whose weights are a moving average of the original's.

    Args:
        generator: the generator that trains.
        decay: decay per step; 0 if `half_life` is given instead.
        start_step: before this step the average is a copy (BigGAN-PyTorch, `utils.ema`).
        half_life: number of images after which a weight counts half in the average, whatever the
            batch size (StyleGAN2-ADA, arXiv 2006.06676, `training_loop.py`); 0 if `decay` is given.
        ramp: limit of the half-life, as a fraction of the images seen so far; 0 for no limit.

    Attributes:
        network: the averaged generator.

    Raises:
        ValueError: for a decay out of [0, 1), or both a decay and a half-life.
    """

    def __init__(
        self,
        generator: keras.Model,
        decay: float,
        start_step: int = 0,
        half_life: int = 0,
        ramp: float = 0.05,
    ) -> None:
        if not 0 <= decay < 1:
            raise ValueError(f"`ema_decay` must be in [0, 1). Received: ema_decay={decay}")
        if decay and half_life:
            raise ValueError(
                "Only one of `ema_decay` and `ema_half_life` can be given. Received: "
                f"ema_decay={decay}, ema_half_life={half_life}"
            )
        self._generator = generator
        self._decay = decay
        self._start_step = start_step
        self._half_life = half_life
        self._ramp = ramp
        self.network = _copy(generator)

    def update(self, step: Any, batch_size: Any) -> None:
        """Updates the average's weights after the generator's update.

        Args:
            step: number of training steps, including this one.
            batch_size: number of images per replica.
        """
        decay = self.decay(step, batch_size)
        share = 1 - decay
        for average, variable in self._pairs():
            if average.trainable:
                average.assign(average * decay + variable * share)

    def decay(self, step: Any, batch_size: Any) -> Any:
        """The decay of a step; the arguments are those of `update`."""
        decay = self._decay
        if self._half_life:
            replicas = tf.distribute.get_strategy().num_replicas_in_sync
            images = tf.cast(batch_size * replicas, tf.float32)
            half_life = tf.constant(self._half_life, tf.float32)
            if self._ramp:
                half_life = tf.minimum(half_life, self._ramp * images * tf.cast(step, tf.float32))
            decay = 0.5 ** (images / half_life)
        return tf.where(step < self._start_step, 0.0, decay)

    def compute_statistics(self, noise: Noise) -> None:
        """Computes the averaged generator's singular vectors and moving statistics.

        They are not the averages of the generator's, so they are computed from generated batches
        with fixed noise, starting from the generator's vectors and statistics. The result depends
        on the weights and the noise alone.
        """
        # Always starting there, so that a second call gives the same result.
        for average, variable in self._pairs():
            if not average.trainable:  # a singular vector or a moving statistic
                average.assign(variable.value)
        for index in range(STATISTICS_BATCHES):
            self._take_batch(noise, tf.constant(index))

    @tf.function(autograph=False)
    def _take_batch(self, noise: Noise, index: tf.Tensor) -> None:
        """Adds the generated batch `index` to the running mean of the statistics."""
        norms = batch_norms(self.network)
        momenta = [norm.momentum for norm in norms]
        latents, labels = noise.latents_and_labels(-1, index, STATISTICS_BATCH_SIZE)
        for norm in norms:
            norm.momentum = tf.cast(index / (index + 1), tf.float32)
        self.network(latents, labels, training=True)
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum

    def _pairs(self) -> Any:
        """Pairs of the average's variables, none of them frozen, and the generator's."""
        return zip(self.network.variables, self._generator.variables, strict=True)


def batch_norms(network: keras.Model) -> list[ConditionalBatchNormalization]:
    """All class-conditional batch norms of a network, including those inside its blocks."""
    return layers_of_kind(network, ConditionalBatchNormalization)


def _copy(generator: keras.Model) -> keras.Model:
    copy = type(generator).from_config({**generator.get_config(), "name": "ema_generator"})
    copy.build()
    copy.set_weights(generator.get_weights())
    for layer in layers_of_kind(copy, keras.layers.Layer):  # Keras skips an equal value of `copy`
        layer.trainable = True
    return copy
