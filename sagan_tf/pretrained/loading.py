"""Descriptions and weights of a run's directory, a published folder, or what ships."""

import json
import os
from pathlib import Path
from typing import Any

import keras
import numpy as np

from sagan_tf.pretrained.folder import is_published, read_weights
from sagan_tf.pretrained.hub import PREFIX, located
from sagan_tf.run.checkpoint import read_variables, restore_network
from sagan_tf.run.workdir import BEST, CHECKPOINTS, load_description, load_scores

_FOLDER = Path(__file__).parent
NAMES = tuple(sorted(path.stem for path in _FOLDER.glob("*.npz")))
# In the file of weights, beside variables by their paths.
STEP = "step"


def is_run(workdir: str | os.PathLike) -> bool:
    """Whether this is a run's directory, to which scores may be added, or may become one."""
    if is_name(workdir) or os.fspath(workdir).startswith(PREFIX):
        return False
    return not is_published(workdir)


def is_name(workdir: str | os.PathLike) -> bool:
    """Whether this names networks that ship; a directory of that name goes first."""
    return os.fspath(workdir) in NAMES and not Path(workdir).exists()


def description(workdir: str | os.PathLike) -> dict[str, Any]:
    """What a run wrote about itself.

    Args:
        workdir: a run's directory, a published folder, its address on the Hugging Face Hub
            (`hf://owner/name`, with `@revision`), or one of `NAMES`.

    Returns:
        As `run.workdir.load_description`.

    Raises:
        ValueError: if `workdir` is none of them, cannot be downloaded, or its description is
            damaged.
    """
    if is_name(workdir):
        return json.loads((_FOLDER / f"{workdir}.json").read_text(encoding="utf-8"))
    return load_description(located(workdir))


def scores(workdir: str | os.PathLike) -> list[dict[str, Any]]:
    """The records of evaluations, as `run.workdir.load_scores`; none of what ships."""
    return [] if is_name(workdir) else load_scores(located(workdir))


def variables(workdir: str | os.PathLike) -> dict[str, np.ndarray]:
    """All variables of a run's newest readable checkpoint, or those that were published.

    Args:
        workdir: see `description`.

    Returns:
        Arrays by the variables' paths.

    Raises:
        ValueError: if none can be read.
    """
    if is_name(workdir):
        return _shipped(os.fspath(workdir))[0]
    place = located(workdir)
    return read_weights(place)[0] if is_published(place) else read_variables(place / CHECKPOINTS)


def restore(
    workdir: str | os.PathLike, network: keras.Model, best: bool = False, step: int | None = None
) -> int:
    """Gives a network the weights that were kept under its name.

    Args:
        workdir: see `description`.
        network: a built `Generator` or `Discriminator` of the name under which it was saved.
        best: instead of a run's newest checkpoint, the one that scored best while training.
        step: instead of the newest checkpoint, the one of this step.

    Returns:
        The step of training that the weights are of.

    Raises:
        ValueError: if there is no readable checkpoint; for `best`, `step` or a network that was
            not published.
    """
    if is_name(workdir):
        weights, kept = _shipped(os.fspath(workdir))
    else:
        place = located(workdir)
        if not is_published(place):
            return restore_network(place / (BEST if best else CHECKPOINTS), network, step)
        weights, kept = read_weights(place)
    if best or step not in (None, kept):
        raise ValueError(
            f"`{workdir}`, which was published, is of step {kept} alone. Leave `best` and `step` "
            f"out. Received: best={best}, step={step}"
        )
    if network.variables[0].path not in weights:
        raise ValueError(
            f"`{workdir}`, which was published, has its averaged generator and its discriminator. "
            f"Received: {network.name}"
        )
    for variable in network.variables:
        value = weights.get(variable.path)
        if value is None or value.shape != tuple(variable.shape):
            raise ValueError(
                f"`{workdir}` is damaged: its weights {variable.path} are missing or of another "
                "shape than its description says. Publish or download it again."
            )
        variable.assign(value)
    return kept


def _shipped(name: str) -> tuple[dict[str, np.ndarray], int]:
    """The variables of what ships, by their paths, and their step of training."""
    with np.load(_FOLDER / f"{name}.npz") as saved:
        return dict(saved), int(saved[STEP])
