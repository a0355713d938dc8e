"""Groups of classes whose scores are averaged, to see which kinds of images come out better."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from sagan_tf.data.imagenet import wordnet_ids

# Name of the built-in groups.
IMAGENET = "imagenet"
# Classes below "geological formation" (n09287968) in WordNet 3.0 have texture and little shape ...
_TEXTURE = """
n09193705 n09246464 n09256479 n09288635 n09332890 n09399592 n09421951 n09428293 n09468604 n09472597
""".split()
# ... and its animals, whose identifiers lie in one range, have parts in fixed places.
_ANIMALS = "n01440764", "n02655020"


def read_groups(path: str, class_names: Sequence[str]) -> dict[str, list[int]]:
    """Class numbers of each group, by the group's name.

    Args:
        path: a JSON file, `{"group": ["class", 7, ...], ...}`, with names or numbers of classes;
            or "imagenet" for its animals and geological formations, the classes that attention
            helps most and least according to SAGAN's paper (section 4.2).
        class_names: class names of the data set.

    Raises:
        ValueError: if the file cannot be read or names an unknown class.
    """
    if path == IMAGENET:
        return _imagenet_groups(class_names)
    try:
        groups = json.loads(Path(path).read_text())
        pairs = [(name, list(classes)) for name, classes in groups.items()]
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise ValueError(
            f'`--groups` expects a file with {{"group": ["class", ...], ...}}, or {IMAGENET}. '
            f"Received: {path}: {error}"
        ) from None
    numbers: dict[str | int, int] = {name: number for number, name in enumerate(class_names)}
    numbers |= {number: number for number in range(len(class_names))}
    found = {}
    for name, classes in pairs:
        unknown = [one for one in classes if one not in numbers]
        if unknown or not classes:
            raise ValueError(
                f"`--groups` {path}: group {name!r} names {unknown[:5] or 'no class'}. Classes "
                f"are, for example, {list(class_names[:5])}"
            )
        found[name] = [numbers[one] for one in classes]
    return found


def group_means(
    by_class: Mapping[int, float], groups: Mapping[str, Sequence[int]]
) -> dict[str, float]:
    """The mean score of each group, over its classes that have a score."""
    means = {}
    for name, classes in groups.items():
        scores = [by_class[number] for number in classes if number in by_class]
        if scores:
            means[name] = sum(scores) / len(scores)
    return means


def _imagenet_groups(class_names: Sequence[str]) -> dict[str, list[int]]:
    identifiers = wordnet_ids(class_names)
    if identifiers is None:
        raise ValueError(
            f"`--groups={IMAGENET}` is for ImageNet's classes. Received classes such as "
            f"{list(class_names[:5])}"
        )
    first, last = _ANIMALS
    return {
        "geological formations": [n for n, one in enumerate(identifiers) if one in _TEXTURE],
        "animals": [n for n, one in enumerate(identifiers) if first <= one <= last],
    }
