"""The training step: discriminator updates, a generator update, the moving average."""

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from sagan_tf.losses import discriminator_hinge_loss, generator_hinge_loss
from sagan_tf.training import batch_checks
from sagan_tf.training.batch_checks import checked_images, checked_labels, unpacked
from sagan_tf.training.counts import Counts
from sagan_tf.training.gradients import Gradients
from sagan_tf.training.keras_model import (
    TwoNetworks,
    check_backend,
    check_networks,
    checked_optimizers,
)
from sagan_tf.training.moving_average import MovingAverage, batch_norms
from sagan_tf.training.noise import Noise
from sagan_tf.training.regularization import Regularization
from sagan_tf.training.replica_means import average_moving_statistics, replica_mean

# Scalars that every training step reports; `SAGAN.scalars` has all of a model.
SCALARS = ("discriminator_loss", "generator_loss", "real_logits", "fake_logits")


@keras.saving.register_keras_serializable("sagan_tf")
class SAGAN(TwoNetworks):
    """A generator and a discriminator that train each other.

    One training step consists of `d_steps` discriminator updates, each on a batch of its own, and
    one generator update (SAGAN, arXiv 1805.08318, section 5). Latents and labels are drawn without
    state from (`seed`, `rollbacks`, step, update, index in the global batch), so that a resumed
    run and a run on more replicas see the same noise. As in the released code, the generator is
    called with `training=True` in both networks' updates, the discriminator only in its own.

    Args:
        generator: called as `generator(latents, labels, training=...)`.
        discriminator: called as `discriminator(images, labels, training=...)`.
        d_steps: discriminator updates per step.
        gradient_accumulation: number of parts that each update's batch is split into, to save
            memory. The parts' gradients are averaged. Each part has its own batch statistics, and
            updates the generator's moving statistics and singular vectors.
        ema_decay: decay per step of a moving average of the generator's weights; 0 keeps none.
        ema_start_step: before this step the average is a copy (BigGAN-PyTorch, `utils.ema`).
        ema_half_life: instead of a decay, images after which a weight counts half in the average
            (StyleGAN2-ADA, arXiv 2006.06676, `training_loop.py`); 0 to use `ema_decay`.
        ema_ramp: limit of the half-life, as a fraction of the images seen so far; 0 for none.
        regularization: regularization of the discriminator; `None` for none, as published.
        label_weights: relative frequency of each class among generated images, `(num_classes,)`;
            `None` for equal frequencies.
        seed: seed of the noise.

    Attributes:
        ema_generator: the averaged generator, or `None`.
        rollbacks: int64 variable that counts how often training broke and went back to a
            checkpoint. It changes the noise, which would otherwise break training again.
        scalars: names of the scalars that `train_step` returns.

    After `compile` with two optimizers, `fit` trains it on one device or under
    `tf.distribute.MirroredStrategy` (without `jit_compile` and `steps_per_execution`; use `xla` of
    `compile` instead). Data are pairs of images `(d_steps * N, H, W, C)`, floats in [-1, 1], and
    labels `(d_steps * N,)` or `(d_steps * N, 1)`, whole numbers of any type in [0, num_classes).
    Images that do not fill an update are left out. Networks without classes take images alone.
    `batch_checks` describes how and when images and labels are checked.

    Callbacks that change the learning rate of a single `optimizer` are refused. An epoch that ends
    with a loss that is not finite ends `fit`, before another callback saves the model.

    `save` and `keras.callbacks.ModelCheckpoint` write `.keras` files (whole models, or weights
    alone; a loss as `monitor` needs `mode="min"`). After `keras.saving.load_model`, training
    continues as it would have, bit by bit on a CPU. Networks from outside this package must be
    registered with Keras and have `num_classes`, and the generator also `latent_dim`. A file keeps
    whole networks that were frozen and `discriminator.freeze`, but not single layers that were
    frozen by hand. The class runs on the TensorFlow backend only.

    Raises:
        ValueError: for an argument that is out of its range, networks that do not fit together,
            or another backend.

    Example:

    >>> from sagan_tf.models import Discriminator, Generator
    >>> sagan = SAGAN(
    ...     Generator(16, 10, base_filters=8, channels=1),
    ...     Discriminator(16, 10, base_filters=8, channels=1),
    ... )
    >>> sagan.compile(
    ...     keras.optimizers.Adam(1e-4, beta_1=0.0), keras.optimizers.Adam(4e-4, beta_1=0.0)
    ... )
    >>> images, labels = keras.ops.zeros((8, 16, 16, 1)), keras.ops.zeros((8,), "int32")
    >>> history = sagan.fit(images, labels, batch_size=4, verbose=0)
    """

    settings = ("d_steps", "gradient_accumulation", "ema_decay", "ema_start_step",
                "ema_half_life", "ema_ramp", "seed")  # fmt: skip

    def __init__(
        self,
        generator: keras.Model,
        discriminator: keras.Model,
        d_steps: int = 1,
        gradient_accumulation: int = 1,
        ema_decay: float = 0.0,
        ema_start_step: int = 0,
        ema_half_life: int = 0,
        ema_ramp: float = 0.05,
        regularization: Regularization | None = None,
        label_weights: Sequence[float] | np.ndarray | None = None,
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        check_backend()
        check_networks(generator, discriminator, regularization)
        for name in ("d_steps", "gradient_accumulation"):
            if locals()[name] < 1:
                raise ValueError(
                    f"`{name}` must be a positive integer. Received: {name}={locals()[name]}"
                )
        self.generator = generator
        self.discriminator = discriminator
        self.d_steps = d_steps
        self.gradient_accumulation = gradient_accumulation
        self.ema_decay = ema_decay
        self.ema_start_step = ema_start_step
        self.ema_half_life = ema_half_life
        self.ema_ramp = ema_ramp
        self.regularization = regularization or Regularization()
        self.label_weights = label_weights
        self.seed = seed
        for network in (generator, discriminator):
            if not network.built:
                network.build()
        self._average = None
        if ema_decay or ema_half_life:
            self._average = MovingAverage(
                generator, ema_decay, ema_start_step, ema_half_life, ema_ramp
            )
        self.ema_generator = self._average.network if self._average else None
        self.rollbacks = keras.Variable(0, dtype="int64", trainable=False, name="rollbacks")
        self.noise = Noise(
            seed,
            self.rollbacks,
            generator.latent_dim,
            generator.num_classes,
            label_weights,
            self.regularization.num_uniforms,
        )
        self.built = True

    def compile(
        self,
        generator_optimizer: keras.optimizers.Optimizer | str | None = None,
        discriminator_optimizer: keras.optimizers.Optimizer | str | None = None,
        generator_loss: Callable = generator_hinge_loss,
        discriminator_loss: Callable = discriminator_hinge_loss,
        xla: bool = False,
        sync_batch_norm: bool = False,
        **unknown: Any,
    ) -> None:
        """Sets optimizers, losses and how to compute updates; call it under the strategy's scope.

        Args:
            generator_optimizer: optimizer of the generator, an object or a name that Keras knows.
            discriminator_optimizer: optimizer of the discriminator, likewise.
            generator_loss: `fake_logits (N, 1) -> scalar`, a mean over the batch.
            discriminator_loss: `(real_logits, fake_logits) -> scalar`, a mean over the batch.
            xla: whether to compile forward passes and gradients with XLA. The optimizers' updates
                are not compiled with it.
            sync_batch_norm: whether to compute batch statistics over all replicas; the published
                code does not.
            **unknown: other arguments of `keras.Model.compile`, which are refused.

        Raises:
            ValueError: without two optimizers, or for other arguments; for `xla` together with
                `sync_batch_norm` on several replicas, whose communication XLA cannot compile; if
                an optimizer is given twice, or has `use_ema`, `gradient_accumulation_steps` or a
                loss scale.
        """
        optimizers = checked_optimizers(generator_optimizer, discriminator_optimizer, unknown)
        replicas = tf.distribute.get_strategy().num_replicas_in_sync
        if xla and sync_batch_norm and replicas > 1:
            raise ValueError(
                "`xla` cannot be combined with `sync_batch_norm` on several replicas: turn one "
                f"off. Received: xla=True, sync_batch_norm=True, replicas={replicas}"
            )
        # Without None, Keras would create an optimizer of its own.
        super().compile(optimizer=None, jit_compile=False)
        self.generator_optimizer, self.discriminator_optimizer = optimizers
        self.generator_loss = generator_loss
        self.discriminator_loss = discriminator_loss
        self.xla = xla
        self.sync_batch_norm = sync_batch_norm
        self.generator_optimizer.build(self.generator.trainable_variables)
        self.discriminator_optimizer.build(self.discriminator.trainable_variables)
        for layer in batch_norms(self.generator):
            layer.replica_mean = replica_mean if sync_batch_norm and replicas > 1 else None
        self.gradients = Gradients(
            self.generator,
            self.discriminator,
            generator_loss,
            discriminator_loss,
            self.regularization,
            self.gradient_accumulation,
            xla,
        )

    @property
    def scalars(self) -> tuple[str, ...]:
        """Names of the scalars that `train_step` returns."""
        return SCALARS + self.regularization.scalars

    @property
    def counts(self) -> Counts:
        """How far training is, read from the variables that count it."""
        optimizers = self.generator_optimizer, self.discriminator_optimizer
        return Counts.read(*(each.iterations for each in optimizers), self.rollbacks)

    @tf.autograph.experimental.do_not_convert
    def train_step(self, data: tuple[Any, Any]) -> dict[str, Any]:
        """Checks a replica's share of the data and runs one step on it.

        Returns:
            Scalars of the last updates, means over this replica's examples: `generator_loss`,
            `discriminator_loss`, `real_logits` and `fake_logits` (both of the discriminator's
            update), and the scalars that the regularization reports.

        Raises:
            ValueError: for images or labels of another type or shape, out of range, or too few
                for a step; see `batch_checks.asserted`.
        """
        images, labels = unpacked(data)
        images = checked_images(images, self.image_shape)
        num_classes = self.generator.num_classes
        labels = None if num_classes is None else checked_labels(labels, num_classes)
        return self.run_step(images, labels, self.counts)

    # The loops of this method are Python loops, and converting them would take seconds.
    @tf.autograph.experimental.do_not_convert
    def run_step(self, images: Any, labels: Any, counts: Counts) -> dict[str, Any]:
        """Runs one step on images and labels that have been checked; otherwise as `train_step`.

        On a GPU it copies nothing back to the host, which can then prepare the next step.

        Args:
            images: float32 `(d_steps * N, H, W, C)` in [-1, 1].
            labels: int64 `(d_steps * N,)`; not used by networks without classes.
            counts: how far training is.
        """
        labels = None if self.generator.num_classes is None else labels
        batch_size = self._update_size(images)
        _, past_updates, rollbacks = counts
        step = counts.step_of_noise()
        logs: dict[str, Any] = {}
        for update in range(self.d_steps):
            rows = slice(update * batch_size, (update + 1) * batch_size)
            real = images[rows], None if labels is None else labels[rows]
            noise = self.noise.of_replica(step, update, batch_size, rollbacks)
            gradients, logs = self.gradients.of_discriminator(past_updates + update, *real, *noise)
            self.discriminator_optimizer.apply(gradients, self.discriminator.trainable_variables)
            logs = self._follow_discriminator(logs, batch_size)
        noise = self.noise.of_replica(step, self.d_steps, batch_size, rollbacks)
        gradients, generator_logs = self.gradients.of_generator(*noise)
        self.generator_optimizer.apply(gradients, self.generator.trainable_variables)
        average_moving_statistics(self.generator)
        if self._average is not None:
            self._average.update(counts.step + 1, batch_size)
        return {**logs, **generator_logs}

    def sampling_generator(self) -> keras.Model:
        """The generator to sample from: the averaged one, if any, with statistics of its own."""
        if self._average is None:
            return self.generator
        self._average.compute_statistics(self.noise)
        return self.ema_generator

    def _follow_discriminator(self, logs: dict[str, Any], batch_size: Any) -> dict[str, Any]:
        """Updates the regularization's state after an update of the discriminator."""
        if self.regularization.variables:
            context = tf.distribute.get_replica_context()
            if context.num_replicas_in_sync > 1:
                logs = replica_mean(logs)
            updates = self.discriminator_optimizer.iterations
            images = batch_size * context.num_replicas_in_sync
            logs = self.regularization.update(logs, updates, images)
        return logs

    def _update_size(self, images: Any) -> Any:
        """Number of images per discriminator update: a multiple of `gradient_accumulation`."""
        least = self.d_steps * self.gradient_accumulation
        size = tf.shape(images)[0] // least * self.gradient_accumulation
        message = (
            "`images` must be at least d_steps * gradient_accumulation = "
            f"{least} in every batch, including the last one. Received: "
        )
        return batch_checks.asserted(size, size > 0, message, tf.shape(images)[0])
