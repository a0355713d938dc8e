"""What tells files of images from others, so that features of other images are not taken again."""

import hashlib
import os
from collections.abc import Mapping, Sequence
from typing import Any

# Of fewer images, every byte is looked at: a second or two for photographs.
READ_WHOLE = 10_000
# In the identity of images: when the files were written. It tells files that changed from what
# they were, and says nothing of two copies that are compared.
TIMES = "times"


def file_identity(files: Sequence[str | os.PathLike], num_images: int) -> dict[str, str]:
    """Returns hashes of what files are: names, sizes and contents, and their times.

    Args:
        files: all files of a set, in any place; a set that is moved keeps its identity.
        num_images: in them. The contents of 10,000 images or more are not read; there, sizes and
            times alone tell when a file has changed.

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
    """The identity of images wherever and whenever their files were copied."""
    return {
        name: without_times(value) if isinstance(value, Mapping) else value
        for name, value in identity.items()
        if name != TIMES
    }
