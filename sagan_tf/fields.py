"""Settings as dataclass fields, each with its flag, its help and its limits in one place."""

import dataclasses
import difflib
import math
import types
import typing
from collections.abc import Collection, Mapping, Sequence
from typing import Any


def setting(
    default: Any,
    help: str,  # noqa: A002 - the field's word
    also: str = "",
    **limits: Any,
) -> Any:
    """Declares a dataclass field that is also a command-line flag.

    Args:
        default: value without the flag. The field's annotation (`int`, `float`, `bool`, `str`
            or `tuple[...]` of them, each possibly `| None`) determines how the flag is parsed. A
            field whose name would be a Python keyword, such as `from_`, has the flag `--from`.
        help: one sentence for `--help`.
        also: names of the setting in other packages, separated by spaces; the error message for
            such an unknown flag suggests this one.
        **limits: `choices`, `at_least`, `above` and `below`, which `check_values` checks, and
            `only_with`, which `check_uses` checks. Other names are kept in the field's metadata
            for other code.
    """
    metadata = {"help": help, "also": also.split(), **limits}
    return dataclasses.field(default=default, metadata=metadata)


def workdir_setting() -> Any:
    """Declares the `--workdir` flag of commands that read a run."""
    return setting(
        "runs/digits",
        "Directory of a training run, folder that `publish` wrote, its address hf://owner/name "
        "(with @revision), or digits, which ships with the package.",
    )


def device_setting() -> Any:
    """Declares the `--device` flag of commands that compute but do not train."""
    return setting(
        "auto",
        "gpu, cpu, or auto (a GPU if there is any).",
        also="use_gpu cpu gpu gpus",
        choices=("auto", "cpu", "gpu"),
    )


def as_given(settings_class: type, given: Mapping[str, Any]) -> dict[str, Any]:
    """Settings given by name in Python, converted to the types that the command line gives.

    Raises:
        ValueError: for an unknown setting, with the names of similar ones, or a value of another
            type.
    """
    fields = [field for field in dataclasses.fields(settings_class) if "help" in field.metadata]
    hints = typing.get_type_hints(settings_class)
    unknown = sorted(set(given) - {field.name for field in fields})
    if unknown:
        similar = [name.removeprefix("--") for name in similar_flags(unknown[0], fields)]
        hint = f" Did you mean {' or '.join(similar)}?" if similar else ""
        raise ValueError(f"There is no setting {unknown[0]!r}.{hint}")
    return {name: _of_type(name, value, hints[name]) for name, value in given.items()}


def _of_type(name: str, value: Any, annotation: Any) -> Any:
    kind, optional = kind_of(annotation)
    if kind is tuple and isinstance(value, list):
        value = tuple(value)
    if kind is float and type(value) is int:
        value = float(value)
    if not (isinstance(value, kind) or (optional and value is None)) or (
        kind is int and isinstance(value, bool)
    ):
        raise ValueError(
            f"`{name}` must be of type {kind.__name__}. Received: {value!r}, of type "
            f"{type(value).__name__}"
        )
    return value


def check_values(settings: Any) -> None:
    """Checks each value against the limits of its `setting`; `None` is always allowed.

    Raises:
        ValueError: for a value outside its limits; the message has the flag, the limits and the
            value.
    """
    for field in dataclasses.fields(settings):
        value, limits = getattr(settings, field.name), field.metadata
        expected = None if value is None else _broken_limit(value, limits)
        if expected:
            received = ",".join(value) if isinstance(value, tuple) else value
            raise ValueError(
                f"`--{flag_name(field.name)}` must be {expected}. Received: {received!r}"
            )


def check_uses(settings: Any, given: Collection[str] | None = None) -> None:
    """Checks that no setting is given that nothing reads.

    A setting that was made with `only_with="first second"` is read if one of these is on.

    Args:
        settings: the settings.
        given: names of those to check; `None` for all that differ from their default.

    Raises:
        ValueError: for a setting whose readers are all off; the message names them.
    """
    for field in dataclasses.fields(settings):
        readers = field.metadata.get("only_with", "").split()
        is_given = getattr(settings, field.name) != field.default and (
            given is None or field.name in given
        )
        if is_given and readers and not any(getattr(settings, name) for name in readers):
            words = " and ".join(f"`--{flag_name(name)}`" for name in readers)
            raise ValueError(f"`--{flag_name(field.name)}` is for {words}. Leave it out.")


def _broken_limit(value: Any, limits: Mapping[str, Any]) -> str | None:
    """The limits that a value violates, as text; `None` if it is valid. NaN is never valid."""
    if "choices" in limits:
        choices = limits["choices"]
        names = ", ".join(map(str, choices))
        if isinstance(value, tuple):
            return None if value and set(value) <= set(choices) else f"some of {names}"
        return None if value in choices else f"one of {names}"
    low, above, below = (limits.get(name) for name in ("at_least", "above", "below"))
    if (
        (low is None or value >= low)
        and (above is None or value > above)
        and (below is None or value < below)
    ):
        return None
    if below is None or below == math.inf:
        range_ = f"above {above}" if low is None else f"at least {low}"
        return range_ if below is None else f"{range_} and finite"
    return f"between {above} and {below}" if low is None else f"in [{low}, {below})"


def words() -> Any:
    """Declares the field, a `tuple[str, ...]`, for positional arguments of the command line.

    A command without such a field refuses positional arguments, as they are misspelt flags.
    """
    return dataclasses.field(default=(), metadata={"words": True})


def similar_flags(name: str, fields: Sequence[dataclasses.Field]) -> list[str]:
    """Flags similar to what was typed: known by that name elsewhere, containing it, or misspelt."""
    typed = name.replace("-", "_")
    parts = f"_{typed}_"
    found = [flag_name(f.name) for f in fields if typed in f.metadata["also"]]
    found = found or [flag_name(f.name) for f in fields if parts in f"_{flag_name(f.name)}_"]
    if not found:
        known = {word: flag_name(f.name) for f in fields for word in (*f.metadata["also"], f.name)}
        found = [known[word] for word in difflib.get_close_matches(typed, known, 2, 0.75)]
    return [f"--{name}" for name in dict.fromkeys(found[:4])]


def kind_of(annotation: Any) -> tuple[type, bool]:
    """An annotation's type (`int`, `float`, `bool`, `str` or `tuple`), and if it allows `None`."""
    kinds = [kind for kind in typing.get_args(annotation) if kind is not type(None)]
    optional = isinstance(annotation, types.UnionType)
    kind = kinds[0] if optional else annotation
    return typing.get_origin(kind) or kind, optional


def flag_name(field_name: str) -> str:
    """The name of a field's flag, such as `from` for a field that has to be called `from_`."""
    return field_name.removesuffix("_")
