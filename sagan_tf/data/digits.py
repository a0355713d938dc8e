"""scikit-learn's handwritten digits as a source."""

import numpy as np

from sagan_tf.data.source import Source


class Digits(Source):
    """scikit-learn's 1797 handwritten digits, real 8x8 images that need no download."""

    labels: np.ndarray

    def __init__(self) -> None:
        from sklearn.datasets import load_digits

        digits = load_digits()
        super().__init__(
            name="digits",
            class_names=tuple(str(name) for name in digits.target_names),
            channels=1,
            num_examples=len(digits.target),
            labels=digits.target.astype(np.int32),
        )
        # Stored as 17 levels, 0 to 16.
        self._images = np.rint(digits.images * (255 / 16)).astype(np.uint8)[..., np.newaxis]

    def read(self, index: int) -> tuple[np.ndarray, int]:
        """One digit, uint8 `(8, 8, 1)`, and which it is."""
        return self._images[index], int(self.labels[index])
