"""A labelled set of images, read by index."""

import abc
import os
from collections.abc import Sequence

import numpy as np

from sagan_tf.class_names import readable

# Describes a folder of prepared images, in it.
MANIFEST = "prepared.json"


def folder_hint(name: str) -> str:
    """Asks which folder is meant by a path that stands where a data set's name does.

    Returns:
        A sentence with a blank before it; "" if the name is no path that is there.
    """
    for path in (name, name.partition(":")[2].removeprefix("//")):
        place = os.path.expanduser(path)
        if path and os.path.isdir(place):
            kind = "prepared" if os.path.exists(os.path.join(place, MANIFEST)) else "folder"
            return f" Did you mean {kind}:{readable(path)}?"
    if name.startswith(("/", "./", "../", "~")):
        return " There is no such folder; one that is there is named folder:PATH."
    return ""


class Description:
    """What is known of a data set without its images.

    Attributes:
        name: the data set's canonical name; presets follow it.
        class_names: the name of each label, `num_classes` of them.
        channels: 1 for grey images, 3 for colour.
    """

    def __init__(self, name: str, class_names: tuple[str, ...], channels: int) -> None:
        self.name = name
        self.class_names = class_names
        self.channels = channels

    @property
    def num_classes(self) -> int:
        """How many labels there are."""
        return len(self.class_names)


class Source(Description, abc.ABC):
    """A labelled set of images, read by index; safe to read from several threads.

    Attributes:
        num_examples: how many images there are.
        image_size: the one size all images are stored or drawn at, else None.
        labels: int32 `(num_examples,)` where known without reading the examples, else None until
            `class_counts` or class-balanced `batches` have read them.
        failure: why reading stopped, for `readable_errors`; None while all is well.
        reported: examples that were named in the log as unreadable.
        files: the files of a local set, all of them; none for others.
        background: RGB behind transparent images that are decoded as a viewer shows them; None for
            published data sets, which are decoded as they were published.
        notes: sentences on what was found but is not used, for the owner of the images.
    """

    background: tuple[int, int, int] | None = None
    notes: tuple[str, ...] = ()
    files: Sequence[str] = ()

    def __init__(
        self,
        name: str,
        class_names: tuple[str, ...],
        channels: int,
        num_examples: int,
        image_size: int | None = None,
        labels: np.ndarray | None = None,
    ) -> None:
        super().__init__(name, class_names, channels)
        self.num_examples = num_examples
        self.image_size = image_size
        self.labels = labels
        self.failure: str | None = None
        self.reported: set[int] = set()

    @abc.abstractmethod
    def read(self, index: int) -> tuple[bytes | np.ndarray, int]:
        """The encoded file or the uint8 `(H, W, C)` pixels of one example, and its label."""

    def read_labels(self, indices: Sequence[int]) -> list[int]:
        """The labels of some examples, where that is cheaper than to read each by itself."""
        return [self.read(index)[1] for index in indices]

    def example_name(self, index: int) -> str:
        """What to call an example in messages, so that its owner finds it."""
        return f"example {index} of {self.name}"
