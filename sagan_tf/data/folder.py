"""A folder of images as a data set: one sub-folder per class, optionally below split folders."""

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from sagan_tf.class_names import readable, shortened
from sagan_tf.data.decode import WHITE
from sagan_tf.data.imagenet import readable_names
from sagan_tf.data.source import Source
from sagan_tf.data.walk import NAMED_LIKE_IMAGES, Found, image_suffixes, suffix_of, walk

# Names of split folders, in lower case, and the split that each stands for.
SPLITS = {
    "train": "train",
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "dev": "validation",
    "test": "test",
    "testing": "test",
}
# Largest number of unused entries of one kind that a note names.
_MOST_EXAMPLES = 3


@dataclass(frozen=True)
class Pictures:
    """The image files of a folder, by class.

    Attributes:
        class_names: names of the class folders, as `class_names.readable` returns them, or
            ImageNet's words if all names are WordNet identifiers.
        files: paths of each class's images.
        loose: paths of images outside the class folders.
        empty: names of sub-folders without images.
        notes: sentences that name unused files, and folders that may be meant differently.
    """

    class_names: tuple[str, ...]
    files: tuple[tuple[str, ...], ...]
    loose: tuple[str, ...]
    empty: tuple[str, ...]
    notes: tuple[str, ...]


class Folder(Source):
    """Images in one sub-folder per class, at any depth below it.

    `data.walk` describes which files are read, and in which order.

    Args:
        path: path of the folder.
        split: name of the split folder to read, if the class folders are inside split folders.
        background: RGB, 0 to 255, shown behind transparent images.

    Raises:
        ValueError: if the folder is missing or unreadable, has no sub-folders or no such split, a
            class is empty, or two classes have the same name.
    """

    labels: np.ndarray

    def __init__(
        self, path: str, split: str = "train", background: tuple[int, int, int] = WHITE
    ) -> None:
        pictures = find_pictures(path, split)
        place = f"folder:{readable(os.path.normpath(path))}"
        if not pictures.class_names:
            raise ValueError(_why_no_classes(place, path, pictures))
        if pictures.empty:
            raise ValueError(
                f"Every class of `folder:PATH` needs at least one image that Pillow reads. "
                f"Received: {place}, where {len(pictures.empty)} of "
                f"{len(pictures.empty) + len(pictures.class_names)} are empty: "
                f"{shortened(pictures.empty)}. Fill or remove them."
            )
        self._files = self.files = [file for files in pictures.files for file in files]
        counts = [len(files) for files in pictures.files]
        super().__init__(
            name=place,
            class_names=pictures.class_names,
            channels=3,
            num_examples=len(self._files),
            labels=np.repeat(np.arange(len(counts), dtype=np.int32), counts),
        )
        self.background = background
        self.notes = pictures.notes

    def read(self, index: int) -> tuple[bytes, int]:
        """The bytes of one file and its class."""
        with open(self._files[index], "rb") as file:
            return file.read(), int(self.labels[index])

    def example_name(self, index: int) -> str:
        """The path of the image file."""
        return self._files[index]


def find_pictures(path: str, split: str | None) -> Pictures:
    """Lists the image files of a folder by class.

    Args:
        path: path of the folder; `~` is the home directory.
        split: name of the split folder to read, if the class folders are inside split folders;
            `None` if no split folders are expected.

    Raises:
        ValueError: if the folder is missing or unreadable, has no such split, or two classes have
            the same name.
    """
    root = os.path.expanduser(path)
    place = f"folder:{readable(os.path.normpath(path))}"
    with _readable_folder(path):
        found = walk(root)
    notes = []
    if chosen := _chosen_split(found, place, split):
        notes.append(_note_of_split(found, place, chosen))
        found = found.below(chosen)
        root, place = os.path.join(root, chosen), f"{place}/{chosen}"
    classes: dict[str, list[str]] = {}
    for image in found.images:
        top, _, below = image.partition(os.sep)
        classes.setdefault(top if below else "", []).append(image)
    loose = classes.pop("", [])
    lacking = [name for name in found.folders if os.sep not in name and name not in classes]
    like_images = [name for name in lacking if suffix_of(name) in image_suffixes()]
    if like_images:
        found.unused[NAMED_LIKE_IMAGES] = like_images
    names = [readable(name) for name in classes]
    _check_distinct(names, list(classes), place)
    return Pictures(
        class_names=readable_names(names),
        files=tuple(tuple(os.path.join(root, image) for image in c) for c in classes.values()),
        loose=tuple(os.path.join(root, image) for image in loose),
        empty=tuple(readable(name) for name in lacking if name not in like_images),
        notes=(*notes, *_notes(found, place, classes, loose)),
    )


