"""A look at a data set before hours of training are spent on it."""

import numpy as np
from absl import logging

from sagan_tf.data.loading import Loader
from sagan_tf.data.order import shuffled_indices
from sagan_tf.data.source import Source

_NUM_IMAGES = 256
# Two equal pictures may be chance or a plain background; four of four are a mistake.
_LEAST_TO_CALL_REPEATED = 4


def check_source(source: Source, image_size: int, seed: int = 0) -> str:
    """Looks at the first images of a run and at the labels, where those are cheap to know.

    Warns in the log of classes without examples, of classes that repeat one image and of images
    of one flat colour.

    Args:
        source: from `load_source`.
        image_size: side of the images to train on.
        seed: the run's seed.

    Returns:
        One line that sums up the data set, also logged.

    Raises:
        ValueError: a label has no class, all images looked at are the same or flat, or more than
            1 % are unreadable.
    """
    count = min(source.num_examples, _NUM_IMAGES)
    indices = shuffled_indices(np.arange(count), source.num_examples, seed)
    loader = Loader(source, image_size)
    images, labels = loader.finish(loader.start(indices))
    known_labels = labels if source.labels is None else source.labels
    _check_labels(source, known_labels)
    _check_variety(source, images)
    _warn_of_repeats(source, images, labels)
    if source.labels is not None:
        _warn_of_empty_classes(source)
    summary = (
        f"{source.name}: {source.num_examples} images, {source.num_classes} classes, "
        f"{source.channels} channel(s); looked at {count}: {len(np.unique(labels))} classes, "
        f"levels {images.min()} to {images.max()}, mean {images.mean():.0f}"
    )
    logging.info("%s", summary)
    return summary


def _check_labels(source: Source, labels: np.ndarray) -> None:
    wrong = labels[(labels < 0) | (labels >= source.num_classes)]
    if len(wrong):
        raise ValueError(
            f"Labels of {source.name} must lie in 0 to {source.num_classes - 1}. Received: "
            f"{sorted(set(wrong.tolist()))[:10]}. Choose a split with labels."
        )


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
            ", ".join(repeated[:10]),
        )


def _warn_of_empty_classes(source: Source) -> None:
    counts = np.bincount(source.labels, minlength=source.num_classes)
    empty = [name for name, count in zip(source.class_names, counts, strict=True) if not count]
    if empty:
        logging.warning("Classes of %s without images: %s.", source.name, ", ".join(empty[:10]))


def _all_equal(images: np.ndarray) -> bool:
    return len(images) >= _LEAST_TO_CALL_REPEATED and bool((images == images[0]).all())
