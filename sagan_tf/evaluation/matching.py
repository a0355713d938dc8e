"""Matches classes by name: other images get the labels of the real images' classes."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np
from absl import logging

from sagan_tf.class_names import hints, readable, shortened
from sagan_tf.evaluation.images import Images


class Relabelled:
    """Images with other labels for their classes, or without labels.

    Args:
        images: the images, of classes 0 to n - 1.
        table: int32 `(n,)`, the new label of each class; `None` removes all labels.
    """

    def __init__(self, images: Images, table: np.ndarray | None) -> None:
        self._images, self._table = images, table
        self.num_images = images.num_images
        # The identity includes the labels, as they are cached with the features.
        labels: Any = None if table is None else table.tolist()
        self.identity = {**images.identity, "classes": labels}

    def read(self, start: int, stop: int) -> tuple[np.ndarray, np.ndarray | None]:
        images, labels = self._images.read(start, stop)
        return images, None if labels is None or self._table is None else self._table[labels]


def match_classes(
    images: Images,
    names: Sequence[str],
    real_names: Sequence[str],
    argument: str,
    strict: bool = False,
) -> Images:
    """Gives images the labels of the real classes of the same names, whatever their order.

    Real classes without images are logged.

    Args:
        images: the images.
        names: names of their classes, one per label; empty for images without classes.
        real_names: names of the real images' classes, one per label; empty if they only have
            numbers.
        argument: the flag that gave the images, for messages.
        strict: whether a name that no real class has is an error. Otherwise all labels are removed,
            with a warning in the log, and there are no scores per class.

    Raises:
        ValueError: for a name that no real class has (if `strict`), or that is ambiguous.
    """
    names, real_names = ([readable(name).strip() for name in side] for side in (names, real_names))
    if not names or names == real_names or not (real_names or strict):
        return images
    if not real_names:
        return _match_numbers(images, names, argument)
    labels = _labels_by_name(real_names)
    unknown = [name for name in names if name not in labels]
    if unknown and strict:
        raise ValueError(
            f"`{argument}` must have one sub-folder per class, named like the classes of the real "
            f"images. Received: {shortened(unknown)}.{hints(unknown[0], real_names)} Rename or "
            "remove what is no class; images without sub-folders are scored without classes."
        )
    if unknown:
        logging.warning(
            "`%s` has classes that the real images do not have (%s): no class is scored by itself.",
            argument,
            shortened(unknown),
        )
        return Relabelled(images, None)
    wanted = _labels_by_name(names)
    unclear = [name for name, own in wanted.items() if 1 < len(labels[name]) != len(own)]
    if unclear:
        raise ValueError(
            f"`{argument}` must name its classes so that each is one of the real images'. Several "
            f"of these have one name. Received: {shortened(unclear)}"
        )
    _name_missing([name for name in labels if name not in wanted], real_names, argument)
    table = np.empty(len(names), np.int32)
    for name, own in wanted.items():
        table[own] = labels[name]
    return Relabelled(images, table)


def _name_missing(missing: Sequence[str], real_names: Sequence[str], argument: str) -> None:
    if missing:
        logging.warning(
            "`%s` has no images of %d of the %d classes: %s.",
            argument,
            len(missing),
            len(real_names),
            shortened(missing),
        )


def _match_numbers(images: Images, names: Sequence[str], argument: str) -> Images:
    """Uses names that are numbers as labels, if the real classes have no names."""
    if all(name.isdecimal() and int(name) < 2**31 for name in names):
        return Relabelled(images, np.array([int(name) for name in names], np.int32))
    logging.warning(
        "The classes of the real images have no names, so those of `%s` (%s) cannot be found among "
        "them: no class is scored by itself. Folders that are named by numbers would be.",
        argument,
        shortened(names),
    )
    return Relabelled(images, None)


def _labels_by_name(names: Sequence[str]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = defaultdict(list)
    for label, name in enumerate(names):
        found[name].append(label)
    return found
