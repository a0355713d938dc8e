"""Checks that losses and variables are finite."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

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
    names = [name for name, variable in variables.items() if variable.dtype.is_floating]
    finite = _are_finite([_first(variables[name]) for name in names]).numpy()
    broken = [name for name, good in zip(names, finite, strict=True) if not good]
    if broken:
        raise NotFiniteError(
            f"Training broke before step {step}: {len(broken)} variables are not finite, among "
            f"them {', '.join(broken[:3])}."
        )


@tf.function(autograph=False)
def _are_finite(variables: Sequence[Any]) -> tf.Tensor:
    """Whether each variable is finite; one call instead of two operations for each of them."""
    return tf.stack([tf.reduce_all(tf.math.is_finite(variable)) for variable in variables])


def _first(variable: Any) -> Any:
    """The first replica's copy of a mirrored variable, or the variable."""
    return getattr(variable, "values", (variable,))[0]
