"""Numbered sets of images to score: real, generated here, exported or served.

Image `i` is the same however many are read at a time, so reading can stop and resume anywhere.
"""

import functools
import hashlib
import math
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import tensorflow as tf

from sagan_tf.data.loading import Loader
from sagan_tf.data.order import shuffled_indices
from sagan_tf.data.source import Source
from sagan_tf.evaluation.file_identity import READ_WHOLE, file_identity
from sagan_tf.models import Generator
from sagan_tf.sampling import latents_from_seeds, to_uint8
from sagan_tf.serving.client import Client, ServingError
from sagan_tf.serving.exporting.folding import FoldedGenerator

# Number of examples whose pixels are hashed for a data set's identity.
_IDENTIFYING_EXAMPLES = 64
# Images to read at once when looking for unreadable ones.
_READ_AT_ONCE = 256


class Images(Protocol):
    """A numbered set of images.

    Attributes:
        identity: JSON that is equal only for equal images, as far as this can be checked cheaply.
        num_images: number of images.
    """

    @property
    def identity(self) -> Mapping[str, Any]: ...

    @property
    def num_images(self) -> int: ...

    def read(self, start: int, stop: int) -> tuple[np.ndarray, np.ndarray | None]:
        """Images, uint8 `(N, H, W, C)`, and their classes, int32 `(N,)`, or `None`."""


class NamedImages(Images, Protocol):
    """Images with class names.

    Attributes:
        class_names: class names by label; empty for images without classes.
    """

    @property
    def class_names(self) -> tuple[str, ...]: ...


class RealImages:
    """The first `num_images` readable images of a data set, in a fixed shuffled order.

    Args:
        source: the data set.
        split: name of the data set's split, for the record.
        image_size: side to which images are cropped and resized.
        num_images: largest number of images; all are used if the data set has fewer.

    Attributes:
        class_names: class names of the data set.
        notes: the data set's sentences on unused files.
    """

    def __init__(self, source: Source, split: str, image_size: int, num_images: int) -> None:
        self.class_names = source.class_names
        self.notes = source.notes
        self._source = source
        self._loader = Loader(source, image_size)
        self._indices = self._first(min(num_images, source.num_examples))
        self.num_images = len(self._indices)
        # A folder is identified by its files, wherever it is.
        name = "folder" if source.name.startswith("folder:") and source.files else source.name
        self.identity = {
            "dataset": name,
            "split": split,
            "num_examples": source.num_examples,
            "image_size": image_size,
            "num_images": self.num_images,
            "pixels": self._fingerprint(),
        }
        if source.background is not None:
            self.identity["background"] = list(source.background)
        if source.files:
            self.identity |= file_identity(source.files, source.num_examples)

    def read(self, start: int, stop: int) -> tuple[np.ndarray, np.ndarray]:
        return self._loader.finish(self._loader.start(self._indices[start:stop]))

    def _first(self, count: int) -> np.ndarray:
        """The indices of the first `count` readable images; large sets are not checked.

        For large sets, the loader replaces an unreadable image by the next one, for up to 1 %.
        """
        total = self._source.num_examples
        if not self._source.files or total >= READ_WHOLE:
            return shuffled_indices(np.arange(count), total, seed=0)
        order = shuffled_indices(np.arange(total), total, seed=0)
        found: list[int] = []
        for start in range(0, total, _READ_AT_ONCE):
            part = order[start : start + _READ_AT_ONCE].tolist()
            examples = zip(part, self._loader.examples(part), strict=True)
            found += [index for index, example in examples if example is not None]
            if len(found) >= count:
                break
        return np.array(found[:count])

    def _fingerprint(self) -> str:
        images, labels = self.read(0, min(_IDENTIFYING_EXAMPLES, self.num_images))
        return hashlib.sha256(images.tobytes() + labels.tobytes()).hexdigest()


class GeneratedImages:
    """Images that a generator in this process generates from the seeds 0, 1, 2, ...

    Args:
        generator: a `Generator`; later changes of its weights have no effect here.
        num_images: number of images.
        labels: "balanced" takes the classes in turn, "uniform" draws each label at random.
        truncation: see `sampling.latents_from_seeds`.
        quantized: whether images are rounded to 8 bits, as in files; otherwise they are float32
            with `[-1, 1]` mapped to `[0, 256]`, as in the paper's evaluation.
    """

    def __init__(
        self,
        generator: Generator,
        num_images: int,
        labels: str = "balanced",
        truncation: float = math.inf,
        quantized: bool = True,
    ) -> None:
        self.num_images = num_images
        folded = FoldedGenerator(generator)
        weights = b"".join(variable.numpy().tobytes() for variable in folded.variables)
        self.identity = {
            "generator": hashlib.sha256(weights).hexdigest(),
            "num_images": num_images,
            "labels": labels,
            "truncation": truncation if math.isfinite(truncation) else None,
            "quantized": quantized,
        }
        self._labels = asked_classes(num_images, generator.num_classes, labels)
        self._truncation = truncation
        self._quantized = quantized
        self._folded = folded

    @functools.cached_property
    def _images(self) -> Callable[[tf.Tensor, tf.Tensor], tf.Tensor]:
        """Images of seeds and rows of the table; traced when first used, for any number of them."""

        @tf.function(autograph=False)
        def images(seeds: tf.Tensor, rows: tf.Tensor) -> tf.Tensor:
            latents = latents_from_seeds(seeds, self._folded.latent_dim, self._truncation)
            return self._folded.images(latents, tf.gather(self._folded.table, rows))

        vectors = (tf.TensorSpec((None,), dtype) for dtype in (tf.int64, tf.int32))
        return images.get_concrete_function(*vectors)

    def read(self, start: int, stop: int) -> tuple[np.ndarray, np.ndarray | None]:
        labels = None if self._labels is None else self._labels[start:stop]
        rows = np.zeros(stop - start, np.int32) if labels is None else labels
        seeds = tf.range(start, stop, dtype=tf.int64)
        images = self._images(seeds, tf.constant(rows, tf.int32)).numpy()
        return to_uint8(images) if self._quantized else 128 * images + 128, labels


