"""Cartoon robots, monsters, heads and cats, composed from the layers of the package `robohash`.

Each of its sets holds a folder of alternatives per part (body, eyes, mouth and so on), every
alternative a transparent picture. One of each, laid on top of one another, is an image. The layers
are scaled once and kept in memory, each cut to what is drawn on it, so composing is fast.

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

# Class c is the package's set c + 1. Its set 5 is left out: its licence is not stated clearly.
CLASS_NAMES = ("robot", "monster", "head", "cat")
# Classes take turns, so each has a quarter.
SPLITS = {"train": range(50_000), "test": range(50_000, 60_000)}
# Below, eyes and mouths are one pixel.
LEAST_SIZE = 32
# White, as the layers were drawn for: their outlines keep white robots apart from it, and a
# generator's tanh holds it without effort.
_BACKGROUND = (255, 255, 255)


class _Layer(NamedTuple):
    """What one alternative of a part shows: RGBA pixels, and where their top left corner lies."""

    pixels: Image.Image
    corner: tuple[int, int]


class Robohash(Source):
    """Composed cartoons, made when they are read: 50,000 and another 10,000 to test.

    No two images choose the same parts, so none is in both splits.

    Args:
        split: `train` or `test`.
        image_size: side they are composed at.

    Raises:
        ValueError: another split, a size below 32, or the package `robohash` is missing.
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
    """Chooses the parts of images as if all were of one class.

    All combinations of a class are numbered and shuffled, and its images take them in that order:
    each is as likely as any, and none comes twice.

    Args:
        indices: int64 `(n,)`, image numbers over both splits.
        label: the class; each has another order.
        part_sizes: how many alternatives each part has.
        num_variants: how many colours these come in.

    Returns:
        int64 `(n, 1 + len(part_sizes))`: the variant, then the alternative of each part.
    """
    shape = (num_variants, *part_sizes)
    numbers = shuffled_indices(indices // len(CLASS_NAMES), math.prod(shape), seed=label)
    return np.stack(np.unravel_index(numbers, shape), axis=-1)


def _sets_folder() -> Path:
    """Where the package's layers lie, found without running its code."""
    spec = importlib.util.find_spec("robohash")
    if spec is None or not spec.submodule_search_locations:
        raise ValueError(
            "The data set `robohash` is composed from the layers of the Python package of that "
            "name. Received: no such package. `pip install 'sagan_tf[robohash]'` brings it."
        )
    return Path(spec.submodule_search_locations[0]) / "sets"


@functools.lru_cache(maxsize=1)  # both splits of a run share them
def _load_layers(folder: Path, image_size: int) -> list[list[list[list[_Layer]]]]:
    """All layers at one size, by class, variant and part (from the bottom up)."""
    files = [_variants(folder / f"set{label + 1}") for label in range(len(CLASS_NAMES))]
    flat = [file for variants in files for parts in variants for part in parts for file in part]
    logging.info("Scaling the %d layers of robohash to %d pixels.", len(flat), image_size)
    with ThreadPoolExecutor(num_cores()) as threads:  # Pillow frees Python's global lock
        layers = threads.map(lambda file: _load_layer(file, image_size), flat)
        # In the order in which `flat` was listed.
        return [
            [[[next(layers) for _ in part] for part in parts] for parts in variants]
            for variants in files
        ]


def _variants(folder: Path) -> list[list[list[Path]]]:
    """The files of a set, by variant and part; robots come in ten colours, others in one variant.

    Folders of parts are named `003#01Body`: they are laid in the order of what follows the `#`.
    """
    if not any("#" in entry.name for entry in folder.iterdir()):
        return [variant for colour in sorted(folder.iterdir()) for variant in _variants(colour)]
    parts = sorted(folder.iterdir(), key=lambda part: part.name.partition("#")[2])
    return [[sorted(part.glob("*.png")) for part in parts]]


def _load_layer(file: Path, image_size: int) -> _Layer:
    with Image.open(file) as image:
        # Of an RGBA image Pillow weights colours by their opacity, so the colour of invisible
        # pixels, mostly black, does not darken edges; when it shrinks it averages over all pixels.
        pixels = image.convert("RGBA").resize((image_size, image_size), Image.Resampling.BILINEAR)
    box = pixels.getbbox() or (0, 0, 1, 1)  # of what is not fully transparent
    return _Layer(pixels.crop(box), box[:2])
