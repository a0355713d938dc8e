"""Decodes, crops and resizes a data set once, so that training reads raw pixels.

    python -m sagan_tf.prepare --dataset=imagenet2012 --image_size=128 --out=/data/imagenet128
    python -m sagan_tf.train --dataset=prepared:/data/imagenet128 ...

An interrupted command keeps its finished shards; the same command goes on from there.
"""

import dataclasses
import signal
from typing import TYPE_CHECKING

from sagan_tf import command
from sagan_tf.fields import setting

if TYPE_CHECKING:
    from sagan_tf.data import Source
    from sagan_tf.data.prepared import Prepared

# A shard has 200 MB at 128x128 and takes half a minute; ImageNet has 313 shards.
EXAMPLES_PER_SHARD = 4096


@dataclasses.dataclass(frozen=True)
class Settings:
    """Command-line flags of `python -m sagan_tf.prepare`."""

    dataset: str = setting("", "Data set to prepare: a TFDS name or folder:PATH.")
    image_size: int = setting(128, "Side of the stored square images.")
    out: str = setting("", "Folder to write to; train with --dataset=prepared:OUT.")
    data_dir: str | None = setting(None, "Directory in which TFDS keeps its data.")
    split: str = setting("train", "Split of the data set, as named by TFDS or the folder.")
    background: str = setting(
        "white", "Colour behind transparent images of folder:PATH, by name or as #rrggbb."
    )


def prepare(settings: Settings, examples_per_shard: int = EXAMPLES_PER_SHARD) -> "Prepared":
    """Writes the prepared data set, or the shards that are missing, and opens it.

    Args:
        settings: the command's flags.
        examples_per_shard: number of examples per shard; an interruption costs at most one shard.

    Raises:
        ValueError: if a setting is missing, and in the same cases as `load_source` and
            `write_prepared`.
        OSError: if the disk has too little space or cannot be written.
    """
    from sagan_tf.data.preparation import write_prepared

    for name in ("dataset", "out"):
        if not getattr(settings, name):
            raise ValueError(f"`--{name}` is needed; `--help` lists the flags.")
    source = _load(settings)
    return write_prepared(
        source, settings.image_size, settings.split, settings.out, examples_per_shard
    )


def main(settings: Settings) -> None:
    """Prepares the data set, then prints how fast it reads before and after."""
    from sagan_tf.data.preparation import images_per_second
    from sagan_tf.machine.devices import use_device

    use_device("cpu")
    # SIGTERM, which schedulers send, ends the command like Ctrl-C: with a message, keeping shards.
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


def _load(settings: Settings) -> "Source":
    from sagan_tf.data import load_source

    return load_source(
        settings.dataset,
        settings.data_dir,
        settings.split,
        settings.image_size,
        settings.background,
    )


if __name__ == "__main__":
    command.run(main, Settings)
