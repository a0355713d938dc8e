"""What every command shares: flags from a dataclass, errors as one readable line."""

import dataclasses
import sys
import traceback
import typing
from collections.abc import Callable
from typing import Any

from absl import app, flags, logging

# Flags defined below belong to the command that calls `run`, so its `--help` lists them.
flags.disclaim_key_flags()


def setting(default: Any, help: str) -> Any:  # noqa: A002 - the field's word
    """Declares a dataclass field that is also a command-line flag.

    Args:
        default: value without the flag. Its field's annotation (`int`, `float`, `bool`, `str`
            or `tuple[...]` of them, each possibly `| None`) says how the flag is parsed.
        help: one sentence for `--help`.
    """
    return dataclasses.field(default=default, metadata={"help": help})


def run(
    main: Callable[[Any], None],
    settings_class: type,
    resolve: Callable[[dict[str, Any]], Any] | None = None,
) -> None:
    """Parses the command line into settings and runs `main(settings)`.

    A `ValueError` or `OSError` is what a user can mend: its message alone is printed and the
    process exits with 1 (`--verbosity=1` adds the traceback). Anything else is a defect of ours
    and keeps its traceback.

    Args:
        main: the command.
        settings_class: a dataclass whose fields were made by `setting`.
        resolve: turns the flags that were given, by name, into settings; by default
            `settings_class(**given)`.
    """
    annotations = typing.get_type_hints(settings_class)
    for field in dataclasses.fields(settings_class):
        _define_flag(field, annotations[field.name])

    def guarded(arguments: list[str]) -> None:
        if not flags.FLAGS["verbosity"].present:
            logging.set_verbosity(logging.WARNING)
        try:
            if len(arguments) > 1:
                raise ValueError(
                    f"Expected only flags of the form --name=value. Received: {arguments[1:]}"
                )
            given = {
                name: _parsed(flags.FLAGS[name].value, name, annotation)
                for name, annotation in annotations.items()
                if flags.FLAGS[name].present
            }
            main((resolve or (lambda given: settings_class(**given)))(given))
        except (ValueError, OSError) as error:
            logging.debug("%s", traceback.format_exc())
            sys.exit(f"error: {error}")
        except KeyboardInterrupt:
            sys.exit("interrupted")

    app.run(guarded)


def _define_flag(field: dataclasses.Field, annotation: Any) -> None:
    kinds = [kind for kind in typing.get_args(annotation) if kind is not type(None)]
    optional = len(kinds) != len(typing.get_args(annotation))
    kind = kinds[0] if optional else annotation
    define = {
        int: flags.DEFINE_integer,
        float: flags.DEFINE_float,
        bool: flags.DEFINE_bool,
        str: flags.DEFINE_string,
    }.get(kind, flags.DEFINE_list)
    # The flag itself has no default: whether it was given must stay visible to presets.
    define(field.name, None, f"{field.metadata['help']} Default: {field.default!r}.")


def _parsed(value: Any, name: str, annotation: Any) -> Any:
    if not isinstance(value, list):
        return value
    if annotation == tuple[str, ...]:
        return tuple(value)
    try:
        return tuple(int(item) for item in value if item)
    except ValueError:
        raise ValueError(
            f"Flag `--{name}` expects whole numbers separated by commas. "
            f"Received: {','.join(value)}"
        ) from None
