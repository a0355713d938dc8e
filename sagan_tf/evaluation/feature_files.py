"""Caches features of images in files, from which an interrupted evaluation can resume."""

import hashlib
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from tqdm import tqdm

from sagan_tf.evaluation.images import Images, ImagesPart
from sagan_tf.evaluation.moments import Moments, MomentsStream
from sagan_tf.machine.team import SINGLE_PROCESS, Team
from sagan_tf.output.files import check_space, replacing, write_text

BATCH_SIZE = 64
# Rows to read from disk at a time when moments are computed.
_ROWS = 4096
_LABELS = "labels"
_DONE = "done.json"


class Extractor(Protocol):
    """Interface of a feature extractor.

    Attributes:
        name: name of the network.
        identity: JSON that is equal only for extractors that give equal features for equal images.
    """

    @property
    def name(self) -> str: ...

    @property
    def identity(self) -> Mapping[str, Any]: ...

    def __call__(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """Features by name, float32 `(N, D)`, of uint8 images `(N, H, W, C)`."""


class Features:
    """Features of a set of images, memory-mapped from disk.

    Args:
        directory: directory to which `extract_features` wrote them.
        at_most: number of first images to which to limit the features; `None` for all.

    Attributes:
        names: names of the features.
        labels: classes of the images, int32 `(N,)`, or `None`.
    """

    def __init__(self, directory: Path, at_most: int | None = None) -> None:
        self._directory = directory
        done = json.loads((directory / _DONE).read_text())
        self._sizes: dict[str, int] = done["sizes"]
        self._count: int = min(done["count"], at_most or done["count"])
        self.names = tuple(name for name in self._sizes if name != _LABELS)
        self.labels = None
        if _LABELS in self._sizes:
            self.labels = np.fromfile(directory / _LABELS, np.int32)[: self._count]

    def __getitem__(self, name: str) -> np.ndarray:
        shape = self._count, self._sizes[name]
        return np.memmap(self._directory / name, np.float32, mode="r", shape=shape)

    def __len__(self) -> int:
        return self._count

    def first(self, count: int) -> "Features":
        """The features of the first `count` images."""
        return Features(self._directory, count)

    def moments(self, name: str) -> Moments:
        """Moments of the features with a name, computed in parts and cached beside the features."""
        path = self._directory / f"moments-{name}-{self._count}.npz"
        if not path.exists():
            features = self[name]
            stream = MomentsStream(features.shape[1])
            for start in range(0, len(features), _ROWS):
                stream.update(features[start : start + _ROWS])
            moments = stream.result()
            with replacing(path) as temporary, open(temporary, "wb") as file:
                np.savez(file, mean=moments.mean, covariance=moments.covariance)
        with np.load(path) as file:
            return Moments(self._count, file["mean"], file["covariance"])

    def remove(self) -> None:
        """Deletes the files."""
        shutil.rmtree(self._directory)


def extract_features(
    images: Images,
    extractor: Extractor,
    directory: Path,
    title: str,
    batch_size: int = BATCH_SIZE,
    team: Team = SINGLE_PROCESS,
) -> Features | None:
    """Extracts the features of images, except those that are cached already.

    Args:
        images: the images.
        extractor: the feature extractor.
        directory: cache, with one sub-directory per pair of images and extractor; created if it
            does not exist. All workers share it.
        title: name of the images, shown beside the progress bar.
        batch_size: images per call of the extractor; changes features by rounding only.
        team: the workers; each extracts a part.

    Returns:
        The features; `None` for workers that are not the chief.

    Raises:
        ValueError: for images with values that are not finite; the message names the batch.
        OSError: if the disk has too little space.
    """
    identity = {"images": images.identity, "extractor": extractor.identity}
    key = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:16]
    folder = directory / key
    if team.is_chief:
        folder.mkdir(parents=True, exist_ok=True)
        write_text(folder / "identity.json", json.dumps(identity, indent=1) + "\n")
    if team.size > 1:
        _extract_parts(images, extractor, folder, title, batch_size, team)
    return _extract(images, extractor, folder, title, batch_size) if team.is_chief else None


