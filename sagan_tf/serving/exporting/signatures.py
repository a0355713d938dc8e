"""The signatures of an exported generator: functions with named inputs and outputs.

Every input and output has the batch as its first axis. The graph itself checks its inputs, because
a server checks neither their shapes nor their ranges.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from sagan_tf.attention.overlay import overlay
from sagan_tf.sampling import interpolated_latents, latents_from_seeds
from sagan_tf.serving.exporting.folding import FoldedGenerator

Outputs = dict[str, tf.Tensor]

# Inputs of every signature, in order; a generator without classes has none that name a class.
INPUTS = {
    "serving_default": ("class_id", "seed", "truncation"),
    "sample": ("class_id", "seed"),
    "images": ("class_id", "seed", "truncation"),
    "from_latent": ("class_id", "latents"),
    "interpolate": ("class_id", "class_id_to", "seed", "seed_to", "fraction"),
    "directions": ("class_id", "seed", "amounts"),
    "attention": ("class_id", "seed", "row", "col"),
    "attention_truncated": ("class_id", "seed", "truncation", "row", "col"),
    "class_names": ("class_id",),
}
_DTYPES = {
    "class_id": tf.int32,
    "class_id_to": tf.int32,
    "seed": tf.int64,
    "seed_to": tf.int64,
    "truncation": tf.float32,
    "latents": tf.float32,
    "fraction": tf.float32,
    "amounts": tf.float32,
    "row": tf.int32,
    "col": tf.int32,
}
# Most invalid values that a message names.
_VALUES_IN_MESSAGE = 8


def make_signatures(
    generator: FoldedGenerator, class_names: Sequence[str], directions: np.ndarray
) -> dict[str, tf.types.experimental.PolymorphicFunction]:
    """Makes the signatures by name, without those that need classes or attention it does not have.

    Args:
        generator: the generator that they run.
        class_names: one name per class.
        directions: unit vectors to move latents along, float32 `(K, latent_dim)`.

    Returns:
        Functions with an input signature. `images` are float32 `(N, H, W, C)` in [-1, 1]. Outputs
        whose name ends in `_bytes` are strings `(N,)` of PNG or UTF-8 bytes, which TensorFlow
        Serving's REST API writes as base64.
    """
    endpoints = _Endpoints(generator, class_names, directions)
    left_out = set()
    if generator.num_classes is None:
        left_out.add("class_names")
    if not generator.attention_resolutions:
        left_out |= {"attention", "attention_truncated"}
    return {
        name: _checked(getattr(endpoints, name), _specs(inputs, generator, len(directions)))
        for name, inputs in INPUTS.items()
        if name not in left_out
    }


def example_inputs(specs: Sequence[tf.TensorSpec], batch_size: int) -> dict[str, np.ndarray]:
    """Makes valid inputs of a signature, by name: seeds from 0 on, of the first class.

    Args:
        specs: input signature.
        batch_size: number of rows.
    """
    values: dict[str, Any] = {"seed": np.arange(batch_size), "truncation": 1.0, "amounts": 1.0}
    inputs = {}
    for spec in specs:
        shape = (batch_size, *spec.shape[1:])
        value = np.broadcast_to(values.get(spec.name, 0), shape)
        inputs[spec.name] = value.astype(spec.dtype.as_numpy_dtype)
    return inputs


def _specs(
    names: Sequence[str], generator: FoldedGenerator, num_directions: int
) -> list[tf.TensorSpec]:
    shapes = {"latents": (None, generator.latent_dim), "amounts": (None, num_directions)}
    return [
        tf.TensorSpec(shapes.get(name, (None,)), _DTYPES[name], name)
        for name in names
        if generator.num_classes is not None or not name.startswith("class_id")
    ]


def _checked(
    function: Callable[..., Outputs], specs: Sequence[tf.TensorSpec]
) -> tf.types.experimental.PolymorphicFunction:
    """Wraps a function so that its inputs must have the specified shapes and one length."""
    names = ", ".join(f"`{spec.name}`" for spec in specs)

    def call(*given: tf.Tensor) -> Outputs:
        inputs = [
            tf.ensure_shape(value, spec.shape) for value, spec in zip(given, specs, strict=True)
        ]
        sizes = tf.stack([tf.shape(value)[0] for value in inputs])
        # oneDNN's fused convolutions give a wrong shape for a batch of no rows.
        valid = tf.reduce_all(sizes == sizes[0]) & (sizes[0] > 0)
        message = f"{names} need one value per image, and at least one image. Numbers received:"
        check = tf.debugging.Assert(valid, [message, sizes], summarize=_VALUES_IN_MESSAGE)
        with tf.control_dependencies([check]):
            named = {
                spec.name: tf.identity(value) for spec, value in zip(specs, inputs, strict=True)
            }
        return function(**named)

    return tf.function(call, input_signature=specs, autograph=False)


class _Endpoints:
    """Has one method per signature, with the signature's inputs as arguments."""

    def __init__(
        self, generator: FoldedGenerator, class_names: Sequence[str], directions: np.ndarray
    ) -> None:
        self._generator = generator
        self._class_names = class_names
        self._directions = directions
        # Traced once, and called by every signature.
        self._images = tf.function(
            generator.images,
            input_signature=[
                tf.TensorSpec((None, generator.latent_dim)),
                tf.TensorSpec((None, generator.table.shape[1])),
            ],
            autograph=False,
        )

    def serving_default(
        self, seed: tf.Tensor, truncation: tf.Tensor, class_id: tf.Tensor | None = None
    ) -> Outputs:
        outputs = self.images(seed, truncation, class_id)
        return {"image_bytes": _png(outputs.pop("images")), **outputs}

    def sample(self, seed: tf.Tensor, class_id: tf.Tensor | None = None) -> Outputs:
        return self.serving_default(seed, tf.fill(tf.shape(seed), math.inf), class_id)

    def images(
        self, seed: tf.Tensor, truncation: tf.Tensor, class_id: tf.Tensor | None = None
    ) -> Outputs:
        latents = self._truncated_latents(seed, truncation)
        images = self._images(latents, self._class_rows(class_id, latents))
        return {"images": images, "seed": tf.identity(seed), **_echo(class_id)}

    def from_latent(self, latents: tf.Tensor, class_id: tf.Tensor | None = None) -> Outputs:
        images = self._finite_images("latents", _finite("latents", latents), class_id)
        return {"images": images, "image_bytes": _png(images), **_echo(class_id)}

    def interpolate(
        self,
        seed: tf.Tensor,
        seed_to: tf.Tensor,
        fraction: tf.Tensor,
        class_id: tf.Tensor | None = None,
        class_id_to: tf.Tensor | None = None,
    ) -> Outputs:
        message = "`fraction` must be in [0, 1]. Received:"
        fraction = _require(fraction, (fraction >= 0) & (fraction <= 1), message)
        first, last = self._latents(seed), self._latents(seed_to)
        latents = interpolated_latents(first, last, fraction)
        weight = fraction[:, tf.newaxis]
        first_rows = self._class_rows(class_id, latents)
        last_rows = self._class_rows(class_id_to, latents)
        images = self._images(latents, (1 - weight) * first_rows + weight * last_rows)
        return {"image_bytes": _png(images), "fraction": fraction}

    def directions(
        self, seed: tf.Tensor, amounts: tf.Tensor, class_id: tf.Tensor | None = None
    ) -> Outputs:
        moves = _finite("amounts", amounts) @ self._directions
        images = self._finite_images("amounts", self._latents(seed) + moves, class_id)
        return {"image_bytes": _png(images), "seed": tf.identity(seed), **_echo(class_id)}

    def attention(
        self, seed: tf.Tensor, row: tf.Tensor, col: tf.Tensor, class_id: tf.Tensor | None = None
    ) -> Outputs:
        return self.attention_truncated(seed, tf.fill(tf.shape(seed), math.inf), row, col, class_id)

    def attention_truncated(
        self,
        seed: tf.Tensor,
        truncation: tf.Tensor,
        row: tf.Tensor,
        col: tf.Tensor,
        class_id: tf.Tensor | None = None,
    ) -> Outputs:
        size = self._generator.image_size
        message = f"`row` and `col` must be those of a pixel, in [0, {size - 1}]. Received:"
        row, col = (_require(place, (place >= 0) & (place < size), message) for place in (row, col))
        latents = self._truncated_latents(seed, truncation)
        images, scores = self._generator.images_and_scores(
            latents, self._class_rows(class_id, latents)
        )
        outputs = {"image_bytes": _png(images), "seed": tf.identity(seed), **_echo(class_id)}
        for resolution in self._generator.attention_resolutions:
            place = tf.stack([row * resolution // size, col * resolution // size], axis=-1)
            of_point = tf.gather_nd(scores[resolution], place, batch_dims=1)
            outputs[f"scores_{resolution}"] = of_point
            outputs[f"overlay_{resolution}_bytes"] = _png(
                _marked_overlay(images, of_point, row, col)
            )
        return outputs

    def class_names(self, class_id: tf.Tensor) -> Outputs:
        class_id = self._checked_class(class_id)
        num_classes = tf.fill(tf.shape(class_id), self._generator.num_classes)
        names = tf.gather(tf.constant(list(self._class_names)), class_id)
        return {"class_name_bytes": names, "num_classes": num_classes}

    def _finite_images(
        self, name: str, latents: tf.Tensor, class_id: tf.Tensor | None
    ) -> tf.Tensor:
        """Returns the images of latents that come from the finite input `name`."""
        images = self._images(latents, self._class_rows(class_id, latents))
        # Finite latents may still be so large that the images are not finite.
        message = f"`{name}` are too large: their images are not finite. Received such values:"
        return _require(images, tf.math.is_finite(images), message)

    def _latents(self, seed: tf.Tensor, truncation: tf.Tensor | float = math.inf) -> tf.Tensor:
        seed = _require(seed, seed >= 0, "A seed must not be negative. Received:")
        return latents_from_seeds(seed, self._generator.latent_dim, truncation)

    def _truncated_latents(self, seed: tf.Tensor, truncation: tf.Tensor) -> tf.Tensor:
        # NaN is refused, too: it is not greater than 0.
        message = "`truncation` must be a positive number. Received:"
        return self._latents(seed, _require(truncation, truncation > 0, message))

    def _class_rows(self, class_id: tf.Tensor | None, latents: tf.Tensor) -> tf.Tensor:
        if class_id is None:  # One row for all.
            return tf.repeat(self._generator.table, tf.shape(latents)[0], axis=0)
        return tf.gather(self._generator.table, self._checked_class(class_id))

    def _checked_class(self, class_id: tf.Tensor) -> tf.Tensor:
        last = self._generator.table.shape[0] - 1  # the table has a row for each class
        inside = (class_id >= 0) & (class_id <= last)
        return _require(class_id, inside, f"A class must be in [0, {last}]. Received:")


def _echo(class_id: tf.Tensor | None) -> Outputs:
    return {} if class_id is None else {"class_id": tf.identity(class_id)}


def _require(value: tf.Tensor, valid: tf.Tensor, message: str) -> tf.Tensor:
    """Returns `value` if all of it is valid; the error names only the invalid elements."""
    invalid = tf.boolean_mask(value, ~valid)
    check = tf.debugging.Assert(
        tf.reduce_all(valid), [message, invalid], summarize=_VALUES_IN_MESSAGE
    )
    with tf.control_dependencies([check]):
        return tf.identity(value)


def _finite(name: str, value: tf.Tensor) -> tf.Tensor:
    return _require(value, tf.math.is_finite(value), f"`{name}` must be finite. Received:")


def _png(images: tf.Tensor) -> tf.Tensor:
    """Encodes images in [-1, 1] as PNGs, `(N,)`, rounded as by `sampling.to_uint8`."""
    pixels = tf.cast(tf.clip_by_value(tf.floor(images * 127.5 + 128), 0, 255), tf.uint8)
    return tf.io.encode_png(pixels)


def _marked_overlay(
    images: tf.Tensor, scores: tf.Tensor, row: tf.Tensor, col: tf.Tensor
) -> tf.Tensor:
    """Overlays images with the attention of the pixel at `(row, col)`, which becomes green."""
    size = images.shape[1]
    is_point = tf.one_hot(row * size + col, size * size, True, False, dtype=tf.bool)
    is_point = tf.reshape(is_point, (-1, size, size, 1))
    return tf.where(is_point, tf.constant([-1.0, 1.0, -1.0]), overlay(images, scores))
