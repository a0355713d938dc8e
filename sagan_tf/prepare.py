"""Decodes, crops and resizes a data set once, so that training reads raw pixels.

    python -m sagan_tf.prepare --dataset=imagenet2012 --image_size=128 --out=/data/imagenet128
    python -m sagan_tf.train --dataset=prepared:/data/imagenet128 ...

Interrupted, it keeps its finished shards; the same command goes on from there.
"""

import dataclasses
import itertools
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from absl import logging
from tqdm import tqdm

from sagan_tf import command, files
from sagan_tf.data import Source, canonical, load_source
from sagan_tf.data.checks import warn_of_findings
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

# 200 MB at 128x128, half a minute's work; ImageNet makes 313 shards.
EXAMPLES_PER_SHARD = 4096
# In flight at once: enough to keep the threads busy, 13 MB of pixels at 128x128.
_EXAMPLES_AT_ONCE = 256
_SECONDS_TO_MEASURE = 1


@dataclasses.dataclass(frozen=True)
class Settings:
    """What `prepare` is told."""

    dataset: str = command.setting("", "Data set to prepare: a TFDS name or folder:PATH.")
    image_size: int = command.setting(128, "Side of the stored square images.")
    out: str = command.setting("", "Folder to write; train with --dataset=prepared:OUT.")
    data_dir: str | None = command.setting(None, "Where TFDS keeps its data.")
    split: str = command.setting("train", "Part of the data set, as TFDS or a folder names it.")
    background: str = command.setting(
        "white", "Colour behind transparent images of folder:PATH, by name or as #rrggbb."
    )


def prepare(settings: Settings, examples_per_shard: int = EXAMPLES_PER_SHARD) -> Prepared:
    """Writes the prepared data set, or what is missing of it, and opens it.

    Args:
        settings: the command's flags.
        examples_per_shard: how much one interruption may cost.

    Raises:
        ValueError: a setting is missing, `out` holds something else or is in use, or more than
            1 % of the images are unreadable.
        OSError: the disk is too small, or cannot be written.
    """
    for name in ("dataset", "out"):
        if not getattr(settings, name):
            raise ValueError(f"`--{name}` is needed; `--help` lists the flags.")
    source = _load(settings)
    warn_of_findings(source)
    loader = Loader(source, settings.image_size)
    out = Path(settings.out).expanduser()
    manifest = Manifest(
        source.name,
        source.class_names,
        source.channels,
        settings.image_size,
        settings.split,
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


def main(settings: Settings) -> None:
    """Prepares the data set, then says how much faster it reads."""
    # SIGTERM, which schedulers send, ends like Ctrl-C: with a message, finished shards kept.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        prepared = prepare(settings)
    except KeyboardInterrupt:
        print("\nInterrupted. Finished shards are kept: the same command goes on from there.")
        raise
    source = _load(settings)
    skipped = source.num_examples - prepared.num_examples
    print(f"{prepared.num_examples} images in {settings.out}; {skipped} unreadable ones left out.")
    before = images_per_second(source, settings.image_size)
    after = images_per_second(prepared, settings.image_size)
    print(f"Reading at random: {before:.0f} images/s from the source, {after:.0f} prepared.")


def images_per_second(source: Source, image_size: int) -> float:
    """How fast training can read, in random order, with all processor cores."""
    loader = Loader(source, image_size)
    start = time.perf_counter()
    for batch in itertools.count(1):
        positions = np.arange((batch - 1) * 64, batch * 64)
        indices = shuffled_indices(positions, source.num_examples, seed=0)
        loader.finish(loader.start(indices))
        seconds = time.perf_counter() - start
        if seconds > _SECONDS_TO_MEASURE:
            return batch * 64 / seconds


def _load(settings: Settings) -> Source:
    return load_source(
        settings.dataset,
        settings.data_dir,
        settings.split,
        settings.image_size,
        settings.background,
    )


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
    if canonical(stored.name) == canonical(wanted.name):  # one place, written in another way
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
    """Writes the shards that are not there yet; returns the lengths of all."""
    num_examples = manifest.num_source_examples
    lengths = []
    with tqdm(total=num_examples, unit=" images", smoothing=0.05) as progress:
        for first in range(0, num_examples, manifest.examples_per_shard):
            indices = range(first, min(first + manifest.examples_per_shard, num_examples))
            path = shard_path(out, len(lengths))
            if path.exists():
                lengths.append(shard_length(path))
                progress.initial += len(indices)  # else the rate would count them
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


if __name__ == "__main__":
    command.run(main, Settings)
