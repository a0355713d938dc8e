"""The data set of a run: what the run keeps of it, and whether another one may take its place."""

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
    """Returns what a run keeps of its data set, as JSON.

    Returns:
        `class_names`, in the order of their labels; `num_images`; `class_images`, how many images
        each class has, or `None` where that is not known without reading all of them; and
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
    """Numbers the classes of a folder as `class_names` does, if these are the same names.

    Earlier versions put class 10 before class 2.

    Returns:
        Whether the numbers have changed.
    """
    names, wanted = (
        [readable(name) for name in side] for side in (source.class_names, class_names)
    )
    # The labels of other sets come from their files.
    if names == wanted or not isinstance(source, Folder) or sorted(names) != sorted(wanted):
        return False
    source.labels = np.array([wanted.index(name) for name in names], np.int32)[source.labels]
    source.class_names = tuple(wanted)
    return True


def changes(
    run: Mapping[str, Any] | None, place: str, source: Source, new_place: str, workdir: str
) -> list[str]:
    """Compares the data set of a run with the one at hand.

    Args:
        run: what `describe` returned; `None` if nothing is known. Runs of earlier versions know
            their `class_names` alone.
        place: the run's `--dataset`.
        source: the data set at hand.
        new_place: its `--dataset`.
        workdir: of the run.

    Returns:
        Sentences on what changed that the run may go on with. If it is the order of the classes
        of a folder, `source` follows the run's.

    Raises:
        ValueError: if it may not: for other classes, classes whose images were exchanged, and for
            other images in another place.
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
    """What differs between two lists of class names; "" if nothing does."""
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
    """What differs between the numbers of images; "" if nothing does or is known."""
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
    """Digests of each class's files, of a folder: their names and sizes."""
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
    """Refuses classes that now hold what others held when the run began."""
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
