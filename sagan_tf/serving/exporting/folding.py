"""The generator at inference, with everything that depends on weights alone computed in advance."""

from collections.abc import Callable, Iterator
from typing import Any

import keras
import tensorflow as tf
from keras import ops

from sagan_tf.layers import (
    ConditionalBatchNormalization,
    ResidualBottleneck2D,
    SelfAttention2D,
)
from sagan_tf.layers.dot_product import attend, attend_in_chunks
from sagan_tf.layers.resampling import merged_upsampling_kernel
from sagan_tf.layers.spectral_norm import SpectralNormalization
from sagan_tf.models import Generator

# Image columns that the last convolution computes at once: its one or three channels alone would
# leave most of a vector register idle.
COLUMNS = 4


class FoldedGenerator(tf.Module):
    """A `Generator` as plain convolutions and one table with a row for each class.

    It computes the same function as `generator(latents, labels)`, in float32 whatever the policy,
    with fewer operations: kernels are divided by their spectral norms in advance and summed into
    the merged form of upsampling and convolution; batch norm becomes a scale and an offset. Those
    of a class stand in its row of the table; those that all classes share go into the kernels.

    Args:
        generator: a built generator; later changes of its weights have no effect here.

    Attributes:
        image_size: height and width of the images.
        channels: 1 or 3.
        latent_dim: length of a latent vector.
        num_classes: number of classes; `None` for a generator without.
        attention_resolutions: sizes of the feature maps with attention, ascending.
        table: scales and offsets, float32 `(num_classes or 1, columns)`.
        table_sizes: number of columns of each scale and offset, in order of use.
        stages: blocks and attention between the dense layer and the last convolution, in order.
    """

    def __init__(self, generator: Generator) -> None:
        super().__init__(name="generator")
        self.image_size = generator.image_size
        self.channels = generator.channels
        self.latent_dim = generator.latent_dim
        self.num_classes = generator.num_classes
        self.attention_resolutions = tuple(
            sorted(generator.attention_resolutions) if generator.mixing != "residual" else ()
        )
        self.first_filters = generator.first_filters
        self.dense_kernel = tf.Variable(_kernel(generator.dense))
        dense = generator.dense
        self.dense_bias = tf.Variable(dense.bias.value) if dense.use_bias else None
        tables: list[tf.Tensor] = []
        self.stages: list[FoldedAttention | FoldedBottleneck | FoldedBlock] = []
        size = 4
        for stage in generator.stages:
            if isinstance(stage, SelfAttention2D):
                self.stages.append(FoldedAttention(stage))
                continue
            if isinstance(stage, ResidualBottleneck2D):
                self.stages.append(FoldedBottleneck(stage))
                continue
            last = 2 * size == generator.image_size
            # The norm before the last convolution has no classes: it goes into the last block.
            output = [row[0] for row in _affine(generator.output_norm)] if last else []
            self.stages.append(FoldedBlock(stage, size, tables, *output))
            size *= 2
        self.table = tf.Variable(tf.concat(tables, axis=1))
        self.table_sizes = [table.shape[1] for table in tables]
        self.output_kernel = tf.Variable(_widened(_kernel(generator.output_convolution)))
        self.output_bias = tf.Variable(tf.tile(generator.output_convolution.bias, [COLUMNS]))

    def images(self, latents: tf.Tensor, class_rows: tf.Tensor) -> tf.Tensor:
        """Generates images.

        Args:
            latents: float32 `(N, latent_dim)`.
            class_rows: float32 `(N, columns)`, rows of `table` or blends of them.

        Returns:
            float32 `(N, image_size, image_size, channels)` in [-1, 1].
        """
        return self._generate(latents, class_rows, lambda attention, hidden: attention(hidden))

    def images_and_scores(
        self, latents: tf.Tensor, class_rows: tf.Tensor
    ) -> tuple[tf.Tensor, dict[int, tf.Tensor]]:
        """Generates images and shows their attention.

        Args:
            latents: see `images`.
            class_rows: see `images`.

        Returns:
            The images, and by resolution R the scores, float32
            `(N, R, R, R / pool_size, R / pool_size)`.
        """
        scores: dict[int, tf.Tensor] = {}

        def attend_and_keep(attention: "FoldedAttention", hidden: tf.Tensor) -> tf.Tensor:
            outputs, scores[hidden.shape[1]] = attention.with_scores(hidden)
            return outputs

        return self._generate(latents, class_rows, attend_and_keep), scores

    def as_function(self) -> tf.types.experimental.PolymorphicFunction:
        """Returns the generator as one `tf.function`, for converters to other formats.

        It takes `latents`, float32 `(N, latent_dim)`, and `class_id`, int32 `(N,)` (absent for a
        generator without classes), and returns `{"images": ...}` as from `images`. It computes
        attention in one piece, because other runtimes are slow at the loop over chunks.
        """

        def generate(latents: tf.Tensor, class_id: tf.Tensor | None = None) -> dict[str, tf.Tensor]:
            if class_id is None:  # one row for all
                rows = tf.repeat(self.table, tf.shape(latents)[0], axis=0)
            else:
                rows = tf.gather(self.table, class_id)
            return {"images": self.images_and_scores(latents, rows)[0]}

        specs = [tf.TensorSpec((None, self.latent_dim), tf.float32, "latents")]
        if self.num_classes is not None:
            specs.append(tf.TensorSpec((None,), tf.int32, "class_id"))
        return tf.function(generate, input_signature=specs, autograph=False)

    def _generate(
        self,
        latents: tf.Tensor,
        class_rows: tf.Tensor,
        attend: Callable[["FoldedAttention", tf.Tensor], tf.Tensor],
    ) -> tf.Tensor:
        rows = iter(tf.split(class_rows, self.table_sizes, axis=1))
        hidden = latents @ self.dense_kernel
        if self.dense_bias is not None:
            hidden += self.dense_bias
        hidden = tf.reshape(hidden, (-1, 4, 4, self.first_filters))
        for stage in self.stages:
            if isinstance(stage, FoldedBlock):
                hidden = stage(hidden, rows)
            else:
                hidden = (
                    attend(stage, hidden) if isinstance(stage, FoldedAttention) else stage(hidden)
                )
        padding = [[0, 0], [1, 1], [1, 1], [0, 0]]
        strides = [1, 1, COLUMNS, 1]
        outputs = tf.nn.conv2d(tf.nn.relu(hidden), self.output_kernel, strides, padding)
        outputs = tf.nn.bias_add(outputs, self.output_bias)
        shape = (-1, self.image_size, self.image_size, self.channels)
        return tf.tanh(tf.reshape(outputs, shape))


