"""Checks a data set before hours of training are spent on it."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from absl import logging

from sagan_tf.class_names import quoted, shortened
from sagan_tf.data.decode import is_transparent
from sagan_tf.data.labels import check_labels, class_counts
from sagan_tf.data.loading import Loader
from sagan_tf.data.order import shuffled_indices
from sagan_tf.data.source import Source
from sagan_tf.machine.processors import num_cores

_NUM_IMAGES = 256
# Two equal images may be chance or plain backgrounds; four equal images of four are a mistake.
_LEAST_TO_CALL_REPEATED = 4
# Classes are very unequal if the largest has more than this many times the images of another.
_UNEQUAL = 10
# Largest number of classes for which the summary lists each with its count.
_MOST_COUNTS_LISTED = 20


def check_source(
    source: Source, image_size: int, seed: int = 0, global_batch_size: int | None = None
) -> str:
    """Checks the first images of a run, and the labels if they are known without reading all data.

    It logs warnings for classes that repeat one image, images of a single colour, a data set with
    fewer images than a batch, and classes with no image, one image or far fewer images than others;
    and the warnings of `warn_of_findings`.

    Args:
        source: data set from `load_source`.
        image_size: side of the images to train on.
        seed: the run's seed.
        global_batch_size: the run's global batch size; `None` does not compare the number of images
            with it.

    Returns:
        One line that summarises the data set; it is also logged.

    Raises:
        ValueError: if a label is out of range, all checked images are the same or each has a single
            colour, or more than 1 % of the images are unreadable.
    """
    indices = _first_indices(source.num_examples, seed)
    loader = Loader(source, image_size)
    images, labels = loader.finish(loader.start(indices))
    known_labels = labels if source.labels is None else source.labels
    check_labels(source, known_labels)
    _check_variety(source, images)
    _warn_of_repeats(source, images, labels)
    _warn_of_few_images(source, global_batch_size)
    warn_of_findings(source, seed)
    if source.labels is not None:
        _warn_of_counts(source, class_counts(source))
    unreadable = f", {loader.num_unreadable} unreadable" if loader.num_unreadable else ""
    looked_at = (
        f"looked at {len(indices)}{unreadable}: {_number(len(np.unique(labels)), 'class')}, "
        f"levels {images.min()} to {images.max()}, mean {images.mean():.0f}"
    )
    line = "; ".join([_sizes(source), looked_at, *_counts(source)])
    logging.info("%s", line)
    return line


def summary(source: Source) -> str:
    """One line on a data set, without reading its images: images, classes, channels, counts."""
    return "; ".join([_sizes(source), *_counts(source)])


def _sizes(source: Source) -> str:
    return (
        f"{source.name}: {_number(source.num_examples, 'image')}, "
        f"{_number(source.num_classes, 'class')}, {source.channels} channel(s)"
    )


def _counts(source: Source) -> list[str]:
    """A line with the number of images per class, if they are known."""
    return [] if source.labels is None else [_counts_line(source, class_counts(source))]


def _number(count: int, thing: str) -> str:
    plural = {"class": "classes", "image": "images"}[thing]
    return f"{count} {thing if count == 1 else plural}"


def warn_of_findings(source: Source, seed: int = 0) -> None:
    """Logs warnings for unused files and for transparent images.

    Args:
        source: data set from `load_source`.
        seed: seed of the order in which the first images are checked.
    """
    for note in source.notes:
        logging.warning("%s", note)
    if source.background is not None:

        def read(index: int) -> bytes | np.ndarray:
            return source.read(index)[0]

        warn_of_transparency(read, source.num_examples, source.background, seed)


def warn_of_transparency(
    read: Callable[[int], bytes | np.ndarray],
    num_images: int,
    background: tuple[int, int, int],
    seed: int = 0,
) -> None:
    """Logs a warning if some of the first images are transparent.

    Args:
        read: returns an image (file content or pixels) by its index; its errors are ignored.
        num_images: number of images.
        background: RGB that is put behind the images.
        seed: seed of the order in which the first images are checked.
    """

    def lets_through(index: int) -> bool:
        try:
            return is_transparent(read(index))
        except Exception:  # Pillow raises a dozen different exceptions for damaged files
            return False

    indices = _first_indices(num_images, seed)
    with ThreadPoolExecutor(num_cores()) as threads:
        count = sum(threads.map(lets_through, indices.tolist()))
    if count:
        logging.warning(
            "%d of the %d images looked at are transparent: #%02x%02x%02x (`--background`) is put "
            "behind them.",
            count,
            len(indices),
            *background,
        )


def _first_indices(num_images: int, seed: int) -> np.ndarray:
    return shuffled_indices(np.arange(min(num_images, _NUM_IMAGES)), num_images, seed)


def _check_variety(source: Source, images: np.ndarray) -> None:
    flat = [image.min() == image.max() for image in images]
    if all(flat):
        raise ValueError(
            f"Training expects pictures. Received: {source.name}, where each of the {len(images)} "
            f"images looked at has one flat colour. Look at the files."
        )
    if _all_equal(images):
        raise ValueError(
            f"Training expects different pictures. Received: {source.name}, where the "
            f"{len(images)} images looked at are one repeated image. Look at the files."
        )
    if any(flat):
        logging.warning(
            "%d of the %d images looked at in %s have one flat colour.",
            sum(flat),
            len(images),
            source.name,
        )


def _warn_of_repeats(source: Source, images: np.ndarray, labels: np.ndarray) -> None:
    repeated = [
        source.class_names[label]
        for label in np.unique(labels)
        if _all_equal(images[labels == label])
    ]
    if repeated:
        logging.warning(
            "In %s, all images looked at of these classes are one repeated image: %s.",
            source.name,
            shortened(repeated),
        )


def _warn_of_few_images(source: Source, global_batch_size: int | None) -> None:
    if global_batch_size is not None and source.num_examples < global_batch_size:
        logging.warning(
            "%s has %d images, fewer than the %d of a batch, so each batch repeats some of them. "
            "Lower `--global_batch_size` or add images.",
            source.name,
            source.num_examples,
            global_batch_size,
        )


def _warn_of_counts(source: Source, counts: np.ndarray) -> None:
    if (counts == 0).any():
        empty = _class_names(source, counts == 0)
        logging.warning("Classes of %s without images: %s.", source.name, empty)
    if (counts == 1).any():
        logging.warning(
            "Classes of %s with one image, which training can only repeat: %s.",
            source.name,
            _class_names(source, counts == 1),
        )
    # Classes are small if the largest class has more than `_UNEQUAL` times as many images.
    small = (counts > 0) & (counts * _UNEQUAL < counts.max())
    if small.any():
        logging.warning(
            "Classes of %s are very unequal: %s has %d images, the smallest %d; less than a tenth "
            "of the largest have %s. `--label_distribution=data` generates classes as often as "
            "they occur; `--class_balanced` reads every class equally often.",
            source.name,
            source.class_names[counts.argmax()],
            counts.max(),
            counts[small].min(),
            _class_names(source, small),
        )


def _counts_line(source: Source, counts: np.ndarray) -> str:
    if len(counts) > _MOST_COUNTS_LISTED:
        return (
            f"images per class: smallest {counts.min()}, median {np.median(counts):.0f}, "
            f"largest {counts.max()}"
        )
    pairs = zip(source.class_names, counts, strict=True)
    return f"images per class: {', '.join(f'{quoted(name)} {count}' for name, count in pairs)}"


def _class_names(source: Source, chosen: np.ndarray) -> str:
    """The names of at most ten of the classes selected by `chosen`, bool `(num_classes,)`."""
    return shortened([source.class_names[label] for label in np.flatnonzero(chosen)])


def _all_equal(images: np.ndarray) -> bool:
    return len(images) >= _LEAST_TO_CALL_REPEATED and bool((images == images[0]).all())
