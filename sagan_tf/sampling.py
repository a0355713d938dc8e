"""Images from seeds: each image has a random stream of its own, independent of the batch."""

import math
import os
from collections.abc import Iterator, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from sagan_tf import pretrained
from sagan_tf.models import Generator

# Images per call of the generator: limits memory and does not change any image.
BATCH_SIZE = 64


def latents_from_seeds(seeds: Any, latent_dim: int, truncation: Any = math.inf) -> tf.Tensor:
    """One latent vector per seed, bit-equal in every batch.

    Elements are normally distributed, N(0, 1). With truncation the distribution is limited to
    [-truncation, truncation] by the inverse of its distribution function, and not rescaled. Works
    eagerly and in a `tf.function`.

    Args:
        seeds: int64 `(N,)`.
        latent_dim: length of a latent vector.
        truncation: positive float, or one for each seed, `(N,)`; infinity does not truncate.

    Returns:
        float32 `(N, latent_dim)`.
    """
    uniform = _uniforms(tf.cast(seeds, tf.int64), latent_dim)
    limit = tf.reshape(tf.cast(truncation, tf.float64), (-1, 1))
    tail = 0.5 * tf.math.erfc(limit / math.sqrt(2.0))  # the probability below -limit
    # float64 draws are multiples of 2^-52: adding half a step keeps 0 from becoming minus infinity.
    probability = tail + (uniform + 2.0**-53) * (1 - 2 * tail)
    return tf.cast(tf.math.ndtri(probability), tf.float32)


# Traced, because the loop over seeds takes 5 ms per seed in Python.
@tf.function(reduce_retracing=True, autograph=False)
def _uniforms(seeds: tf.Tensor, latent_dim: int) -> tf.Tensor:
    """A row of numbers in [0, 1) for each seed, float64 `(N, latent_dim)`."""

    def row(seed: tf.Tensor) -> tf.Tensor:
        # The numbers of `tf.random.stateless_uniform(alg="philox")`, with fewer operations.
        key, counter = tf.raw_ops.StatelessRandomGetKeyCounter(seed=tf.stack([seed, 0]))
        return tf.raw_ops.StatelessRandomUniformV2(
            shape=[latent_dim],
            key=key,
            counter=counter,
            alg=tf.random.Algorithm.PHILOX.value,
            dtype=tf.float64,
        )

    return tf.map_fn(row, seeds, fn_output_signature=tf.TensorSpec((latent_dim,), tf.float64))


def interpolated_latents(first: Any, last: Any, fraction: Any) -> tf.Tensor:
    """Spherical interpolation between two latent vectors, which changes their norm least.

    Args:
        first: float32 `(N, latent_dim)`, the latent vectors at fraction 0.
        last: float32 `(N, latent_dim)`, the latent vectors at fraction 1.
        fraction: `(N,)` in [0, 1], the position between the two.

    Returns:
        float32 `(N, latent_dim)`.
    """
    first, last, fraction = (tf.cast(value, tf.float64) for value in (first, last, fraction))
    norms = tf.norm(first, axis=-1, keepdims=True) * tf.norm(last, axis=-1, keepdims=True)
    cosine = tf.math.divide_no_nan(tf.reduce_sum(first * last, axis=-1, keepdims=True), norms)
    angle = tf.maximum(tf.acos(tf.clip_by_value(cosine, -1, 1)), 1e-6)
    fraction = fraction[:, tf.newaxis]
    weighted = tf.sin((1 - fraction) * angle) * first + tf.sin(fraction * angle) * last
    return tf.cast(weighted / tf.sin(angle), tf.float32)


def sample(
    generator: keras.Model,
    seeds: Sequence[int],
    labels: Sequence[int] | None = None,
    truncation: float = math.inf,
) -> Iterator[np.ndarray]:
    """Generates one image per seed.

    Args:
        generator: a `Generator`, such as `load_generator` returns.
        seeds: integers >= 0, one per image.
        labels: class numbers counted from 0, one per image (`class_names.class_number` finds the
            number of a class name); `None` for an unconditional generator.
        truncation: see `latents_from_seeds`.

    Yields:
        Images, uint8 `(image_size, image_size, channels)`, in the seeds' order.

    Raises:
        ValueError: for seeds or labels that are not lists of whole numbers, negative seeds, labels
            outside the classes, or lengths that differ.
    """
    numbers = _whole_numbers("seeds", seeds)
    classes = None if labels is None else _whole_numbers("labels", labels)
    _check_request(generator, numbers, classes, truncation)

    def images(rows: slice) -> np.ndarray:
        latents = latents_from_seeds(numbers[rows], generator.latent_dim, truncation)
        return to_uint8(generator(latents, None if classes is None else classes[rows]))

    for first in range(0, len(numbers), BATCH_SIZE):
        yield from images(slice(first, first + BATCH_SIZE))


