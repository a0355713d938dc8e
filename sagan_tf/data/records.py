"""Random access to the records of TFRecord files, which were made to be read in sequence."""

import bisect
import itertools
import os
import resource
import struct
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from absl import logging

# A record is its length (8 bytes), the length's checksum (4), the data and the data's checksum (4).
_HEADER_BYTES = 12
_FOOTER_BYTES = 4


class Records(Protocol):
    """Encoded examples by index."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> bytes: ...

    def __getitems__(self, indices: Sequence[int]) -> Sequence[bytes]:
        """Several examples at a time."""


class TFRecords:
    """Random access to TFRecord shards, through an index of where each record begins.

    The index is built once by hopping from header to header, without reading the images, and
    kept beside the shards; in a folder that may not be written it is built at every start.

    Args:
        instructions: TFDS file instructions: `filename`, `skip`, `take`.

    Raises:
        ValueError: if a shard is cut short.
    """

    def __init__(self, instructions: Sequence[Any]) -> None:
        self._filenames = [instruction.filename for instruction in instructions]
        logging.info("Indexing %d TFRecord files, once.", len(self._filenames))
        with ThreadPoolExecutor(16) as threads:  # they mostly wait for the disk
            shards = list(threads.map(_record_offsets, self._filenames))
        self._offsets = [
            offsets[instruction.skip : instruction.skip + instruction.take + 1]
            for offsets, instruction in zip(shards, instructions, strict=True)
        ]
        for instruction, offsets in zip(instructions, self._offsets, strict=True):
            if len(offsets) != instruction.take + 1:
                raise ValueError(
                    f"A TFRecord file is damaged: it lacks records. Received: "
                    f"{instruction.filename} with {max(0, len(offsets) - 1)} of "
                    f"{instruction.take}. Copy or prepare the data set again."
                )
        self._ends = list(itertools.accumulate(len(offsets) - 1 for offsets in self._offsets))

    def __len__(self) -> int:
        return self._ends[-1]

    def __getitem__(self, index: int) -> bytes:
        shard = bisect.bisect_right(self._ends, index)
        place = index - (self._ends[shard - 1] if shard else 0)
        begin, end = (int(offset) for offset in self._offsets[shard][place : place + 2])
        # Opened each time: opening takes microseconds, and ImageNet has more shards than a
        # process may usually keep open.
        with open(self._filenames[shard], "rb", buffering=0) as file:
            file.seek(begin + _HEADER_BYTES)
            return file.read(end - begin - _HEADER_BYTES - _FOOTER_BYTES)

    def __getitems__(self, indices: Sequence[int]) -> list[bytes]:
        """Several records, with the method name of ArrayRecord's data source."""
        return [self[index] for index in indices]


def allow_open_files(count: int) -> None:
    """Raises the process's limit of open files, if needed and allowed, to hold `count` more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = count + 512
    if soft < needed:
        allowed = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))


def _record_offsets(filename: str) -> np.ndarray:
    """The offset of each record and of the file's end, in bytes: int64 `(num_records + 1,)`."""
    size = os.path.getsize(filename)
    stored = Path(f"{filename}.offsets.npy")
    if stored.exists():
        offsets = np.load(stored)
        if offsets[-1] == size:  # otherwise the shard was written again
            return offsets
    offsets = _scan(filename, size)
    temporary = stored.with_name(f"{stored.name}.{os.getpid()}")
    try:
        with open(temporary, "wb") as file:
            np.save(file, offsets)
        temporary.replace(stored)
    except OSError:
        logging.log_first_n(
            logging.WARNING,
            "Cannot keep an index beside %s; indexing again next time.",
            1,
            filename,
        )
    return offsets


def _scan(filename: str, size: int) -> np.ndarray:
    offsets = [0]
    with open(filename, "rb", buffering=0) as file:
        while offsets[-1] < size:
            header = os.pread(file.fileno(), _HEADER_BYTES, offsets[-1])
            if len(header) < _HEADER_BYTES:
                break
            (length,) = struct.unpack_from("<Q", header)
            offsets.append(offsets[-1] + _HEADER_BYTES + length + _FOOTER_BYTES)
    if offsets[-1] != size:
        raise ValueError(
            f"A TFRecord file is damaged or cut short: its records end at byte {offsets[-1]}. "
            f"Received: {filename} of {size} bytes. Copy or prepare the data set again."
        )
    return np.array(offsets, np.int64)
