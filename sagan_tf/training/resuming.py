"""Checks whether a run can be resumed, or started from the weights of another run."""

import contextlib
import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sagan_tf import pretrained
from sagan_tf.config import TrainSettings, as_flags, differences
from sagan_tf.data import Source, canonical
from sagan_tf.data.source import Description
from sagan_tf.run import data_set
from sagan_tf.run.checkpoint import saved_settings
from sagan_tf.run.workdir import CHECKPOINTS, load_description

# Settings on which the shapes of the networks' variables depend.
_SHAPING = (
    "image_size",
    "base_filters",
    "discriminator_base_filters",
    "latent_dim",
    "dense_bias",
    "conditional",
    "attention_resolutions",
    "mixing",
    "query_key_ratio",
    "value_ratio",
    "generator_spectral_normalization",
)


def as_json(settings: TrainSettings) -> dict[str, Any]:
    """The settings as they are after a round trip through JSON (tuples become lists)."""
    return json.loads(json.dumps(dataclasses.asdict(settings)))


def kept_settings(settings: TrainSettings) -> dict[str, Any]:
    """The settings as a run saves them: the data set's path is absolute."""
    return as_json(settings) | {"dataset": canonical(settings.dataset)}


def holds_run(settings: TrainSettings) -> bool:
    """Whether the settings' workdir holds a run, which would be resumed."""
    assert settings.workdir is not None  # since settings were resolved
    return saved_settings(Path(settings.workdir) / CHECKPOINTS) is not None


def check_workdir(settings: TrainSettings, workdir: Path) -> dict[str, Any] | None:
    """Checks that the settings are those of the run in `workdir`, if there is one.

    Returns:
        The settings that the run has saved and, under "data", its data set; `None` if there is no
        run.

    Raises:
        ValueError: for settings that would change the run's result; the message names the run's.
    """
    before = saved_settings(workdir / CHECKPOINTS)
    if before is None:
        return None
    # A setting that was added after the run began has its default value there.
    before = {**as_json(TrainSettings()), **before}
    # A run that was done when its data moved saves no new checkpoint, only a new description.
    with contextlib.suppress(ValueError):
        before["dataset"] = load_description(workdir)["settings"]["dataset"]
    if not settings.resume:
        raise ValueError(
            f"`--workdir` {workdir} already holds a run, and --noresume forbids resuming it. "
            "Choose another workdir."
        )
    origin = before["init_from"]
    if settings.init_from and settings.init_from != origin:
        raise ValueError(
            f"`--init_from` begins a run, and `--workdir` {workdir} already holds one, begun from "
            f"{origin or 'random weights'}. Leave `--init_from` out, or choose another workdir."
        )
    now = kept_settings(settings)
    if _kind_of_place(before["dataset"]) == _kind_of_place(now["dataset"]) != "":
        now["dataset"] = before["dataset"]  # the data may have moved: see `check_data`
    if settings.xla is None:
        now["xla"] = before["xla"]  # left to the machine, which may be another one now
    changed = differences({**before, "data": None}, {**now, "data": None})
    if changed:
        preset = ""
        if before["preset"] and before["preset"] != settings.preset:
            # A preset may be chosen by the number of images, for example, which may have grown.
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
    """`folder` or `prepared`; "" for a data set that is not given by its path."""
    kind, _, path = dataset.partition(":")
    return kind if path and kind in ("folder", "prepared") else ""


def last_place(workdir: str, dataset: str) -> str:
    """A sentence on where a run's data were last, to end a message that they are missing."""
    with contextlib.suppress(ValueError):
        place = load_description(workdir)["settings"]["dataset"]
        if _kind_of_place(place) == _kind_of_place(dataset) and place != canonical(dataset):
            return f" The run in {workdir} was last trained on {place}."
    return ""


def check_data(
    settings: TrainSettings, source: Source, workdir: Path, before: dict[str, Any]
) -> list[str]:
    """Checks that the data set has the classes of the run's.

    Args:
        settings: the current settings.
        source: the current data set.
        workdir: the run's directory.
        before: the run's saved settings, as `check_workdir` returns them.

    Returns:
        Sentences on other changes to the data.

    Raises:
        ValueError: see `data_set.changes`.
    """
    data = before.get("data")
    if data is None:  # a run of an earlier version
        with contextlib.suppress(ValueError):  # `config.json` will be written again
            data = load_description(workdir)
    return data_set.changes(data, before["dataset"], source, settings.dataset, str(workdir))


def check_init_from(settings: TrainSettings, workdir: str) -> None:
    """Raises `ValueError` for settings with which the weights of `workdir`'s run change meaning.

    Also if there is no such run, as `pretrained.description` does.
    """
    try:
        description = pretrained.description(workdir)
    except ValueError as error:
        raise ValueError(str(error).replace("`workdir`", "`--init_from`", 1)) from error
    # These settings change what given weights compute; the other settings are free to change.
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


def check_channels(workdir: str, source: Description) -> None:
    """Raises `ValueError` if the generator of `workdir`'s run draws other channels than `source`'s.

    `check_init_from` comes first.
    """
    channels = pretrained.description(workdir)["generator"]["channels"]
    if channels != source.channels:
        words = {1: "grey images", 3: "images with colours"}
        raise ValueError(
            f"`--init_from` {workdir} draws {words[channels]}, and `--dataset` {source.name} has "
            f"{words[source.channels]}. Take a run and a data set that agree."
        )


def network_flags(settings: TrainSettings, theirs: Mapping[str, Any]) -> list[str]:
    """The flags that build networks with the shapes of another run's, without those given already.

    Args:
        settings: the current settings.
        theirs: the other run's, as its description has them.
    """
    ours = as_json(settings)
    return as_flags(
        {
            name: theirs[name]
            for name in _SHAPING
            if theirs.get(name) is not None and theirs[name] != ours[name]
        }
    )
