"""3x3 convolutions merged with the upsampling before them or the mean pooling after them.

Nearest-neighbour x2 upsampling followed by a 3x3 convolution equals a 4x4 transposed convolution
of stride 2, and a 3x3 convolution followed by 2x2 mean pooling equals a 4x4 convolution of stride
2. The merged form computes the same function of the same 3x3 kernel with 16 instead of 36
multiply-accumulates per position of the smaller map, in both cases.
"""

from typing import Any

import keras
import numpy as np
from keras import ops

from sagan_tf.layers.spectral_norm import SpectralConv2D

# Along one axis: which of the three taps are summed into each of the four taps of the merged
# kernel. A pooled output sees the inputs -1..2 through two shifted copies of the kernel; an
# upsampled input reaches the outputs -1..2 with the same sums in the opposite order.
_POOLED = np.array([[1, 0, 0], [1, 1, 0], [0, 1, 1], [0, 0, 1]], "float32")
_UPSAMPLED = _POOLED[::-1]

# A merged kernel has 16/9 times as many weights to read and write. On a map smaller than this many
# cells, that costs more than the saved multiplications ...
SMALLEST_MERGED_SIZE = 8
# ... unless the kernel has at most this many (input channel, output channel) pairs.
SMALL_KERNEL_PAIRS = 512 * 512

# The merged forms are exact for these arguments only.
_FIXED_ARGUMENTS = {
    "kernel_size": (3, 3),
    "strides": (1, 1),
    "padding": "same",
    "dilation_rate": (1, 1),
    "groups": 1,
}


def _merge(kernel: Any, sums: np.ndarray) -> Any:
    """A `(3, 3, *, *)` kernel summed into `(4, 4, *, *)`, with the `(4, 3)` `sums` on both axes."""
    weights = np.kron(sums, sums)  # (16, 9)
    merged = ops.matmul(ops.cast(weights, kernel.dtype), ops.reshape(kernel, (9, -1)))
    return ops.reshape(merged, (4, 4, *kernel.shape[2:]))


class _ResamplingConv2D(SpectralConv2D):
    """Base of both resampling convolutions: fixes the 3x3 kernel and chooses the form."""

    def __init__(self, filters: int, form: str = "auto", **kwargs: Any) -> None:
        super().__init__(filters, **{**_FIXED_ARGUMENTS, **kwargs})
        for name, value in _FIXED_ARGUMENTS.items():
            if getattr(self, name) != value:
                raise ValueError(
                    f"`{name}` must be {value!r} where a convolution resamples. "
                    f"Received: {name}={kwargs[name]!r}"
                )
        if form not in ("auto", "merged", "plain"):
            raise ValueError(f"`form` must be 'auto', 'merged' or 'plain'. Received: form={form!r}")
        self.form = form

    def call(self, inputs: Any, training: bool = False) -> Any:
        """Convolves and resamples `inputs`; the singular vectors are updated if `training`."""
        inputs = ops.cast(inputs, self.compute_dtype)
        convolve = self._merged if self.is_merged(inputs.shape) else self._plain
        return self._add_bias_and_activate(convolve(inputs, self.normalized(self.kernel, training)))

    def is_merged(self, input_shape: tuple[int | None, ...]) -> bool:
        """Whether an input of shape `(N, H, W, C)` is computed in the merged form."""
        if self.form != "auto":
            return self.form == "merged"
        sides = (*input_shape[1:3], *self.compute_output_shape(input_shape)[1:3])
        if None in sides:
            return False
        pairs = input_shape[-1] * self.filters
        return min(sides) >= SMALLEST_MERGED_SIZE or pairs <= SMALL_KERNEL_PAIRS

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "form": self.form}


