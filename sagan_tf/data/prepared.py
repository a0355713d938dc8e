"""Images that were decoded, cropped and resized once, stored as raw pixels in ArrayRecord files.

A prepared folder holds shards, and `prepared.json`, which is written last. Each record is a label
(int32, little-endian) followed by the pixels (uint8, row by row).
"""

import bisect
import dataclasses
import errno
import itertools
import json
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from array_record.python.array_record_data_source import ArrayRecordDataSource
from array_record.python.array_record_module import ArrayRecordReader, ArrayRecordWriter

from sagan_tf.data.records import allow_open_files
from sagan_tf.data.source import MANIFEST, Source
from sagan_tf.output.files import replacing, write_text

UNFINISHED_MANIFEST = "unfinished.json"
_LABEL_BYTES = 4


@dataclasses.dataclass(frozen=True)
class Manifest:
    """The content of `prepared.json`.

    Attributes:
        name: the data set that the images come from.
        class_names: the name of each label.
        channels: channels of the images, 1 or 3.
        image_size: side of the stored square images.
        split: the data set's split.
        num_source_examples: number of examples in the split, readable or not.
        examples_per_shard: number of the split's examples per shard, readable or not.
        shard_lengths: number of images in each shard; empty while unfinished.
        background: RGB behind transparent images; `None` if pixels are as published.
    """

    name: str
    class_names: tuple[str, ...]
    channels: int
    image_size: int
    split: str
    num_source_examples: int
    examples_per_shard: int
    shard_lengths: tuple[int, ...] = ()
    background: tuple[int, int, int] | None = None

    def save(self, path: Path) -> None:
        """Writes the file whole or not at all."""
        write_text(path, json.dumps(dataclasses.asdict(self), indent=2) + "\n")

    @staticmethod
    def load(path: Path) -> "Manifest":
        """Reads the file.

        Raises:
            ValueError: if the file is damaged.
        """
        try:
            fields = json.loads(path.read_text())
            lists = {name: tuple(fields[name]) for name in ("class_names", "shard_lengths")}
            if fields.get("background") is not None:  # older files lack it
                lists["background"] = tuple(fields["background"])
            return Manifest(**{**fields, **lists})
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(
                f"Expected the description that `python -m sagan_tf.prepare` writes. Received: "
                f"{path}, which is damaged ({error}). Prepare the data set again."
            ) from error


class Prepared(Source):
    """A data set that `python -m sagan_tf.prepare` wrote to a folder.

    Raises:
        ValueError: if the folder holds no finished prepared data.
    """

    image_size: int

    def __init__(self, path: str) -> None:
        folder = Path(path).expanduser()
        if not (folder / MANIFEST).exists():
            raise ValueError(_why_not_prepared(path, folder))
        manifest = Manifest.load(folder / MANIFEST)
        num_shards = len(manifest.shard_lengths)
        shards = [shard_path(folder, shard) for shard in range(num_shards)]
        missing = [shard.name for shard in shards if not shard.exists()]
        if missing:
            raise ValueError(
                f"prepared:{path} lacks {len(missing)} of its {num_shards} shards. Received: no "
                f"{missing[0]}. Delete {MANIFEST} and prepare it again."
            )
        super().__init__(
            name=manifest.name,
            class_names=manifest.class_names,
            channels=manifest.channels,
            num_examples=sum(manifest.shard_lengths),
            image_size=manifest.image_size,
        )
        self.files = [str(file) for file in (folder / MANIFEST, *shards)]
        self._folder = folder
        self._ends = list(itertools.accumulate(manifest.shard_lengths))
        allow_open_files(num_shards)
        self._records = ArrayRecordDataSource(
            [
                f"{shard}[0:{length}]"
                for shard, length in zip(shards, manifest.shard_lengths, strict=True)
            ]
        )

    def read(self, index: int) -> tuple[np.ndarray, int]:
        """One image, uint8 `(S, S, C)`, and its label."""
        record = self._records[index]
        pixels = np.frombuffer(record, np.uint8, offset=_LABEL_BYTES)
        return pixels.reshape(self.image_size, self.image_size, self.channels), _label(record)

    def example_name(self, index: int) -> str:
        """The example's index, and the file that holds it."""
        shard = bisect.bisect_right(self._ends, index)
        return f"example {index} of {self.name}, in {shard_path(self._folder, shard)}"

    def read_labels(self, indices: Sequence[int]) -> list[int]:
        return [_label(record) for record in self._records.__getitems__(indices)]


def shard_path(folder: Path, shard: int) -> Path:
    """The path of a shard in a prepared folder."""
    return folder / f"images-{shard:05d}.array_record"


def shard_length(path: Path) -> int:
    """The number of images in a finished shard."""
    reader = ArrayRecordReader(str(path))
    try:
        return reader.num_records()
    finally:
        reader.close()


def write_shard(path: Path, examples: Iterable[tuple[np.ndarray, int]]) -> int:
    """Writes images uint8 `(S, S, C)` with labels; the shard appears whole or not at all.

    Returns:
        The number of images written.

    Raises:
        OSError: if the shard cannot be written.
    """
    count = 0
    with replacing(path) as temporary:
        # Pixels barely compress, and groups of one record let a reader fetch any image alone.
        writer = ArrayRecordWriter(str(temporary), "group_size:1,uncompressed")
        for image, label in examples:
            writer.write(label.to_bytes(_LABEL_BYTES, "little", signed=True) + image.tobytes())
            count += 1
        try:
            writer.close()
        except RuntimeError as error:  # `close` also reports earlier errors of `write`
            raise OSError(errno.EIO, str(error), str(path)) from error
    return count


def _label(record: bytes) -> int:
    return int.from_bytes(record[:_LABEL_BYTES], "little", signed=True)


def _why_not_prepared(path: str, folder: Path) -> str:
    if (folder / UNFINISHED_MANIFEST).exists():
        return (
            f"prepared:{path} is unfinished. Run the same `python -m sagan_tf.prepare` command "
            f"again: it goes on where it stopped."
        )
    return (
        f"`prepared:PATH` expects a folder that `python -m sagan_tf.prepare` wrote. Received: "
        f"prepared:{path}, which {'has no ' + MANIFEST if folder.exists() else 'is missing'}."
    )
