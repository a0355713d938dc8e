"""Combines flags, a preset and defaults into a run's settings, and records each value's source."""

import dataclasses
import difflib
from collections.abc import Mapping
from typing import Any

from sagan_tf.config.presets import PRESETS, RELEASED, default_preset
from sagan_tf.config.settings import FREE_SETTINGS, UNPUBLISHED, TrainSettings
from sagan_tf.config.validation import check_settings
from sagan_tf.fields import as_given, check_uses

FLAG, SHARE = "flag", "the preset's share of the image"


def resolve(
    given: dict[str, Any], *, source_name: str | None = None, num_images: int | None = None
) -> tuple[TrainSettings, dict[str, str]]:
    """The settings of a run: given flags override the preset, which overrides the defaults.

    If an image size is given without attention resolutions, these are scaled with the image size,
    but not below 8.

    Args:
        given: settings by name, as parsed from their flags.
        source_name: the data set's own name, by which a preset is chosen if none is given; for
            prepared:PATH the name of the data set that was prepared. By default the name in
            `given`.
        num_images: see `default_preset`.

    Returns:
        The settings, and the source of each value by name.

    Raises:
        ValueError: for an unknown setting or preset, a value of another type or out of range, or
            settings that do not go together.
    """
    given = as_given(TrainSettings, given)
    dataset = source_name or given.get("dataset", TrainSettings.dataset)
    preset = given.get("preset") or default_preset(dataset, num_images)
    _check_given(given, preset)
    values = {name: value for name, (value, _) in PRESETS[preset].items()}
    # A flag replaces the preset's way of averaging, and `--ema_decay=0` keeps no average.
    if "ema_decay" in given and "ema_half_life" not in given:
        values.pop("ema_half_life", None)
    if given.get("ema_half_life") and "ema_decay" not in given:
        values.pop("ema_decay", None)
    if not given.get("conditional", True):
        for name in ("class_balanced", "label_distribution"):  # of presets with classes
            values.pop(name, None)
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
    check_uses(settings, given)
    return settings, sources


def _check_given(given: Mapping[str, Any], preset: str) -> None:
    """Refuses an unknown preset, and flags that disagree about how often each class is seen."""
    if preset not in PRESETS:
        near = difflib.get_close_matches(preset, PRESETS, 1)
        hint = f" Did you mean {near[0]}?" if near else ""
        raise ValueError(
            f"`--preset` must be one of {', '.join(PRESETS)}.{hint} Received: {preset!r}"
        )
    if given.get("class_balanced") and given.get("label_distribution") == "data":
        raise ValueError(
            "Only one of `--class_balanced` and `--label_distribution=data` can be given: the "
            "former shows every class equally often, so generated images must do so, too. "
            "Received: both"
        )


def default_workdir(dataset: str) -> str:
    """The directory of a run without `--workdir`."""
    return "runs/" + dataset.replace(":", "-").replace("/", "-").strip("-")


def differences(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """The settings that differ and change the result, as `name: before -> after`."""
    # With a schedule, learning rates reach 0 at the last step, so `steps` changes the result.
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
    """The command-line flags for these values."""
    return [f"--{name}={_as_text(value)}" for name, value in values.items()]


def _as_text(value: Any) -> str:
    if isinstance(value, (tuple, list)):
        return ",".join(map(str, value))
    return str(value).lower() if isinstance(value, bool) else str(value)