def interpolate(
    generator: keras.Model,
    seeds: tuple[int, int],
    labels: tuple[int, int] | None,
    steps: int,
    truncation: float = math.inf,
) -> np.ndarray:
    """Images interpolated from one (seed, label) to another.

    Latents are interpolated spherically, which nearly keeps their norm; the class-conditional
    scales and offsets are interpolated linearly.

    Args:
        generator: a `Generator`.
        seeds: seeds of the first and the last image.
        labels: class numbers of the first and the last image; `None` for an unconditional
            generator.
        steps: number of images, both ends included; at least 2.
        truncation: see `latents_from_seeds`.

    Returns:
        uint8 `(steps, image_size, image_size, channels)`.

    Raises:
        ValueError: in the same cases as `sample`, and for fewer than 2 steps.
    """
    if steps < 2:
        raise ValueError(f"`interpolate` expects at least 2 images. Received: steps={steps}")
    numbers = _whole_numbers("seeds", seeds)
    classes = None if labels is None else _whole_numbers("labels", labels)
    _check_request(generator, numbers, classes, truncation)
    first, last = latents_from_seeds(numbers, generator.latent_dim, truncation)[:, tf.newaxis]
    fraction = np.linspace(0, 1, steps)
    weights = None
    if classes is not None:
        weights = np.zeros((steps, generator.num_classes), "float32")
        weights[:, classes[0]] += 1 - fraction
        weights[:, classes[1]] += fraction
    return to_uint8(generator(interpolated_latents(first, last, fraction), weights))


def to_uint8(images: Any) -> np.ndarray:
    """Images in [-1, 1] as uint8, rounded to the nearest level."""
    return np.clip(np.floor(np.asarray(images) * 127.5 + 128), 0, 255).astype(np.uint8)


def from_uint8(images: Any) -> np.ndarray:
    """uint8 images as float32 in [-1, 1], the range of the networks."""
    return np.asarray(images, np.float32) / 127.5 - 1


def load_generator(workdir: str | os.PathLike, best: bool = False) -> keras.Model:
    """The generator of a training run's newest readable checkpoint.

    If the run keeps a moving average of the generator's weights, this is the averaged generator.

    Args:
        workdir: the run's directory, as `python -m sagan_tf.train` wrote it; a folder that
            `python -m sagan_tf.publish` wrote, or its address on the Hugging Face Hub,
            "hf://owner/name" or "hf://owner/name@revision"; or "digits", the generator that comes
            with the package, if there is no directory of this name.
        best: whether to load the checkpoint that scored best in training instead of the newest.

    Returns:
        A built `Generator`.

    Raises:
        ValueError: if there is no run or no readable checkpoint, or it cannot be downloaded.

    Example:

    >>> generator = load_generator("digits")
    >>> [image.shape for image in sample(generator, seeds=[1234], labels=[7])]
    [(16, 16, 1)]
    """
    return restore_generator(workdir, best=best)[0]


def restore_generator(
    workdir: str | os.PathLike, averaged: bool = True, best: bool = False, step: int | None = None
) -> tuple[keras.Model, int]:
    """The generator of a checkpoint, as `load_generator` loads it, and the checkpoint's step.

    Args:
        workdir: see `load_generator`.
        averaged: whether to load the averaged generator if the run keeps one.
        best: whether to load the checkpoint that scored best in training instead of the newest.
        step: step of the checkpoint to load; `None` for the newest.
    """
    description = pretrained.description(workdir)
    name = "ema_generator" if description["ema"] and averaged else "generator"
    generator = Generator.from_config({**description["generator"], "name": name})
    generator.build()
    return generator, pretrained.restore(workdir, generator, best, step)


def _whole_numbers(name: str, values: Any) -> np.ndarray:
    """The values as int64 `(N,)`; raises `ValueError` for names and for floats, even whole ones."""
    array = np.asarray(values)
    if array.ndim != 1 or (array.size and array.dtype.kind not in "iu"):
        names = " `sagan_tf.class_names.class_number` gives a name's label." * (name == "labels")
        raise ValueError(
            f"`{name}` must be a list of whole numbers, one per image.{names} "
            f"Received: {name}={values!r}"
        )
    return array.astype(np.int64)


def _check_request(
    generator: keras.Model, seeds: np.ndarray, labels: np.ndarray | None, truncation: float
) -> None:
    if seeds.size and seeds.min() < 0:
        raise ValueError(f"`seeds` must not be negative. Received: {seeds.min()}")
    if not truncation > 0:
        raise ValueError(f"`truncation` must be positive. Received: truncation={truncation}")
    if (labels is None) != (generator.num_classes is None):
        raise ValueError(
            "`labels` must be given exactly when the generator has classes. Received: "
            f"labels={labels}, num_classes={generator.num_classes}"
        )
    if labels is None:
        return
    if len(labels) != len(seeds):
        raise ValueError(
            "`labels` and `seeds` must be of one length. Received: "
            f"{len(labels)} labels, {len(seeds)} seeds"
        )
    outside = labels[(labels < 0) | (labels >= generator.num_classes)]
    if outside.size:
        raise ValueError(
            f"`labels` must be in [0, {generator.num_classes}). Received: {outside[0]}"
        )
