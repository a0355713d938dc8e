"""Batches of a source: images `(N, S, S, C)`, float32 in [-1, 1] or uint8, and int32 labels `(N,)`.

Every batch is a pure function of (seed, step): a run that is resumed at any step, or distributed
over any number of replicas, sees the same images in the same order.
"""

import contextlib
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import tensorflow as tf

from sagan_tf.data.labels import all_labels
from sagan_tf.data.loading import Loader
from sagan_tf.data.order import (
    class_balanced_indices,
    class_members,
    coin_flips,
    shuffled_indices,
)
from sagan_tf.data.read_ahead import KEPT_BYTES, ReadAhead
from sagan_tf.data.source import Source

# While one step trains, the next two are read.
_STEPS_AHEAD = 2


def batches(
    source: Source,
    *,
    image_size: int,
    seed: int,
    start_step: int,
    global_batch_size: int,
    batches_per_step: int = 1,
    num_replicas: int = 1,
    replicas: Sequence[int] | None = None,
    flip: bool = False,
    class_balanced: bool = False,
    scaled: bool = True,
    keep_bytes: int = KEPT_BYTES,
) -> tf.data.Dataset:
    """An infinite dataset whose elements are one replica's share of one training step.

    Elements are ordered by step, then by replica, as `strategy.distribute_datasets_from_function`
    hands them out. A step takes `batches_per_step` consecutive global batches; replica `r` of `R`
    takes rows `r*B/R` to `(r+1)*B/R` of each. An epoch holds every example once.

    Args:
        source: data set from `load_source`.
        image_size: side S of the square images.
        seed: of the order and the flips, in `[0, 2**64)`.
        start_step: the first training step to yield.
        global_batch_size: batch size B over all replicas; a multiple of `num_replicas`.
        batches_per_step: global batches per training step (discriminator updates).
        num_replicas: number of replicas, R.
        replicas: indices of the replicas that this host feeds; by default all.
        flip: whether to mirror half of the images. The published runs do not.
        class_balanced: whether every class comes equally often, instead of every example.
        scaled: whether images are float32 in [-1, 1]; otherwise they are uint8, for `scale`.
        keep_bytes: where all images take at most this many bytes, each is read once and kept.

    Returns:
        `tf.data.Dataset` of (images `(N, S, S, C)`, labels int32 `(N,)`), where N is
        `batches_per_step * B / R`. Iterate it inside `readable_errors(source)`.

    Raises:
        ValueError: for arguments out of range, or if a class to be balanced has no images.
    """
    replicas = tuple(range(num_replicas) if replicas is None else replicas)
    _check_numbers(seed, start_step, global_batch_size, batches_per_step, num_replicas, replicas)
    positions_of = _places(start_step, global_batch_size, batches_per_step, num_replicas, replicas)
    example_at = _order(source, seed, class_balanced)
    ahead = _STEPS_AHEAD * len(replicas)
    reader = ReadAhead(Loader(source, image_size), ahead, keep_bytes)

    def load(element: np.int64) -> tuple[np.ndarray, np.ndarray]:
        images, labels = reader.read(int(element), lambda n: example_at(positions_of(n)))
        if flip:
            mirrored = coin_flips(positions_of(int(element)), seed)
            images[mirrored] = images[mirrored, :, ::-1]
        return images, labels

    size = batches_per_step * global_batch_size // num_replicas
    dataset = _dataset(load, (size, image_size, image_size, source.channels))
    return dataset.map(lambda images, labels: (scale(images), labels)) if scaled else dataset


def scale(images: tf.Tensor) -> tf.Tensor:
    """uint8 images as float32 in [-1, 1]; images of other types are returned unchanged."""
    return tf.cast(images, tf.float32) * (2 / 255) - 1 if images.dtype == tf.uint8 else images


