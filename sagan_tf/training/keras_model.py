"""The parts of `SAGAN` that Keras requires: saving, loading, and checks of arguments."""

import inspect
import math
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from sagan_tf.training import batch_checks
from sagan_tf.training.regularization import Regularization

# The parts that are saved as Keras objects.
_PARTS = ("generator", "discriminator", "regularization")
_COMPILED = ("generator_optimizer", "discriminator_optimizer", "generator_loss",
             "discriminator_loss", "xla", "sync_batch_norm")  # fmt: skip

_NOT_CALLED = (
    "`SAGAN` itself cannot be called, used with `predict` or exported: `sampling_generator()` "
    "returns the generator, which is called with latents and labels, and can be exported."
)


# Callbacks that need `model.optimizer`, which `SAGAN` does not have.
_OF_ONE_OPTIMIZER = (keras.callbacks.ReduceLROnPlateau, keras.callbacks.LearningRateScheduler)


class _FiniteLosses(keras.callbacks.Callback):
    """Ends `fit` after an epoch that broke the weights, before a checkpoint is written."""

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Raises `ValueError` if a scalar of the epoch's last step is not finite."""
        values = {name: float(value) for name, value in (logs or {}).items()}
        broken = {name: value for name, value in values.items() if not math.isfinite(value)}
        if broken:
            raise ValueError(
                f"Training broke in epoch {epoch + 1}, and so did the weights: {broken}. Look for "
                "NaN or infinity among the images, or lower the learning rates; begin again with "
                "new or saved weights. `keras.callbacks.TerminateOnNaN` ends at the first such "
                "batch."
            )


def _with_finite_check(callbacks: Any) -> Any:
    """The callbacks given to `fit`, after a check, so that none of them saves a broken model."""
    if isinstance(callbacks, keras.callbacks.CallbackList):
        return callbacks
    if callbacks is None or isinstance(callbacks, keras.callbacks.Callback):
        callbacks = [] if callbacks is None else [callbacks]
    for callback in callbacks:
        if isinstance(callback, _OF_ONE_OPTIMIZER):
            raise ValueError(
                f"`callbacks` cannot hold {type(callback).__name__}, which changes the learning "
                "rate of one optimizer, and `SAGAN` has two. Give each a schedule of "
                "`keras.optimizers.schedules` instead."
            )
    return [_FiniteLosses(), *callbacks]


