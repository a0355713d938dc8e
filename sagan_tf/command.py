"""What every command shares: flags from a dataclass, errors as one readable line."""

import contextlib
import dataclasses
import os
import platform
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
            or `tuple[...]` of them, each possibly `| None`) says how the flag is parsed. A
            field whose name would be a word of Python's, as `from_`, has the flag `--from`.
        help: one sentence for `--help`.
    """
    return dataclasses.field(default=default, metadata={"help": help})


def words() -> Any:
    """Declares the field, a `tuple[str, ...]`, of what stands on the command line beside flags.

    A command that has none refuses such words: they are misspelt flags.
    """
    return dataclasses.field(default=(), metadata={"words": True})


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
        settings_class: a dataclass whose fields were made by `setting` and `words`.
        resolve: turns the flags that were given, by name, into settings; by default
            `settings_class(**given)`.
    """
    _set_tensorflow_up()
    annotations = typing.get_type_hints(settings_class)
    words_field = None
    for field in dataclasses.fields(settings_class):
        if "words" in field.metadata:
            words_field = field.name
            del annotations[field.name]
            flags.FLAGS.set_gnu_getopt()  # Flags may follow words.
        else:
            _define_flag(field, annotations[field.name])

    def guarded(arguments: list[str]) -> None:
        if not flags.FLAGS["verbosity"].present:
            logging.set_verbosity(logging.WARNING)
        try:
            if len(arguments) > 1 and words_field is None:
                raise ValueError(
                    f"Expected only flags of the form --name=value. Received: {arguments[1:]}"
                )
            given = {
                name: _parsed(flags.FLAGS[_flag(name)].value, _flag(name), annotation)
                for name, annotation in annotations.items()
                if flags.FLAGS[_flag(name)].present
            }
            if words_field is not None:
                given[words_field] = tuple(arguments[1:])
            main((resolve or (lambda given: settings_class(**given)))(given))
        except (ValueError, OSError) as error:
            logging.debug("%s", traceback.format_exc())
            sys.exit(f"error: {error}")
        except KeyboardInterrupt:
            # Not `sys.exit`: Python would wait for threads, and one may wait for a lock that the
            # interrupt, which comes between any two instructions, has left locked for ever.
            with contextlib.suppress(OSError):  # of a pipe that the interrupt has closed, too
                print("interrupted", file=sys.stderr)
                sys.stdout.flush()
                sys.stderr.flush()
            os._exit(1)

    app.run(guarded)


def _set_tensorflow_up() -> None:
    """Sets what TensorFlow reads from the environment when it is imported; what is set stays.

    Without AVX-512 it leaves oneDNN's kernels off, with which a training step at 64 pixels is 1.65
    times faster on such a processor.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    if platform.machine().lower() in ("x86_64", "amd64"):
        os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")


def _flag(field_name: str) -> str:
    return field_name.removesuffix("_")


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
    define(_flag(field.name), None, f"{field.metadata['help']} Default: {field.default!r}.")


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
