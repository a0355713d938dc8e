"""A labelled set of images, read by index."""

import abc
import os
from collections.abc import Sequence

import numpy as np

from sagan_tf.class_names import readable

# Name of the file that describes a folder of prepared images.
MANIFEST = "prepared.json"


def folder_hint(name: str) -> str:
    """A hint for a path given instead of a data set's name.

    Returns:
        A sentence that starts with a space; "" if the name does not look like a path.
    """
    for path in (name, name.partition(":")[2].removeprefix("//")):
        place = os.path.expanduser(path)
        if path and os.path.isdir(place):
            kind = "prepared" if os.path.exists(os.path.join(place, MANIFEST)) else "folder"
            return f" Did you mean {kind}:{readable(path)}?"
    if name.startswith(("/", "./", "../", "~")):
        return " There is no such folder; give an existing one as folder:PATH."
    return ""


class Description:
    """Properties of a data set that are known without reading its images.

    Attributes:
        name: the data set's canonical name; presets are chosen by it.
        class_names: the name of each label, `num_classes` of them.
        channels: 1 for grey images, 3 for colour images.
    """

    def __init__(self, name: str, class_names: tuple[str, ...], channels: int) -> None:
        self.name = name
        self.class_names = class_names
        self.channels = channels

    @property
    def num_classes(self) -> int:
        """The number of labels."""
        return len(self.class_names)


class Source(Description, abc.ABC):
    """A labelled set of images, read by index; safe to read from several threads.

    Attributes:
        num_examples: number of images.
        image_size: the size at which all images are stored or drawn; `None` if sizes vary.
        labels: int32 `(num_examples,)` if known without reading the examples, else `None` until
            `class_counts` or class-balanced `batches` have read them.
        failure: message of the error that stopped reading, for `readable_errors`; else `None`.
        reported: indices of examples that were logged as unreadable.
        files: all files of a local data set; empty for other data sets.
        background: RGB behind transparent images, which are decoded as a viewer shows them; `None`
            for published data sets, which are decoded like the published code does.
        notes: sentences on files that were found but are not used.
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
        """The labels of some examples; faster than `read` where labels can be read alone."""
        return [self.read(index)[1] for index in indices]

    def example_name(self, index: int) -> str:
        """A name for messages by which the user can find an example."""
        return f"example {index} of {self.name}"
