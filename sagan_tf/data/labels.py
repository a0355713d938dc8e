"""Counts the images of each class; the labels of TFDS sets have to be read once for that."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
from tqdm import tqdm

from sagan_tf.data.source import Source
from sagan_tf.machine.processors import num_cores

# Records that one thread reads at a time. Reading many is faster than one by one, but all their
# images are in memory: 14 MB for ImageNet.
_LABELS_PER_TASK = 128


def class_counts(source: Source) -> np.ndarray:
    """Counts the images of each class, int64 `(num_classes,)`.

    If the labels are not known, they are read first, which takes as long as reading every record
    from disk; images are not decoded.

    Raises:
        ValueError: if a label is not in [0, num_classes).
    """
    return np.bincount(all_labels(source), minlength=source.num_classes)


def all_labels(source: Source) -> np.ndarray:
    """Returns every image's label, int32 `(num_examples,)`, and keeps them in `source.labels`.

    Raises:
        ValueError: if a label is not in [0, num_classes).
    """
    labels = _read_labels(source) if source.labels is None else source.labels
    check_labels(source, labels)
    source.labels = labels
    return labels


def check_labels(source: Source, labels: np.ndarray) -> None:
    """Raises `ValueError` if any of `labels` is not in [0, num_classes) of the source."""
    wrong = labels[(labels < 0) | (labels >= source.num_classes)]
    if len(wrong):
        raise ValueError(
            f"Labels of {source.name} must lie in 0 to {source.num_classes - 1}. Received: "
            f"{sorted(set(wrong.tolist()))[:10]}. Choose a split with labels."
        )


def _read_labels(source: Source) -> np.ndarray:
    count = source.num_examples

    def read(start: int) -> list[int]:
        return source.read_labels(list(range(start, min(start + _LABELS_PER_TASK, count))))

    labels = []
    progress = tqdm(desc=f"labels of {source.name}", total=count, unit="label", delay=2)
    with ThreadPoolExecutor(num_cores()) as threads, progress:
        for part in threads.map(read, range(0, count, _LABELS_PER_TASK)):
            labels.extend(part)
            progress.update(len(part))
    return np.array(labels, np.int32)