class FoldedBlock(tf.Module):
    """A `GeneratorBlock` for maps of `size` x `size`; appends its columns of the table to `tables`.

    `output_scale` and `output_offset`, `(C,)`, are applied to its output.
    """

    def __init__(
        self,
        block: keras.layers.Layer,
        size: int,
        tables: list[tf.Tensor],
        output_scale: Any = 1.0,
        output_offset: Any = 0.0,
    ) -> None:
        super().__init__(name=block.name)
        scale, offset = _affine(block.norm_1)
        tables += [*_affine(block.norm_0), scale, offset + scale * block.conv_0.bias]
        kernel = _kernel(block.conv_0)
        self.merged = block.conv_0.is_merged((None, size, size, kernel.shape[2]))
        self.kernel_0 = tf.Variable(merged_upsampling_kernel(kernel) if self.merged else kernel)
        self.kernel_1 = tf.Variable(_kernel(block.conv_1) * output_scale)
        self.shortcut_kernel = tf.Variable(_kernel(block.shortcut) * output_scale)
        bias = block.conv_1.bias + block.shortcut.bias
        self.bias = tf.Variable(bias * output_scale + output_offset)

    def __call__(self, inputs: tf.Tensor, rows: Iterator[tf.Tensor]) -> tf.Tensor:
        hidden = _scaled_relu(inputs, rows)
        if self.merged:
            hidden = ops.conv_transpose(hidden, self.kernel_0, strides=2, padding="same")
        else:
            hidden = tf.nn.conv2d(_upsample(hidden), self.kernel_0, 1, "SAME")
        hidden = _scaled_relu(hidden, rows)
        hidden = tf.nn.conv2d(hidden, self.kernel_1, 1, "SAME")
        shortcut = tf.nn.conv2d(inputs, self.shortcut_kernel, 1, "SAME")
        # In this form TensorFlow fuses convolution, bias and sum into one operation.
        return tf.nn.bias_add(hidden, self.bias) + _upsample(shortcut)