class SavedModelImages:
    """Images that an exported generator generates from the seeds 0, 1, 2, ...

    Args:
        path: directory of a version, as `sagan_tf.export` wrote it.
        num_images: number of images; they take the classes in turn.

    Attributes:
        class_names: class names of the generator; empty if it is unconditional.

    Raises:
        ValueError: if the directory is not that of an exported generator.
    """

    def __init__(self, path: str | os.PathLike, num_images: int) -> None:
        try:
            self._signatures = tf.saved_model.load(str(path)).signatures
            weights = (Path(path) / "variables" / "variables.index").read_bytes()
        except OSError as error:
            raise ValueError(
                f"{path} is no version of an exported generator: {error}. Name the directory "
                "that holds saved_model.pb."
            ) from None
        if "images" not in self._signatures:
            raise ValueError(
                f"{path} has no signature `images`; `python -m sagan_tf.export` writes it. "
                f"Received: {sorted(self._signatures)}"
            )
        self.num_images = num_images
        self.identity = {
            "saved_model": hashlib.sha256(weights).hexdigest(),
            "num_images": num_images,
        }
        self.class_names: tuple[str, ...] = ()
        if "class_names" in self._signatures:
            of_class = self._signatures["class_names"]
            count = int(of_class(class_id=tf.constant([0]))["num_classes"][0])
            names = of_class(class_id=tf.range(count))["class_name_bytes"].numpy()
            self.class_names = tuple(name.decode() for name in names)
        self._labels = asked_classes(num_images, len(self.class_names) or None)

    def read(self, start: int, stop: int) -> tuple[np.ndarray, np.ndarray | None]:
        inputs = {
            "seed": tf.range(start, stop, dtype=tf.int64),
            "truncation": tf.fill([stop - start], math.inf),
        }
        labels = None if self._labels is None else self._labels[start:stop]
        if labels is not None:
            inputs["class_id"] = tf.constant(labels)
        return to_uint8(self._signatures["images"](**inputs)["images"]), labels


class ServedImages:
    """Images that a server with the REST API generates from the seeds 0, 1, 2, ...

    Args:
        client: client of the model.
        url: address of the server, for the record.
        num_images: number of images; they take the classes in turn.

    Attributes:
        class_names: class names of the generator; empty if it is unconditional.
    """

    def __init__(self, client: Client, url: str, num_images: int) -> None:
        self._client = client
        self.num_images = num_images
        try:
            self.class_names = tuple(client.class_names)
        except ServingError as error:
            if error.status != 400:  # status 400 says that there are no classes
                raise
            self.class_names = ()
        self._labels = asked_classes(num_images, len(self.class_names) or None)
        self.identity = {"url": url, "num_images": num_images, "pixels": self._fingerprint()}

    def read(self, start: int, stop: int) -> tuple[np.ndarray, np.ndarray | None]:
        labels = None if self._labels is None else self._labels[start:stop]
        class_id = None if labels is None else labels.tolist()
        images = np.asarray(self._client.sample(class_id, list(range(start, stop))))
        return images if images.ndim == 4 else images[..., np.newaxis], labels

    def _fingerprint(self) -> str:
        images, _ = self.read(0, min(_IDENTIFYING_EXAMPLES, self.num_images))
        return hashlib.sha256(images.tobytes()).hexdigest()


class ImagesPart:
    """Consecutive images of a larger set, numbered from 0.

    Args:
        images: the larger set.
        numbers: numbers of the images to take from it.
        identity: see `Images`; `None` for the identity of the larger set.
    """

    def __init__(
        self, images: Images, numbers: range, identity: Mapping[str, Any] | None = None
    ) -> None:
        self._images = images
        self._first = numbers.start
        self.num_images = len(numbers)
        self.identity = images.identity if identity is None else identity

    def read(self, start: int, stop: int) -> tuple[np.ndarray, np.ndarray | None]:
        return self._images.read(self._first + start, self._first + stop)


def as_uint8(images: np.ndarray) -> np.ndarray:
    """Images as uint8; images that were never rounded are floats in [0, 256]."""
    return np.clip(np.floor(images), 0, 255).astype(np.uint8)


def asked_classes(
    num_images: int, num_classes: int | None, labels: str = "balanced"
) -> np.ndarray | None:
    """The class of each image: in turn ("balanced"), or drawn with a fixed seed ("uniform")."""
    if num_classes is None:
        return None
    if labels == "uniform":
        drawn = np.random.default_rng(0).integers(num_classes, size=num_images)
        return drawn.astype(np.int32)
    return np.arange(num_images, dtype=np.int32) % num_classes