def _extract_parts(
    images: Images, extractor: Extractor, folder: Path, title: str, batch_size: int, team: Team
) -> None:
    """Lets each worker extract a part, and joins the parts in `folder`, unless it is complete."""
    # The chief decides: another machine may see an outdated directory for a while, and may round
    # numbers of an identity differently.
    whole = _done(folder)["count"] == images.num_images
    name = json.loads(team.broadcast(json.dumps(None if whole else folder.name)))
    if name is None:
        return
    shares = [team.shard(range(images.num_images), index) for index in range(team.size)]
    parts = [folder.with_name(f"{name}-part-{share.start}-{share.stop}") for share in shares]
    own = ImagesPart(images, shares[team.index])
    if own.num_images:
        parts[team.index].mkdir(parents=True, exist_ok=True)
        _extract(own, extractor, parts[team.index], title, batch_size, team.is_chief)
    team.barrier()
    if team.is_chief:
        counts = {part: len(share) for part, share in zip(parts, shares, strict=True) if share}
        _join(counts, folder)


def _join(parts: Mapping[Path, int], whole: Path) -> None:
    """Joins the features of parts, given by folder and number of images; removes the parts."""
    for part, count in parts.items():
        if _done(part)["count"] != count:
            raise ValueError(
                f"`--cache_dir` must be a directory that all workers share. Received: {count} "
                f"features that another worker has written are not in {part}"
            )
    sizes = _done(next(iter(parts)))["sizes"]
    (whole / _DONE).unlink(missing_ok=True)  # removed before the files that it describes change
    for name in sizes:
        with open(whole / name, "wb") as file:
            for part in parts:
                with open(part / name, "rb") as rows:
                    shutil.copyfileobj(rows, file)
    write_text(whole / _DONE, json.dumps({"count": sum(parts.values()), "sizes": sizes}))
    for part in parts:
        shutil.rmtree(part)


def _done(folder: Path) -> dict[str, Any]:
    path = folder / _DONE
    return json.loads(path.read_text()) if path.exists() else {"count": 0, "sizes": {}}


def _extract(
    images: Images,
    extractor: Extractor,
    folder: Path,
    title: str,
    batch_size: int,
    shown: bool = True,
) -> Features:
    path = folder / _DONE
    done = _done(folder)
    bar = tqdm(
        total=images.num_images,
        initial=done["count"],
        desc=title,
        unit=" images",
        disable=not shown,
        leave=None,  # the bar vanishes if it is below that of a training run
    )
    with bar:
        for start in range(done["count"], images.num_images, batch_size):
            stop = min(start + batch_size, images.num_images)
            batch, labels = images.read(start, stop)
            if batch.dtype != np.uint8 and not np.isfinite(batch).all():
                raise ValueError(
                    f"{title}: images {start} to {stop - 1} hold values that are not finite. "
                    "The generator's weights are damaged, or its training broke down."
                )
            rows: dict[str, np.ndarray] = {
                name: np.ascontiguousarray(x, np.float32) for name, x in extractor(batch).items()
            }
            if labels is not None:
                rows[_LABELS] = np.asarray(labels, np.int32)[:, np.newaxis]
            if start == done["count"] == 0:
                row_bytes = sum(4 * x.shape[1] for x in rows.values())
                check_space(folder, row_bytes * images.num_images, f"The features of {title}")
            for name, x in rows.items():
                _write_rows(folder / name, x, start)
            sizes = {name: x.shape[1] for name, x in rows.items()}
            write_text(path, json.dumps({"count": stop, "sizes": sizes}))
            bar.update(stop - start)
    return Features(folder)


def _write_rows(path: Path, rows: np.ndarray, start: int) -> None:
    """Writes rows at row `start`, over rows that an interrupted run may have begun to write."""
    with open(path, "r+b" if path.exists() else "w+b") as file:
        file.seek(start * rows.shape[1] * rows.itemsize)
        file.write(rows.tobytes())
