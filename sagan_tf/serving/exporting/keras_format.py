"""Keras files of Keras' own layers, which load without this package and on every backend."""

import contextlib
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import ops

from sagan_tf.layers.dot_product import attend
from sagan_tf.serving.exporting.folding import (
    COLUMNS,
    FoldedAttention,
    FoldedBlock,
    FoldedBottleneck,
    FoldedGenerator,
)


def write(path: Path, generator: FoldedGenerator, notes: Mapping[str, str]) -> None:
    """Writes the generator as `keras_model`, with `notes` by file name in the same archive."""
    with _ending_in_keras(path) as link:
        keras_model(generator).save(link)
    with zipfile.ZipFile(path, "a") as archive:
        for name, text in notes.items():
            archive.writestr(name, text)


def load(path: Path) -> Callable[..., np.ndarray]:
    """Returns the function of a file, which takes inputs by name and returns `images`."""
    with _ending_in_keras(path) as link:
        model = keras.saving.load_model(link, compile=False)
    return lambda **inputs: keras.ops.convert_to_numpy(model(inputs))


def keras_model(generator: FoldedGenerator) -> keras.Model:
    """Builds a model of Keras' own layers that computes the same function.

    Args:
        generator: the folded generator, whose weights are copied.

    Returns:
        A functional model that takes `{"latents": ..., "class_id": ...}`, float32
        `(N, latent_dim)` and int32 `(N,)`, the latter only if there are classes, and gives images,
        float32 `(N, image_size, image_size, channels)` in [-1, 1].
    """
    inputs = {"latents": keras.Input((generator.latent_dim,), name="latents", dtype="float32")}
    if generator.num_classes is None:
        class_id = ops.zeros_like(inputs["latents"], dtype="int32")[:, 0]
    else:
        class_id = inputs["class_id"] = keras.Input((), name="class_id", dtype="int32")
    layer = keras.layers.Embedding(*generator.table.shape, dtype="float32")
    row = _with_weights(layer, class_id, generator.table)
    rows = iter(ops.split(row, np.cumsum(generator.table_sizes)[:-1].tolist(), axis=-1))
    use_bias = generator.dense_bias is not None
    weights = [generator.dense_kernel, *([generator.dense_bias] if use_bias else [])]
    layer = keras.layers.Dense(weights[0].shape[1], use_bias=use_bias, dtype="float32")
    hidden = _with_weights(layer, inputs["latents"], *weights)
    hidden = keras.layers.Reshape((4, 4, generator.first_filters))(hidden)
    for stage in generator.stages:
        hidden = _LAYERS[type(stage)](stage, hidden, rows)
    hidden = _convolution(
        ops.relu(hidden), generator.output_kernel, generator.output_bias, (1, COLUMNS)
    )
    shape = (generator.image_size, generator.image_size, generator.channels)
    images = ops.tanh(keras.layers.Reshape(shape)(hidden))
    return keras.Model(inputs, images, name="generator")


def _block(block: FoldedBlock, inputs: Any, rows: Iterator[Any]) -> Any:
    hidden = _scaled_relu(inputs, rows)
    if block.merged:
        filters = block.kernel_0.shape[2]
        layer = keras.layers.Conv2DTranspose(filters, 4, 2, "same", use_bias=False, dtype="float32")
        hidden = _with_weights(layer, hidden, block.kernel_0)
    else:
        hidden = _convolution(_upsample(hidden), block.kernel_0)
    hidden = _scaled_relu(hidden, rows)
    hidden = _convolution(hidden, block.kernel_1, block.bias)
    return hidden + _upsample(_convolution(inputs, block.shortcut_kernel))


def _attention(attention: FoldedAttention, inputs: Any, _: Iterator[Any]) -> Any:
    *key_value, _ = attention.sizes
    projected = _convolution(inputs, attention.kernel)
    pooled, query = ops.split(projected, [sum(key_value)], axis=-1)
    pooled = keras.layers.MaxPooling2D(attention.pool_size, padding="same")(pooled)
    key, value = ops.split(_flatten(pooled), key_value[:1], axis=-1)
    attended, _ = attend(_flatten(query), key, value, attention.mask)
    attended = keras.layers.Reshape((*inputs.shape[1:3], value.shape[-1]))(attended)
    return inputs + _convolution(attended, attention.output_kernel)


def _bottleneck(bottleneck: FoldedBottleneck, inputs: Any, _: Iterator[Any]) -> Any:
    hidden = ops.relu(_convolution(inputs, bottleneck.reduction))
    hidden = ops.relu(_convolution(hidden, bottleneck.spatial))
    return inputs + _convolution(hidden, bottleneck.expansion)


_LAYERS = {FoldedBlock: _block, FoldedAttention: _attention, FoldedBottleneck: _bottleneck}


def _convolution(inputs: Any, kernel: Any, bias: Any = None, strides: Any = 1) -> Any:
    layer = keras.layers.Conv2D(
        kernel.shape[-1],
        tuple(kernel.shape[:2]),
        strides,
        "same",
        data_format="channels_last",
        use_bias=bias is not None,
        dtype="float32",
    )
    return _with_weights(layer, inputs, kernel, *([] if bias is None else [bias]))


def _with_weights(layer: keras.layers.Layer, inputs: Any, *weights: Any) -> Any:
    """Calls a layer and then sets its weights; returns the outputs."""
    outputs = layer(inputs)
    layer.set_weights([ops.convert_to_numpy(weight) for weight in weights])
    return outputs


def _scaled_relu(inputs: Any, rows: Iterator[Any]) -> Any:
    scale, offset = (keras.layers.Reshape((1, 1, -1))(next(rows)) for _ in range(2))
    return ops.relu(inputs * scale + offset)


def _upsample(inputs: Any) -> Any:
    return keras.layers.UpSampling2D(2)(inputs)


def _flatten(tensor: Any) -> Any:
    return keras.layers.Reshape((-1, tensor.shape[-1]))(tensor)


@contextlib.contextmanager
def _ending_in_keras(path: Path) -> Iterator[Path]:
    """Yields a link to a file with the ending by which Keras recognises the format."""
    with tempfile.TemporaryDirectory() as folder:
        link = Path(folder) / "model.keras"
        link.symlink_to(path.resolve())
        yield link
