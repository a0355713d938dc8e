import subprocess
import sys

import imageio_ffmpeg
import numpy as np
import pytest
from PIL import Image

from sagan_tf.output.films import check_film, save_film


def read(path):
    with Image.open(path) as film:
        frames = []
        for index in range(film.n_frames):
            film.seek(index)
            film.load()  # which reads the frame's time
            frames.append((film.info["duration"], np.asarray(film.convert("RGB"))))
        return film.info["loop"], frames


@pytest.mark.parametrize("name", ["grey.gif", "grey.webp", "grey.GIF", "colour.webp"])
def test_a_film_keeps_every_level(tmp_path, name):
    """Also of grey GIFs, whose palette has all 256 levels."""
    channels = 3 if name.startswith("colour") else 1
    frames = np.random.default_rng(0).integers(0, 256, (5, 16, 16, channels), dtype=np.uint8)
    frames[0, :, :, 0] = np.arange(256).reshape(16, 16)
    path = tmp_path / "new" / name
    save_film(frames, path, frames_per_second=25, scale=2)
    loop, found = read(path)
    assert loop == 0  # for ever
    assert len(found) == 5
    for (duration, image), frame in zip(found, frames, strict=True):
        assert duration == 40
        enlarged = frame.repeat(2, axis=0).repeat(2, axis=1)
        np.testing.assert_array_equal(image, np.broadcast_to(enlarged, image.shape))
    assert [file.name for file in path.parent.iterdir()] == [name]


def test_colours_of_a_gif_are_near(tmp_path):
    ramp = np.linspace(0, 255, 64).astype(np.uint8)
    frame = np.stack(np.broadcast_arrays(ramp[:, None], ramp, np.uint8(128)), axis=-1)
    save_film(np.stack([frame, frame[::-1]]), tmp_path / "a.gif", 10)
    _, found = read(tmp_path / "a.gif")
    assert [duration for duration, _ in found] == [100, 100]
    assert np.abs(found[0][1].astype(int) - frame).mean() < 8


def read_mp4(path, height, width):
    """Its frames, uint8 `(N, H, W, 3)`, and what ffmpeg says of it."""
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-i", path, *"-f rawvideo -pix_fmt rgb24 -".split()]
    done = subprocess.run(command, capture_output=True, check=True)
    return np.frombuffer(done.stdout, np.uint8).reshape(-1, height, width, 3), done.stderr.decode()


def test_an_mp4_is_near_and_of_even_sides(tmp_path):
    """Frames keep their place, order and time, and levels nearly; H.264 has no odd sides."""
    ramp = np.linspace(20, 235, 33).astype(np.uint8)
    frame = np.broadcast_to(ramp[:, None, None], (33, 17, 1))
    frames = np.stack([frame, frame[::-1], frame // 2])
    save_film(frames, tmp_path / "new" / "a.mp4", 20, scale=3)
    found, about = read_mp4(tmp_path / "new" / "a.mp4", 100, 52)
    assert "Video: h264" in about
    assert "52x100" in about
    assert "20 fps" in about
    assert len(found) == 3
    enlarged = frames.repeat(3, axis=1).repeat(3, axis=2).astype(int)
    assert np.abs(found[:, :99, :51] - enlarged).mean() < 2
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["a.mp4"]


def test_an_mp4_wants_its_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    with pytest.raises(ValueError, match=r"'sagan_tf\[film\]'"):
        check_film(tmp_path / "a.mp4")


def test_it_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    frames = np.zeros((3, 8, 8, 1), np.uint8)
    path = tmp_path / "a.gif"
    save_film(frames, path, 10)
    before = path.read_bytes()
    monkeypatch.setattr(Image.Image, "save", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        save_film(frames + 9, path, 10)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("name", "speed", "message"),
    [
        ("a.avi", 10, r"a file .gif, .webp or .mp4. Received: '.*a.avi'"),
        ("a", 10, r"Received: '.*a'"),
        ("a.gif", 51, r"in \[1, 50\]. Received: 51"),
        ("a.gif", 0, r"in \[1, 50\]. Received: 0"),
    ],
)
def test_bad_films(tmp_path, name, speed, message):
    with pytest.raises(ValueError, match=message):
        save_film(np.zeros((2, 8, 8, 1), np.uint8), tmp_path / name, speed)
    assert not list(tmp_path.iterdir())


def test_a_film_that_ffmpeg_cannot_write(tmp_path, file_size_limit):
    frames = np.random.default_rng(0).integers(0, 256, (20, 64, 64, 3), dtype=np.uint8)
    with file_size_limit(1000), pytest.raises(OSError, match=r"ffmpeg cannot write the film: .+"):
        save_film(frames, tmp_path / "a.mp4", 20)
    assert not list(tmp_path.iterdir())
