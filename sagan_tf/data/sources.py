"""Where images come from: a name -> a `Source`."""

import contextlib
import functools
import os
from pathlib import Path

import numpy as np

from sagan_tf.data.imagenet import readable_names
from sagan_tf.data.prepared import Prepared
from sagan_tf.data.robohash import CLASS_NAMES as ROBOHASH_CLASS_NAMES
from sagan_tf.data.robohash import LEAST_SIZE as ROBOHASH_LEAST_SIZE
from sagan_tf.data.robohash import Robohash
from sagan_tf.data.source import FORMS, Description, Source
from sagan_tf.geotex.drawing import CLASS_NAMES, LEAST_SIZE, SPLITS, check_size, draw

IMAGE_SUFFIXES = (".jpeg", ".jpg", ".png", ".webp")
_LOCAL = ("digits", "folder", "geotex", "prepared", "robohash")
_WITH_PATH = ("folder", "prepared")
_WITHOUT_PATH = ("digits", "geotex", "robohash")


class Digits(Source):
    """scikit-learn's 1797 handwritten digits, real 8x8 images that need no download."""

    def __init__(self) -> None:
        from sklearn.datasets import load_digits

        digits = load_digits()
        super().__init__(
            name="digits",
            class_names=tuple(str(name) for name in digits.target_names),
            channels=1,
            num_examples=len(digits.target),
            labels=digits.target.astype(np.int32),
        )
        # Stored as 17 levels, 0 to 16.
        self._images = np.rint(digits.images * (255 / 16)).astype(np.uint8)[..., np.newaxis]

    def read(self, index: int) -> tuple[np.ndarray, int]:
        """One digit, uint8 `(8, 8, 1)`, and which it is."""
        return self._images[index], int(self.labels[index])


class Folder(Source):
    """Images in one sub-folder per class, at any depth below it; classes in sorted order.

    Raises:
        ValueError: the folder is missing or unreadable, has no sub-folders, or a class is empty.
    """

    def __init__(self, path: str) -> None:
        root = Path(path).expanduser()
        with _readable_folder(path):
            folders = sorted(entry for entry in root.iterdir() if _is_visible_folder(entry))
            files = [_image_files(folder) for folder in folders]
        if not any(files):
            raise ValueError(
                f"`folder:PATH` expects one sub-folder per class with {_suffix_list()} images "
                f"inside, such as cats/1.jpg and dogs/1.jpg. Received: folder:{path} with "
                f"{len(folders)} sub-folder(s) and no image below them."
            )
        empty = [folder.name for folder, found in zip(folders, files, strict=True) if not found]
        if empty:
            raise ValueError(
                f"Every class of `folder:PATH` needs at least one {_suffix_list()} image. "
                f"Received: folder:{path}, where {len(empty)} of {len(folders)} are empty: "
                f"{', '.join(empty[:10])}. Fill or remove them."
            )
        super().__init__(
            name=f"folder:{path}",
            class_names=readable_names(folder.name for folder in folders),
            channels=3,
            num_examples=sum(len(found) for found in files),
            labels=np.repeat(np.arange(len(files), dtype=np.int32), [len(f) for f in files]),
        )
        self._files = self.files = [str(file) for found in files for file in found]

    def read(self, index: int) -> tuple[bytes, int]:
        """The bytes of one file and its class."""
        with open(self._files[index], "rb") as file:
            return file.read(), int(self.labels[index])

    def example_name(self, index: int) -> str:
        """Its path."""
        return self._files[index]


class GeoTex(Source):
    """Geometry-or-texture images, drawn when they are read: 50,000 and another 10,000 to test.

    Args:
        split: `train` or `test`.
        image_size: side they are drawn at; to resize them would blur what they are exact in.

    Raises:
        ValueError: another split, or a size below 32.
    """

    def __init__(self, split: str = "train", image_size: int = LEAST_SIZE) -> None:
        if split not in SPLITS:
            raise ValueError(
                f"`split` expects one of {list(SPLITS)} of geotex. Received: split={split!r}."
            )
        check_size(image_size)
        indices = np.arange(SPLITS[split].start, SPLITS[split].stop, dtype=np.int32)
        super().__init__(
            name="geotex",
            class_names=CLASS_NAMES,
            channels=3,
            num_examples=len(indices),
            image_size=image_size,
            labels=indices % len(CLASS_NAMES),
        )
        self._indices = SPLITS[split]

    def read(self, index: int) -> tuple[np.ndarray, int]:
        """One image, uint8 `(S, S, 3)`, and its label."""
        example = draw(self._indices[index], self.image_size)
        return example.image, example.label


