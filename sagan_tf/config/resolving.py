"""Flags over a preset over defaults -> the settings of a run, and where each came from."""

import dataclasses
import difflib
from collections.abc import Mapping
from typing import Any

from sagan_tf.config.presets import PRESETS, RELEASED, default_preset
from sagan_tf.config.settings import FREE_SETTINGS, UNPUBLISHED, TrainSettings
from sagan_tf.config.validation import check_settings
from sagan_tf.fields import as_given

FLAG, SHARE = "flag", "the preset's share of the image"


def resolve(
    given: dict[str, Any], *, source_name: str | None = None, num_images: int | None = None
) -> tuple[TrainSettings, dict[str, str]]:
    """Lays the flags that were given over the preset, and the preset over the defaults.

    Attention resolutions follow an image size that is given without them: they keep their share
    of the image, but are not smaller than 8.

    Args:
        given: settings by name, as their flags would give them.
        source_name: the data set's own name, from which the preset follows if none is given: of
            prepared:PATH that of what was prepared; by default what `given` says.
        num_images: see `default_preset`.

    Returns:
        The settings, and where each value came from.

    Raises:
        ValueError: for an unknown setting or preset, or a value of another type or out of range.
    """
    given = as_given(TrainSettings, given)
    dataset = source_name or given.get("dataset", TrainSettings.dataset)
    preset = given.get("preset") or default_preset(dataset, num_images)
    if preset not in PRESETS:
        near = difflib.get_close_matches(preset, PRESETS, 1)
        hint = f" Did you mean {near[0]}?" if near else ""
        raise ValueError(
            f"`--preset` must be one of {', '.join(PRESETS)}.{hint} Received: {preset!r}"
        )
    values = {name: value for name, (value, _) in PRESETS[preset].items()}
    for name, other in (("ema_decay", "ema_half_life"), ("ema_half_life", "ema_decay")):
        if given.get(name) and other not in given:
            values.pop(other, None)  # the flag says how to average, instead of the preset
    sources = {
        field.name: "default" if field.name in UNPUBLISHED else RELEASED
        for field in dataclasses.fields(TrainSettings)
    }
    sources.update({name: source for name, (_, source) in PRESETS[preset].items()})
    settings = TrainSettings(**{**values, **given, "preset": preset})
    sources.update(dict.fromkeys(given, FLAG))
    if "image_size" in given and "attention_resolutions" not in given:
        original = TrainSettings(**values)
        share = [
            max(8, size * settings.image_size // original.image_size)
            for size in original.attention_resolutions
        ]
        settings = dataclasses.replace(settings, attention_resolutions=tuple(share))
        sources["attention_resolutions"] = SHARE
    if settings.workdir is None:
        settings = dataclasses.replace(settings, workdir=default_workdir(dataset))
    check_settings(settings)
    return settings, sources


def default_workdir(dataset: str) -> str:
    """The directory of a run that was given none."""
    return "runs/" + dataset.replace(":", "-").replace("/", "-").strip("-")


def differences(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """The settings that change the result and differ, as `name: before -> after`."""
    # Learning rates that fall reach 0 at the last step.
    free = (
        FREE_SETTINGS
        if after.get("schedule", "constant") == "constant"
        else FREE_SETTINGS - {"steps"}
    )
    return [
        f"{name}: {before.get(name)!r} -> {after.get(name)!r}"
        for name in sorted({*before, *after} - free)
        if before.get(name) != after.get(name)
    ]


def as_flags(values: Mapping[str, Any]) -> list[str]:
    """Returns the flags that give a command these values."""
    return [f"--{name}={_as_text(value)}" for name, value in values.items()]


def _as_text(value: Any) -> str:
    if isinstance(value, (tuple, list)):
        return ",".join(map(str, value))
    return str(value).lower() if isinstance(value, bool) else str(value)