@keras.saving.register_keras_serializable("sagan_tf")
class SpectralUpsampleConv2D(_ResamplingConv2D):
    """Nearest-neighbour x2 upsampling, then a spectrally normalised 3x3 convolution.

    Args:
        filters: output channels.
        form: `"plain"` upsamples, then convolves; `"merged"` computes one 4x4 transposed
            convolution of stride 2; `"auto"` takes the form that is faster at the input's size.
        **kwargs: passed on to `SpectralConv2D`; kernel size, strides, padding, dilation and groups
            are fixed.

    Input `(N, H, W, C)`, output `(N, 2H, 2W, filters)`, both in the policy's compute dtype. Every
    form divides by the spectral norm of the 3x3 kernel.

    Raises:
        ValueError: if `form` is unknown or a fixed argument has another value.

    Example:

    >>> tuple(SpectralUpsampleConv2D(8)(keras.ops.ones((2, 16, 16, 4))).shape)
    (2, 32, 32, 8)
    """

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """`(N, 2H, 2W, filters)`."""
        batch, height, width, _ = input_shape
        return batch, height and 2 * height, width and 2 * width, self.filters

    def _plain(self, inputs: Any, kernel: Any) -> Any:
        return ops.conv(upsample(inputs), kernel, padding="same", data_format=self.data_format)

    def _merged(self, inputs: Any, kernel: Any) -> Any:
        merged = merged_upsampling_kernel(kernel)
        return ops.conv_transpose(
            inputs, merged, strides=2, padding="same", data_format=self.data_format
        )


@keras.saving.register_keras_serializable("sagan_tf")
class SpectralConv2DMeanPool(_ResamplingConv2D):
    """A spectrally normalised 3x3 convolution, then 2x2 mean pooling.

    Args:
        filters: output channels.
        form: `"plain"` convolves, then pools; `"merged"` computes one 4x4 convolution of stride 2;
            `"auto"` takes the form that is faster at the input's size.
        **kwargs: passed on to `SpectralConv2D`; kernel size, strides, padding, dilation and groups
            are fixed.

    Input `(N, H, W, C)` with even H and W, output `(N, H / 2, W / 2, filters)`, both in the
    policy's compute dtype. Every form divides by the spectral norm of the 3x3 kernel.

    Raises:
        ValueError: if `form` is unknown or a fixed argument has another value; at build, if H or
            W is odd.

    Example:

    >>> tuple(SpectralConv2DMeanPool(8)(keras.ops.ones((2, 16, 16, 4))).shape)
    (2, 8, 8, 8)
    """

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Creates the kernel for `(N, H, W, C)`."""
        if any(side is not None and side % 2 for side in input_shape[1:3]):
            raise ValueError(
                "`SpectralConv2DMeanPool` expects an even height and width. "
                f"Received: input_shape={tuple(input_shape)}"
            )
        super().build(input_shape)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """`(N, H / 2, W / 2, filters)`."""
        batch, height, width, _ = input_shape
        return batch, height and height // 2, width and width // 2, self.filters

    def _plain(self, inputs: Any, kernel: Any) -> Any:
        return mean_pool(ops.conv(inputs, kernel, padding="same", data_format=self.data_format))

    def _merged(self, inputs: Any, kernel: Any) -> Any:
        merged = _merge(kernel, _POOLED / 2)
        return ops.conv(inputs, merged, strides=2, padding="same", data_format=self.data_format)


def merged_upsampling_kernel(kernel: Any) -> Any:
    """The `(4, 4, D, C)` kernel of `conv_transpose` that merges upsampling and a `(3, 3, C, D)`."""
    return _merge(ops.transpose(kernel, (0, 1, 3, 2)), _UPSAMPLED)


def upsample(inputs: Any) -> Any:
    """Nearest-neighbour x2: `(N, H, W, C)` to `(N, 2H, 2W, C)`."""
    known = None not in inputs.shape[1:]
    _, height, width, channels = inputs.shape if known else ops.shape(inputs)
    # Each row and then each cell twice. For known sizes `ops.repeat` builds twice the operations.
    rows = ops.tile(ops.reshape(inputs, (-1, 1, width * channels)), (1, 2, 1))
    cells = ops.tile(ops.reshape(rows, (-1, 1, channels)), (1, 2, 1))
    return ops.reshape(cells, (-1, 2 * height, 2 * width, channels))


def mean_pool(inputs: Any) -> Any:
    """2x2 mean pooling: `(N, H, W, C)` to `(N, H / 2, W / 2, C)`."""
    return ops.average_pool(inputs, 2, strides=2, data_format="channels_last")
