"""Walks over a folder of images: which files are images, and what else is there.

Training, `prepare`, `evaluate` and `attend` all find their files with this module.

- Names are in natural order: 2 comes before 10; other characters are ordered by code point.
- Hidden entries and files that operating systems leave (`._*`, `@eaDir`, `Thumbs.db`) are skipped.
- Links are followed. A directory is read once: in its own place if that is inside the folder, else
  at the first link to it. So loops end, and a second name for a class adds nothing. Links to files
  count as files, so an image may be linked into several classes.
- Files with a suffix that Pillow reads are images. Other files are images if they begin like one.
  Directories, broken links, pipes and sockets are never images, whatever their name.
"""

import errno
import functools
import os
import re
from collections import defaultdict, deque
from dataclasses import dataclass

from PIL import Image, features

_SYSTEM_NAMES = {
    "@eadir",
    "@recycle",
    "#recycle",
    "$recycle.bin",
    "__macosx",
    "__pycache__",
    "desktop.ini",
    "icon\r",
    "lost+found",
    "system volume information",
    "thumbs.db",
}
# Formats that Pillow recognises, but decodes with other programs or not at all.
_NOT_DECODED = {"BUFR", "EPS", "GRIB", "HDF5", "MPEG", "WMF"}
_OPTIONAL = {"AVIF": "avif", "JPEG2000": "jpg_2000", "WEBP": "webp"}
# Common formats whose first bytes identify them, so that files need no suffix.
_TOLD_BY_CONTENT = ("AVIF", "BMP", "GIF", "JPEG", "JPEG2000", "PNG", "TIFF", "WEBP")

HIDDEN = "hidden or the system's"
BROKEN_LINK = "broken links"
SPECIAL = "neither files nor folders"
NAMED_LIKE_IMAGES = "folders without images that are named like one"
READ_ALREADY = "links to folders that are read already"
NO_SUFFIX = "without a suffix"


@dataclass(frozen=True)
class Found:
    """The content of a folder, as paths relative to it in natural order.

    Attributes:
        images: the image files.
        folders: every sub-folder that was read.
        by_content: the images whose suffix is not that of a readable format.
        unused: everything else, by its kind: a suffix such as ".txt", or one of this module's
            constants.
    """

    images: list[str]
    folders: list[str]
    by_content: list[str]
    unused: dict[str, list[str]]

    def below(self, folder: str) -> "Found":
        """The content of one of the sub-folders."""
        start = folder + os.sep

        def inside(paths: list[str]) -> list[str]:
            return [path.removeprefix(start) for path in paths if path.startswith(start)]

        unused = {kind: inside(paths) for kind, paths in self.unused.items()}
        return Found(
            inside(self.images),
            inside(self.folders),
            inside(self.by_content),
            {kind: paths for kind, paths in unused.items() if paths},
        )


def walk(root: str) -> Found:
    """Lists a folder and all its sub-folders.

    Raises:
        OSError: if a directory is missing or cannot be read. Skipping it would make a class
            smaller without a message.
    """
    images_of: dict[str, list[str]] = {}
    by_content: list[str] = []
    unused: dict[str, list[str]] = defaultdict(list)
    read: dict[tuple[int, int], str] = {}
    folders: deque[str] = deque([""])
    links: deque[str] = deque()
    while folders or links:
        folder = folders.popleft() if folders else links.popleft()
        status = os.stat(os.path.join(root, folder))
        identity = status.st_dev, status.st_ino
        if identity in read:
            unused[READ_ALREADY].append(folder)
            continue
        read[identity] = folder
        images_of[folder] = []
        with os.scandir(os.path.join(root, folder)) as entries:
            in_order = sorted(entries, key=lambda entry: natural_key(entry.name))
        for entry in in_order:
            path = os.path.join(folder, entry.name)
            kind = _kind(entry)
            if kind == "folder":
                (links if entry.is_symlink() else folders).append(path)
            elif kind != "file":
                unused[kind].append(path)
            elif suffix_of(path) in image_suffixes():
                images_of[folder].append(path)
            elif _begins_like_an_image(entry):
                images_of[folder].append(path)
                by_content.append(path)
            else:
                unused[suffix_of(path) or NO_SUFFIX].append(path)
    read_from = sorted(images_of, key=lambda folder: [*map(natural_key, folder.split(os.sep))])
    images = [image for folder in read_from for image in images_of[folder]]
    return Found(images, [folder for folder in read_from if folder], by_content, dict(unused))


def natural_key(name: str) -> tuple[list[int | str], str]:
    """A sort key that orders numbers inside names by their value."""
    parts = re.split(r"(\d+)", name)
    # Text and numbers alternate, so like is compared with like; the name itself orders 1 and 01.
    return [int(part) if part.isdecimal() else part for part in parts], name


@functools.cache
def image_suffixes() -> frozenset[str]:
    """The suffixes of the formats that this machine's Pillow decodes, such as ".jpg"."""
    suffixes = Image.registered_extensions()
    return frozenset(suffix for suffix, name in suffixes.items() if name in _decoded_formats())


@functools.cache
def _decoded_formats() -> frozenset[str]:
    Image.init()
    missing = {name for name, feature in _OPTIONAL.items() if not features.check(feature)}
    return frozenset(Image.OPEN) - _NOT_DECODED - missing


def _kind(entry: os.DirEntry) -> str:
    """`folder`, `file` or the reason why an entry is not used."""
    if entry.name.startswith(".") or entry.name.casefold() in _SYSTEM_NAMES:
        return HIDDEN
    try:
        if entry.is_dir():
            return "folder"
        if entry.is_file():
            return "file"
    except OSError as error:
        if error.errno != errno.ELOOP:  # a link to itself
            raise
    return BROKEN_LINK if entry.is_symlink() else SPECIAL


def suffix_of(path: str) -> str:
    """The suffix of a file's name in lower case, with its dot; "" if there is none."""
    return os.path.splitext(path)[1].lower()


def _begins_like_an_image(entry: os.DirEntry) -> bool:
    formats = [name for name in _TOLD_BY_CONTENT if name in _decoded_formats()]
    try:
        with Image.open(entry.path, formats=formats) as picture:
            # Cameras' raw files are TIFFs, and Pillow would read their thumbnails.
            return picture.format != "TIFF" or not suffix_of(entry.name)
    except Exception:  # Pillow raises a dozen different exceptions for other files
        return False
