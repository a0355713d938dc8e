"""Identifies sets of image files, so that cached features are used only for the same images."""

import hashlib
import os
from collections.abc import Mapping, Sequence
from typing import Any

# Below this number of images, every byte is hashed, which takes a second or two for photographs.
READ_WHOLE = 10_000
# Key of the files' modification times in an identity. They reveal that files have changed, but
# differ between two copies of the same files.
TIMES = "times"


def file_identity(files: Sequence[str | os.PathLike], num_images: int) -> dict[str, str]:
    """Hashes of files: one of names, sizes and contents, and one of modification times.

    Args:
        files: all files of a set, in any place; a set that is moved keeps its identity.
        num_images: number of images in the files. With 10,000 images or more the contents are not
            read, so that only sizes and times show when a file has changed.

    Raises:
        OSError: if a file cannot be read.
    """
    paths = sorted(os.fspath(file) for file in files)
    root = os.path.commonpath([os.path.dirname(path) for path in paths]) if paths else ""
    found, times = hashlib.sha256(), hashlib.sha256()
    for path in paths:
        status = os.stat(path)
        name = os.fsencode(os.path.relpath(path, root or None))
        found.update(b"%d %s %d\n" % (len(name), name, status.st_size))
        times.update(b"%d\n" % status.st_mtime_ns)
        if num_images < READ_WHOLE:
            with open(path, "rb") as file:
                found.update(hashlib.file_digest(file, "sha256").digest())
    return {"files": found.hexdigest(), TIMES: times.hexdigest()}


def without_times(identity: Mapping[str, Any]) -> dict[str, Any]:
    """The identity without modification times, which is the same for all copies of the files."""
    return {
        name: without_times(value) if isinstance(value, Mapping) else value
        for name, value in identity.items()
        if name != TIMES
    }
