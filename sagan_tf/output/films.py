"""Films as files that browsers show: GIF and WebP, which play on and on, and MP4."""

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from sagan_tf.extras import extra
from sagan_tf.output.files import replacing
from sagan_tf.output.pictures import to_picture

# Kinds of files by their endings. WebP keeps every level of colour; GIF has 256 colours a frame, so
# that grey films are kept as they are; MP4 is H.264, which plays everywhere and loses a little.
_KINDS = {".gif": "GIF", ".webp": "WEBP", ".mp4": "MP4"}
# H.264 with colours at half the resolution, as most players need it, at high quality.
_H264 = "-c:v libx264 -pix_fmt yuv420p -crf 12 -movflags +faststart -f mp4".split()
# Viewers show shorter frames of a GIF for a tenth of a second.
MOST_FRAMES_PER_SECOND = 50


def check_film(path: str | os.PathLike) -> None:
    """Raises `ValueError` unless the path can be a film's, and what writes it is installed."""
    ending = Path(path).suffix.lower()
    if ending not in _KINDS or Path(path).is_dir():
        raise ValueError(f"A film is a file .gif, .webp or .mp4. Received: {os.fspath(path)!r}")
    if ending == ".mp4":
        with extra("film"):
            import imageio_ffmpeg  # noqa: F401


def save_film(
    frames: np.ndarray, path: str | os.PathLike, frames_per_second: int, scale: int = 1
) -> None:
    """Writes a film, whole or not at all; GIF and WebP begin again after their end.

    Args:
        frames: uint8 `(N, H, W, 1 or 3)`.
        path: ends in .gif, .webp or, with the extra `film`, .mp4.
        frames_per_second: 1 to 50. A frame's time is rounded to hundredths of a second, in which
            GIF counts; not in MP4.
        scale: width of a pixel. Frames of an MP4 whose sides are odd get another row or column.

    Raises:
        ValueError: for another ending, a speed outside the range, or without the extra.
    """
    check_film(path)
    if not 1 <= frames_per_second <= MOST_FRAMES_PER_SECOND:
        raise ValueError(
            f"`frames_per_second` must be in [1, {MOST_FRAMES_PER_SECOND}]. "
            f"Received: {frames_per_second}"
        )
    path = Path(path)
    pictures = [to_picture(frame, scale) for frame in frames]
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        kind = _KINDS[path.suffix.lower()]
        if kind == "MP4":
            _write_mp4(pictures, temporary, frames_per_second)
            return
        pictures[0].save(
            temporary,
            format=kind,
            save_all=True,
            append_images=pictures[1:],
            duration=10 * round(100 / frames_per_second),  # milliseconds
            loop=0,  # for ever
            lossless=True,  # of WebP
            optimize=False,  # of GIF: Pillow 12.3 gives shortened palettes to the wrong frame
        )


def _write_mp4(pictures: Sequence[Image.Image], path: Path, frames_per_second: int) -> None:
    from imageio_ffmpeg import get_ffmpeg_exe

    width, height = (side + side % 2 for side in pictures[0].size)  # as H.264 needs them
    raw = f"-f rawvideo -pix_fmt rgb24 -s {width}x{height} -r {frames_per_second} -i -".split()
    frames = []
    for picture in pictures:
        missing = ((0, height - picture.height), (0, width - picture.width), (0, 0))
        frames.append(np.pad(np.asarray(picture.convert("RGB")), missing, mode="edge"))
    done = subprocess.run(
        [get_ffmpeg_exe(), "-v", "error", "-y", *raw, *_H264, path],
        input=np.stack(frames).tobytes(),
        capture_output=True,
        check=False,
    )
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip() or f"exit code {done.returncode}"
        raise OSError(f"ffmpeg cannot write the film: {said}")