class TwoNetworks(keras.Model):
    """Base class of `trainer.SAGAN`, which sets the attributes used here.

    A `.keras` file holds the networks, the averaged generator, both optimizers with their state and
    the training step's counters, so that a loaded model continues as the saved one would have.
    """

    # Names of the constructor's other arguments.
    settings: tuple[str, ...] = ()

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments, with networks as nested configs."""
        weights = self.label_weights
        return {
            **keras.layers.Layer.get_config(self),
            **{name: keras.saving.serialize_keras_object(getattr(self, name)) for name in _PARTS},
            **{name: getattr(self, name) for name in self.settings},
            "label_weights": None if weights is None else [float(weight) for weight in weights],
        }

    @classmethod
    def from_config(
        cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None
    ) -> "TwoNetworks":
        """The model described by a config of `get_config`, with new weights."""
        parts = {
            name: keras.saving.deserialize_keras_object(config[name], custom_objects)
            for name in _PARTS
        }
        return cls(**{**config, **parts})

    def get_compile_config(self) -> dict[str, Any]:
        """The arguments of `compile`; empty before it is called."""
        if not self.compiled:
            return {}
        return {
            name: keras.saving.serialize_keras_object(getattr(self, name)) for name in _COMPILED
        }

    def compile_from_config(self, config: dict[str, Any]) -> None:
        """Compiles the model with the arguments of a config of `get_compile_config`."""
        self.compile(**keras.saving.deserialize_keras_object(config))

    def fit(self, *args: Any, **kwargs: Any) -> Any:
        """Trains as `keras.Model.fit` does; the class describes the images and labels it takes.

        Arrays are checked before the first step, data sets batch by batch.

        Raises:
            ValueError: for validation data, because a GAN has no validation loss; for images,
                labels or a batch size that do not fit; and after an epoch whose losses are not
                finite.
        """
        given = inspect.signature(keras.Model.fit).bind(self, *args, **kwargs).arguments
        wanted = {
            "validation_data": given.get("validation_data") is not None,
            "validation_split": bool(given.get("validation_split")),
        }
        for name in wanted:
            if wanted[name]:
                raise ValueError(
                    f"`{name}` cannot be given: a GAN's losses on other images say nothing about "
                    "its samples. Leave it out, and score samples with "
                    "`python -m sagan_tf.evaluate`, or in a callback from `sampling_generator()`."
                )
        if isinstance(given.get("y"), list):
            given["y"] = np.asarray(given["y"])
        images = given.get("x")
        classes = self.generator.num_classes
        if isinstance(images, tf.data.Dataset):
            batch_checks.check_data_set(images.element_spec, self.image_shape, classes)
        else:
            batch_checks.check_arrays(images, given.get("y"), self.image_shape, classes)
        self._check_batch_size(images, given.get("batch_size"))
        given["callbacks"] = _with_finite_check(given.get("callbacks"))
        given.pop("self")
        with batch_checks.readable():
            return super().fit(**given)

    def train_on_batch(self, *args: Any, **kwargs: Any) -> Any:
        """Trains on one batch, as `keras.Model.train_on_batch` does.

        Raises:
            ValueError: for images and labels that do not fit, like `fit`.
        """
        with batch_checks.readable():
            return super().train_on_batch(*args, **kwargs)

    def save(self, filepath: Any, *args: Any, **kwargs: Any) -> None:
        """Saves a `.keras` file as `keras.Model.save` does.

        Raises:
            ValueError: for an HDF5 file, which cannot hold two optimizers.
        """
        if str(filepath).endswith((".h5", ".hdf5")):
            raise ValueError(
                "`filepath` must end in .keras, as HDF5 files of whole models cannot hold two "
                "optimizers; `save_weights` takes .weights.h5. "
                f"Received: filepath={filepath}"
            )
        super().save(filepath, *args, **kwargs)

    def call(self, inputs: Any) -> Any:
        """Raises `ValueError`: call the networks instead."""
        raise ValueError(_NOT_CALLED)

    def predict_step(self, data: Any) -> Any:
        """Raises `ValueError`, as `call` does."""
        raise ValueError(_NOT_CALLED)

    def export(self, *args: Any, **kwargs: Any) -> None:
        """Raises `ValueError`, as `call` does."""
        raise ValueError(_NOT_CALLED)

    def test_step(self, data: Any) -> Any:
        """Raises `ValueError`: a GAN's losses on other images have no meaning."""
        raise ValueError(
            "`SAGAN.evaluate` does not exist: a GAN's losses on other images say nothing about "
            "its samples. Score those with `python -m sagan_tf.evaluate`."
        )

    @property
    def image_shape(self) -> tuple[int | None, ...]:
        """`(H, W, C)` of the discriminator's images; `None` for a size that it does not define."""
        size = getattr(self.discriminator, "image_size", None)
        return size, size, getattr(self.discriminator, "channels", None)

    def _check_batch_size(self, images: Any, batch_size: int | None) -> None:
        """Raises `ValueError` if the arrays' last batch would be too small for one step."""
        least = self.d_steps * self.gradient_accumulation
        count = getattr(images, "shape", (None,))[0]
        if count is None or least == 1:
            return
        last = count % (batch_size or 32) or min(count, batch_size or 32)
        if last < least:
            raise ValueError(
                f"`batch_size` must leave at least d_steps * gradient_accumulation = {least} "
                f"images for the last batch; leave out {last} of the {count} images. "
                f"Received: batch_size={batch_size or 32}"
            )


def check_backend() -> None:
    """Raises `ValueError` unless Keras runs on the TensorFlow backend."""
    if keras.backend.backend() != "tensorflow":
        raise ValueError(
            "`SAGAN` needs the TensorFlow backend of Keras: set KERAS_BACKEND=tensorflow, or "
            '"backend": "tensorflow" in keras.json, before Keras is imported. `layers`, `models` '
            f"and `losses` run on every backend. Received: backend={keras.backend.backend()!r}"
        )


