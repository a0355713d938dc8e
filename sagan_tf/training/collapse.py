"""Signs that training has collapsed, reported once when they last.

Here are losses; `grid_checks` looks for samples that look alike or copy training images. Numbers
that are not finite stop the run instead, or send it back to its last checkpoint (`run.finite`).
"""

from collections.abc import Sequence

import numpy as np
from absl import logging

# The hinge loss is 0 when every real and fake image is told apart by more than the margin.
ZERO_LOSS = 0.01
# How often in a row a sign must be seen: a single batch of samples may be a bad moment.
LOSSES_IN_A_ROW = 10
GRIDS_IN_A_ROW = 3
# The first grids after a start do not count: what is hardly trained shows neither variety nor
# copies. One is of step 0, and up to three come soon after it.
EARLY_GRIDS = 4

_REMEDIES = (
    "What usually helps: a lower --discriminator_learning_rate or fewer --d_steps, a higher "
    "--generator_learning_rate, a larger --global_batch_size, labels that are right. An earlier "
    "checkpoint can be the start of a new workdir (--init_from)."
)


def sample_spread(images: Sequence[np.ndarray], labels: Sequence[int] | None) -> float:
    """How much samples of one class differ: a pixel's standard deviation, in levels of 255.

    Args:
        images: uint8 `(H, W, C)`.
        labels: one per image; `None` takes all for one class.

    Returns:
        The mean over pixels and classes; 0 if all images of each class are the same.
    """
    classes = np.zeros(len(images), np.int64) if labels is None else np.asarray(labels)
    pixels = np.asarray(images, np.float32)
    return float(np.mean([pixels[classes == label].std(axis=0) for label in np.unique(classes)]))


class LastingSign:
    """Tells once that a sign has been seen often enough in a row.

    Args:
        needed: how often in a row.
        ignored: so many of the first observations do not count.
    """

    def __init__(self, needed: int, ignored: int = 0) -> None:
        self._needed = needed
        self._ignored = ignored
        self._seen = 0

    def lasts(self, seen: bool) -> bool:
        """Whether it is seen for the `needed`th time in a row; once it was, never again."""
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
        """Takes note of a logged loss."""
        if self._zero_loss.lasts(discriminator_loss < ZERO_LOSS):
            logging.warning(
                "Step %d: the discriminator's loss has been under %g in %d lines of the log: it "
                "tells all images apart and the generator learns nothing from it. %s",
                step,
                ZERO_LOSS,
                LOSSES_IN_A_ROW,
                _REMEDIES,
            )
