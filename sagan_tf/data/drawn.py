"""GeoTex as a source: images that tell geometry from texture, drawn when they are read."""

from collections.abc import Sequence

import numpy as np

from sagan_tf.data.source import Source
from sagan_tf.geotex.drawing import (
    CLASS_NAMES,
    DEFAULT_SIZE,
    SPLITS,
    check_size,
    draw,
    ordered_classes,
    split_numbers,
)


class GeoTex(Source):
    """Geometry-or-texture images, drawn when they are read: 50,000 and another 10,000 to test.

    Args:
        split: `train` or `test`.
        image_size: side they are drawn at; to resize them would blur what they are exact in.
        classes: names of the classes to draw, in any order; empty for all. The images of a class
            are the same with any others beside it; with fewer classes, each has more images.

    Raises:
        ValueError: another split, a size too small for a class, or classes that `ordered_classes`
            refuses.
    """

    image_size: int

    def __init__(
        self, split: str = "train", image_size: int = DEFAULT_SIZE, classes: Sequence[str] = ()
    ) -> None:
        if split not in SPLITS:
            raise ValueError(
                f"`split` expects one of {list(SPLITS)} of geotex. Received: split={split!r}."
            )
        names = ordered_classes(classes or CLASS_NAMES)
        check_size(image_size, names)
        self._numbers = split_numbers(split, names)
        # The label of each class of all, by its label among the chosen ones.
        whole = np.array([CLASS_NAMES.index(name) for name in names], np.int32)
        super().__init__(
            name=f"geotex:{','.join(names)}" if classes else "geotex",
            class_names=names,
            channels=3,
            num_examples=len(self._numbers),
            image_size=image_size,
            labels=np.searchsorted(whole, self._numbers % len(CLASS_NAMES)).astype(np.int32),
        )

    def read(self, index: int) -> tuple[np.ndarray, int]:
        """One image, uint8 `(S, S, 3)`, and its label."""
        example = draw(int(self._numbers[index]), self.image_size)
        return example.image, self.class_names.index(CLASS_NAMES[example.label])
