import base64
import io
import json
import subprocess

import numpy as np
import pytest
from PIL import Image

from sagan_tf.models import Generator
from sagan_tf.serving.client import Client, ServingError
from sagan_tf.serving.exporting.saved_model import write_version
from sagan_tf.serving.playground.gallery import Gallery, Grid
from tests.support import local_server


@pytest.fixture(scope="module")
def url(exported):
    with local_server.serving(("sagan", exported)) as (port, _):
        yield f"http://127.0.0.1:{port}"


@pytest.fixture
def gallery(url):
    return Gallery(Client(url), f"{url}/v1/models/sagan:predict")


def pixels(png):
    return np.asarray(Image.open(io.BytesIO(png)))


def test_a_point_of_the_picture_is_a_pixel_of_an_image():
    grid = Grid((4, 9), (7, 8), None, image_size=16)
    assert grid.scale == 8
    assert grid.place(0, 12) == (0, 0, 0)  # below the titles
    assert grid.place(0, 11) is None
    assert grid.place(127, 12 + 127) == (0, 15, 15)
    assert grid.place(128, 12) is None  # the line between
    assert grid.place(129 + 8 * 3, 12 + 129 + 8 * 5) == (3, 5, 3)
    assert grid.place(2 * 129, 12) is None
    assert grid.place(0, 12 + 2 * 129) is None
    assert Grid((None,), (7,), None, image_size=128).place(5, 6) == (0, 6, 5)


def test_the_picture_has_the_images_of_the_grid_where_it_says(gallery):
    grid, picture, pngs = gallery.sample(Grid((3, 7), (1, 2, 3), 0.5), ["three", "seven"])
    assert (grid.image_size, grid.scale) == (16, 8)
    assert picture.size == (2 * 129 - 1, 12 + 3 * 129 - 1)
    shown = np.asarray(picture)
    for y in range(12, picture.height, 8):
        for x in range(0, picture.width, 8):
            place = grid.place(x, y)
            if place is not None:
                index, row, column = place
                assert shown[y, x] == pixels(pngs[index])[row, column]
    assert grid.images() == [(3, 1), (7, 1), (3, 2), (7, 2), (3, 3), (7, 3)]


@pytest.mark.parametrize("truncation", [None, 0.5])
def test_attention_is_of_the_image_that_is_shown(gallery, url, truncation):
    grid, _, pngs = gallery.sample(Grid((3, 7), (1, 2), truncation), ["3", "7"])
    picture = np.asarray(gallery.attention(grid, 3, row=5, column=9))
    assert picture.shape == (12 + 256, 256, 3)  # one layer
    overlay = picture[12::16, ::16].astype(float)
    assert overlay[5, 9].tolist() == [0, 255, 0]
    # Heat only takes blue away.
    image = pixels(pngs[3]).astype(float)
    elsewhere = np.ones((16, 16), bool)
    elsewhere[5, 9] = False
    assert (overlay[..., 2] <= image + 1)[elsewhere].all()
    assert np.corrcoef(overlay[..., 2][elsewhere], image[elsewhere])[0, 1] > 0.9


def test_the_curl_line_asks_for_the_same(gallery):
    grid, _, pngs = gallery.sample(Grid((3,), (7,), 0.5), ["3"])
    answer = subprocess.run(
        gallery.curl(grid), shell=True, capture_output=True, text=True, check=True
    )
    (data,) = json.loads(answer.stdout)["outputs"]["image_bytes"]
    assert base64.b64decode(data["b64"]) == pngs[0]


def test_a_key_is_named_not_shown(url):
    gallery = Gallery(Client(url, api_key="secret"), "https://a.b/c:predict", "THE_KEY")
    line = gallery.curl(Grid((3,), (7,), None))
    assert '-H "Authorization: Bearer $THE_KEY"' in line
    assert "secret" not in line


def test_the_way_between_begins_and_ends_at_the_two(gallery):
    picture, line = gallery.interpolation(((3, 7), (9, 1)), 4)
    first, last = (
        gallery.sample(Grid((label,), (seed,), None), [""])[2][0]
        for label, seed in ((3, 7), (9, 1))
    )
    shown = np.asarray(picture)[::8].astype(int)
    assert np.abs(shown[:, 0:128:8] - pixels(first)).max() <= 1
    assert np.abs(shown[:, 3 * 129 : 3 * 129 + 128 : 8] - pixels(last)).max() <= 1
    assert '"fraction": [0.0, 0.3333333333333333, 0.6666666666666666, 1.0]' in line


def test_an_image_as_it_is_and_moved(gallery):
    amounts = [1.5, 0, 0, -2]
    picture, line = gallery.moved((3, 7), amounts)
    inputs = {"class_id": [3], "seed": [7]}
    (plain,) = gallery._client.predict("sample", inputs)["image_bytes"]
    (moved,) = gallery._client.predict("directions", {**inputs, "amounts": [amounts]})[
        "image_bytes"
    ]
    shown = np.asarray(picture)[12::16].astype(int)  # below the titles
    assert np.abs(shown[:, 0:256:16] - pixels(plain)).max() <= 1
    assert np.abs(shown[:, 257:513:16] - pixels(moved)).max() <= 1
    assert '"amounts": [[0.0, 0.0, 0.0, 0.0], [1.5, 0, 0, -2]]' in line
    assert gallery.has_directions(3)


def test_what_a_generator_lacks_is_not_offered(tmp_path):
    generator = Generator(16, None, base_filters=4, latent_dim=8, attention_resolutions=())
    generator.build()
    (tmp_path / "sagan").mkdir()
    write_version(tmp_path / "sagan", 1, generator, (), {}, "")
    with (
        local_server.serving(("sagan", tmp_path / "sagan")) as (port, _),
        local_server.guarding(port) as guarded,
    ):
        for number in (port, guarded):
            gallery = Gallery(Client(f"http://127.0.0.1:{number}"), "x")
            assert gallery.class_choices() is None
            assert not gallery.has_attention(None)
            assert gallery.has_directions(None)
            assert gallery.moved((None, 1), [1, 0, 0, 0])[0].size == (2 * 257 - 1, 12 + 256)
            picture = gallery.sample(Grid((None,), (1, 2), None), [])[1]
            assert picture.size == (128, 2 * 129 - 1)
            assert gallery.interpolation(((None, 1), (None, 2)), 3)[0].size == (3 * 129 - 1, 128)


def test_class_names_are_told_apart(gallery):
    assert gallery.class_choices() == [(str(number), number) for number in range(10)]
    assert gallery.has_attention(0)
    gallery._client.__dict__["class_names"] = ["crane", "tench", "crane"]
    assert gallery.class_choices() == [("crane (0)", 0), ("tench", 1), ("crane (2)", 2)]


def test_without_a_server_it_says_so():
    gallery = Gallery(Client("http://127.0.0.1:1", retries=0), "x")
    for ask in (
        gallery.class_choices,
        lambda: gallery.has_attention(0),
        lambda: gallery.has_directions(0),
    ):
        with pytest.raises(ServingError, match="Is the server running"):
            ask()
