"""A look at a data set before hours of training are spent on it."""

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
# Two equal pictures may be chance or a plain background; four of four are a mistake.
_LEAST_TO_CALL_REPEATED = 4
# How many times as many images one class has as another where both count as very unequal.
_UNEQUAL = 10
# Up to so many classes, the summary names each with its count.
_MOST_COUNTS_LISTED = 20


def check_source(
    source: Source, image_size: int, seed: int = 0, global_batch_size: int | None = None
) -> str:
    """Looks at the first images of a run and at the labels, where those are cheap to know.

    Warns in the log of classes that repeat one image, of images of one flat colour, of fewer
    images than a batch takes, of classes with no image, with one, or with far fewer than others,
    and as `warn_of_findings` does.

    Args:
        source: from `load_source`.
        image_size: side of the images to train on.
        seed: the run's seed.
        global_batch_size: the run's; without it, the number of images is not compared with it.

    Returns:
        One line that sums up the data set, also logged.

    Raises:
        ValueError: a label has no class, all images looked at are the same or flat, or more than
            1 % are unreadable.
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
    """Sums up a data set in one line, without reading it: images, classes, channels, counts."""
    return "; ".join([_sizes(source), *_counts(source)])


def _sizes(source: Source) -> str:
    return (
        f"{source.name}: {_number(source.num_examples, 'image')}, "
        f"{_number(source.num_classes, 'class')}, {source.channels} channel(s)"
    )


def _counts(source: Source) -> list[str]:
    """The numbers of images per class, where they are known."""
    return [] if source.labels is None else [_counts_line(source, class_counts(source))]


def _number(count: int, thing: str) -> str:
    plural = {"class": "classes", "image": "images"}[thing]
    return f"{count} {thing if count == 1 else plural}"


def warn_of_findings(source: Source, seed: int = 0) -> None:
    """Warns in the log of what is not used, and of images that are transparent.

    Args:
        source: from `load_source`.
        seed: of the order in which the first images are looked at.
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
    """Warns in the log if some of the first images let the background through.

    Args:
        read: gives the bytes of an image by its index; an error in it does not matter here.
        num_images: how many there are.
        background: RGB that is put behind them.
        seed: of the order in which the first are looked at.
    """

    def lets_through(index: int) -> bool:
        try:
            return is_transparent(read(index))
        except Exception:  # Pillow meets damage with any of a dozen exceptions
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
    # Very unequal: the largest has more than `_UNEQUAL` times as many as these.
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
    """The names of the chosen classes, bool `(num_classes,)`, at most ten of them."""
    return shortened([source.class_names[label] for label in np.flatnonzero(chosen)])


def _all_equal(images: np.ndarray) -> bool:
    return len(images) >= _LEAST_TO_CALL_REPEATED and bool((images == images[0]).all())
