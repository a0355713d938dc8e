"""English names of ImageNet's classes."""

from collections.abc import Iterable
from pathlib import Path

# WordNet 3.0's identifier of each of the 1000 classes of ILSVRC 2012, in their order, and the first
# of its words; by hand where two classes share it (crane, maillot).
_CLASSES = Path(__file__).with_name("imagenet_classes.tsv")


def readable_names(names: Iterable[str]) -> tuple[str, ...]:
    """Class names, with words for WordNet's identifiers where all are classes of ImageNet."""
    names = tuple(names)
    words = dict(line.split("\t") for line in _CLASSES.read_text(encoding="utf-8").splitlines())
    return tuple(words[name] for name in names) if words.keys() >= set(names) else names
