"""Reads batches ahead of training, and keeps the images of small data sets in memory."""

from collections.abc import Callable
from concurrent.futures import Future

import numpy as np

from sagan_tf.data.loading import Loader

# Enough for 10,000 colour images of 128 pixels, or for 170,000 of 32.
KEPT_BYTES = 512 * 2**20


class ReadAhead:
    """Reads elements in order while the next ones are already being loaded.

    Where all images of the source fit into `keep_bytes`, each is read once. From then on a batch is
    copied from memory in one operation: a GPU takes batches of small images faster than Python's
    threads, which share one lock, read them from files or draw them.

    Args:
        loader: loader of images by index.
        ahead: number of elements to load ahead.
        keep_bytes: most bytes of decoded images to keep.
    """

    def __init__(self, loader: Loader, ahead: int, keep_bytes: int) -> None:
        self._loader = loader
        self._ahead = ahead
        self._kept = _KeptImages(loader) if loader.num_bytes <= keep_bytes else None
        self._started: dict[int, _Element] = {}

    def read(
        self, element: int, examples_of: Callable[[int], np.ndarray]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Images uint8 `(N, S, S, C)` and labels int32 `(N,)` of an element.

        Args:
            element: number of the element; elements are read in order.
            examples_of: an element's number -> the indices of its examples, int64 `(N,)`.
        """
        for number in range(element, element + 1 + self._ahead):
            if number not in self._started:
                self._started[number] = self._start(examples_of(number))
        indices, missing, tasks = self._started.pop(element)
        if self._kept is None:
            return self._loader.finish(tasks)
        if missing.size:
            self._kept.add(missing, *self._loader.finish(tasks))
        return self._kept.at(indices)

    def _start(self, indices: np.ndarray) -> "_Element":
        missing = indices if self._kept is None else indices[~self._kept.is_kept[indices]]
        return indices, missing, self._loader.start(missing)


# The indices of an element's examples, those of them to be read, and the tasks that read these.
_Element = tuple[np.ndarray, np.ndarray, list[Future]]


class _KeptImages:
    """The images of a source that have been read so far, and their labels, by index."""

    def __init__(self, loader: Loader) -> None:
        # Pages of an `empty` array take memory only once they are written.
        self._images = np.empty((loader.num_examples, *loader.image_shape), np.uint8)
        self._labels = np.empty(loader.num_examples, np.int32)
        self.is_kept = np.zeros(loader.num_examples, bool)

    def add(self, indices: np.ndarray, images: np.ndarray, labels: np.ndarray) -> None:
        """Keeps uint8 images `(n, S, S, C)` and int32 labels `(n,)`."""
        self._images[indices] = images
        self._labels[indices] = labels
        self.is_kept[indices] = True

    def at(self, indices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Copies of the images and labels at `indices`, all of which are kept."""
        return self._images[indices], self._labels[indices]
