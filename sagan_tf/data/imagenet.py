"""English names of ImageNet's classes."""

from collections.abc import Iterable, Sequence
from pathlib import Path

# WordNet 3.0's identifier of each of the 1000 classes of ILSVRC 2012, in their order, and the first
# of its words; by hand where two classes share it (crane, maillot).
_CLASSES = Path(__file__).with_name("imagenet_classes.tsv")


def readable_names(names: Iterable[str]) -> tuple[str, ...]:
    """Class names, with words for WordNet's identifiers where all are classes of ImageNet."""
    names = tuple(names)
    words = _words()
    return tuple(words[name] for name in names) if words.keys() >= set(names) else names


def wordnet_ids(names: Sequence[str]) -> tuple[str, ...] | None:
    """WordNet's identifiers of classes that `readable_names` named; `None` for other classes."""
    identifiers = {word: name for name, word in _words().items()}
    if not identifiers.keys() >= set(names):
        return None
    return tuple(identifiers[name] for name in names)


def _words() -> dict[str, str]:
    return dict(line.split("\t") for line in _CLASSES.read_text(encoding="utf-8").splitlines())
