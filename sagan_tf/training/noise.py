"""Random numbers of training: latents, labels and uniform numbers for augmentation.

They are a function of (seed, rollbacks, step, update, index in the global batch) and drawn without
state, so that a resumed run and a run on more replicas see the same noise.
"""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

# Folded into an update's seed, it gives the seed of the update's augmentation.
_AUGMENTATION_STREAM = 0x5EED


class Noise:
    """Draws the random inputs of a training step.

    Args:
        seed: seed of all random numbers.
        rollbacks: int64 variable, part of the seed: another value gives other noise.
        latent_dim: length of a latent vector.
        num_classes: number of classes, or `None`.
        label_weights: relative frequency of each class, `(num_classes,)`; `None` for equal
            frequencies.
        num_uniforms: uniform numbers that the augmentation of one image needs.

    Raises:
        ValueError: if `label_weights` are negative, all 0, or not one per class.
    """

    def __init__(
        self,
        seed: int,
        rollbacks: keras.Variable,
        latent_dim: int,
        num_classes: int | None = None,
        label_weights: Sequence[float] | np.ndarray | None = None,
        num_uniforms: int = 0,
    ) -> None:
        self._seed = seed
        self._rollbacks = rollbacks
        self._latent_dim = latent_dim
        self._num_classes = num_classes
        self._label_logits = _label_logits(label_weights, num_classes)
        self._num_uniforms = num_uniforms

    def of_replica(
        self, step: Any, update: int, batch_size: Any, rollbacks: Any = None
    ) -> tuple[Any, Any, Any]:
        """This replica's rows of the global batch of latents, labels and uniforms.

        Args:
            step: training step, see `latents_and_labels`.
            update: index of the update within the step.
            batch_size: number of rows per replica.
            rollbacks: value of the variable if it has been read; `None` reads it.
        """
        context = tf.distribute.get_replica_context()
        first = context.replica_id_in_sync_group * batch_size
        rows = slice(first, first + batch_size)
        global_batch_size = batch_size * context.num_replicas_in_sync
        latents, labels = self.latents_and_labels(step, update, global_batch_size, rollbacks)
        uniforms = self.uniforms(step, update, global_batch_size, rollbacks)
        return (
            latents[rows],
            None if labels is None else labels[rows],
            None if uniforms is None else uniforms[rows],
        )

    def latents_and_labels(
        self, step: Any, update: int, batch_size: Any, rollbacks: Any = None
    ) -> tuple[Any, Any]:
        """Latents float32 `(N, latent_dim)` of a global batch, and labels int64 `(N,)` or `None`.

        Args:
            step: training step; -1 for noise that no training step uses. Its type is part of the
                seed.
            update: index of the update within the step.
            batch_size: number of rows, N; a larger batch begins with the same rows.
            rollbacks: see `of_replica`.
        """
        # Drawn outside XLA, whose random generators give other numbers for the same seed.
        with tf.device("CPU:0"):
            seeds = tf.random.split(self._update_seed(step, update, rollbacks))
            latents_seed, labels_seed = tf.unstack(seeds)
        latents = tf.random.stateless_normal((batch_size, self._latent_dim), latents_seed)
        return latents, self._labels(labels_seed, batch_size)

    def uniforms(self, step: Any, update: int, batch_size: Any, rollbacks: Any = None) -> Any:
        """Uniform numbers for augmentation, `(N, 3, num_uniforms)`: one row for each view."""
        if not self._num_uniforms:
            return None
        with tf.device("CPU:0"):
            update_seed = self._update_seed(step, update, rollbacks)
            seed = tf.random.fold_in(update_seed, _AUGMENTATION_STREAM)
        return tf.random.stateless_uniform((batch_size, 3, self._num_uniforms), seed)

    def _update_seed(self, step: Any, update: int, rollbacks: Any) -> Any:
        """The seed of an update, computed on the host, where TensorFlow's generators need it."""
        rollbacks = tf.cast(self._rollbacks.value if rollbacks is None else rollbacks, tf.int64)
        seed = tf.stack([tf.constant(self._seed, tf.int64), rollbacks])
        return tf.random.fold_in(tf.random.fold_in(seed, step), update)

    def _labels(self, seed: Any, batch_size: Any) -> Any:
        if self._num_classes is None:
            return None
        with tf.device("CPU:0"):
            if self._label_logits is None:
                shape, classes = (batch_size,), self._num_classes
                labels = tf.random.stateless_uniform(shape, seed, 0, classes, tf.int32)
            else:
                logits = tf.constant(self._label_logits)
                labels = tf.random.stateless_categorical(logits, batch_size, seed, tf.int32)[0]
            return tf.cast(labels, tf.int64)  # GPUs have few kernels for int32


def _label_logits(
    weights: Sequence[float] | np.ndarray | None, num_classes: int | None
) -> np.ndarray | None:
    """Unnormalised log-probabilities `(1, num_classes)` of the classes."""
    if weights is None or num_classes is None:
        return None
    shares = np.asarray(weights, np.float64)
    if shares.shape != (num_classes,) or (shares < 0).any() or not 0 < shares.sum() < np.inf:
        raise ValueError(
            f"`label_weights` must be {num_classes} numbers that are not negative, and not all 0. "
            f"Received: label_weights={shares.tolist()}"
        )
    with np.errstate(divide="ignore"):  # log(0), for a class that is never drawn
        return np.log(shares / shares.sum(), dtype=np.float64).astype(np.float32)[np.newaxis]
