"""Batch normalisation whose scale and offset depend on the class."""

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from sagan_tf.layers.inputs import check_channels_last, check_feature_map, class_weights


@keras.saving.register_keras_serializable("sagan_tf")
class ConditionalBatchNormalization(keras.layers.Layer):
    """Normalises over batch and space, then scales and shifts by the label's row of two tables.

    The tables `gamma` and `beta` are `(num_classes, C)`, start at ones and zeros, and are not
    spectrally normalised (released SAGAN code, `ops.ConditionalBatchNorm`). Moving statistics are
    shared by all classes and updated by every `training=True` call. The variance is the mean of
    squared distances from the mean, in float32: `E[x^2] - E[x]^2` loses all digits when the mean
    is large.

    Args:
        num_classes: number of rows in each table; `None` learns one scale and one offset for all
            inputs and takes no labels.
        momentum: fraction of the moving statistics that each update keeps, in [0, 1].
        epsilon: added to the variance before its square root is taken.
        **kwargs: passed on to `keras.layers.Layer`.

    Attributes:
        replica_mean: function that averages a float32 tensor over replicas of equal batch size.
            The code that distributes the training sets it; `None` normalises each replica by
            itself.

    A frozen layer (`trainable = False`, set on the layer or on a model that contains it)
    normalises by its moving statistics and does not update them, like
    `keras.layers.BatchNormalization`.

    Inputs `(N, H, W, C)` and `labels`: integers of any type `(N,)` or `(N, 1)`, or floats
    `(N, num_classes)` that weigh the classes' rows (for a blend of classes). A label outside the
    tables gives zeros (on the PyTorch backend, a label that is too large raises an error). Output
    `(N, H, W, C)` in the compute dtype.

    Raises:
        ValueError: if `num_classes` is neither positive nor `None`; if labels are missing, have
            another shape, or are given to a layer without classes; if Keras' `image_data_format`
            is "channels_first"; or if the input does not have four axes with known channels.

    Example:

    >>> layer = ConditionalBatchNormalization(num_classes=10)
    >>> tuple(layer(keras.ops.ones((2, 4, 4, 8)), keras.ops.array([3, 9])).shape)
    (2, 4, 4, 8)
    """

    def __init__(
        self,
        num_classes: int | None,
        momentum: float = 0.996,
        epsilon: float = 1e-5,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        check_channels_last(self)
        if num_classes is not None and num_classes < 1:
            raise ValueError(
                "`num_classes` must be a positive integer, or None for no classes. "
                f"Received: num_classes={num_classes}"
            )
        self.num_classes = num_classes
        self.momentum = momentum
        self.epsilon = epsilon
        self.replica_mean: Callable[[Any], Any] | None = None

    def build(self, inputs_shape: tuple[int | None, ...], labels_shape: Any = None) -> None:
        """Creates tables and moving statistics for `(N, H, W, C)`."""
        channels = check_feature_map(self, inputs_shape)
        self.input_spec = keras.layers.InputSpec(ndim=4, axes={-1: channels})
        for name, initializer in (("gamma", "ones"), ("beta", "zeros")):
            table = self.add_weight(
                name=name, shape=(self.num_classes or 1, channels), initializer=initializer
            )
            setattr(self, name, table)
        for name, initializer in (("moving_mean", "zeros"), ("moving_variance", "ones")):
            statistic = self.add_weight(
                name=name,
                shape=(channels,),
                initializer=initializer,
                trainable=False,
                autocast=False,
                dtype="float32",
            )
            setattr(self, name, statistic)

    def call(self, inputs: Any, labels: Any = None, training: bool = False) -> Any:
        """Normalises `inputs`, by the batch's statistics if `training` and the layer trains."""
        if (labels is None) != (self.num_classes is None):
            raise ValueError(
                "`labels` must be given exactly when the layer has classes. Received: "
                f"labels={labels}, num_classes={self.num_classes}"
            )
        inputs = ops.cast(inputs, "float32")
        weights = None
        if labels is not None and self.num_classes is not None:
            weights = class_weights(labels, self.num_classes)
        if training and self.trainable:
            centred, mean, variance = self._centred(inputs)
            self._move(self.moving_mean, mean)
            self._move(self.moving_variance, variance)
        else:
            centred, variance = inputs - self.moving_mean, self.moving_variance
        scale = self._row(self.gamma, weights) * ops.rsqrt(variance + self.epsilon)
        return ops.cast(centred * scale + self._row(self.beta, weights), self.compute_dtype)

    def compute_output_shape(
        self, inputs_shape: tuple[int | None, ...], labels_shape: Any = None
    ) -> tuple[int | None, ...]:
        """The input's shape."""
        return tuple(inputs_shape)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "num_classes": self.num_classes,
            "momentum": self.momentum,
            "epsilon": self.epsilon,
        }

    def _centred(self, inputs: Any) -> tuple[Any, Any, Any]:
        """Inputs less their mean, the mean and the variance, both `(C,)`."""
        if self.replica_mean is None and keras.backend.backend() == "tensorflow":
            return centred_by_formula(inputs)
        return centred_by_operations(inputs, self.replica_mean or (lambda mean: mean))

    def _move(self, statistic: Any, value: Any) -> None:
        statistic.assign(value + (statistic - value) * self.momentum)

    def _row(self, table: Any, weights: Any) -> Any:
        """A table's rows, summed with the classes' weights: float32 `(N, 1, 1, C)`."""
        rows = ops.cast(table, "float32")
        if weights is not None:
            rows = ops.matmul(weights, rows)
        return ops.reshape(rows, (-1, 1, 1, rows.shape[-1]))


def centred_by_operations(inputs: Any, replica_mean: Callable[[Any], Any]) -> tuple[Any, Any, Any]:
    """Inputs less their mean over batch, space and replicas; the mean and the variance, `(C,)`."""
    mean = replica_mean(_mean(inputs))
    centred = inputs - mean
    return centred, mean, replica_mean(_mean(ops.square(centred)))


# TensorFlow derives a gradient that reads and writes maps about twice as often.
@ops.custom_gradient
def centred_by_formula(inputs: Any) -> tuple[tuple[Any, Any, Any], Callable]:
    """`centred_by_operations` of one replica, on the TensorFlow backend."""
    centred, mean, variance = centred_by_operations(inputs, lambda mean: mean)

    def gradient(of_centred: Any, of_mean: Any, of_variance: Any) -> Any:
        count = ops.cast(ops.prod(ops.shape(inputs)[:3]), inputs.dtype)
        shift = of_mean / count - _mean(of_centred)
        return of_centred + centred * (of_variance * (2 / count)) + shift

    return (centred, mean, variance), gradient


def _mean(maps: Any) -> Any:
    # Over space first, which TensorFlow computes in half the time of a mean over three axes.
    return ops.mean(ops.mean(maps, axis=(1, 2)), axis=0)