def _places(
    start_step: int,
    global_batch_size: int,
    batches_per_step: int,
    num_replicas: int,
    replicas: Sequence[int],
) -> Callable[[int], np.ndarray]:
    """The function from an element's number to the positions of its examples in the run."""
    share = global_batch_size // num_replicas
    rows = np.arange(batches_per_step)[:, np.newaxis] * global_batch_size + np.arange(share)

    def positions_of(element: int) -> np.ndarray:
        step = start_step + element // len(replicas)
        first = step * batches_per_step * global_batch_size
        return first + replicas[element % len(replicas)] * share + rows.ravel()

    return positions_of


def _dataset(
    load: Callable[[np.int64], tuple[np.ndarray, np.ndarray]], shape: tuple[int, ...]
) -> tf.data.Dataset:
    """A dataset of `load(0)`, `load(1)`, ..., whose images have the given shape."""

    # There is no condition or loop to convert, and AutoGraph would take its time to find that out.
    @tf.autograph.experimental.do_not_convert
    def loaded(element: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        images, labels = tf.numpy_function(load, [element], [tf.uint8, tf.int32])
        images.set_shape(shape)
        labels.set_shape(shape[:1])
        return images, labels

    # `ReadAhead` reads ahead instead of `prefetch`. TensorFlow destroys an iterator only after its
    # calls in flight have ended. If Python's garbage collector found a dropped iterator in a thread
    # that such a call waits for, both would wait forever. On several replicas, the distributed
    # iterator reads ahead all the same: drop it as `training.loop` does.
    options = tf.data.Options()
    options.experimental_optimization.inject_prefetch = False  # TensorFlow would add one itself
    options.autotune.enabled = False
    return tf.data.Dataset.counter(dtype=tf.int64).map(loaded).with_options(options)


@contextlib.contextmanager
def readable_errors(source: Source) -> Iterator[None]:
    """Raises an error of the loader as `ValueError` instead of TensorFlow's `OpError` around it.

    Example:

    >>> with readable_errors(source):  # doctest: +SKIP
    ...     for images, labels in batches(source, ...):
    ...         ...
    """
    try:
        yield
    except tf.errors.OpError as error:
        if source.failure is None:
            raise
        raise ValueError(source.failure) from error


def _order(source: Source, seed: int, class_balanced: bool) -> Callable[[np.ndarray], np.ndarray]:
    """The function from positions in the run to the indices of the examples there."""
    if not class_balanced:
        return lambda positions: shuffled_indices(positions, source.num_examples, seed)
    members = class_members(all_labels(source), source.num_classes)
    empty = [source.class_names[label] for label in np.flatnonzero(members.counts == 0)]
    if empty:
        raise ValueError(
            f"`class_balanced` needs at least one image of every class. Received: {source.name}, "
            f"where {len(empty)} of {source.num_classes} classes have none: "
            f"{', '.join(empty[:10])}. Choose a split that has them, or leave `class_balanced` off."
        )
    return lambda positions: class_balanced_indices(positions, members, seed)


def _check_numbers(
    seed: int,
    start_step: int,
    global_batch_size: int,
    batches_per_step: int,
    num_replicas: int,
    replicas: tuple[int, ...],
) -> None:
    if not 0 <= seed < 2**64:
        raise ValueError(f"`seed` must lie in [0, 2**64). Received: seed={seed}.")
    for name, value, least in (
        ("start_step", start_step, 0),
        ("global_batch_size", global_batch_size, 1),
        ("batches_per_step", batches_per_step, 1),
        ("num_replicas", num_replicas, 1),
    ):
        if value < least:
            raise ValueError(f"`{name}` must be at least {least}. Received: {name}={value}.")
    if global_batch_size % num_replicas:
        raise ValueError(
            f"`global_batch_size` must be a multiple of the number of replicas, so that all "
            f"take equal shares. Received: global_batch_size={global_batch_size}, "
            f"num_replicas={num_replicas}."
        )
    if not replicas or not set(replicas) <= set(range(num_replicas)):
        raise ValueError(
            f"`replicas` must name some of 0 to {num_replicas - 1}. Received: {replicas}."
        )
