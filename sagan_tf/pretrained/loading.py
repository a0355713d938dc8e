"""Descriptions and weights, of a run's directory or of what comes with the package."""

import json
import os
from pathlib import Path
from typing import Any

import keras
import numpy as np

from sagan_tf.run.checkpoint import restore_network
from sagan_tf.run.workdir import BEST, CHECKPOINTS, load_description

_FOLDER = Path(__file__).parent
NAMES = tuple(sorted(path.stem for path in _FOLDER.glob("*.npz")))
# In the file of weights, beside variables by their paths.
STEP = "step"


def is_name(workdir: str | os.PathLike) -> bool:
    """Whether this names networks that ship; a directory of that name goes first."""
    return os.fspath(workdir) in NAMES and not Path(workdir).exists()


def description(workdir: str | os.PathLike) -> dict[str, Any]:
    """What a run wrote about itself.

    Args:
        workdir: a run's directory, or one of `NAMES`.

    Returns:
        As `run.workdir.load_description`.

    Raises:
        ValueError: if `workdir` is neither, or its description is damaged.
    """
    if is_name(workdir):
        return json.loads((_FOLDER / f"{workdir}.json").read_text(encoding="utf-8"))
    return load_description(workdir)


def restore(
    workdir: str | os.PathLike, network: keras.Model, best: bool = False, step: int | None = None
) -> int:
    """Gives a network the weights that were kept under its name.

    Args:
        workdir: a run's directory, or one of `NAMES`.
        network: a built `Generator` or `Discriminator` of the name under which it was saved.
        best: instead of a run's newest checkpoint, the one that scored best while training.
        step: instead of the newest checkpoint, the one of this step.

    Returns:
        The step of training that the weights are of.

    Raises:
        ValueError: if there is no readable checkpoint; for `best`, `step` or a network that did
            not ship.
    """
    if not is_name(workdir):
        return restore_network(Path(workdir) / (BEST if best else CHECKPOINTS), network, step)
    with np.load(_FOLDER / f"{workdir}.npz") as saved:
        weights, kept = dict(saved), int(saved[STEP])
    if best or step not in (None, kept):
        raise ValueError(
            f"`{workdir}`, which comes with the package, is of step {kept} alone. Leave `best` and "
            f"`step` out. Received: best={best}, step={step}"
        )
    if network.variables[0].path not in weights:
        raise ValueError(
            f"`{workdir}`, which comes with the package, has its averaged generator and its "
            f"discriminator. Received: {network.name}"
        )
    for variable in network.variables:
        variable.assign(weights[variable.path])
    return kept
