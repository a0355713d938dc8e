"""What is scored: images by number, from wherever they are.

Image `i` is the same however many are read at a time, so reading can stop and go on anywhere.
"""

import functools
import hashlib
import math
import os
import struct
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import tensorflow as tf
from absl import logging
from PIL import Image

from sagan_tf.data.decode import decode_square
from sagan_tf.data.loading import Loader
from sagan_tf.data.order import shuffled_indices
from sagan_tf.data.source import Source
from sagan_tf.data.sources import IMAGE_SUFFIXES
from sagan_tf.models import Generator
from sagan_tf.sampling import latents_from_seeds, to_uint8
from sagan_tf.serving.client import Client, ServingError
from sagan_tf.serving.folding import FoldedGenerator

_LOSSY_SUFFIXES = (".jpeg", ".jpg", ".webp")
# Examples whose pixels stand for a data set's in its identity.
_IDENTIFYING_EXAMPLES = 64
# Images of a file that are hashed at a time.
_HASHED_IMAGES = 256


class Images(Protocol):
    """A numbered set of images.

    Attributes:
        identity: JSON that is equal only for equal images, as far as can be told cheaply.
        num_images: how many.
    """

    identity: Mapping[str, Any]
    num_images: int

    def read(self, start: int, stop: int) -> tuple[np.ndarray, np.ndarray | None]:
        """Images uint8 `(N, H, W, C)`, and their classes int32 `(N,)` where they have any."""


class RealImages:
    """The first so many images of a data set in a shuffled order, which no training changes.

    Args:
        source: the data set.
        split: its name, for the record.
        image_size: side they are cut and resized to.
        num_images: at most; all if the data set has fewer.

    Attributes:
        class_names: of the data set.
    """

    def __init__(self, source: Source, split: str, image_size: int, num_images: int) -> None:
        self.num_images = min(num_images, source.num_examples)
        self.class_names = source.class_names
        self._loader = Loader(source, image_size)
        self._indices = shuffled_indices(np.arange(self.num_images), source.num_examples, seed=0)
        self.identity = {
            "dataset": source.name,
            "split": split,
            "num_examples": source.num_examples,
            "image_size": image_size,
            "num_images": self.num_images,
            "pixels": self._fingerprint(),
        }

    def read(self, start: int, stop: int) -> tuple[np.ndarray, np.ndarray]:
        return self._loader.finish(self._loader.start(self._indices[start:stop]))

    def _fingerprint(self) -> str:
        images, labels = self.read(0, min(_IDENTIFYING_EXAMPLES, self.num_images))
        return hashlib.sha256(images.tobytes() + labels.tobytes()).hexdigest()


