"""Losses and gradients of the discriminator's and the generator's updates."""

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from sagan_tf.losses import r1_penalty
from sagan_tf.training.regularization import FAKE, REAL, Regularization


class Gradients:
    """Computes gradients and logs of both networks' updates for a replica's share of a batch.

    Each call returns gradients with respect to the network's trainable variables, which the
    optimizers sum over replicas, and scalars, which are means over the share's examples.

    Args:
        generator: called as `generator(latents, labels, training=...)`.
        discriminator: called as `discriminator(images, labels, training=...)`.
        generator_loss: `fake_logits (N, 1) -> scalar`.
        discriminator_loss: `(real_logits, fake_logits) -> scalar`.
        regularization: regularization of the discriminator.
        num_parts: number of parts that the share is split into for gradient accumulation, see
            `trainer.SAGAN`.
        xla: whether to compile the computation of a part with XLA.

    Attributes:
        of_part: functions that compute one part, by the name of the update: "discriminator",
            "generator" and "r1". Their first argument says whether the discriminator's singular
            vectors are updated.
    """

    def __init__(
        self,
        generator: keras.Model,
        discriminator: keras.Model,
        generator_loss: Callable,
        discriminator_loss: Callable,
        regularization: Regularization,
        num_parts: int = 1,
        xla: bool = False,
    ) -> None:
        self._generator, self._discriminator = generator, discriminator
        self._generator_loss, self._discriminator_loss = generator_loss, discriminator_loss
        self._regularization = regularization
        self._num_parts = num_parts
        compiled = (
            tf.function(jit_compile=True, autograph=False) if xla else (lambda function: function)
        )
        self.of_part: dict[str, Callable] = {
            "discriminator": compiled(self._of_discriminator),
            "generator": compiled(self._of_generator),
            "r1": compiled(self._of_r1),
        }

    def of_discriminator(
        self,
        update: Any,
        images: Any,
        labels: Any,
        latents: Any,
        fake_labels: Any,
        uniforms: Any,
    ) -> tuple[list[Any], dict[str, Any]]:
        """Gradients and logs of discriminator update `update`, on real and generated images."""
        batch = images, labels, latents, fake_labels, uniforms
        gradients, logs = self._accumulated("discriminator", batch)
        return self.with_r1(update, gradients, (images, labels, uniforms)), logs

    def of_generator(
        self, latents: Any, labels: Any, uniforms: Any
    ) -> tuple[list[Any], dict[str, Any]]:
        """Gradients and logs of a generator update."""
        return self._accumulated("generator", (latents, labels, uniforms))

    def with_r1(self, update: Any, gradients: list[Any], batch: tuple) -> list[Any]:
        """Adds the R1 penalty's gradients to the discriminator's, every `r1_interval` updates."""
        interval = self._regularization.r1_interval
        if not self._regularization.r1_weight:
            return gradients

        def added() -> list[Any]:
            penalty_gradients, _ = self._accumulated("r1", batch)
            return [
                gradient + interval * penalty_gradient
                for gradient, penalty_gradient in zip(gradients, penalty_gradients, strict=True)
            ]

        with tf.device("CPU:0"):
            due = update % interval == 0
        return tf.cond(due, added, lambda: list(gradients))

    def _of_discriminator(
        self,
        training: bool,
        images: Any,
        labels: Any,
        latents: Any,
        fake_labels: Any,
        uniforms: Any,
    ) -> tuple[list[Any], dict[str, Any]]:
        regularization = self._regularization
        fake_images = self._generator(latents, fake_labels, training=True)
        copies = regularization.copies(images, uniforms)
        seen = [
            regularization.augmented(images, uniforms, REAL),
            regularization.augmented(fake_images, uniforms, FAKE),
            *copies,
        ]
        if labels is not None:
            fake_labels = tf.cast(fake_labels, labels.dtype)
            labels = tf.concat([labels, fake_labels, *(labels for _ in copies)], axis=0)
        variables = [variable.value for variable in self._discriminator.trainable_variables]
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(variables)
            # One pass over real and fake images, so that each update moves singular vectors once.
            logits = self._discriminator(tf.concat(seen, axis=0), labels, training=training)
            real_logits, fake_logits, *copies_logits = tf.split(logits, len(seen))
            loss = self._discriminator_loss(real_logits, fake_logits)
            penalty, parts = regularization.penalty(real_logits, fake_logits, copies_logits)
            share = _share(loss + penalty)
        return tape.gradient(share, variables), {
            "discriminator_loss": loss,
            "real_logits": tf.reduce_mean(real_logits),
            "fake_logits": tf.reduce_mean(fake_logits),
            **parts,
        }

    def _of_generator(
        self, training: bool, latents: Any, labels: Any, uniforms: Any
    ) -> tuple[list[Any], dict[str, Any]]:
        variables = [variable.value for variable in self._generator.trainable_variables]
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(variables)
            fake_images = self._generator(latents, labels, training=True)
            seen = self._regularization.augmented(fake_images, uniforms, FAKE)
            loss = self._generator_loss(self._discriminator(seen, labels, training=False))
            share = _share(loss)
        return tape.gradient(share, variables), {"generator_loss": loss}

    def _of_r1(
        self, training: bool, images: Any, labels: Any, uniforms: Any
    ) -> tuple[list[Any], dict[str, Any]]:
        variables = [variable.value for variable in self._discriminator.trainable_variables]
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(variables)
            with tf.GradientTape(watch_accessed_variables=False) as images_tape:
                images_tape.watch(images)
                seen = self._regularization.augmented(images, uniforms, REAL)
                # Each image's logit depends on that image alone.
                total = tf.reduce_sum(self._discriminator(seen, labels, training=False))
            penalty = r1_penalty(images_tape.gradient(total, images))
            share = _share(self._regularization.r1_weight * penalty)
        zero = tf.UnconnectedGradients.ZERO  # for biases, which do not change image gradients
        return tape.gradient(share, variables, unconnected_gradients=zero), {}

    def _accumulated(self, update: str, batch: tuple) -> tuple[list[Any], dict[str, Any]]:
        """Gradients and logs of a batch, averaged over its parts."""
        of_part, parts = self.of_part[update], self._num_parts
        if parts == 1:
            return of_part(True, *batch)
        split = [[None] * parts if item is None else tf.split(item, parts) for item in batch]
        totals = None
        for index, part in enumerate(zip(*split, strict=True)):
            if index:
                part = _after(totals, part)
            # Only the first part updates the discriminator's singular vectors.
            results = of_part(index == 0, *part)
            totals = tf.nest.map_structure(tf.add, totals, results) if index else results
        return tf.nest.map_structure(lambda total: total / parts, totals)


def _share(loss: Any) -> Any:
    """The replica's part of the global loss, as optimizers sum gradients over replicas."""
    return loss / tf.distribute.get_strategy().num_replicas_in_sync


def _after(results: Any, inputs: Any) -> Any:
    """The inputs, available once the results are.

    Otherwise TensorFlow would compute both parts at the same time and need the memory of both.
    """
    with tf.control_dependencies(tf.nest.flatten(results)):
        return [None if item is None else tf.identity(item) for item in inputs]
