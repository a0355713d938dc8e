"""Runs a command: makes flags from a dataclass, and prints user errors as one readable line."""

import contextlib
import dataclasses
import os
import signal
import sys
import textwrap
import traceback
import types
import typing
import warnings
from collections.abc import Callable, Iterator, Sequence
from logging import LogRecord
from typing import Any

from absl import app, flags, logging

from sagan_tf.fields import check_uses, check_values, flag_name, kind_of, similar_flags
from sagan_tf.machine import startup
from sagan_tf.machine.keras_settings import check_keras_settings

# Flags defined below belong to the command that calls `run`, so its `--help` lists them.
flags.disclaim_key_flags()

_HELP = {"--help", "-help", "-h", "--helpshort", "-helpshort"}
_PLACEHOLDERS = {int: "N", float: "X", str: "TEXT"}


def run(
    main: Callable[[Any], None],
    settings_class: type,
    resolve: Callable[[dict[str, Any]], Any] | None = None,
    tensorflow: bool = True,
) -> None:
    """Parses the command line into settings and runs `main(settings)`.

    A `ValueError` or `OSError` is an error that a user can correct: only its message is printed,
    and the process exits with 1 (`--verbosity=1` adds the traceback). Any other exception is a
    defect of this package and keeps its traceback. `--help` lists the flags without importing
    TensorFlow.

    Args:
        main: the command; its module's docstring is the head of `--help`.
        settings_class: a dataclass whose fields were made by `setting` and `words`. With an
            attribute `flag_groups`, {first field of a group: title}, `--help` shows the flags in
            groups. With an attribute `by_preset`, a set of field names, `--help` says that a preset
            may set those.
        resolve: turns the given flags, by name, into settings; by default
            `settings_class(**given)`.
        tensorflow: whether the command needs TensorFlow, which is then imported, quietly, before
            `main` runs. Keras must have the settings that the commands need, see
            `machine.keras_settings`.
    """
    signal.signal(signal.SIGINT, _interrupt)
    startup.set_environment()
    # Pillow's warnings name no file; the loader names files that cannot be read.
    warnings.filterwarnings("ignore", module=r"PIL\.")
    fields = [field for field in dataclasses.fields(settings_class) if "help" in field.metadata]
    hints = typing.get_type_hints(settings_class)
    for field in fields:
        _define_flag(field, hints[field.name])
    if not _HELP.isdisjoint(sys.argv[1:]):
        with _read_to_its_end():
            print(help_text(main.__globals__["__doc__"], settings_class, fields), flush=True)
        return
    if _words_field(settings_class):
        flags.FLAGS.set_gnu_getopt()  # flags may follow positional arguments

    def work(arguments: list[str]) -> None:
        if tensorflow:
            check_keras_settings()
        given = _given(arguments, settings_class)
        with startup.without_unused_packages():
            settings = resolve(given) if resolve else settings_class(**given)
            if not resolve:
                check_values(settings)
                check_uses(settings)
            if tensorflow:
                startup.import_tensorflow()
        main(settings)

    app.run(
        lambda arguments: _guarded(work, arguments),
        flags_parser=lambda arguments: _parse_flags(arguments, fields),
    )


def _guarded(work: Callable[[list[str]], None], arguments: list[str]) -> None:
    """Runs a command; errors that a user can correct become one line."""
    if not flags.FLAGS["verbosity"].present:
        logging.set_verbosity(logging.WARNING)
        handler = logging.get_absl_handler().python_handler
        handler.emit = _print_record  # type: ignore[method-assign]
    try:
        with _read_to_its_end():
            work(arguments)
            sys.stdout.flush()
        # All is done: a scheduler's late SIGTERM shall not make it look failed.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    except (ValueError, OSError) as error:
        logging.debug("%s", traceback.format_exc())
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        _end_interrupted()


@contextlib.contextmanager
def _read_to_its_end() -> Iterator[None]:
    """Ends the command without a word where nobody reads on, as in `... --help | head`."""
    try:
        yield
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # for what is flushed at exit
        sys.exit(128 + signal.SIGPIPE)


def _print_record(record: LogRecord) -> None:
    """Prints a log record as a line of its own, beside progress bars."""
    from tqdm import tqdm

    tqdm.write(f"{record.levelname.lower()}: {record.getMessage()}", file=sys.stderr)