class FoldedAttention(tf.Module):
    """A `SelfAttention2D` that computes query, key and value in one convolution."""

    def __init__(self, layer: SelfAttention2D) -> None:
        super().__init__(name=layer.name)
        kernels = [_kernel(part) for part in (layer.key, layer.value, layer.query)]
        self.sizes = [kernel.shape[-1] for kernel in kernels]
        self.kernel = tf.Variable(tf.concat(kernels, axis=-1))
        self.output_kernel = tf.Variable(_kernel(layer.output_convolution) * layer.gamma)
        self.pool_size = layer.pool_size
        self._chunk_size = layer.query_chunk_size
        self.mask = layer.mask

    def __call__(self, inputs: tf.Tensor) -> tf.Tensor:
        if self._chunk_size is None:
            return self.with_scores(inputs)[0]
        query, _, key, value = self._query_key_value(inputs)
        attended = attend_in_chunks(query, key, value, self._chunk_size, recompute=False)
        return self._output(inputs, attended)

    def with_scores(self, inputs: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        query, pooled, key, value = self._query_key_value(inputs)
        attended, scores = attend(query, key, value, self.mask)
        shape = (-1, *inputs.shape[1:3], *pooled.shape[1:3])
        return self._output(inputs, attended), tf.reshape(scores, shape)

    def _query_key_value(self, inputs: tf.Tensor) -> tuple[tf.Tensor, ...]:
        projected = tf.nn.conv2d(inputs, self.kernel, 1, "SAME")
        *key_value, query = self.sizes
        pooled, query = tf.split(projected, [sum(key_value), query], axis=-1)
        pooled = tf.nn.max_pool2d(pooled, self.pool_size, self.pool_size, "SAME")
        key, value = tf.split(_flatten(pooled), key_value, axis=-1)
        return _flatten(query), pooled, key, value

    def _output(self, inputs: tf.Tensor, attended: tf.Tensor) -> tf.Tensor:
        attended = tf.reshape(attended, (-1, *inputs.shape[1:3], attended.shape[-1]))
        return inputs + tf.nn.conv2d(attended, self.output_kernel, 1, "SAME")


class FoldedBottleneck(tf.Module):
    """A `ResidualBottleneck2D` with its gamma in the last kernel."""

    def __init__(self, layer: ResidualBottleneck2D) -> None:
        super().__init__(name=layer.name)
        self.reduction = tf.Variable(_kernel(layer.reduction))
        self.spatial = tf.Variable(_kernel(layer.spatial))
        self.expansion = tf.Variable(_kernel(layer.expansion) * layer.gamma)

    def __call__(self, inputs: tf.Tensor) -> tf.Tensor:
        hidden = tf.nn.relu(tf.nn.conv2d(inputs, self.reduction, 1, "SAME"))
        hidden = tf.nn.relu(tf.nn.conv2d(hidden, self.spatial, 1, "SAME"))
        return inputs + tf.nn.conv2d(hidden, self.expansion, 1, "SAME")


def _kernel(layer: keras.layers.Layer) -> tf.Tensor:
    """Returns a kernel, divided by its spectral norm if the layer has one; always float32."""
    if isinstance(layer, SpectralNormalization):
        return layer.kernel / layer.singular_value()
    return tf.identity(layer.kernel.value)


def _widened(kernel: tf.Tensor) -> tf.Tensor:
    """Widens a 3x3 kernel to several columns at once: `(3, COLUMNS + 2, C, COLUMNS * D)`."""
    copies = [
        tf.pad(kernel, [[0, 0], [column, COLUMNS - 1 - column], [0, 0], [0, 0]])
        for column in range(COLUMNS)
    ]
    return tf.reshape(tf.stack(copies, axis=3), (3, COLUMNS + 2, kernel.shape[2], -1))


def _affine(norm: ConditionalBatchNormalization) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns the scale and offset of each class, `(classes or 1, C)`, that are equal to `norm`."""
    scale = norm.gamma * tf.math.rsqrt(norm.moving_variance + norm.epsilon)
    return scale, norm.beta - norm.moving_mean * scale


def _scaled_relu(inputs: tf.Tensor, rows: Iterator[tf.Tensor]) -> tf.Tensor:
    scale, offset = (next(rows)[:, tf.newaxis, tf.newaxis, :] for _ in range(2))
    return tf.nn.relu(inputs * scale + offset)


def _upsample(inputs: tf.Tensor) -> tf.Tensor:
    """Upsamples x2 by nearest neighbour; without a gradient this is faster than to repeat."""
    size = [2 * side for side in inputs.shape[1:3]]
    return tf.raw_ops.ResizeNearestNeighbor(images=inputs, size=size)


def _flatten(tensor: tf.Tensor) -> tf.Tensor:
    return tf.reshape(tensor, (-1, tensor.shape[1] * tensor.shape[2], tensor.shape[3]))
