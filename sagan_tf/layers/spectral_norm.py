"""Layers whose weight matrix is divided by its largest singular value."""

from typing import Any

import keras
from keras import ops

from sagan_tf.layers.inputs import check_feature_map


class SpectralNormalization(keras.layers.Layer):
    """Mixin: divides a layer's weight `W` by `sigma(W)`, its largest singular value.

    The stored weight keeps its value: `W / sigma(W)` is a function of it, and the gradient flows
    through `sigma` with the singular vectors held constant (SNGAN, arXiv 1802.05957, section 2.1
    and appendix A; SAGAN, arXiv 1805.08318, section 4). Dividing the layer's output instead would
    be as exact, but would keep a copy of every activation for the gradient.

    `sigma = v W u = |v W|` comes from power iteration on `W` reshaped to a matrix
    `(rows, columns)`: `v = normalized(W u)`, then `u = normalized(v W)`. The vectors are updated
    only with `training=True`, `power_iterations` times per call. With `training=False` nothing is
    written, and unchanged weights give exactly the `sigma` of the last training call. Weights and
    iteration stay float32 under every dtype policy, float64 included.

    A frozen layer (`trainable = False`, set on the layer or on a model that contains it) behaves
    as with `training=False`, whatever the call says, like a frozen
    `keras.layers.BatchNormalization`. As with that layer, a model that was compiled before
    `trainable` changed must be compiled again.

    Integer inputs, such as uint8 images, are cast to the compute dtype and not rescaled.

    With `spectral_normalization=False` the layer uses its weight unchanged, for comparisons.

    Attributes:
        vector_u: `(1, columns)` float32, the estimate of the right singular vector.
        vector_v: `(rows, 1)` float32, the estimate of the left singular vector.
    """

    def __init__(
        self,
        *args: Any,
        power_iterations: int = 1,
        epsilon: float = 1e-12,
        spectral_normalization: bool = True,
        **kwargs: Any,
    ) -> None:
        # Set before the rest, because an embedding that is given weights is built at once.
        self.spectral_normalization = spectral_normalization
        super().__init__(*args, **kwargs)
        if not isinstance(power_iterations, int) or power_iterations < 1:
            raise ValueError(
                "`power_iterations` must be a positive integer. "
                f"Received: power_iterations={power_iterations}"
            )
        if self.lora_rank is not None:
            raise ValueError(
                "`lora_rank` must be None: low-rank updates are not supported with spectral "
                f"normalisation. Received: lora_rank={self.lora_rank}"
            )
        self.power_iterations = power_iterations
        self.epsilon = epsilon

    def add_weight(self, *args: Any, **kwargs: Any) -> keras.Variable:
        """Creates a float32 weight that mixed precision does not cast automatically."""
        return super().add_weight(*args, **{**kwargs, "autocast": False, "dtype": "float32"})

    def build(self, input_shape: Any) -> None:
        """Creates the weight and its singular vectors."""
        super().build(input_shape)
        if not self.spectral_normalization:
            return
        rows, columns = self.weight_matrix().shape
        self.vector_u = self.add_weight(
            name="vector_u", shape=(1, columns), initializer="random_normal", trainable=False
        )
        # Any unit vector will do, as the first training call overwrites it.
        self.vector_v = self.add_weight(
            name="vector_v",
            shape=(rows, 1),
            initializer=keras.initializers.Constant(rows**-0.5),
            trainable=False,
        )

    def weight_matrix(self) -> Any:
        """The kernel as a matrix `(kernel height * kernel width * channels in, channels out)`."""
        return ops.reshape(self.kernel, (-1, self.kernel.shape[-1]))

    def singular_value(self, training: bool = False) -> Any:
        """The estimate of `sigma(W)`, a float32 scalar, differentiable with respect to `W`.

        The singular vectors are updated if `training`, unless the layer is frozen. Without
        spectral normalisation the value is 1, so that dividing by it changes nothing.
        """
        if not self.spectral_normalization:
            return ops.ones((), "float32")
        matrix = self.weight_matrix()
        if not (training and self.trainable):
            # A copy: PyTorch assigns in place, and this call's gradient may need the vector later.
            return _norm(ops.matmul(ops.transpose(ops.copy(self.vector_v)), matrix))
        vector_u = self.vector_u
        for _ in range(self.power_iterations):
            product = ops.matmul(matrix, ops.transpose(vector_u))
            vector_v = ops.stop_gradient(product / (_norm(product) + self.epsilon))
            projection = ops.matmul(ops.transpose(vector_v), matrix)
            sigma = _norm(projection)
            vector_u = projection / (sigma + self.epsilon)
        self.vector_u.assign(vector_u)
        self.vector_v.assign(vector_v)
        return sigma

    def normalized(self, weight: Any, training: bool = False) -> Any:
        """`weight` divided by `sigma(W)`, in the compute dtype."""
        # The gradient of a quotient would read and write the weight three more times.
        return ops.cast(weight * (1 / self.singular_value(training)), self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "power_iterations": self.power_iterations,
            "epsilon": self.epsilon,
            "spectral_normalization": self.spectral_normalization,
        }

    # Keras' layers save a fixed list of their own variables, which lacks the singular vectors.
    def save_own_variables(self, store: Any) -> None:
        """Writes every variable, the singular vectors included."""
        keras.layers.Layer.save_own_variables(self, store)

    def load_own_variables(self, store: Any) -> None:
        """Reads every variable, the singular vectors included."""
        keras.layers.Layer.load_own_variables(self, store)

    def _add_bias_and_activate(self, outputs: Any) -> Any:
        if self.use_bias:
            outputs = outputs + ops.cast(self.bias, self.compute_dtype)
        return outputs if self.activation is None else self.activation(outputs)


