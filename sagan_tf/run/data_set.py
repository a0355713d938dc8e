"""Describes the data set of a run, and checks whether the run may go on with another one."""

import hashlib
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from sagan_tf.class_names import quoted, readable, shortened
from sagan_tf.data import Source, canonical
from sagan_tf.data.folder import Folder


def describe(source: Source) -> dict[str, Any]:
    """The description of a data set that a run saves, for JSON.

    Returns:
        `class_names`, in the order of their labels; `num_images`; `class_images`, the number of
        images in each class, or `None` if it is not known without reading all images; and
        `class_files`, a digest of the names and sizes of each class's files, or `None`.
    """
    counts = None
    if source.labels is not None:
        counts = np.bincount(source.labels, minlength=source.num_classes).tolist()
    return {
        "class_names": [readable(name) for name in source.class_names],
        "num_images": source.num_examples,
        "class_images": counts,
        "class_files": _class_digests(source),
    }


def follow_order(source: Source, class_names: Sequence[str]) -> bool:
    """Gives the classes of a folder the order of `class_names`, if these are the same names.

    Earlier versions put class 10 before class 2.

    Returns:
        Whether the order has changed.
    """
    names, wanted = (
        [readable(name) for name in side] for side in (source.class_names, class_names)
    )
    # The labels of other data sets are stored in their files.
    if names == wanted or not isinstance(source, Folder) or sorted(names) != sorted(wanted):
        return False
    source.labels = np.array([wanted.index(name) for name in names], np.int32)[source.labels]
    source.class_names = tuple(wanted)
    return True


def changes(
    run: Mapping[str, Any] | None, place: str, source: Source, new_place: str, workdir: str
) -> list[str]:
    """Compares the data set of a run with the current one.

    Args:
        run: the run's description from `describe`; `None` if there is none. Runs of earlier
            versions have only `class_names`.
        place: the run's `--dataset`.
        source: the current data set.
        new_place: the current `--dataset`.
        workdir: the run's directory.

    Returns:
        Sentences on changes with which the run may go on. If the order of a folder's classes has
        changed, `source` gets the run's order.

    Raises:
        ValueError: for changes with which it may not go on: other classes, classes whose images
            were exchanged, and other images in another place.
    """
    moved = canonical(place) != canonical(new_place)
    notes = [f"the data set has moved from {place} to {new_place}"] if moved else []
    if run is None:
        return notes
    if follow_order(source, run["class_names"]):
        notes.append("the classes keep the order in which the run knows them")
    here = describe(source)
    difference = _class_difference(
        [readable(name) for name in run["class_names"]], here["class_names"]
    )
    if difference:
        raise ValueError(
            f"`--dataset` {new_place} has other classes than the run in {workdir}: {difference}. "
            "The labels that it has learned would mean something else. Put the classes back to go "
            f"on with it; or begin another run with its weights: `--init_from={workdir}` and a new "
            "`--workdir`."
        )
    _check_exchanged(run, here, workdir)
    difference = _image_difference(run, here)
    if moved and difference:
        raise ValueError(
            f"`--dataset` {new_place} is not the data set of the run in {workdir}, which was "
            f"{place}: {difference}. A data set that has moved may go on only with the same "
            f"images. Give the run's place, or begin another run with its weights: "
            f"`--init_from={workdir}` and a new `--workdir`."
        )
    return notes + ([f"images were added or removed: {difference}"] if difference else [])


def _class_difference(before: Sequence[str], now: Sequence[str]) -> str:
    """The difference between two lists of class names, as text; "" if there is none."""
    removed = list((Counter(before) - Counter(now)).elements())
    added = list((Counter(now) - Counter(before)).elements())
    if not (removed or added):
        places = [i for i, (old, new) in enumerate(zip(before, now, strict=True)) if old != new]
        first = ", ".join(f"class {i} was {before[i]!r}, is {now[i]!r}" for i in places[:3])
        return f"the same names in another order ({first})" if places else ""
    only = [f"only the run has {_named(removed)}"] if removed else []
    only += [f"only the data set has {_named(added)}"] if added else []
    counts = f"{len(before)} class{'' if len(before) == 1 else 'es'}, the data set {len(now)}"
    return f"the run has {counts}: {'; '.join(only)}"


def _image_difference(run: Mapping[str, Any], here: Mapping[str, Any]) -> str:
    """The difference between the numbers of images, as text; "" if there is none or unknown."""
    if run.get("num_images") is None:
        return ""
    before, now = run.get("class_images"), here["class_images"]
    total = f"{run['num_images']} images -> {here['num_images']}"
    if before is None or now is None:
        return total if run["num_images"] != here["num_images"] else ""
    names = here["class_names"]
    changed = [
        f"{quoted(name)} {old} -> {new}"
        for name, old, new in zip(names, before, now, strict=True)
        if old != new
    ]
    return f"{total} ({shortened(changed, show=str)})" if changed else ""


def _named(names: Sequence[str]) -> str:
    return shortened(names, show=repr)


def _class_digests(source: Source) -> list[str] | None:
    """A digest per class of the names and sizes of its files; `None` if it is not a folder."""
    if not isinstance(source, Folder):
        return None
    files: list[list[str]] = [[] for _ in source.class_names]
    for path, label in zip(source.files, source.labels.tolist(), strict=True):
        files[label].append(f"{os.path.basename(path)}\0{os.path.getsize(path)}\n")
    return [
        hashlib.sha256("".join(sorted(lines)).encode(errors="surrogateescape")).hexdigest()[:16]
        for lines in files
    ]


def _check_exchanged(run: Mapping[str, Any], here: Mapping[str, Any], workdir: str) -> None:
    """Raises `ValueError` for a class with the files that another class had in the run."""
    before, now = run.get("class_files"), here["class_files"]
    if before is None or now is None:
        return
    names = here["class_names"]
    for name, old, new in zip(names, before, now, strict=True):
        others = [other for other, files in zip(names, before, strict=True) if files == new]
        if new != old and others:
            raise ValueError(
                f"The files of class {name!r} are those that class {others[0]!r} had before in the "
                f"run in {workdir}: the labels that it has learned would mean something else. "
                "Put them back to go on with it, or choose another workdir."
            )
