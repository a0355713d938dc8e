"""GeoTex as a source: images that tell geometry from texture, drawn when they are read."""

import numpy as np

from sagan_tf.data.source import Source
from sagan_tf.geotex.drawing import CLASS_NAMES, LEAST_SIZE, SPLITS, check_size, draw


class GeoTex(Source):
    """Geometry-or-texture images, drawn when they are read: 50,000 and another 10,000 to test.

    Args:
        split: `train` or `test`.
        image_size: side they are drawn at; to resize them would blur what they are exact in.

    Raises:
        ValueError: another split, or a size below 32.
    """

    image_size: int

    def __init__(self, split: str = "train", image_size: int = LEAST_SIZE) -> None:
        if split not in SPLITS:
            raise ValueError(
                f"`split` expects one of {list(SPLITS)} of geotex. Received: split={split!r}."
            )
        check_size(image_size)
        indices = np.arange(SPLITS[split].start, SPLITS[split].stop, dtype=np.int32)
        super().__init__(
            name="geotex",
            class_names=CLASS_NAMES,
            channels=3,
            num_examples=len(indices),
            image_size=image_size,
            labels=indices % len(CLASS_NAMES),
        )
        self._indices = SPLITS[split]

    def read(self, index: int) -> tuple[np.ndarray, int]:
        """One image, uint8 `(S, S, 3)`, and its label."""
        example = draw(self._indices[index], self.image_size)
        return example.image, example.label
