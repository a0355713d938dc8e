"""Reads the images to score from files that other programs made."""

import functools
import hashlib
import os
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
from absl import logging
from PIL import Image

from sagan_tf.class_names import readable
from sagan_tf.data.decode import WHITE, decode_square
from sagan_tf.data.folder import find_pictures
from sagan_tf.data.inspection import warn_of_transparency
from sagan_tf.data.order import shuffled_indices
from sagan_tf.data.walk import suffix_of
from sagan_tf.evaluation.file_identity import file_identity

_LOSSY_SUFFIXES = (".avif", ".jfif", ".jpeg", ".jpg", ".webp")
# Number of images of a file to hash at a time.
_HASHED_IMAGES = 256


class FileImages:
    """The image files of a folder; its sub-folders, if there are any, are the classes.

    Args:
        path: path of the folder.
        num_images: largest number of images; all are used if there are fewer.
        image_size: side to which images are cropped and resized; `None` for files that all have
            the same square size.
        background: RGB, 0 to 255, shown behind transparent images.

    Attributes:
        class_names: names of the class folders, by label; empty if images lie directly in the
            folder.

    Raises:
        ValueError: for a folder without images, and when a damaged image is read.
    """

    def __init__(
        self,
        path: str | os.PathLike,
        num_images: int,
        image_size: int | None = None,
        background: tuple[int, int, int] = WHITE,
    ) -> None:
        pictures = find_pictures(os.fspath(path), split=None)
        for note in pictures.notes:
            logging.warning("%s", note)
        self.class_names = pictures.class_names
        found = [file for files in pictures.files for file in files] or list(pictures.loose)
        if not found:
            raise ValueError(f"{path} holds no images that Pillow reads.")
        lossy = [file for file in found if suffix_of(file) in _LOSSY_SUFFIXES]
        if lossy:
            logging.warning(
                "%d of the images in %s are compressed with loss, which can change a distance by "
                "whole points; score PNGs.",
                len(lossy),
                path,
            )
        self.num_images = min(num_images, len(found))
        # If there are too many images, take a random selection of all classes.
        chosen = np.sort(shuffled_indices(np.arange(self.num_images), len(found), seed=0))
        self._files = [Path(found[index]) for index in chosen]
        self._labels = None
        if self.class_names:
            counts = [len(files) for files in pictures.files]
            self._labels = np.repeat(np.arange(len(counts), dtype=np.int32), counts)[chosen]
        self._background = background
        warn_of_transparency(
            lambda index: self._files[index].read_bytes(), self.num_images, background
        )
        self._image_size = image_size or self._size_of_first()
        self.identity = {
            **file_identity(found, len(found)),
            "num_images": self.num_images,
            "image_size": self._image_size,
            "background": list(background),
        }

    def read(self, start: int, stop: int) -> tuple[np.ndarray, np.ndarray | None]:
        images = [self._decode(file) for file in self._files[start:stop]]
        return np.stack(images), None if self._labels is None else self._labels[start:stop]

    def _size_of_first(self) -> int:
        try:
            with Image.open(self._files[0]) as first:
                return min(first.size)
        except OSError as error:
            raise self._damage(self._files[0], error) from error

    def _decode(self, file: Path) -> np.ndarray:
        try:
            return decode_square(file.read_bytes(), self._image_size, 3, self._background)
        except Exception as error:  # Pillow raises a dozen different exceptions for damaged files
            raise self._damage(file, error) from error

    def _damage(self, file: Path, error: Exception) -> ValueError:
        return ValueError(
            f"{readable(str(file))} cannot be read as an image: {error}. Repair or remove it."
        )


class ArrayImages:
    """Images of an `.npz` file: `arr_0`, uint8 `(N, H, W, C)`, and optionally `arr_1`, classes.

    An uncompressed file is memory-mapped.

    Raises:
        ValueError: if the file holds no images.
    """

    def __init__(self, path: str | os.PathLike, num_images: int) -> None:
        try:
            open_images, open_labels = (_array_opener(path, name) for name in ("arr_0", "arr_1"))
        except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
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
        contents = hashlib.sha256(b"" if self._labels is None else self._labels.data)
        for start in range(0, self.num_images, _HASHED_IMAGES):
            contents.update(self.read(start, start + _HASHED_IMAGES)[0].data)
        self.identity = {"arrays": contents.hexdigest(), "num_images": self.num_images}

    def check_labels(self, num_classes: int) -> None:
        """Raises `ValueError` for labels outside [0, num_classes); 0 classes check nothing."""
        labels = () if self._labels is None or not num_classes else self._labels
        wrong = sorted({int(label) for label in labels if not 0 <= label < num_classes})
        if wrong:
            raise ValueError(
                f"`arr_1`, the classes of the images, must lie in 0 to {num_classes - 1}, as those "
                f"of the real images do. Received: {', '.join(map(str, wrong[:10]))}"
            )

    def read(self, start: int, stop: int) -> tuple[np.ndarray, np.ndarray | None]:
        # Opened again each time, as pages read from a mapped file would stay in memory.
        images = np.array(self._open()[start : min(stop, self.num_images)], order="C")
        return images, None if self._labels is None else self._labels[start:stop]


def _array_opener(path: str | os.PathLike, name: str) -> Callable[[], np.ndarray] | None:
    """A function that opens an array of an `.npz` file, memory-mapped unless it is compressed.

    It is `None` if the file does not contain the array.
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
        # The member's data follow a header of 30 bytes, a name and extra fields. The header's last
        # two numbers are the lengths of the name and of the extra fields (PKWARE's APPNOTE, section
        # 4.3.7).
        file.seek(member.header_offset + 26)
        name_size, extra_size = struct.unpack("<HH", file.read(4))
    offset = member.header_offset + 30 + name_size + extra_size + header_size
    order = "F" if fortran_order else "C"
    return functools.partial(np.memmap, path, dtype, "r", offset, shape, order)


class NoImages:
    """Stands for real images of which only statistics are known.

    Args:
        path: path of the file of statistics.
    """

    num_images = 0

    def __init__(self, path: str | os.PathLike) -> None:
        self.identity = {"statistics": hashlib.sha256(Path(path).read_bytes()).hexdigest()}

    def read(self, start: int, stop: int) -> tuple[np.ndarray, np.ndarray | None]:
        raise IndexError("There are no images.")
