"""Weights of another run to begin with, where both have the same networks."""

import os
from collections.abc import Iterable, Mapping

import keras

from sagan_tf.pretrained.loading import variables


def init_from(
    workdir: str | os.PathLike,
    networks: Iterable[keras.Model],
    shared_classes: Mapping[int, int] | None = None,
    flags: str = "",
) -> None:
    """Gives networks the weights of another run's newest readable checkpoint, or published ones.

    Args:
        workdir: the other run, see `loading.description`.
        networks: built networks with the architecture of the other run's. Where the other run kept
            only a generator, or published only its average, both generators take that one.
        shared_classes: map from label here to label there, for each class that both runs have;
            `None` if all classes are the same or there are none. Weights of other classes (scales,
            offsets, embeddings) keep their initial values.
        flags: what builds the other run's networks, for the message if they do not fit.

    Raises:
        ValueError: if there is no readable checkpoint, or a variable is missing in it or has
            another shape.
    """
    saved = variables(workdir)
    averaged = {name for name in saved if name.startswith("ema_generator/")}
    if not averaged:
        generator = {name for name in saved if name.startswith("generator/")}
        saved.update({f"ema_{name}": saved[name] for name in generator})
    for name in averaged:
        saved.setdefault(name.removeprefix("ema_"), saved[name])
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
            f"The run in {workdir} has other networks; use its settings{flags and f': {flags}'}. "
            f"{len(misfits)} variables do not fit: {'; '.join(misfits[:3])}"
        )


def _belongs_to_classes(path: str) -> bool:
    *_, layer, name = path.split("/")
    return layer == "embedding" or (layer in ("norm_0", "norm_1") and name in ("gamma", "beta"))


def _has_row_per_class(path: str) -> bool:
    # All variables have a row per class except the right singular vector, which is soon updated.
    return not path.endswith("/vector_u")
