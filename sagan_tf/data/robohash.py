"""Cartoon robots, monsters, heads and cats, composed from the layers of the package `robohash`.

Each of the package's sets holds one folder per part (body, eyes, mouth and so on) with alternatives
for it, which are transparent pictures. An image consists of one alternative per part, laid on top
of one another. The layers are scaled once and kept in memory, each cropped to its drawing, so
composing is fast.

The drawings are by Zikri Kader, Hrvoje Novakovic, Julian Peter Arias and David Revoy (CC-BY).
"""

import functools
import importlib.util
import math
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
from absl import logging
from PIL import Image

from sagan_tf.data.order import shuffled_indices
from sagan_tf.data.source import Source
from sagan_tf.machine.processors import num_cores

# Class c is the package's set c + 1. Set 5 is left out because its licence is not stated clearly.
CLASS_NAMES = ("robot", "monster", "head", "cat")
# Classes alternate, so each has a quarter of the images.
SPLITS = {"train": range(50_000), "test": range(50_000, 60_000)}
# In smaller images, eyes and mouths are one pixel.
LEAST_SIZE = 32
# The layers were drawn for a white background: their outlines separate white robots from it, and a
# generator's tanh reaches white easily.
_BACKGROUND = (255, 255, 255)


class _Layer(NamedTuple):
    """One alternative of a part: RGBA pixels, and the position of their top left corner."""

    pixels: Image.Image
    corner: tuple[int, int]


class Robohash(Source):
    """Composed cartoons, made when they are read: 50,000 for training, 10,000 for tests.

    No two images have the same parts, so none is in both splits.

    Args:
        split: `train` or `test`.
        image_size: side at which the images are composed.

    Raises:
        ValueError: for another split, a size below 32, or if the package `robohash` is missing.
    """

    image_size: int
    labels: np.ndarray

    def __init__(self, split: str = "train", image_size: int = LEAST_SIZE) -> None:
        if split not in SPLITS:
            raise ValueError(
                f"`split` expects one of {list(SPLITS)} of robohash. Received: split={split!r}."
            )
        if image_size < LEAST_SIZE:
            raise ValueError(
                f"`robohash` needs an `image_size` of at least {LEAST_SIZE}. "
                f"Received: image_size={image_size}."
            )
        indices = np.arange(SPLITS[split].start, SPLITS[split].stop)
        super().__init__(
            name="robohash",
            class_names=CLASS_NAMES,
            channels=3,
            num_examples=len(indices),
            image_size=image_size,
            labels=(indices % len(CLASS_NAMES)).astype(np.int32),
        )
        self._layers = _load_layers(_sets_folder(), image_size)
        self._choices = [
            choose_parts(indices, label, [len(part) for part in variants[0]], len(variants))
            for label, variants in enumerate(self._layers)
        ]

    def read(self, index: int) -> tuple[np.ndarray, int]:
        """One image, uint8 `(S, S, 3)`, and its label."""
        label = int(self.labels[index])
        variant, *alternatives = self._choices[label][index]
        image = Image.new("RGB", (self.image_size, self.image_size), _BACKGROUND)
        for part, alternative in zip(self._layers[label][variant], alternatives, strict=True):
            layer = part[alternative]
            image.paste(layer.pixels, layer.corner, layer.pixels)
        return np.asarray(image), label


def choose_parts(
    indices: np.ndarray, label: int, part_sizes: list[int], num_variants: int
) -> np.ndarray:
    """Chooses the parts of images of one class.

    All combinations of a class are numbered and shuffled, and the class's images take them in that
    order: each combination is equally likely, and none comes twice.

    Args:
        indices: int64 `(n,)`, image numbers over both splits.
        label: the class; each class has a different order.
        part_sizes: number of alternatives for each part.
        num_variants: number of colour variants.

    Returns:
        int64 `(n, 1 + len(part_sizes))`: the variant, then the alternative of each part.
    """
    shape = (num_variants, *part_sizes)
    numbers = shuffled_indices(indices // len(CLASS_NAMES), math.prod(shape), seed=label)
    return np.stack(np.unravel_index(numbers, shape), axis=-1)


def _sets_folder() -> Path:
    """The folder with the package's layers, found without running the package's code."""
    spec = importlib.util.find_spec("robohash")
    if spec is None or not spec.submodule_search_locations:
        raise ValueError(
            "The data set `robohash` is composed from the layers of the Python package of that "
            "name. Received: no such package. `pip install 'sagan_tf[robohash]'` brings it."
        )
    return Path(spec.submodule_search_locations[0]) / "sets"


@functools.lru_cache(maxsize=1)  # both splits of a run share the layers
def _load_layers(folder: Path, image_size: int) -> list[list[list[list[_Layer]]]]:
    """All layers at one size, by class, variant and part (from the bottom up)."""
    files = [_variants(folder / f"set{label + 1}") for label in range(len(CLASS_NAMES))]
    flat = [file for variants in files for parts in variants for part in parts for file in part]
    logging.info("Scaling the %d layers of robohash to %d pixels.", len(flat), image_size)
    with ThreadPoolExecutor(num_cores()) as threads:  # Pillow releases Python's global lock
        layers = threads.map(lambda file: _load_layer(file, image_size), flat)
        # In the order in which `flat` was listed.
        return [
            [[[next(layers) for _ in part] for part in parts] for parts in variants]
            for variants in files
        ]


def _variants(folder: Path) -> list[list[list[Path]]]:
    """The files of a set, by variant and part; robots come in ten colours, others in one variant.

    Part folders are named like `003#01Body`; the text after the `#` gives the order of the layers.
    """
    if not any("#" in entry.name for entry in folder.iterdir()):
        return [variant for colour in sorted(folder.iterdir()) for variant in _variants(colour)]
    parts = sorted(folder.iterdir(), key=lambda part: part.name.partition("#")[2])
    return [[sorted(part.glob("*.png")) for part in parts]]


def _load_layer(file: Path, image_size: int) -> _Layer:
    with Image.open(file) as image:
        # For RGBA images Pillow weights colours by their opacity, so invisible pixels, which are
        # mostly black, do not darken edges. Shrinking averages over all pixels.
        pixels = image.convert("RGBA").resize((image_size, image_size), Image.Resampling.BILINEAR)
    box = pixels.getbbox() or (0, 0, 1, 1)  # around all pixels that are not fully transparent
    return _Layer(pixels.crop(box), box[:2])
