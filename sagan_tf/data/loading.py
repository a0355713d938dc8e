"""Loads batches of decoded images by index; damaged images are reported, replaced and counted."""

import contextlib
import functools
import math
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np
from absl import logging

from sagan_tf.data.decode import decode_square
from sagan_tf.data.labels import check_labels
from sagan_tf.data.source import Source
from sagan_tf.machine.processors import num_cores

_TOLERATED_FRACTION = 0.01
# Handing one small image to a thread costs as much as reading it. Tasks of eight read prepared
# images 1.5 times faster, and still spread a batch over many cores.
_IMAGES_PER_TASK = 8
# A handful of damaged files stops no run, however small the data set or early the step.
_TOLERATED_COUNT = 10
# Largest number of images that are read to list the unreadable ones once there are too many.
_MOST_SEARCHED = 20_000


def check_image_size(source: Source, image_size: int) -> None:
    """Checks that a source can provide images of a size.

    Raises:
        ValueError: for a size below 1, or one that differs from a source's fixed size.
    """
    if image_size < 1:
        raise ValueError(f"`image_size` must be positive. Received: image_size={image_size}.")
    if source.image_size not in (None, image_size):
        raise ValueError(
            f"The data of {source.name} is prepared or drawn at size {source.image_size}. "
            f"Received: image_size={image_size}. Train at {source.image_size}, or run "
            f"`python -m sagan_tf.prepare --dataset={source.name} --image_size={image_size}` "
            f"into another folder; `geotex` and `robohash` are drawn at `load_source`'s "
            f"`image_size`."
        )


class Loader:
    """Reads, decodes and resizes a source's examples in a pool of threads.

    An unreadable image is logged once. `start` replaces it by the next readable example, so the
    result is still a function of the index.

    Args:
        source: the data set.
        image_size: side of the square images to return.

    Raises:
        ValueError: if `image_size` differs from the size at which a source is prepared or drawn.
    """

    def __init__(self, source: Source, image_size: int) -> None:
        check_image_size(source, image_size)
        self._source = source
        self._image_size = image_size
        self._lock = threading.Lock()
        self._num_read = 0
        self._unreadable: dict[int, str] = {}
        self._named: set[int] = set()
        self._complaint: str | None = None
        self._complaint_lock = threading.Lock()

    @property
    def num_examples(self) -> int:
        """Number of examples of the source."""
        return self._source.num_examples

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """`(S, S, C)` of the images."""
        return self._image_size, self._image_size, self._source.channels

    @property
    def num_bytes(self) -> int:
        """Bytes that all decoded images would take."""
        return self.num_examples * math.prod(self.image_shape)

    @property
    def num_unreadable(self) -> int:
        """Number of unreadable images among those read so far."""
        return len(self._unreadable)

    def examples(self, indices: Sequence[int]) -> Iterator[tuple[np.ndarray, int] | None]:
        """Yields one image, uint8 `(S, S, C)`, and its label for each index, decoded in parallel.

        An unreadable example yields `None`.

        Raises:
            ValueError: if more than 1 % of the examples seen were unreadable, and more than ten.
        """
        for task in _in_threads(self._example, indices):
            with self._complaining():
                examples = task.result()
            yield from examples

    def start(self, indices: np.ndarray) -> list[Future]:
        """Starts reading the examples at `indices`; `finish` waits for them."""
        return _in_threads(self._example_or_next, indices.tolist())

    def finish(self, tasks: list[Future]) -> tuple[np.ndarray, np.ndarray]:
        """Waits for the tasks of `start`: images uint8 `(n, S, S, C)` and labels int32 `(n,)`.

        Raises:
            ValueError: in the same cases as `examples`, and for a label that is none of the
                source's classes; `source.failure` keeps the message.
        """
        try:
            with self._complaining():
                examples = [example for task in tasks for example in task.result()]
            labels = np.array([label for _, label in examples], np.int32)
            check_labels(self._source, labels)
        except Exception as error:
            self._source.failure = str(error)
            raise
        images = np.stack([image for image, _ in examples])
        return images, labels

    def _example_or_next(self, index: int) -> tuple[np.ndarray, int]:
        num_examples = self._source.num_examples
        for step in range(num_examples):
            example = self._example((index + step) % num_examples)
            if example is not None:
                return example
        raise _TooManyUnreadableError

    def _example(self, index: int) -> tuple[np.ndarray, int] | None:
        example = self._read(index)
        if example is None:
            self._name(index)
        return example

    def _name(self, index: int) -> None:
        with self._lock:
            if index in self._named:
                return
            self._named.add(index)
        if len(self._named) > max(_TOLERATED_COUNT, _TOLERATED_FRACTION * self._seen):
            raise _TooManyUnreadableError
        if index not in self._source.reported:  # by another loader of the same run
            self._source.reported.add(index)
            logging.warning("Unreadable image, passed over: %s", self._unreadable[index])

    def _read(self, index: int) -> tuple[np.ndarray, int] | None:
        self._num_read += 1  # a rough count is enough, so no lock
        if index in self._unreadable:
            return None
        try:
            image, label = self._source.read(index)
            return self._pixels(image), label
        except Exception as error:  # Pillow raises a dozen different exceptions for damaged files
            self._unreadable[index] = f"{self._source.example_name(index)} ({error})"
            return None

    def _pixels(self, image: bytes | np.ndarray) -> np.ndarray:
        if self._source.image_size is not None and isinstance(image, np.ndarray):
            return image
        return decode_square(
            image, self._image_size, self._source.channels, self._source.background
        )

    @property
    def _seen(self) -> int:
        return min(self._num_read, self._source.num_examples)

    @contextlib.contextmanager
    def _complaining(self) -> Iterator[None]:
        """Raises a ValueError that says where all unreadable images are listed."""
        try:
            yield
        except _TooManyUnreadableError:
            with self._complaint_lock:  # one of the waiting threads makes the list
                self._complaint = self._complaint or self._list_unreadable()
            raise ValueError(self._complaint) from None

    def _list_unreadable(self) -> str:
        # Up to this many images are all read, so that the user can repair them in one go.
        count = min(self._source.num_examples, _MOST_SEARCHED)
        logging.warning("Too many unreadable images: looking for all among %d.", count)
        for task in _in_threads(self._read, range(count)):
            task.result()
        found = [self._unreadable[index] for index in sorted(self._unreadable)]
        with tempfile.NamedTemporaryFile(
            "w", prefix="unreadable-images-", suffix=".txt", delete=False, errors="surrogateescape"
        ) as file:
            file.writelines(f"{line}\n" for line in found)
        return (
            f"{len(found)} of the {self._seen} images looked at in {self._source.name} are "
            f"unreadable, more than the {_TOLERATED_FRACTION:.0%} that are passed over. All are "
            f"listed in {file.name}. Repair or remove them. Received: {'; '.join(found[:3])}."
        )


class _TooManyUnreadableError(Exception):
    """Ends the reading; the message takes time, so it is made outside the pool's threads."""


def _in_threads(function: Callable[[int], Any], indices: Sequence[int]) -> list[Future]:
    """Starts `function(index)` for all indices; each task returns the results of a part of them."""
    starts = range(0, len(indices), _IMAGES_PER_TASK)
    parts = [indices[start : start + _IMAGES_PER_TASK] for start in starts]
    return [_threads().submit(lambda part: list(map(function, part)), part) for part in parts]


@functools.cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(num_cores(), thread_name_prefix="images")
