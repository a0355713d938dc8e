"""Opens a data set by name, as a `Source`.

A new data set is an entry of `KINDS` and a word in the help of `--dataset`
(`config.network_settings`). If it needs a preset, that goes into `config.presets`.
"""

import os
from collections.abc import Callable
from typing import NamedTuple

from sagan_tf.class_names import readable
from sagan_tf.data import robohash
from sagan_tf.data.decode import parse_background
from sagan_tf.data.digits import Digits
from sagan_tf.data.drawn import GeoTex
from sagan_tf.data.folder import Folder
from sagan_tf.data.loading import check_image_size
from sagan_tf.data.prepared import Prepared
from sagan_tf.data.source import Description, Source, folder_hint
from sagan_tf.geotex.drawing import DEFAULT_SIZE, ordered_classes

DEFAULT_BACKGROUND = "white"


class _Asked(NamedTuple):
    """What a caller wants of a data set; see `load_source`."""

    path: str
    classes: tuple[str, ...]
    split: str
    image_size: int | None
    background: str


class _Kind(NamedTuple):
    """A kind of data set that does not come from TFDS.

    Attributes:
        form: how its name is written, for messages.
        load: opens the data set.
        has_path: whether the name ends with a path, as in `folder:PATH`.
        has_classes: whether the name may end with classes, as in `geotex:twin,cells`.
        has_splits: whether there are other splits than `train`.
        description: what `describe_source` returns where opening takes seconds.
    """

    form: str
    load: Callable[[_Asked], Source]
    has_path: bool = False
    has_classes: bool = False
    has_splits: bool = False
    description: Description | None = None


KINDS = {
    "digits": _Kind("`digits`", lambda asked: Digits()),
    "geotex": _Kind(
        "`geotex` or `geotex:CLASSES` (some of its classes, as in `geotex:twin,cells`)",
        lambda asked: GeoTex(asked.split, asked.image_size or DEFAULT_SIZE, asked.classes),
        has_classes=True,
        has_splits=True,
    ),
    "robohash": _Kind(
        "`robohash`",
        lambda asked: robohash.Robohash(asked.split, asked.image_size or robohash.LEAST_SIZE),
        has_splits=True,
        description=Description("robohash", robohash.CLASS_NAMES, channels=3),
    ),
    "folder": _Kind(
        "`folder:PATH` (one sub-folder of images per class)",
        lambda asked: Folder(asked.path, asked.split, parse_background(asked.background)),
        has_path=True,
        has_splits=True,
    ),
    "prepared": _Kind(
        "`prepared:PATH` (written by `python -m sagan_tf.prepare`)",
        lambda asked: Prepared(asked.path),
        has_path=True,
    ),
}
FORMS = (
    ", ".join(kind.form for kind in KINDS.values())
    + " or the name of a TensorFlow data set such as `imagenet2012`, `cifar10` or `name/config`"
)


def load_source(
    name: str,
    data_dir: str | None = None,
    split: str = "train",
    image_size: int | None = None,
    background: str = DEFAULT_BACKGROUND,
) -> Source:
    """Opens a data set by name; TFDS downloads and prepares it first if it can.

    Args:
        name: `digits`, `geotex`, `geotex:CLASSES`, `robohash`, `folder:PATH`, `prepared:PATH` or
            any TFDS name.
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
    _check(name, background, data_dir)
    if name.partition(":")[0] in KINDS:
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
    _check(name, background, data_dir)
    kind = KINDS.get(name.partition(":")[0])
    if kind is not None and kind.description is not None:
        return kind.description
    if kind is not None:
        source = _load_local(name, split, image_size, background)
        if image_size is not None:
            check_image_size(source, image_size)
        return source
    from sagan_tf.data.tfds import describe_tfds

    return describe_tfds(name, data_dir)


def canonical(name: str) -> str:
    """The name of a data set with an absolute path, whichever way the path was written.

    `folder:d`, `folder:d/`, `folder:./d` and `folder:~/d` from the home directory give the same
    name; so do the forms of `prepared:` paths, and classes of `geotex` in any order. Other names
    stay as they are.

    Raises:
        ValueError: for classes that `geotex` does not have.
    """
    kind, _, path = name.partition(":")
    if kind in KINDS and KINDS[kind].has_classes and path:
        return f"{kind}:{','.join(ordered_classes(path.split(',')))}"
    if kind not in KINDS or not KINDS[kind].has_path or not path:
        return name
    # `realpath` would change the name when a link is pointed elsewhere.
    return f"{kind}:{os.path.abspath(os.path.expanduser(path))}"


def _check(name: str, background: str, data_dir: str | None) -> None:
    """Raises `ValueError` for a malformed name, and for arguments that would have no effect."""
    kind, colon, path = name.partition(":")
    hint = ""
    if kind in KINDS:
        may_end = KINDS[kind].has_path or KINDS[kind].has_classes
        well_formed = bool(path) and may_end if colon else not KINDS[kind].has_path
    elif name.startswith(("/", ".", "~")) or colon:
        hint = folder_hint(name)
        well_formed = not hint
    else:
        well_formed = bool(name)
    if not well_formed:
        raise ValueError(f"A data set is one of {FORMS}. Received: {readable(name)!r}.{hint}")
    if kind != "folder" and parse_background(background) != parse_background(DEFAULT_BACKGROUND):
        raise ValueError(
            f"`--background` is for `folder:PATH` alone: other data sets keep their published "
            f"pixels, and prepared ones those of `prepare --background`. Received: "
            f"--background={background} with {readable(name)}. Leave it out."
        )
    if kind in KINDS and data_dir is not None:
        raise ValueError(
            "`--data_dir` is for data sets of TensorFlow Datasets; pictures of your own are "
            f"`--dataset=folder:PATH`. Received: --data_dir={data_dir} with {readable(name)}. "
            "Leave it out."
        )


def _load_local(name: str, split: str, image_size: int | None, background: str) -> Source:
    kind, _, path = name.partition(":")
    if split != "train" and not KINDS[kind].has_splits:
        having = ", ".join(f"`{other}`" for other, kind in KINDS.items() if kind.has_splits)
        raise ValueError(
            f"Only {having} and TFDS data sets have splits. Received: `split`={split!r}."
        )
    classes = tuple(path.split(",")) if KINDS[kind].has_classes and path else ()
    return KINDS[kind].load(_Asked(path, classes, split, image_size, background))
