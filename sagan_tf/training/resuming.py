"""May a start go on with the run that a workdir holds, or begin with the weights of another one?"""

import contextlib
import dataclasses
import json
from pathlib import Path
from typing import Any

from sagan_tf.config import TrainSettings, as_flags, differences
from sagan_tf.data import Source, canonical
from sagan_tf.run import data_set
from sagan_tf.run.checkpoint import saved_settings
from sagan_tf.run.workdir import CHECKPOINTS, load_description


def as_json(settings: TrainSettings) -> dict[str, Any]:
    """Settings as they come back from JSON."""
    return json.loads(json.dumps(dataclasses.asdict(settings)))


def kept_settings(settings: TrainSettings) -> dict[str, Any]:
    """The settings as a run keeps them: the place of its data is the same from everywhere."""
    return as_json(settings) | {"dataset": canonical(settings.dataset)}


def check_workdir(settings: TrainSettings, workdir: Path) -> dict[str, Any] | None:
    """Refuses to mix runs of different settings.

    Returns:
        What the run in `workdir` has kept: its settings and, under "data", its data set; `None` if
        there is no run.

    Raises:
        ValueError: for settings that would change its result, with what they were.
    """
    before = saved_settings(workdir / CHECKPOINTS)
    if before is None:
        return None
    # A setting that came after the run began has its default there.
    before = {**as_json(TrainSettings()), **before}
    with contextlib.suppress(ValueError):  # one that was done when its data moved saves no more
        before["dataset"] = load_description(workdir)["settings"]["dataset"]
    if not settings.resume:
        raise ValueError(
            f"`--workdir` {workdir} already holds a run, and --noresume forbids to go on with it. "
            "Choose another workdir."
        )
    now = kept_settings(settings)
    if _kind_of_place(before["dataset"]) == _kind_of_place(now["dataset"]) != "":
        now["dataset"] = before["dataset"]  # it may have moved: see `check_data`
    changed = differences({**before, "data": None}, {**now, "data": None})
    if changed:
        preset = ""
        if before["preset"] and before["preset"] != settings.preset:
            # Chosen by the number of pictures, for example, which may have grown.
            preset = f" The run has `--preset={before['preset']}`, this is {settings.preset}."
        names = [line.partition(":")[0] for line in changed]
        flags = as_flags({name: before[name] for name in names if before.get(name) is not None})
        raise ValueError(
            f"`--workdir` {workdir} holds a run with other settings: {'; '.join(changed)}.{preset} "
            f"Give the same settings to go on with it ({' '.join(flags)}), or choose another "
            "workdir."
        )
    return before


def _kind_of_place(dataset: str) -> str:
    """`folder` or `prepared`; "" for a data set that lies in no place of its own."""
    kind, _, path = dataset.partition(":")
    return kind if path and kind in ("folder", "prepared") else ""


def last_place(workdir: str, dataset: str) -> str:
    """Says where the data of a run were last, as the end of a message that they are not there."""
    with contextlib.suppress(ValueError):
        place = load_description(workdir)["settings"]["dataset"]
        if _kind_of_place(place) == _kind_of_place(dataset) and place != canonical(dataset):
            return f" The run in {workdir} was last trained on {place}."
    return ""


def check_data(
    settings: TrainSettings, source: Source, workdir: Path, before: dict[str, Any]
) -> list[str]:
    """Refuses a data set of other classes than the run's.

    Args:
        settings: of now.
        source: the data set of now.
        workdir: of the run.
        before: of `check_workdir`.

    Returns:
        Sentences on what else has changed.

    Raises:
        ValueError: see `data_set.changes`.
    """
    data = before.get("data")
    if data is None:  # a run of an earlier version
        with contextlib.suppress(ValueError):  # `config.json` is written anew
            data = load_description(workdir)
    return data_set.changes(data, before["dataset"], source, settings.dataset, str(workdir))


def check_init_from(settings: TrainSettings, workdir: str) -> None:
    """Refuses settings under which the weights of `workdir`'s run would compute something else."""
    description = load_description(workdir)
    # Other such settings are free to change: these come with the weights alone.
    for network, name in (
        ("generator", "batch_norm_epsilon"),
        ("generator", "dense_bias"),
        ("discriminator", "relu_shortcut"),
    ):
        theirs = description[network].get(name, getattr(TrainSettings, name))
        if getattr(settings, name) != theirs:
            raise ValueError(
                f"`--{name}` must be {theirs}, as in the run in {workdir}: its weights "
                f"would compute something else. Received: {getattr(settings, name)}"
            )
