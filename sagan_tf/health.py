"""Signs that a run has gone wrong: numbers that are not finite, losses and samples that collapse.

The first kind stops the run or sends it back to its last checkpoint; the second is reported.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from absl import logging

# The hinge loss is 0 when every real and fake image is told apart by more than the margin.
ZERO_LOSS = 0.01
# Of 255: images of one class that differ by less look the same. A good run on the digits has 18
# to 24, and the digits themselves 42.
NARROW_SPREAD = 2.0
# How often in a row a sign must be seen: a single batch of samples may be a bad moment.
LOSSES_IN_A_ROW = 10
GRIDS_IN_A_ROW = 3

_REMEDIES = (
    "What usually helps: a lower --discriminator_learning_rate or fewer --d_steps, a higher "
    "--generator_learning_rate, a larger --global_batch_size, labels that are right. An earlier "
    "checkpoint can be the start of a new workdir (--init_from)."
)


class NotFiniteError(ValueError):
    """Losses or variables are not finite."""


def check_losses(step: int, losses: Mapping[str, Any]) -> dict[str, float]:
    """Returns losses as floats.

    Raises:
        NotFiniteError: if one is not finite; the message names it.
    """
    values = {name: float(value) for name, value in losses.items()}
    broken = {name: value for name, value in values.items() if not math.isfinite(value)}
    if broken:
        raise NotFiniteError(f"Training broke before step {step}: {broken}.")
    return values


def check_variables(step: int, variables: Mapping[str, Any]) -> None:
    """Looks at every number of every variable.

    Losses do not show what the last update did: it may break weights whose losses were finite.

    Args:
        step: for the message.
        variables: by name.

    Raises:
        NotFiniteError: if a number is not finite; the message names its variable.
    """
    names = [name for name, variable in variables.items() if variable.dtype.is_floating]
    finite = [tf.reduce_all(tf.math.is_finite(variables[name])) for name in names]
    broken = [name for name, good in zip(names, tf.stack(finite).numpy(), strict=True) if not good]
    if broken:
        raise NotFiniteError(
            f"Training broke before step {step}: {len(broken)} variables are not finite, among "
            f"them {', '.join(broken[:3])}."
        )


def sample_spread(images: Sequence[np.ndarray], labels: Sequence[int] | None) -> float:
    """How much samples of one class differ: a pixel's standard deviation, in levels of 255.

    Args:
        images: uint8 `(H, W, C)`.
        labels: one per image; `None` takes all for one class.

    Returns:
        The mean over pixels and classes; 0 if all images of each class are the same.
    """
    labels = np.zeros(len(images)) if labels is None else np.asarray(labels)
    images = np.asarray(images, np.float32)
    return float(np.mean([images[labels == label].std(axis=0) for label in np.unique(labels)]))


class CollapseReports:
    """Warns of a loss or of samples that stay collapsed, of each once."""

    def __init__(self) -> None:
        self._seen = {"loss": 0, "spread": 0}

    def see_loss(self, step: int, discriminator_loss: float) -> None:
        """Takes note of a logged loss."""
        if self._lasts("loss", discriminator_loss < ZERO_LOSS, LOSSES_IN_A_ROW):
            logging.warning(
                "Step %d: the discriminator's loss has been under %g in %d lines of the log: it "
                "tells all images apart and the generator learns nothing from it. %s",
                step,
                ZERO_LOSS,
                LOSSES_IN_A_ROW,
                _REMEDIES,
            )

    def see_spread(self, step: int, spread: float) -> None:
        """Takes note of a grid's `sample_spread`."""
        if self._lasts("spread", spread < NARROW_SPREAD, GRIDS_IN_A_ROW):
            logging.warning(
                "Step %d: samples of one class have been nearly equal in %d grids (they differ by "
                "%.2f levels of 255): the generator has collapsed. %s",
                step,
                GRIDS_IN_A_ROW,
                spread,
                _REMEDIES,
            )

    def _lasts(self, sign: str, seen: bool, needed: int) -> bool:
        """Whether a sign is seen for the `needed`th time in a row; once it was, never again."""
        if self._seen[sign] < needed:
            self._seen[sign] = self._seen[sign] + 1 if seen else 0
            return self._seen[sign] == needed
        return False
