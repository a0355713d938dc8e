"""Writes a data set decoded, cropped and resized, in shards; an interrupted run can be resumed."""

import dataclasses
import os
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from absl import logging
from tqdm import tqdm

from sagan_tf.data.inspection import warn_of_findings
from sagan_tf.data.loading import Loader
from sagan_tf.data.order import shuffled_indices
from sagan_tf.data.prepared import (
    MANIFEST,
    UNFINISHED_MANIFEST,
    Manifest,
    Prepared,
    shard_length,
    shard_path,
    write_shard,
)
from sagan_tf.data.registry import canonical
from sagan_tf.data.source import Source
from sagan_tf.output import files

# Examples in flight at once: enough to keep the threads busy, 13 MB of pixels at 128x128.
_EXAMPLES_AT_ONCE = 256
_SECONDS_TO_MEASURE = 1


def write_prepared(
    source: Source,
    image_size: int,
    split: str,
    out: str | os.PathLike,
    examples_per_shard: int,
) -> Prepared:
    """Writes the prepared data set, or the shards that are missing, and opens it.

    Args:
        source: the data set.
        image_size: side of the stored square images.
        split: the source's split, to be recorded.
        out: folder to write to.
        examples_per_shard: number of examples per shard; an interruption costs at most one shard.

    Raises:
        ValueError: if `out` holds something else or is in use, or more than 1 % of the images are
            unreadable.
        OSError: if the disk has too little space or cannot be written.
    """
    warn_of_findings(source)
    loader = Loader(source, image_size)
    out = Path(out).expanduser()
    manifest = Manifest(
        source.name,
        source.class_names,
        source.channels,
        image_size,
        split,
        source.num_examples,
        examples_per_shard,
        background=source.background,
    )
    if (out / MANIFEST).exists():
        _check_same(Manifest.load(out / MANIFEST), manifest, out)
        logging.info("%s is prepared already.", out)
    else:
        with files.claimed(out, "out"), files.explained(out, "out"):
            _begin(out, manifest)
            lengths = _write_missing_shards(out, loader, manifest)
            dataclasses.replace(manifest, shard_lengths=lengths).save(out / MANIFEST)
            (out / UNFINISHED_MANIFEST).unlink()
    return Prepared(str(out))


def images_per_second(source: Source, image_size: int) -> float:
    """Images per second that all processor cores can read in random order, as training does."""
    loader = Loader(source, image_size)
    count, seconds, start = 0, 0.0, time.perf_counter()
    while seconds <= _SECONDS_TO_MEASURE:
        positions = np.arange(count, count + 64)
        indices = shuffled_indices(positions, source.num_examples, seed=0)
        loader.finish(loader.start(indices))
        count += 64
        seconds = time.perf_counter() - start
    return count / seconds


def _begin(out: Path, manifest: Manifest) -> None:
    unfinished = out / UNFINISHED_MANIFEST
    if unfinished.exists():
        _check_same(Manifest.load(unfinished), manifest, out)
        logging.info("Going on with %s.", out)
        return
    if any(path.name != files.LOCK for path in out.iterdir()):
        raise ValueError(
            f"`--out` expects a new or empty folder, or one to go on with. Received: --out={out}, "
            f"which holds other files."
        )
    needed = manifest.num_source_examples * manifest.image_size**2 * manifest.channels
    files.check_space(out, needed, "The prepared images")
    manifest.save(unfinished)


def _check_same(stored: Manifest, wanted: Manifest, out: Path) -> None:
    stored = dataclasses.replace(stored, shard_lengths=())
    if canonical(stored.name) == canonical(wanted.name):  # the same place, written differently
        stored = dataclasses.replace(stored, name=wanted.name)
    if stored == wanted:
        return
    differing = ", ".join(
        f"{field.name} is {str(getattr(stored, field.name))[:60]} there and "
        f"{str(getattr(wanted, field.name))[:60]} here"
        for field in dataclasses.fields(Manifest)
        if getattr(stored, field.name) != getattr(wanted, field.name)
    )
    raise ValueError(
        f"`--out` holds other prepared data: {differing}. Received: --out={out}. Choose another "
        f"folder, or delete that one."
    )


def _write_missing_shards(out: Path, loader: Loader, manifest: Manifest) -> tuple[int, ...]:
    """Writes the shards that do not exist yet; returns the number of images in each shard."""
    num_examples = manifest.num_source_examples
    lengths: list[int] = []
    with tqdm(total=num_examples, unit=" images", smoothing=0.05) as progress:
        for first in range(0, num_examples, manifest.examples_per_shard):
            indices = range(first, min(first + manifest.examples_per_shard, num_examples))
            path = shard_path(out, len(lengths))
            if path.exists():
                lengths.append(shard_length(path))
                progress.initial += len(indices)  # otherwise the rate would count them
                progress.update(len(indices))
            else:
                lengths.append(write_shard(path, _readable(loader, indices, progress)))
            progress.set_postfix(unreadable=indices.stop - sum(lengths))
    return tuple(lengths)


def _readable(loader: Loader, indices: range, progress: tqdm) -> Iterator[tuple[np.ndarray, int]]:
    for first in range(0, len(indices), _EXAMPLES_AT_ONCE):
        for example in loader.examples(indices[first : first + _EXAMPLES_AT_ONCE]):
            progress.update()
            if example is not None:
                yield example
