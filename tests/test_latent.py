import re

import numpy as np
import pytest
from PIL import Image

from sagan_tf import sampling
from sagan_tf.latent import __main__ as command
from sagan_tf.latent.__main__ import LatentSettings
from sagan_tf.latent.directions import class_directions, directions
from sagan_tf.output.pictures import save_png
from tests.support import commands


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def run(**given):
    command.main(LatentSettings(**{"workdir": "digits", **given}))


def test_a_sheet_of_directions(tmp_path):
    settings = "--directions=3", "--seeds=5,9", "--labels=7", "--steps=3", "--reach=2", "--scale=1"
    printed = commands.run("latent", "--workdir=digits", *settings, f"--out={tmp_path}/sheet.png")
    assert f"sheet: {tmp_path}/sheet.png" in printed
    sheet = np.asarray(Image.open("sheet.png")).astype(int)
    height, width = 3 * 17 - 1, 6 * 17 - 1
    assert sheet.shape[1] == width
    cells = sheet[-height:]  # below the titles
    generator = sampling.load_generator("digits")
    latents = sampling.latents_from_seeds([5, 9], 64)
    # The last row's last image: of the second seed, two units along the third direction.
    moved = latents[1:] + 2 * directions(generator, 3)[2:]
    (expected,) = sampling.to_uint8(generator(moved, np.array([7])))
    assert np.abs(cells[-16:, -16:] - expected[..., 0]).max() <= 1
    for row in range(3):  # in the middle stand the seeds themselves
        for column, image in zip((1, 4), sampling.sample(generator, [5, 9], [7, 7]), strict=True):
            cell = cells[17 * row :, 17 * column :][:16, :16]
            assert np.abs(cell - image[..., 0]).max() <= 1


def test_a_sheet_of_class_directions():
    run(class_directions=2, seeds="5", labels="3", steps=3, scale=1)
    sheet = np.asarray(Image.open("latent.png")).astype(int)
    cells = sheet[-(2 * 17 - 1) :]
    generator = sampling.load_generator("digits")
    latents = sampling.latents_from_seeds([5, 5], 64)
    # The last row: at -1, 0 and 1 along the second direction.
    weights = np.eye(10)[3] + np.outer([-1, 1], class_directions(generator, 2)[1])
    first, last = sampling.to_uint8(generator(latents, weights.astype("float32")))[..., 0]
    (middle,) = sampling.sample(generator, [5], [3])
    for place, image in ((0, first), (17, middle[..., 0]), (34, last)):
        assert np.abs(cells[-16:, place : place + 16] - image).max() <= 1


def test_films(capsys):
    run(film="walk.gif", labels="7,3", frames=6, scale=1)
    run(film="swing.webp", along=2, labels="3", seeds="4", frames=5)
    run(film="seen.gif", labels="7", seeds="0-2", frames=7, attention="12,8")
    assert "film: walk.gif" in capsys.readouterr().out
    sizes = {"walk.gif": (6, (16, 16)), "swing.webp": (5, (128, 128)), "seen.gif": (7, (257, 128))}
    for name, (count, size) in sizes.items():
        with Image.open(name) as film:
            assert (film.n_frames, film.size) == (count, size)


def distances(printed):
    """What was found, the nearest sample, one colour everywhere."""
    return map(float, re.findall(r"([\d.]+)(?: levels|, the nearest|, one)", printed))


def test_projecting_says_how_near_it_came(capsys):
    generator = sampling.load_generator("digits")
    (image,) = sampling.sample(generator, [4242], [8])
    save_png(image, "eight.png")
    run(project="eight.png", out="new/found.png")
    found, sample, flat = distances(capsys.readouterr().out)
    assert found < 3 < 15 < sample < flat
    with np.load("new/found.npz") as saved:
        drawn = generator(saved["latents"][None], saved["class_weights"][None])
    pair = np.asarray(Image.open("new/found.png")).astype(int)
    assert pair.shape == (16 * 8, (2 * 17 - 1) * 8)
    target, redrawn = pair[::8, : 16 * 8 : 8], pair[::8, 17 * 8 :: 8]
    np.testing.assert_array_equal(target, image[..., 0])
    assert np.abs(redrawn - sampling.to_uint8(drawn)[0, ..., 0]).max() <= 1


def test_projecting_noise_shows_that_it_fails(capsys):
    Image.effect_noise((16, 16), 200).save("noise.png")
    run(project="noise.png")
    found, _, flat = distances(capsys.readouterr().out)
    assert found > 50
    assert found > 0.7 * flat


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "Give one of .* Received: none of them"),
        ({"film": "a.gif", "directions": 2}, "Received: `--directions` and `--film`"),
        ({"directions": 2, "frames": 3}, "`--frames` is for `--film`. Leave it out"),
        ({"project": "a.png", "labels": "1"}, "`--labels` is for .* and `--film`"),
        ({"film": "a.gif", "background": "red"}, "`--background` is for `--project`"),
        ({"film": "a.avi"}, r"a file .gif, .webp or .mp4"),
        (
            {"film": "a.gif", "labels": "7"},
            r"`--film` leads through at least two .*Received: 1, frames=96",
        ),
        ({"film": "a.gif", "along": 1, "seeds": "0-1"}, "one seed and class. Received: 2 seeds"),
        ({"film": "a.gif", "attention": "12"}, "`--attention` expects row,column .*'12'"),
        ({"film": "a.gif", "attention": "12,16"}, r"must lie in the image.*\(12, 16\)"),
        ({"directions": 65}, r"`--directions` must be in \[1, 64\].*Received: 65"),
        ({"film": "a.gif", "labels": "7", "along": 65}, r"`--along` must be in \[1, 64\]"),
        ({"class_directions": 10}, r"`--class_directions` must be in \[1, 9\].*Received: 10"),
        ({"directions": 2, "labels": "ten"}, "or class names. Received: 'ten'"),
        ({"directions": 2, "seeds": "x"}, "`--seeds` expects numbers"),
        ({"directions": 2, "out": "a.npz"}, "`--out` expects a file .png. Received: 'a.npz'"),
        ({"project": "missing.png"}, "`--project` missing.png cannot be read"),
        ({"workdir": "nowhere", "directions": 2}, "holds no training run"),
    ],
)
def test_bad_settings(tmp_path, given, message):
    with pytest.raises(ValueError, match=message):
        run(**given)
    assert not list(tmp_path.iterdir())


def test_a_damaged_picture_is_named(tmp_path):
    (tmp_path / "a.png").write_bytes(b"\x89PNG")
    with pytest.raises(ValueError, match=r"`--project` a.png cannot be read"):
        run(project="a.png")