def _interrupt(number: int, frame: types.FrameType | None) -> None:
    """Handles Ctrl-C: raises `KeyboardInterrupt`, or ends the process while a module is imported.

    During an import the exception could be lost, in C code or in a module that tests whether
    another one exists, and the command would go on. Nothing is open at that time.
    """
    while frame is not None:
        if frame.f_globals.get("__name__", "").startswith("importlib._bootstrap"):
            _end_interrupted()
        frame = frame.f_back
    raise KeyboardInterrupt


def _end_interrupted() -> typing.NoReturn:
    # With `sys.exit` Python would wait for threads. A thread may wait forever for a lock that the
    # interrupt, which can come between any two instructions, has left locked.
    with contextlib.suppress(OSError, RuntimeError):  # the pipe is closed or being written to
        print("interrupted", file=sys.stderr)
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(1)


def help_text(intro: str, settings_class: type, fields: Sequence[dataclasses.Field]) -> str:
    """The text that `--help` prints: the command's description, and its flags in groups.

    Args:
        intro: docstring of the command's module.
        settings_class: see `run`.
        fields: fields of the flags.
    """
    hints = typing.get_type_hints(settings_class)
    groups = getattr(settings_class, "flag_groups", {})
    lines = [intro.strip(), "", "Flags"] if not groups else [intro.strip()]
    for field in fields:
        if field.name in groups:
            lines += ["", groups[field.name]]
        kind, _ = kind_of(hints[field.name])
        name = flag_name(field.name)
        head = f"--[no]{name}" if kind is bool else f"--{name}={_PLACEHOLDERS.get(kind, 'A,B')}"
        default = field.default
        if isinstance(default, tuple):
            default = ",".join(map(str, default))
        text = field.metadata["help"]
        if readers := field.metadata.get("only_with", "").split():
            text += f" Only with {' or '.join(f'--{flag_name(reader)}' for reader in readers)}."
        if default not in (None, "", False):
            preset = " without a preset" * (field.name in getattr(settings_class, "by_preset", ()))
            text += f" [{'yes' if default is True else default}{preset}]"
        lines.append(f"  {head}")
        lines += textwrap.wrap(text, 96, initial_indent="      ", subsequent_indent="      ")
    return "\n".join([*lines, "", "--helpfull lists the flags of libraries, too."])


def _parse_flags(arguments: list[str], fields: Sequence[dataclasses.Field]) -> list[str]:
    """The positional arguments; exits for an unknown flag or a flag with a wrong value."""
    try:
        return flags.FLAGS(arguments)
    except flags.UnrecognizedFlagError as error:
        similar = similar_flags(error.flagname, fields)
        hint = f"Did you mean {' or '.join(similar)}? " if similar else ""
        sys.exit(f"error: There is no flag --{error.flagname}. {hint}`--help` lists all.")
    except flags.Error as error:
        sys.exit(f"error: {error}")


def _words_field(settings_class: type) -> str | None:
    """The name of the field made by `words`; `None` if there is none."""
    fields = dataclasses.fields(settings_class)
    return next((field.name for field in fields if "words" in field.metadata), None)


def _given(arguments: list[str], settings_class: type) -> dict[str, Any]:
    """The values given on the command line, by the names of their fields."""
    hints = typing.get_type_hints(settings_class)
    words_field = _words_field(settings_class)
    if len(arguments) > 1 and words_field is None:
        raise ValueError(f"Expected only flags of the form --name=value. Received: {arguments[1:]}")
    given = {
        field.name: _parsed(flag.value, flag.name, hints[field.name])
        for field in dataclasses.fields(settings_class)
        if "help" in field.metadata and (flag := flags.FLAGS[flag_name(field.name)]).present
    }
    return given if words_field is None else {**given, words_field: tuple(arguments[1:])}


def _define_flag(field: dataclasses.Field, annotation: Any) -> None:
    kind, _ = kind_of(annotation)
    defined_by: dict[type, Callable[..., Any]] = {
        int: flags.DEFINE_integer,
        float: flags.DEFINE_float,
        bool: flags.DEFINE_bool,
        str: flags.DEFINE_string,
    }
    define = defined_by.get(kind, flags.DEFINE_list)
    # The flag itself has no default, as a preset must know whether the flag was given.
    define(flag_name(field.name), None, f"{field.metadata['help']} Default: {field.default!r}.")


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
