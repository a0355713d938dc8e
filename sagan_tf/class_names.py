"""Finds the labels of classes that a user names, and suggests names for misspelt ones."""

import difflib
import os
import re
import unicodedata
from collections.abc import Callable, Collection, Sequence

_MOST_NAMES_LISTED = 10
_MOST_NEAR_NAMES = 3
# Seeds and labels are kept as a list; a range of more numbers is taken for a typing error.
_LONGEST_RANGE = 1_000_000
_WHOLE_NUMBER = re.compile(r"-?\d+")
_RANGE = re.compile(r"(-?\d+)-(-?\d+)")


def readable(name: str) -> str:
    """A file's name as text that can be printed and stored, in Unicode's composed form (NFC).

    Names that are not UTF-8, whose bytes Python keeps as lone surrogates, are read as Latin-1.
    """
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        name = os.fsencode(name).decode("latin-1")
    return unicodedata.normalize("NFC", name)


def quoted(name: str) -> str:
    """The name for use in a list: in quotes if it contains a comma."""
    return repr(name) if "," in name else name


def shortened(
    names: Sequence[str], most: int = _MOST_NAMES_LISTED, show: Callable[[str], str] = quoted
) -> str:
    """A list of names for a message: the first of them, and the number of others."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(map(show, names[:most])) + more


def hints(name: str, class_names: Sequence[str]) -> str:
    """Sentences on a name that no class has: similar names, and a list of class names."""
    folded = {other.casefold(): other for other in class_names}
    wanted = readable(name).strip().casefold()
    near = [other for key, other in folded.items() if wanted and wanted in key]
    near += [folded[key] for key in difflib.get_close_matches(wanted, folded, _MOST_NEAR_NAMES)]
    near = list(dict.fromkeys(near))[:_MOST_NEAR_NAMES]
    question = f" Did you mean {' or '.join(map(repr, near))}?" if near else ""
    return f"{question} Classes: {shortened(list(class_names))}."


def class_number(name: str, class_names: Sequence[str], argument: str) -> int:
    """The label of the class with a name.

    Args:
        name: name of the class, in any Unicode form; surrounding spaces are ignored.
        class_names: one per class.
        argument: name of the argument or flag, for messages.

    Raises:
        ValueError: for a name that no class has, or that several classes have.
    """
    numbers = _numbers_by_name(class_names).get(readable(name).strip(), [])
    if not numbers:
        raise ValueError(f"`{argument}` {name!r} is no class's name.{hints(name, class_names)}")
    if len(numbers) > 1:
        raise ValueError(
            f"`{argument}` {name!r} is the name of the classes {numbers}. Give one of the numbers."
        )
    return numbers[0]


def numbers(text: str, flag: str) -> list[int]:
    """Expands numbers and ranges, such as "0-2,7" to [0, 1, 2, 7].

    Args:
        text: value of the flag.
        flag: name of the flag, for messages.

    Raises:
        ValueError: for anything but whole numbers below 2^63 and ascending ranges of them.
    """
    found: list[int] = []
    for item in text.split(","):
        first, _, last = item.strip().partition("-")
        if not first.isdecimal() or (last and not last.isdecimal()):
            raise ValueError(
                f"`--{flag}` expects numbers and ranges, as in 0-4,7. Received: {item!r}"
            )
        found += _range(int(first), int(last or first), flag, item)
    return found


def class_labels(
    text: str | None, flag: str, class_names: Sequence[str], num_classes: int | None
) -> list[int | None]:
    """Labels by number, range or class name; `[None]` for an unconditional generator.

    If all class names are whole numbers, numbers and ranges are names; otherwise they are labels,
    counted from 0. A name may contain commas: the longest matching name is taken.

    Args:
        text: value of the flag; `None` for the first ten classes.
        flag: name of the flag, for messages.
        class_names: one per class.
        num_classes: number of classes of the generator; `None` for an unconditional generator.

    Raises:
        ValueError: for an unknown class, or for labels given to a generator without classes.
    """
    if num_classes is None:
        if text is not None:
            raise ValueError(f"`--{flag}` was given but the run's generator has no classes.")
        return [None]
    if text is None:
        return list(range(min(10, num_classes)))
    by_name = _numbers_by_name(class_names)
    by_number = _labels_by_number(class_names)
    labels: list[int | None] = []
    for item in _split(text, by_name):
        if item in by_name:
            # Names come first, as classes may be named 7 or 1-3.
            labels.append(class_number(item, class_names, f"--{flag}"))
        elif by_number is not None:
            labels += _labels_of_range(item, flag, class_names, by_number)
        else:
            labels += _positions(item, flag, class_names, num_classes)
    return labels


def _numbers_by_name(class_names: Sequence[str]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for label, name in enumerate(class_names):
        found.setdefault(readable(name).strip(), []).append(label)
    return found


def _labels_by_number(class_names: Sequence[str]) -> dict[int, list[int]] | None:
    """The labels by number, if all names are whole numbers; else `None`.

    It is also `None` if names count from 0, as they then equal the labels.
    """
    if not all(_WHOLE_NUMBER.fullmatch(name) for name in class_names):
        return None
    found: dict[int, list[int]] = {}
    for label, name in enumerate(class_names):
        found.setdefault(int(name), []).append(label)
    return None if list(found) == list(range(len(class_names))) else found


def _split(text: str, names: Collection[str]) -> list[str]:
    """The items between commas; commas inside one of the `names` do not separate."""
    parts = text.split(",")
    most = 1 + max((name.count(",") for name in names), default=0)
    items = []
    while parts:
        for count in range(min(most, len(parts)), 0, -1):
            item = readable(",".join(parts[:count])).strip()
            if count == 1 or item in names:
                break
        items.append(item)
        parts = parts[count:]
    return items


def _labels_of_range(
    item: str, flag: str, class_names: Sequence[str], by_number: dict[int, list[int]]
) -> list[int]:
    first, last = _ends(item, flag, class_names)
    wanted = _range(first, last, flag, item)
    missing = [number for number in wanted if number not in by_number]
    if missing:
        raise ValueError(
            f"`--{flag}` names classes here, since all of their names are numbers, and none is "
            f"named {shortened(list(map(str, missing)))}. Received: {item!r}. "
            f"Classes: {shortened(list(class_names))}."
        )
    return [label for number in wanted for label in by_number[number]]


def _positions(item: str, flag: str, class_names: Sequence[str], num_classes: int) -> list[int]:
    first, last = _ends(item, flag, class_names)
    for number in (first, last):
        if not 0 <= number < num_classes:
            raise ValueError(f"`--{flag}` must be in 0-{num_classes - 1}. Received: {number}")
    return _range(first, last, flag, item)


def _ends(item: str, flag: str, class_names: Sequence[str]) -> tuple[int, int]:
    """The first and the last number of a range, such as "1-3", or of a number, such as "7"."""
    if _WHOLE_NUMBER.fullmatch(item):
        return int(item), int(item)
    if both := _RANGE.fullmatch(item):
        return int(both[1]), int(both[2])
    raise ValueError(
        f"`--{flag}` expects numbers and ranges, as in 0-4,7, or class names. Received: {item!r}."
        f"{hints(item, class_names)}"
    )


def _range(first: int, last: int, flag: str, item: str) -> list[int]:
    if last < first or last >= 2**63:
        raise ValueError(
            f"`--{flag}` expects ranges that ascend, of numbers under 2^63. Received: {item!r}"
        )
    if last - first >= _LONGEST_RANGE:
        raise ValueError(
            f"`--{flag}` expects ranges of at most {_LONGEST_RANGE:,} numbers. Received: {item!r}"
        )
    return list(range(first, last + 1))
