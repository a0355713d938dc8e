"""Opens a data set by name, as a `Source`."""

import os

import numpy as np

from sagan_tf.class_names import readable
from sagan_tf.data.decode import parse_background
from sagan_tf.data.folder import Folder
from sagan_tf.data.loading import check_image_size
from sagan_tf.data.prepared import Prepared
from sagan_tf.data.robohash import CLASS_NAMES as ROBOHASH_CLASS_NAMES
from sagan_tf.data.robohash import LEAST_SIZE as ROBOHASH_LEAST_SIZE
from sagan_tf.data.robohash import Robohash
from sagan_tf.data.source import FORMS, Description, Source, folder_hint
from sagan_tf.geotex.drawing import CLASS_NAMES, LEAST_SIZE, SPLITS, check_size, draw

DEFAULT_BACKGROUND = "white"
_WITH_PATH = ("folder", "prepared")
_WITHOUT_PATH = ("digits", "geotex", "robohash")
_LOCAL = (*_WITH_PATH, *_WITHOUT_PATH)


class Digits(Source):
    """scikit-learn's 1797 handwritten digits, real 8x8 images that need no download."""

    labels: np.ndarray

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
        # The digits are stored with 17 levels, 0 to 16.
        self._images = np.rint(digits.images * (255 / 16)).astype(np.uint8)[..., np.newaxis]

    def read(self, index: int) -> tuple[np.ndarray, int]:
        """The image of one digit, uint8 `(8, 8, 1)`, and its label."""
        return self._images[index], int(self.labels[index])


class GeoTex(Source):
    """Geometry-or-texture images, drawn when they are read: 50,000 for training, 10,000 for tests.

    Args:
        split: `train` or `test`.
        image_size: side at which the images are drawn; resizing would blur their exact textures.

    Raises:
        ValueError: for another split, or a size below 32.
    """

    image_size: int

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
    name: str,
    data_dir: str | None = None,
    split: str = "train",
    image_size: int | None = None,
    background: str = DEFAULT_BACKGROUND,
) -> Source:
    """Opens a data set by name; TFDS downloads and prepares it first if it can.

    Args:
        name: `digits`, `geotex`, `robohash`, `folder:PATH`, `prepared:PATH` or any TFDS name.
        data_dir: where TFDS keeps its data; by default `~/tensorflow_datasets`.
        split: a TFDS split, such as `train` or `train[:10%]`; `geotex` and `robohash` have `train`
            and `test`, a folder has the splits of its split folders, other sources `train` only.
        image_size: side at which `geotex` and `robohash` are drawn, by default 32; others are
            resized later.
        background: colour behind transparent images of a folder, by name or as #rrggbb.

    Raises:
        ValueError: for an unknown name or split, a data set that is not one of labelled images, or
            missing files; the message says what to do.
    """
    _check(name, background)
    if name.partition(":")[0] in _LOCAL:
        return _load_local(name, split, image_size, background)
    from sagan_tf.data.tfds import TFDS  # takes a second to import

    return TFDS(name, data_dir, split)


def describe_source(
    name: str,
    data_dir: str | None = None,
    split: str = "train",
    image_size: int | None = None,
    background: str = DEFAULT_BACKGROUND,
) -> Description:
    """Name, classes and channels of a data set, known for TFDS sets before their data is on disk.

    Args:
        name: see `load_source`.
        data_dir: see `load_source`.
        split: see `load_source`.
        image_size: see `load_source`; if given, it is checked against a source's fixed size.
        background: see `load_source`.

    Returns:
        A `Source` if the data can be opened without delay, else a `Description`.

    Raises:
        ValueError: in the same cases as `load_source`, and for data prepared at another size.
    """
    _check(name, background)
    if name == "robohash":  # its layers take seconds to load
        return Description(name, ROBOHASH_CLASS_NAMES, channels=3)
    if name.partition(":")[0] in _LOCAL:
        source = _load_local(name, split, image_size, background)
        if image_size is not None:
            check_image_size(source, image_size)
        return source
    from sagan_tf.data.tfds import describe_tfds

    return describe_tfds(name, data_dir)


def canonical(name: str) -> str:
    """The name of a data set with an absolute path, whichever way the path was written.

    `folder:d`, `folder:d/`, `folder:./d` and `folder:~/d` from the home directory give the same
    name; so do the forms of `prepared:` paths. Other names stay as they are.
    """
    kind, _, path = name.partition(":")
    if kind not in _WITH_PATH or not path:
        return name
    # `realpath` would change the name when a link is pointed elsewhere.
    return f"{kind}:{os.path.abspath(os.path.expanduser(path))}"


def _check(name: str, background: str) -> None:
    """Raises `ValueError` for a malformed name, and for a background that would have no effect."""
    kind, colon, path = name.partition(":")
    well_formed = bool(path) if kind in _WITH_PATH else not colon or kind not in _WITHOUT_PATH
    hint = ""
    if kind not in _LOCAL and (name.startswith(("/", ".", "~")) or colon):
        hint = folder_hint(name)
        well_formed = not hint
    if not name or not well_formed:
        raise ValueError(f"A data set is one of {FORMS}. Received: {readable(name)!r}.{hint}")
    if kind != "folder" and parse_background(background) != parse_background(DEFAULT_BACKGROUND):
        raise ValueError(
            f"`--background` is for `folder:PATH` alone: other data sets keep their published "
            f"pixels, and prepared ones those of `prepare --background`. Received: "
            f"--background={background} with {readable(name)}. Leave it out."
        )


def _load_local(name: str, split: str, image_size: int | None, background: str) -> Source:
    kind, _, path = name.partition(":")
    if kind == "folder":
        return Folder(path, split, parse_background(background))
    if kind == "geotex":
        return GeoTex(split, image_size or LEAST_SIZE)
    if kind == "robohash":
        return Robohash(split, image_size or ROBOHASH_LEAST_SIZE)
    if split != "train":
        raise ValueError(
            f"Only TFDS data sets, folders, `geotex` and `robohash` have splits. "
            f"Received: `split`={split!r}."
        )
    return Digits() if kind == "digits" else Prepared(path)