def load_source(
    name: str, data_dir: str | None = None, split: str = "train", image_size: int | None = None
) -> Source:
    """Opens a data set by name, downloading and preparing it first where TFDS can.

    Args:
        name: `digits`, `geotex`, `robohash`, `folder:PATH`, `prepared:PATH` or any TFDS name.
        data_dir: where TFDS keeps its data; by default `~/tensorflow_datasets`.
        split: a TFDS split, such as `train` or `train[:10%]`; `geotex` and `robohash` have `train`
            and `test`, other sources `train` only.
        image_size: side at which `geotex` and `robohash` are drawn, by default 32; others are
            resized later.

    Raises:
        ValueError: unknown name, no such split, no image classification, or missing files; the
            message says what to do.
    """
    kind, _, path = name.partition(":")
    if kind in _LOCAL:
        return _load_local(name, kind, path, split, image_size)
    from sagan_tf.data.tfds import TFDS  # takes a second to import

    return TFDS(name, data_dir, split)


def describe_source(name: str, data_dir: str | None = None) -> Description:
    """Name, classes and channels of a data set; of a TFDS set even before its data is on disk.

    Args:
        name: as for `load_source`.
        data_dir: as for `load_source`.

    Raises:
        ValueError: as `load_source`.
    """
    kind, _, path = name.partition(":")
    if name == "robohash":  # whose layers take seconds to load
        return Description(name, ROBOHASH_CLASS_NAMES, channels=3)
    if kind in _LOCAL:
        return _load_local(name, kind, path, "train", None)
    from sagan_tf.data.tfds import describe_tfds

    return describe_tfds(name, data_dir)


def canonical(name: str) -> str:
    """The one name of a data set whose place can be written in several ways.

    `folder:d`, `folder:d/`, `folder:./d` and `folder:~/d` from the home directory are one; so are
    `prepared:` places. Other names stay as they are.
    """
    kind, _, path = name.partition(":")
    if kind not in _WITH_PATH or not path:
        return name
    # Not `realpath`: a link that is pointed elsewhere is meant to be the same place.
    return f"{kind}:{os.path.abspath(os.path.expanduser(path))}"


def _load_local(name: str, kind: str, path: str, split: str, image_size: int | None) -> Source:
    if (kind in _WITHOUT_PATH) != (not path):
        raise ValueError(f"A data set is one of {FORMS}. Received: {name!r}.")
    if kind == "geotex":
        return GeoTex(split, image_size or LEAST_SIZE)
    if kind == "robohash":
        return Robohash(split, image_size or ROBOHASH_LEAST_SIZE)
    if split != "train":
        raise ValueError(
            f"Only TFDS data sets, `geotex` and `robohash` have splits. "
            f"Received: `split`={split!r}."
        )
    if kind == "digits":
        return Digits()
    if kind == "folder":
        return Folder(path)
    return Prepared(path)


@contextlib.contextmanager
def _readable_folder(path: str):
    try:
        yield
    except FileNotFoundError:
        raise ValueError(
            f"`folder:PATH` expects an existing folder. Received: folder:{path}, which is missing."
        ) from None
    except NotADirectoryError:
        raise ValueError(
            f"`folder:PATH` expects a folder. Received: folder:{path}, which is a file."
        ) from None
    except PermissionError as error:
        raise ValueError(
            f"`folder:PATH` expects a folder you may read. Received: folder:{path}, but "
            f"{error.filename} gives 'permission denied'. Try `chmod -R u+rX {path}`."
        ) from None


def _image_files(folder: Path) -> list[Path]:
    # `os.walk` and `rglob` pass over folders they may not read; a class would shrink silently.
    files = []
    for entry in folder.iterdir():
        if entry.suffix.lower() in IMAGE_SUFFIXES and not entry.name.startswith("."):
            files.append(entry)
        elif _is_visible_folder(entry):
            files.extend(_image_files(entry))
    return sorted(files)


def _is_visible_folder(entry: Path) -> bool:
    return entry.is_dir() and not entry.name.startswith(".")


@functools.cache
def _suffix_list() -> str:
    return ", ".join(IMAGE_SUFFIXES)