def _chosen_split(found: Found, place: str, split: str | None) -> str:
    """Name of the split folder to read; "" if there are no split folders."""
    depths: dict[str, int] = {}  # depth of the images below each folder
    for image in found.images:
        top, *below = image.split(os.sep)
        if below:
            depths[top] = max(depths.get(top, 0), len(below))
    tops = list(depths)
    named_so = bool(tops) and all(top.casefold() in SPLITS for top in tops)
    if named_so and len(tops) > 1 and max(depths.values()) == 1:
        raise ValueError(
            f"`folder:PATH` expects one sub-folder per class. Received: {place}, where "
            f"{', '.join(tops)} are named like splits but hold images and no class folders. Put "
            f"the images of each into a sub-folder, such as {tops[0]}/all; rename classes that "
            f"happen to have these names."
        )
    if not named_so or max(depths.values()) == 1:
        if split not in (None, "train"):
            raise ValueError(
                f"`--split` names the folder that holds the class folders, such as train or val. "
                f"Received: --split={split}, and {place} has no such folders. Leave it out."
            )
        return ""
    if split is None:
        raise ValueError(
            f"Expected class folders. Received: {place}, which has the splits {', '.join(tops)}. "
            f"Name one of them, as in {place}/{tops[0]}."
        )
    wanted = split.casefold()
    fitting = [top for top in tops if top.casefold() == wanted] or [
        top for top in tops if SPLITS[top.casefold()] == SPLITS.get(wanted)
    ]
    if not fitting:
        raise ValueError(
            f"`--split` expects one of {', '.join(tops)}, the folders of splits in {place}. "
            f"Received: --split={split}."
        )
    return fitting[0]


def _note_of_split(found: Found, place: str, chosen: str) -> str:
    others = [name for name in found.folders if os.sep not in name and name != chosen]
    beside = [image for image in found.images if os.sep not in image]
    return (
        f"{place} has folders of splits above the classes. Read: {chosen}; not read: "
        f"{', '.join(map(readable, others)) or 'none'}. `--split` chooses."
        + (f" Images beside them are not used: {_counted(beside)}." if beside else "")
    )


def _check_distinct(names: list[str], folders: list[str], place: str) -> None:
    folder_of: dict[str, str] = {}
    for name, folder in zip(names, folders, strict=True):
        if name in folder_of:
            raise ValueError(
                f"Every class of `folder:PATH` needs a name of its own. Received: {place}, where "
                f"two folders are named {name}, in different bytes: "
                f"{os.fsencode(folder_of[name])!r} and {os.fsencode(folder)!r}. Merge them or "
                f"rename one."
            )
        folder_of[name] = folder


def _notes(found: Found, place: str, classes: dict[str, list[str]], loose: list[str]) -> list[str]:
    notes = []
    if loose and classes:
        notes.append(
            f"Images beside the class folders of {place} are not used, since they have no class: "
            f"{_counted(loose)}. Move them into one."
        )
    if len(classes) == 1:
        notes.append(_note_of_one_class(place, *classes.items()))
    like_splits = [name for name in classes if name.casefold() in SPLITS]
    if len(like_splits) > 1:
        notes.append(
            f"Classes of {place} are named like splits: {', '.join(like_splits)}. If they are, put "
            f"nothing else with images beside them."
        )
    return notes + unused_notes(found, place)


def unused_notes(found: Found, place: str) -> list[str]:
    """Sentences on images whose names do not look like images, and on unused files."""
    notes = []
    if found.by_content:
        notes.append(
            f"Images in {place} by their content, whatever their names say: "
            f"{_counted(found.by_content)}."
        )
    if found.unused:
        kinds = (f"{kind} {_counted(paths)}" for kind, paths in found.unused.items())
        notes.append(f"Not used in {place}: {', '.join(kinds)}.")
    return notes


def _note_of_one_class(place: str, only: tuple[str, list[str]]) -> str:
    """A sentence that there is one class, and where the intended classes may be."""
    name, images = only
    note = f"{place} has one class, {readable(name)}."
    below = [image.split(os.sep)[1:] for image in images]
    if all(len(parts) > 1 for parts in below):
        folders = list(dict.fromkeys(readable(parts[0]) for parts in below))
        note += (
            f" If its sub-folders ({shortened(folders)}) are the classes, name it: "
            f"{place}/{readable(name)}."
        )
    return note


def _counted(paths: list[str]) -> str:
    """The number of paths and the first of them, such as `4 (a, b, c and 1 more)`."""
    return f"{len(paths)} ({shortened(list(map(readable, paths)), _MOST_EXAMPLES)})"


def _why_no_classes(place: str, path: str, pictures: Pictures) -> str:
    expected = (
        "`folder:PATH` expects one sub-folder per class with images inside, such as cats/1.jpg "
        f"and dogs/1.jpg. Received: {place} with {len(pictures.empty)} sub-folder(s) and no image "
        "below them"
    )
    if not pictures.loose:
        return f"{expected}. {' '.join(pictures.notes)}".rstrip()
    above = readable(os.path.dirname(os.path.abspath(os.path.expanduser(path))))
    return (
        f"{expected}, but {len(pictures.loose)} directly in it. If it is one class of several, "
        f"name the folder above, folder:{above}; else move the images into a sub-folder, such as "
        f"all/1.jpg."
    )


@contextlib.contextmanager
def _readable_folder(path: str) -> Iterator[None]:
    path = readable(path)
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
