"""The description and the scores of a run in its workdir, for other commands to read."""

import json
import os
from pathlib import Path
from typing import Any

from sagan_tf.output.files import write_text

CONFIG = "config.json"
CHECKPOINTS = "checkpoints"
# Directory of the checkpoint that scored best in training.
BEST = "best"
SCORES = "scores.jsonl"
KEYS = {"settings", "generator", "discriminator", "ema", "dataset", "class_names"}


def load_description(workdir: str | os.PathLike) -> dict[str, Any]:
    """Reads a run's `config.json`.

    Returns:
        `settings`, `generator` and `discriminator` (the networks' `get_config`), `ema` (whether
        an averaged generator is kept), `dataset` and `class_names`.

    Raises:
        ValueError: if `workdir` holds no run or its description is damaged.
    """
    path = Path(workdir) / CONFIG
    anew = (
        "If the run has checkpoints, `python -m sagan_tf.train` with the run's flags writes "
        "the file anew."
    )
    try:
        description = json.loads(path.read_text())
    except (FileNotFoundError, NotADirectoryError):
        if any((Path(workdir) / CHECKPOINTS).glob("*.index")):
            raise ValueError(
                f"`workdir` {workdir} holds checkpoints, but {CONFIG} is missing. {anew}"
            ) from None
        raise ValueError(
            f"`workdir` holds no training run: {path} does not exist. Train one with "
            f"`python -m sagan_tf.train --workdir={workdir}`."
        ) from None
    except ValueError as error:
        raise ValueError(f"{path} is damaged: {error}. {anew}") from None
    missing = KEYS - set(description if isinstance(description, dict) else ())
    if missing:
        raise ValueError(f"{path} is damaged: it lacks {sorted(missing)}. {anew}")
    return description


def write_description(workdir: str | os.PathLike, description: dict[str, Any]) -> None:
    """Writes `config.json`, whole or not at all; creates the directory."""
    Path(workdir).mkdir(parents=True, exist_ok=True)
    write_text(Path(workdir) / CONFIG, json.dumps(description, indent=2) + "\n")


def load_scores(workdir: str | os.PathLike) -> list[dict[str, Any]]:
    """The run's evaluation records, oldest first, each with its `step`.

    Raises:
        ValueError: if the file is damaged.
    """
    path = Path(workdir) / SCORES
    try:
        return [json.loads(line) for line in path.read_text().splitlines()]
    except FileNotFoundError:
        return []
    except ValueError as error:
        raise ValueError(f"{path} is damaged: {error}. Remove the line or the file.") from None


def add_score(workdir: str | os.PathLike, score: dict[str, Any]) -> None:
    """Appends an evaluation's record to `scores.jsonl`."""
    load_scores(workdir)  # raises `ValueError` for a damaged file
    add_line(Path(workdir) / SCORES, score)


def add_line(path: Path, record: dict[str, Any]) -> None:
    """Appends a record to a file of JSON lines, whole or not at all."""
    before = path.read_text() if path.exists() else ""
    write_text(path, f"{before}{json.dumps(record)}\n")
