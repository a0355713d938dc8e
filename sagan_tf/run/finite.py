"""Checks that losses and variables are finite."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf


class NotFiniteError(ValueError):
    """Losses or variables are not finite."""


def check_losses(step: int, losses: Mapping[str, Any]) -> dict[str, float]:
    """The losses as floats, checked to be finite.

    Raises:
        NotFiniteError: if one is not finite; the message names it.
    """
    values = {name: float(value) for name, value in losses.items()}
    broken = {name: value for name, value in values.items() if not math.isfinite(value)}
    if broken:
        raise NotFiniteError(f"Training broke before step {step}: {broken}.")
    return values


def check_variables(step: int, variables: Mapping[str, Any]) -> None:
    """Checks that every value of every variable is finite.

    Losses are computed before the update, so an update may break weights although its losses were
    finite.

    Args:
        step: training step, for the message.
        variables: variables by name.

    Raises:
        NotFiniteError: if a number is not finite; the message names its variable.
    """
    floats = {
        name: _first(variable) for name, variable in variables.items() if variable.dtype.is_floating
    }
    # One operation for each variable: a sum of squares is not finite if one of them is not. But it
    # may also be too large a number.
    sums = [tf.cast(tf.nn.l2_loss(variable), tf.float32) for variable in floats.values()]
    finite = np.isfinite(tf.stack(sums))
    suspects = [name for name, good in zip(floats, finite, strict=True) if not good]
    broken = [name for name in suspects if not np.isfinite(floats[name].numpy()).all()]
    if broken:
        raise NotFiniteError(
            f"Training broke before step {step}: {len(broken)} variables are not finite, among "
            f"them {', '.join(broken[:3])}."
        )


def _first(variable: Any) -> Any:
    """The first replica's copy of a mirrored variable, or the variable."""
    return getattr(variable, "values", (variable,))[0]