class GeneratedImages:
    """Images of the seeds 0, 1, 2, ... by a generator in this process.

    Args:
        generator: a `Generator`; later changes of its weights do not reach here.
        num_images: how many.
        labels: "balanced" gives the classes in turn, "uniform" draws each.
        truncation: see `sampling.latents_from_seeds`.
        quantized: whether images are rounded to 8 bits, as files hold them; else they are float32
            with `[-1, 1]` mapped to `[0, 256]`, as the paper's evaluation took them.
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
        self._latent_dim = generator.latent_dim

        @tf.function(reduce_retracing=True, autograph=False)
        def images(seeds: tf.Tensor, rows: tf.Tensor) -> tf.Tensor:
            latents = latents_from_seeds(seeds, self._latent_dim, self._truncation)
            return folded.images(latents, tf.gather(folded.table, rows))

        self._images = images

    def read(self, start: int, stop: int) -> tuple[np.ndarray, np.ndarray | None]:
        labels = None if self._labels is None else self._labels[start:stop]
        rows = np.zeros(stop - start, np.int32) if labels is None else labels
        images = self._images(tf.range(start, stop, dtype=tf.int64), rows).numpy()
        return to_uint8(images) if self._quantized else 128 * images + 128, labels


class SavedModelImages:
    """Images of the seeds 0, 1, 2, ... by an exported generator.

    Args:
        path: a version's directory, as `sagan_tf.export` wrote it.
        num_images: how many, the classes in turn.

    Raises:
        ValueError: if it is no export.
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
        num_classes = None
        if "class_names" in self._signatures:
            names = self._signatures["class_names"](class_id=tf.constant([0]))
            num_classes = int(names["num_classes"][0])
        self._labels = asked_classes(num_images, num_classes)

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
    """Images of the seeds 0, 1, 2, ... by a server of the REST API.

    Args:
        client: of the model.
        url: where, for the record.
        num_images: how many, the classes in turn.
    """

    def __init__(self, client: Client, url: str, num_images: int) -> None:
        self._client = client
        self.num_images = num_images
        try:
            num_classes = len(client.class_names)
        except ServingError as error:
            if error.status != 400:  # which says that there are no classes
                raise
            num_classes = None
        self._labels = asked_classes(num_images, num_classes)
        self.identity = {"url": url, "num_images": num_images, "pixels": self._fingerprint()}

    def read(self, start: int, stop: int) -> tuple[np.ndarray, np.ndarray | None]:
        labels = None if self._labels is None else self._labels[start:stop]
        class_id = None if labels is None else labels.tolist()
        pictures = self._client.sample(class_id, list(range(start, stop)))
        images = np.stack([np.asarray(picture) for picture in pictures])
        return images if images.ndim == 4 else images[..., np.newaxis], labels

    def _fingerprint(self) -> str:
        images, _ = self.read(0, min(_IDENTIFYING_EXAMPLES, self.num_images))
        return hashlib.sha256(images.tobytes()).hexdigest()


class FileImages:
    """Image files of a folder; its sub-folders, if there are any, are the classes.

    Args:
        path: of the folder.
        num_images: at most; all if there are fewer.
        image_size: side they are cut and resized to; `None` for files of one square size.

    Raises:
        ValueError: for a folder without images.
    """

    def __init__(
        self, path: str | os.PathLike, num_images: int, image_size: int | None = None
    ) -> None:
        root = Path(path).expanduser()
        found = sorted(file for file in root.rglob("*") if file.suffix.lower() in IMAGE_SUFFIXES)
        if not found:
            raise ValueError(f"{path} holds no images; {', '.join(IMAGE_SUFFIXES)} are read.")
        lossy = [file for file in found if file.suffix.lower() in _LOSSY_SUFFIXES]
        if lossy:
            logging.warning(
                "%d of the images in %s are compressed with loss, which can move a distance by "
                "whole points; score PNGs.",
                len(lossy),
                path,
            )
        classes = sorted({file.parent for file in found})
        self.num_images = min(num_images, len(found))
        # Of too many, some of every class.
        chosen = shuffled_indices(np.arange(self.num_images), len(found), seed=0)
        self._files = [found[index] for index in sorted(chosen)]
        self._labels = None
        if len(classes) > 1:
            numbers = {folder: number for number, folder in enumerate(classes)}
            self._labels = np.array([numbers[file.parent] for file in self._files], np.int32)
        with Image.open(self._files[0]) as first:
            self._image_size = image_size or min(first.size)
        listing = [(str(file), file.stat().st_size, file.stat().st_mtime_ns) for file in found]
        self.identity = {
            "files": hashlib.sha256(repr(listing).encode()).hexdigest(),
            "num_images": self.num_images,
            "image_size": self._image_size,
        }

    def read(self, start: int, stop: int) -> tuple[np.ndarray, np.ndarray | None]:
        images = [
            decode_square(file.read_bytes(), self._image_size, 3)
            for file in self._files[start:stop]
        ]
        return np.stack(images), None if self._labels is None else self._labels[start:stop]