@keras.saving.register_keras_serializable("sagan_tf")
class SpectralConv2D(SpectralNormalization, keras.layers.Conv2D):
    """A `keras.layers.Conv2D` with spectral normalisation.

    Args:
        *args: passed on to `keras.layers.Conv2D`; `data_format` must be `"channels_last"`.
        power_iterations: power iterations per call with `training=True`.
        epsilon: added to a vector's norm before dividing by it.
        spectral_normalization: whether to normalise the kernel.
        **kwargs: passed on to `keras.layers.Conv2D`.

    Input `(N, H, W, C)`, output `(N, H', W', filters)`, both in the policy's compute dtype.

    Raises:
        ValueError: if `power_iterations` is not a positive integer, `lora_rank` is given, or
            `data_format` is not `"channels_last"`, which is Keras' default unless keras.json or
            `keras.config.set_image_data_format` say otherwise; at build, if the input does not
            have four axes.

    Example:

    >>> layer = SpectralConv2D(8, 3, padding="same")
    >>> tuple(layer(keras.ops.ones((2, 16, 16, 3)), training=True).shape)
    (2, 16, 16, 8)

    Reference: SNGAN, arXiv 1802.05957; as used in SAGAN, arXiv 1805.08318, section 4.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.data_format != "channels_last":
            raise ValueError(
                "`data_format` must be 'channels_last'; transpose the input with "
                "`keras.layers.Permute`. Without the argument it is Keras' `image_data_format`, "
                "from keras.json (in ~/.keras or $KERAS_HOME) or "
                "`keras.config.set_image_data_format`. "
                f"Received: data_format={self.data_format!r}"
            )

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Creates the kernel for `(N, H, W, C)`."""
        check_feature_map(self, input_shape)
        super().build(input_shape)

    def call(self, inputs: Any, training: bool = False) -> Any:
        """Convolves `inputs`; the singular vectors are updated if `training`."""
        inputs = ops.cast(inputs, self.compute_dtype)
        outputs = self.convolution_op(inputs, self.normalized(self.kernel, training))
        return self._add_bias_and_activate(outputs)