def check_networks(
    generator: keras.Model, discriminator: keras.Model, regularization: Regularization | None
) -> None:
    """Raises `ValueError` for networks that do not fit together, or cannot be trained."""
    chunk_size = getattr(discriminator, "query_chunk_size", None)
    if regularization and regularization.r1_weight and chunk_size is not None:
        raise ValueError(
            "`discriminator` must not attend in chunks under the R1 penalty, which needs second "
            f"derivatives. Received: query_chunk_size={chunk_size} and "
            f"r1_weight={regularization.r1_weight:g}"
        )
    for network in (generator, discriminator):
        if getattr(network, "compute_dtype", None) == "float16":
            raise ValueError(
                "`generator` and `discriminator` must not compute in float16: their gradients "
                "would underflow, as `SAGAN` scales no losses. Take dtype='mixed_bfloat16'. "
                f"Received: {network.name} of {network.dtype_policy.name}"
            )
    for name in ("num_classes", "image_size", "channels"):
        pair = getattr(generator, name, None), getattr(discriminator, name, None)
        if pair[0] != pair[1] and hasattr(generator, name) and hasattr(discriminator, name):
            raise ValueError(
                f"`generator` and `discriminator` must have the same `{name}`. "
                f"Received: {pair[0]} and {pair[1]}"
            )


def checked_optimizers(
    generator_optimizer: Any, discriminator_optimizer: Any, unknown: Mapping[str, Any]
) -> tuple[keras.optimizers.Optimizer, keras.optimizers.Optimizer]:
    """The two optimizers given to `SAGAN.compile`.

    Raises:
        ValueError: if an optimizer is missing, given twice or not supported, or for unknown
            arguments.
    """
    if unknown or generator_optimizer is None or discriminator_optimizer is None:
        raise ValueError(
            "`compile` takes two optimizers, as in `compile(keras.optimizers.Adam(1e-4, "
            "beta_1=0.0), keras.optimizers.Adam(4e-4, beta_1=0.0))`; losses are "
            "`generator_loss` and `discriminator_loss`, and `xla=True` compiles. "
            f"Received: {', '.join(unknown) or 'too few optimizers'}"
        )
    by_name = isinstance(generator_optimizer, str)
    if generator_optimizer is discriminator_optimizer and not by_name:
        raise ValueError(
            "`generator_optimizer` and `discriminator_optimizer` must be two objects, as each "
            "keeps the state for its own network. Received the same one twice."
        )
    return (
        _checked_optimizer("generator_optimizer", generator_optimizer),
        _checked_optimizer("discriminator_optimizer", discriminator_optimizer),
    )


def _checked_optimizer(name: str, optimizer: Any) -> keras.optimizers.Optimizer:
    """The optimizer, given as an object or by its name.

    Raises:
        ValueError: if it scales losses, averages weights or accumulates gradients itself.
    """
    optimizer = keras.optimizers.get(optimizer)
    scales = isinstance(optimizer, keras.optimizers.LossScaleOptimizer)
    if scales or optimizer.loss_scale_factor:
        raise ValueError(
            f"`{name}` must not scale losses: `SAGAN` does not scale them, so gradients would be "
            "too small. Use the dtype policy mixed_bfloat16, which needs no scaling. Received: "
            f"{type(optimizer).__name__}, loss_scale_factor={optimizer.loss_scale_factor}"
        )
    if optimizer.use_ema:
        raise ValueError(
            f"`{name}` must not keep an average of weights, as nothing would read it; "
            "`SAGAN(..., ema_decay=0.999)` keeps one in `ema_generator`. "
            "Received: use_ema=True"
        )
    if optimizer.gradient_accumulation_steps:
        raise ValueError(
            f"`{name}` must not accumulate gradients over steps, which would share their noise; "
            "`SAGAN(..., gradient_accumulation=N)` splits each batch. Received: "
            f"gradient_accumulation_steps={optimizer.gradient_accumulation_steps}"
        )
    return optimizer