class NoImages:
    """In place of real images of which only statistics are known.

    Args:
        path: of the file of statistics.
    """

    num_images = 0

    def __init__(self, path: str | os.PathLike) -> None:
        self.identity = {"statistics": hashlib.sha256(Path(path).read_bytes()).hexdigest()}

    def read(self, start: int, stop: int) -> tuple[np.ndarray, np.ndarray | None]:
        raise IndexError("There are no images.")


class ArrayImages:
    """Images of an `.npz` file: `arr_0`, uint8 `(N, H, W, C)`, and perhaps `arr_1`, classes.

    A file that is not compressed stays on disk but for what is looked at.

    Raises:
        ValueError: if it holds none.
    """

    def __init__(self, path: str | os.PathLike, num_images: int) -> None:
        try:
            open_images, open_labels = (_array_opener(path, name) for name in ("arr_0", "arr_1"))
        except (OSError, ValueError, zipfile.BadZipFile) as error:
            raise ValueError(f"{path} is no file of images: {error}") from None
        if open_images is None:
            raise ValueError(f"{path} is no file of images: `arr_0` must be there.")
        images = open_images()
        if images.dtype != np.uint8 or images.ndim != 4 or images.shape[-1] not in (1, 3):
            raise ValueError(
                f"`arr_0` of {path} must be uint8 (N, H, W, 1 or 3). Received: {images.dtype} "
                f"{images.shape}"
            )
        self._open, self._labels = open_images, None
        self.num_images = min(num_images, len(images))
        if open_labels is not None:
            self._labels = open_labels()[: self.num_images].astype(np.int32)
        contents = hashlib.sha256(b"" if self._labels is None else self._labels)
        for start in range(0, self.num_images, _HASHED_IMAGES):
            contents.update(self.read(start, start + _HASHED_IMAGES)[0])
        self.identity = {"arrays": contents.hexdigest(), "num_images": self.num_images}

    def read(self, start: int, stop: int) -> tuple[np.ndarray, np.ndarray | None]:
        # Opened anew each time: what was read of a mapped file would stay in memory.
        images = np.array(self._open()[start : min(stop, self.num_images)], order="C")
        return images, None if self._labels is None else self._labels[start:stop]


def _array_opener(path: str | os.PathLike, name: str) -> Callable[[], np.ndarray] | None:
    """What opens an array of an `.npz` file, in place unless it is compressed.

    `None` if the array is not there.
    """
    with zipfile.ZipFile(path) as archive:
        if f"{name}.npy" not in archive.namelist():
            return None
        member = archive.getinfo(f"{name}.npy")
        if member.compress_type != zipfile.ZIP_STORED:
            with np.load(path) as arrays:
                array = arrays[name]
            return lambda: array
        with archive.open(member) as file:
            version = np.lib.format.read_magic(file)
            read_header = {
                (1, 0): np.lib.format.read_array_header_1_0,
                (2, 0): np.lib.format.read_array_header_2_0,
            }[version]
            shape, fortran_order, dtype = read_header(file)
            header_size = file.tell()
    with open(path, "rb") as file:
        # Before the member's data come 30 bytes, of which the last two numbers are the lengths of
        # a name and of what else is said of it (PKWARE's APPNOTE, section 4.3.7).
        file.seek(member.header_offset + 26)
        name_size, extra_size = struct.unpack("<HH", file.read(4))
    offset = member.header_offset + 30 + name_size + extra_size + header_size
    order = "F" if fortran_order else "C"
    return functools.partial(np.memmap, path, dtype, "r", offset, shape, order)


def asked_classes(
    num_images: int, num_classes: int | None, labels: str = "balanced"
) -> np.ndarray | None:
    """The class of each image: in turn ("balanced"), or drawn by a fixed seed ("uniform")."""
    if num_classes is None:
        return None
    if labels == "uniform":
        drawn = np.random.default_rng(0).integers(num_classes, size=num_images)
        return drawn.astype(np.int32)
    return np.arange(num_images, dtype=np.int32) % num_classes
