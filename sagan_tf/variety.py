"""Are samples of a class as varied as real images while a run trains?"""

from collections.abc import Mapping, Sequence

import numpy as np
from absl import logging

from sagan_tf.evaluation.spread import class_spread, relative_spread
from sagan_tf.health import EARLY_GRIDS, GRIDS_IN_A_ROW, LastingSign

# Of the digits, runs whose samples of a class look alike have 0.3 to 0.5, varied ones 0.8 to 0.9.
NARROW_SPREAD = 0.6

_REMEDIES = (
    "What usually helps: --d_steps=2, --nodense_bias, a wider --discriminator_base_filters, lower "
    "--generator_learning_rate and --discriminator_learning_rate, and --augment where there are "
    "few images."
)


class Variety:
    """Compares the spread of each sample grid with that of real images, and warns of collapse.

    Args:
        images: real ones, uint8 `(N, H, W, C)`.
        labels: int `(N,)`, their classes; `None` takes all images for one class, as samples of a
            generator without classes are.
        class_images: of each class, the first so many are compared: as many as a grid shows.
    """

    def __init__(self, images: np.ndarray, labels: np.ndarray | None, class_images: int) -> None:
        labels = np.zeros(len(images), np.int64) if labels is None else np.asarray(labels)
        self._real: Mapping[int, float] = {}
        for label in np.unique(labels).tolist():
            first = np.flatnonzero(labels == label)[:class_images]
            self._real |= class_spread(images[first], labels[first])
        self._sign = LastingSign(GRIDS_IN_A_ROW, EARLY_GRIDS)

    def see(
        self, step: int, images: Sequence[np.ndarray], labels: Sequence[int] | None
    ) -> dict[str, float]:
        """Measures a grid.

        Args:
            step: of the training.
            images: the samples, uint8 `(H, W, C)` each.
            labels: one per image; `None` without classes.

        Returns:
            `variety/relative_spread`; nothing where no class has two real images that differ.
        """
        spread = relative_spread(self._real, class_spread(np.stack(images), labels))
        if spread is None:
            return {}
        if self._sign.lasts(spread.ratio < NARROW_SPREAD):
            logging.warning(
                "Step %d: samples of a class have looked alike in %d grids: now they differ %.2f "
                "times as much as real images of a class do. %s",
                step,
                GRIDS_IN_A_ROW,
                spread.ratio,
                _REMEDIES,
            )
        return {"variety/relative_spread": spread.ratio}
