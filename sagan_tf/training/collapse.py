"""Warns once when a sign of collapsed training persists.

This module watches the losses; `grid_checks` detects samples that look alike or copy training
images. Values that are not finite instead stop the run or send it back to its last checkpoint
(`run.finite`).
"""

from collections.abc import Sequence

import numpy as np
from absl import logging

# The hinge loss is 0 when every logit is beyond the margin, on the right side.
ZERO_LOSS = 0.01
# How many times in a row a sign must be seen, as a single batch of samples may be an outlier.
LOSSES_IN_A_ROW = 10
GRIDS_IN_A_ROW = 3
# The first grids after a start do not count: a generator that has hardly been trained shows neither
# variety nor copies. One grid is of step 0, and up to three come soon after it.
EARLY_GRIDS = 4

_REMEDIES = (
    "What usually helps: --r1_weight=10, fewer --d_steps, a larger --global_batch_size, correct "
    "labels. A new workdir can start from an earlier checkpoint (--init_from)."
)


def sample_spread(images: Sequence[np.ndarray], labels: Sequence[int] | None) -> float:
    """How much samples of one class differ: the standard deviation per pixel, in grey levels.

    Args:
        images: uint8 `(H, W, C)` each, with levels 0 ... 255.
        labels: one per image; `None` treats all images as one class.

    Returns:
        The mean over pixels and classes; 0 if all images of each class are the same.
    """
    classes = np.zeros(len(images), np.int64) if labels is None else np.asarray(labels)
    pixels = np.asarray(images, np.float32)
    return float(np.mean([pixels[classes == label].std(axis=0) for label in np.unique(classes)]))


class LastingSign:
    """Reports once that a sign has been seen often enough in a row.

    Args:
        needed: number of consecutive observations with the sign.
        ignored: number of first observations that do not count.
    """

    def __init__(self, needed: int, ignored: int = 0) -> None:
        self._needed = needed
        self._ignored = ignored
        self._seen = 0

    def lasts(self, seen: bool) -> bool:
        """Takes an observation; true once, when the sign comes the `needed`th time in a row."""
        if self._ignored:
            self._ignored -= 1
            return False
        if self._seen == self._needed:
            return False
        self._seen = self._seen + 1 if seen else 0
        return self._seen == self._needed


class CollapseReports:
    """Warns once of a loss that stays collapsed."""

    def __init__(self) -> None:
        self._zero_loss = LastingSign(LOSSES_IN_A_ROW)

    def see_loss(self, step: int, discriminator_loss: float) -> None:
        """Takes a logged loss and warns if it completes a row of collapsed losses."""
        if self._zero_loss.lasts(discriminator_loss < ZERO_LOSS):
            logging.warning(
                "Step %d: the discriminator's loss has been under %g in %d lines of the log: it "
                "tells all images apart, and the generator learns nothing from it. %s",
                step,
                ZERO_LOSS,
                LOSSES_IN_A_ROW,
                _REMEDIES,
            )
