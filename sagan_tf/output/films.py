"""Films that play on and on, as files that browsers show: GIF and WebP."""

import os
from pathlib import Path

import numpy as np

from sagan_tf.output.files import replacing
from sagan_tf.output.pictures import to_picture

# Kinds of files by their endings. WebP keeps every level of colour; GIF has 256 colours a frame, so
# that grey films are kept as they are.
_KINDS = {".gif": "GIF", ".webp": "WEBP"}
# Viewers show shorter frames of a GIF for a tenth of a second.
MOST_FRAMES_PER_SECOND = 50


def check_film(path: str | os.PathLike) -> None:
    """Raises `ValueError` unless the path can be a film's."""
    if Path(path).suffix.lower() not in _KINDS or Path(path).is_dir():
        raise ValueError(f"A film is a file .gif or .webp. Received: {os.fspath(path)!r}")


def save_film(
    frames: np.ndarray, path: str | os.PathLike, frames_per_second: int, scale: int = 1
) -> None:
    """Writes a film that begins again after its end, whole or not at all.

    Args:
        frames: uint8 `(N, H, W, 1 or 3)`.
        path: ends in .gif or .webp.
        frames_per_second: 1 to 50. A frame's time is rounded to hundredths of a second, in which
            GIF counts.
        scale: width of a pixel.

    Raises:
        ValueError: for another ending, or a speed outside the range.
    """
    check_film(path)
    if not 1 <= frames_per_second <= MOST_FRAMES_PER_SECOND:
        raise ValueError(
            f"`frames_per_second` must be in [1, {MOST_FRAMES_PER_SECOND}]. "
            f"Received: {frames_per_second}"
        )
    path = Path(path)
    first, *others = (to_picture(frame, scale) for frame in frames)
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        first.save(
            temporary,
            format=_KINDS[path.suffix.lower()],
            save_all=True,
            append_images=others,
            duration=10 * round(100 / frames_per_second),  # milliseconds
            loop=0,  # for ever
            lossless=True,  # of WebP
            optimize=False,  # of GIF: Pillow 12.3 gives shortened palettes to the wrong frame
        )