@keras.saving.register_keras_serializable("sagan_tf")
class SpectralDense(SpectralNormalization, keras.layers.Dense):
    """A `keras.layers.Dense` with spectral normalisation.

    Args:
        *args: passed on to `keras.layers.Dense`.
        power_iterations: power iterations per call with `training=True`.
        epsilon: added to a vector's norm before dividing by it.
        spectral_normalization: whether to normalise the kernel.
        **kwargs: passed on to `keras.layers.Dense`.

    Input `(..., C)`, output `(..., units)`, both in the policy's compute dtype.

    Raises:
        ValueError: if `power_iterations` is not a positive integer or `lora_rank` is given.

    Example:

    >>> layer = SpectralDense(5)
    >>> tuple(layer(keras.ops.ones((2, 7)), training=True).shape)
    (2, 5)

    Reference: SNGAN, arXiv 1802.05957; as used in SAGAN, arXiv 1805.08318, section 4.
    """

    def call(self, inputs: Any, training: bool = False) -> Any:
        """Multiplies `inputs` by the kernel; the singular vectors are updated if `training`."""
        inputs = ops.cast(inputs, self.compute_dtype)
        outputs = ops.matmul(inputs, self.normalized(self.kernel, training))
        return self._add_bias_and_activate(outputs)


@keras.saving.register_keras_serializable("sagan_tf")
class SpectralEmbedding(SpectralNormalization, keras.layers.Embedding):
    """A `keras.layers.Embedding` whose whole table is spectrally normalised.

    The normalised matrix is the table transposed, `(output_dim, input_dim)`, with `vector_u` on
    the class side, as in the released SAGAN code (`ops.py`, `sn_embedding`). Rows are looked up
    by a product with one-hot labels, which gives dense gradients: XLA and collectives can handle
    them, and they are always summed in the same order. A label outside the table gives zeros (on
    the PyTorch backend, a label that is too large raises an error).

    Args:
        *args: passed on to `keras.layers.Embedding`.
        power_iterations: power iterations per call with `training=True`.
        epsilon: added to a vector's norm before dividing by it.
        spectral_normalization: whether to normalise the table.
        **kwargs: passed on to `keras.layers.Embedding`.

    Input integers `(...)` of any type, output `(..., output_dim)` in the policy's compute dtype.

    Raises:
        ValueError: if `power_iterations` is not a positive integer or `lora_rank` is given.

    Example:

    >>> layer = SpectralEmbedding(input_dim=10, output_dim=4)
    >>> tuple(layer(keras.ops.array([3, 9]), training=True).shape)
    (2, 4)
    """

    def build(self, input_shape: Any = None) -> None:
        """Creates the table; its shape does not depend on the input's."""
        super().build(input_shape)

    def call(self, inputs: Any, training: bool = False) -> Any:
        """Looks up the rows of `inputs`; the singular vectors are updated if `training`."""
        labels = ops.cast(inputs, "int32")
        one_hot = ops.one_hot(labels, self.input_dim, dtype=self.compute_dtype)
        return ops.matmul(one_hot, self.normalized(self.embeddings, training))

    def compute_output_spec(self, inputs: Any, training: bool = False) -> keras.KerasTensor:
        """`(..., output_dim)` in the compute dtype."""
        return keras.KerasTensor((*inputs.shape, self.output_dim), dtype=self.compute_dtype)

    def set_weights(self, weights: list[Any]) -> None:
        """Sets every weight, or the table alone, as Keras' constructor does."""
        if len(weights) == 1:
            weights = [*weights, *self.non_trainable_variables]
        super().set_weights(weights)

    def weight_matrix(self) -> Any:
        """The table transposed, `(output_dim, input_dim)`."""
        return ops.transpose(self.embeddings)


def _norm(vector: Any) -> Any:
    return ops.sqrt(ops.sum(ops.square(vector)))
