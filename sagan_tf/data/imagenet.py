"""English names of ImageNet's classes."""

from collections.abc import Iterable, Sequence
from pathlib import Path

# The WordNet 3.0 identifier of each of the 1000 classes of ILSVRC 2012, in their order, and its
# first word; chosen by hand where two classes share that word (crane, maillot).
_CLASSES = Path(__file__).with_name("imagenet_classes.tsv")


def readable_names(names: Iterable[str]) -> tuple[str, ...]:
    """The class names, or ImageNet's words if all of them are its WordNet identifiers."""
    names = tuple(names)
    words = _words()
    return tuple(words[name] for name in names) if words.keys() >= set(names) else names


def wordnet_ids(names: Sequence[str]) -> tuple[str, ...] | None:
    """WordNet identifiers of class names from `readable_names`; `None` for other names."""
    identifiers = {word: name for name, word in _words().items()}
    if not identifiers.keys() >= set(names):
        return None
    return tuple(identifiers[name] for name in names)


def _words() -> dict[str, str]:
    return dict(line.split("\t") for line in _CLASSES.read_text(encoding="utf-8").splitlines())
