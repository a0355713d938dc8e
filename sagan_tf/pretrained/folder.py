"""A published run: a folder of weights and their description, as for the Hugging Face Hub."""

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np

from sagan_tf.class_names import readable
from sagan_tf.extras import extra
from sagan_tf.run.workdir import KEYS, write_description

WEIGHTS = "model.safetensors"
# In the description, beside what a run's has.
STEP = "step"


def is_published(folder: str | os.PathLike) -> bool:
    """Whether this is a folder that `write` wrote."""
    return (Path(folder) / WEIGHTS).is_file()


def publishable(description: Mapping[str, Any], private: Iterable[str]) -> dict[str, Any]:
    """A run's description without what concerns the machine of its training.

    Args:
        description: as `run.workdir.load_description` returns it.
        private: names of settings to leave out. Of a data set that is a path, such as
            `folder:/home/me/cats`, the last part is kept.
    """
    private = set(private)
    settings = {
        name: value for name, value in description["settings"].items() if name not in private
    }
    dataset = without_path(description["dataset"])
    return {
        **{name: description[name] for name in KEYS},
        "class_names": [readable(name) for name in description["class_names"]],
        "dataset": dataset,
        "settings": {**settings, "dataset": dataset, "data_dir": None},
    }


def without_path(dataset: str) -> str:
    """A data set's name; of a path, as in `folder:/home/me/cats`, only the last part."""
    kind, colon, place = dataset.partition(":")
    return readable(f"{kind}{colon}{Path(place).name}")


def write(
    folder: Path, description: Mapping[str, Any], networks: Iterable[keras.Model], step: int
) -> None:
    """Writes `config.json` and `model.safetensors`, float32 by the variables' paths.

    Args:
        folder: an existing, empty folder.
        description: as `publishable` returns it.
        networks: built networks.
        step: step of training that the weights are of.
    """
    with extra("hub"):
        from safetensors.numpy import save
    variables = [variable for network in networks for variable in network.variables]
    weights = {variable.path: np.asarray(variable, order="C") for variable in variables}
    (folder / WEIGHTS).write_bytes(save(weights))
    write_description(folder, {**description, STEP: step})


def read_weights(folder: Path) -> tuple[dict[str, np.ndarray], int]:
    """The variables of a published folder by their paths, and their step of training.

    Raises:
        ValueError: if a file is damaged, or the extra `hub` is not installed.
    """
    with extra("hub"):
        from safetensors import SafetensorError
        from safetensors.numpy import load_file
    try:
        weights = load_file(folder / WEIGHTS)
        step = int(json.loads((folder / "config.json").read_text(encoding="utf-8"))[STEP])
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"{folder / WEIGHTS} or the file config.json beside it is damaged: {error!r}. Download "
            "the folder again, or write it again with `python -m sagan_tf.publish`."
        ) from None
    return weights, step
