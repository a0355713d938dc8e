"""Weights of another run to begin with, where both have the same networks."""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

import keras

from sagan_tf.run.checkpoint import read_variables


def init_from(
    directory: str | os.PathLike,
    networks: Iterable[keras.Model],
    shared_classes: Mapping[int, int] | None = None,
) -> None:
    """Gives networks the weights of another run's newest readable checkpoint.

    Args:
        directory: the other run's checkpoints.
        networks: built networks with the architecture saved there. An averaged generator takes the
            other run's average, or its generator if it kept no average.
        shared_classes: map from label here to label there, for each class that both runs have;
            `None` if all classes are the same or there are none. Weights of other classes (scales,
            offsets, embeddings) keep their initial values.

    Raises:
        ValueError: if there is no readable checkpoint, or a variable is missing in it or has
            another shape.
    """
    saved = read_variables(directory)
    if not any(name.startswith("ema_generator/") for name in saved):
        saved.update(
            {f"ema_{name}": v for name, v in saved.items() if name.startswith("generator/")}
        )
    misfits = []
    for variable in (variable for network in networks for variable in network.variables):
        value = saved.get(variable.path)
        if shared_classes is not None and _belongs_to_classes(variable.path):
            if value is not None and _has_row_per_class(variable.path):
                rows = variable.numpy()
                rows[list(shared_classes)] = value[list(shared_classes.values())]
                variable.assign(rows)
            continue
        if value is None or value.shape != tuple(variable.shape):
            found = "missing" if value is None else f"of shape {value.shape}"
            misfits.append(f"{variable.path} {tuple(variable.shape)} is {found}")
        else:
            variable.assign(value)
    if misfits:
        raise ValueError(
            f"The run in {Path(directory).parent} has other networks; use its settings. "
            f"{len(misfits)} variables do not fit: {'; '.join(misfits[:3])}"
        )


def _belongs_to_classes(path: str) -> bool:
    *_, layer, name = path.split("/")
    return layer == "embedding" or (layer in ("norm_0", "norm_1") and name in ("gamma", "beta"))


def _has_row_per_class(path: str) -> bool:
    # All variables have a row per class except the right singular vector, which is soon updated.
    return not path.endswith("/vector_u")
