"""Fashion-MNIST without the internet: lets TFDS prepare it from four files on this machine.

TFDS itself takes files from `<data_dir>/downloads/manual` only if they equal the server's byte by
byte. Debian's files differ in their gzip headers, so this module checks the unpacked content.
"""

import dataclasses
import gzip
import hashlib
import zlib
from pathlib import Path

import tensorflow_datasets as tfds

# SHA-256 of the unpacked content. With names and times (2017-08-31) in their gzip headers again,
# Debian's files have the checksums that TFDS knows, so this is the content that TFDS downloads.
_CONTENTS = {
    "train-images-idx3-ubyte.gz": (
        "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888"
    ),
    "train-labels-idx1-ubyte.gz": (
        "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9"
    ),
    "t10k-images-idx3-ubyte.gz": (
        "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b"
    ),
    "t10k-labels-idx1-ubyte.gz": (
        "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34"
    ),
}
# Where Debian's package `dataset-fashion-mnist` puts them.
_DEBIAN_FOLDER = Path("/usr/share/datasets/fashion-mnist")


def find_files(manual_dir: Path) -> Path | None:
    """Finds the first folder that holds the four files; None without any.

    It looks into `manual_dir/fashion_mnist`, then into `manual_dir`, where TFDS looks, then into
    the folder of Debian's package.

    Args:
        manual_dir: TFDS's folder for files downloaded by hand.

    Raises:
        ValueError: if a file is damaged, or is MNIST's file of the same name.
    """
    for folder in (manual_dir / "fashion_mnist", manual_dir, _DEBIAN_FOLDER):
        if all((folder / name).exists() for name in _CONTENTS):
            for name, checksum in _CONTENTS.items():
                _check_content(folder / name, checksum, manual_dir)
            return folder
    return None


def reading_from(folder: Path, builder: tfds.core.DatasetBuilder) -> tfds.core.DatasetBuilder:
    """Returns a builder of the same data set that accepts the files in `folder` as its downloads.

    Args:
        folder: folder from `find_files`; give it to TFDS as its `manual_dir`, too.
        builder: TFDS's own builder of Fashion-MNIST.
    """
    infos = {}
    for url, info in builder.url_infos.items():
        packed = (folder / info.filename).read_bytes()
        checksum = hashlib.sha256(packed).hexdigest()
        infos[url] = dataclasses.replace(info, size=len(packed), checksum=checksum)

    # TFDS has no type annotations, so the type checker does not know this base class.
    class FromFiles(type(builder), skip_registration=True):  # type: ignore[misc, call-arg]
        """TFDS's builder with the checksums of these files, whose gzip headers may differ."""

        name = builder.name
        url_infos = infos

    return FromFiles(data_dir=builder.data_dir_root)


def advice(manual_dir: Path) -> str:
    """A sentence on how to get the files without TFDS's download."""
    return (
        f"Fashion-MNIST can also be had by `apt install dataset-fashion-mnist` on Debian or "
        f"Ubuntu, or by putting {', '.join(_CONTENTS)} into {manual_dir / 'fashion_mnist'}."
    )


def _check_content(path: Path, checksum: str, manual_dir: Path) -> None:
    try:
        content = gzip.decompress(path.read_bytes())
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(
            f"Expected a gzip file of Fashion-MNIST. Received: {path}, which is damaged ({error}). "
            f"{advice(manual_dir)}"
        ) from error
    if hashlib.sha256(content).hexdigest() != checksum:
        raise ValueError(
            f"Expected a file of Fashion-MNIST. Received: {path} with other content; MNIST "
            f"has files of the same names. {advice(manual_dir)}"
        )
