"""The page in a real browser, before a real server."""

import contextlib
import io
import os
import shutil
import zipfile

import gradio
import numpy as np
import pytest
import requests
from PIL import Image
from playwright.sync_api import expect

from sagan_tf.serving.client import Client
from sagan_tf.serving.exporting.warmup import WARM_UP_PATH
from sagan_tf.serving.gateway.callers import add_key, read_keys
from sagan_tf.serving.playground.gallery import Gallery, Grid
from sagan_tf.serving.playground.page import _in_cache
from sagan_tf.serving.server.app import bind
from tests.support import browser, commands, local_server


@pytest.fixture(scope="module")
def server(exported):
    with local_server.serving(("sagan", exported)) as (port, _):
        yield port


@pytest.fixture(scope="module")
def chromium():
    with browser.browsing() as started:
        yield started


@contextlib.contextmanager
def playground(port):
    """Yields the address of a page that asks the server at `port`.

    The environment names a proxy that is not there, as machines behind a firewall do whose proxy
    knows nothing of addresses of their own.
    """
    with bind("127.0.0.1", 0) as free:
        own = free.getsockname()[1]
    process = commands.start(
        "playground",
        f"--url=http://127.0.0.1:{port}",
        f"--port={own}",
        http_proxy="http://127.0.0.1:9",
    )
    try:
        assert process.stdout.readline() == f"page: http://127.0.0.1:{own}\n"
        yield f"http://127.0.0.1:{own}"
    finally:
        process.terminate()
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors
        assert "Traceback" not in errors


@pytest.fixture(scope="module")
def address(server):
    with playground(server) as found:
        yield found


@pytest.fixture
def page(chromium, address):
    """The page, loaded, with its first images; every address that it asked for must be local."""
    context = chromium.new_context(viewport={"width": 1280, "height": 1600})
    opened = context.new_page()
    asked, errors = [], []
    opened.on("request", lambda request: asked.append(request.url))
    opened.on("pageerror", lambda error: errors.append(str(error)))
    opened.goto(address)
    expect(opened.locator("#images img")).to_be_visible(timeout=60_000)
    yield opened
    context.close()
    assert not errors
    assert {url.split("/")[2] for url in asked if url.startswith("http")} == {address[7:]}


def shown(page, elem_id):
    """The picture that is on the page, as uint8."""
    url = page.locator(f"#{elem_id} img").get_attribute("src")
    picture = Image.open(io.BytesIO(requests.get(url, timeout=60).content))
    return np.asarray(picture)


def wait_for_other(page, elem_id, before):
    page.wait_for_function(
        "([id, src]) => { const image = document.querySelector(`#${id} img`);"
        " return image && image.src !== src }",
        arg=[elem_id, before],
        timeout=60_000,
    )


def source(page, elem_id):
    return page.locator(f"#{elem_id} img").get_attribute("src")


def expected(server, class_ids, seeds, truncation=None):
    gallery = Gallery(Client(f"http://127.0.0.1:{server}"), "")
    titles = [str(number) for number in class_ids]
    return gallery.sample(Grid(class_ids, seeds, truncation), titles)


def test_shows_the_first_classes_at_once(page, server):
    _, picture, _ = expected(server, (0, 1, 2, 3, 4), (0, 1))
    np.testing.assert_array_equal(shown(page, "images"), np.asarray(picture))
    expect(page.locator("#curl-images")).to_contain_text(
        '"class_id": [0, 1, 2, 3, 4, 0, 1, 2, 3, 4]'
    )
    with page.expect_download() as download:
        page.get_by_role("button", name="Download PNGs").click()
    archive = zipfile.ZipFile(download.value.path())
    assert len(archive.namelist()) == 10
    *_, pngs = expected(server, (0, 1, 2, 3, 4), (0, 1))
    assert archive.read("label-3-seed-1.png") == pngs[8]


def test_classes_are_picked_by_name_with_the_keyboard_alone(page, server):
    before = source(page, "images")
    box = page.get_by_label("Classes")
    box.focus()
    for _ in range(5):
        page.keyboard.press("Backspace")
    page.keyboard.type("7")
    page.keyboard.press("Enter")
    page.keyboard.press("Escape")
    page.keyboard.press("Tab")
    while page.evaluate("document.activeElement.type") != "number":
        page.keyboard.press("Tab")
    page.keyboard.press("Control+A")
    page.keyboard.type("1234")
    page.keyboard.press("Enter")
    wait_for_other(page, "images", before)
    _, picture, _ = expected(server, (7,), (1234, 1235))
    np.testing.assert_array_equal(shown(page, "images"), np.asarray(picture))


def test_a_click_shows_what_attention_looks_at(page, server):
    grid, *_ = expected(server, (0, 1, 2, 3, 4), (0, 1))
    image = page.locator("#images img")
    box = image.bounding_box()
    natural = image.evaluate("image => image.naturalWidth")
    x, y = 129 * 2 + 8 * 5 + 4, 12 + 129 + 8 * 9 + 4  # of the eighth image, row 9, column 5
    factor = box["width"] / natural
    image.click(position={"x": x * factor, "y": y * factor})
    expect(page.locator("#overlays img")).to_be_visible(timeout=60_000)
    for label, value in (("Image", "8"), ("Row", "9"), ("Column", "5")):
        expect(page.get_by_label(label, exact=True)).to_have_value(value)
    gallery = Gallery(Client(f"http://127.0.0.1:{server}"), "")
    np.testing.assert_array_equal(
        shown(page, "overlays"), np.asarray(gallery.attention(grid, 7, 9, 5))
    )


def test_attention_without_a_mouse(page):
    page.get_by_label("Row", exact=True).fill("99")
    page.get_by_role("button", name="Look").press("Enter")
    expect(page.get_by_text("Row must be a number from 0 to 15. Received: 99")).to_be_visible()
    page.get_by_label("Row", exact=True).fill("3")
    page.get_by_role("button", name="Look").press("Enter")
    expect(page.locator("#overlays img")).to_be_visible(timeout=60_000)


def test_the_way_between_two(page, server):
    page.get_by_role("tab", name="Between two").click()
    page.get_by_label("To seed").fill("5")
    page.get_by_role("button", name="Go").click()
    expect(page.locator("#strip img")).to_be_visible(timeout=60_000)
    gallery = Gallery(Client(f"http://127.0.0.1:{server}"), "")
    picture, _ = gallery.interpolation(((0, 0), (9, 5)), 8)
    np.testing.assert_array_equal(shown(page, "strip"), np.asarray(picture))
    expect(page.locator("#curl-strip")).to_contain_text('"signature_name": "interpolate"')


def test_a_film_between_two(page, server):
    """There and back: its first image and the one in the middle are those of the ends."""
    page.get_by_role("tab", name="Between two").click()
    page.get_by_label("To seed").fill("5")
    page.get_by_role("button", name="Make a film").click()
    with page.expect_download() as download:
        page.get_by_role("button", name="Download the film").click()
    assert download.value.suggested_filename == "film.webp"
    with Image.open(download.value.path()) as film:
        assert (film.n_frames, film.size, film.info["loop"]) == (62, (128, 128), 0)
        for frame, (class_id, seed) in ((0, (0, 0)), (31, (9, 5))):
            film.seek(frame)
            _, _, (png,) = expected(server, (class_id,), (seed,))
            image = np.asarray(Image.open(io.BytesIO(png))).astype(int)
            shown = np.asarray(film.convert("L"))[::8, ::8]
            assert np.abs(shown - image).max() <= 1


def test_sliders_move_an_image_along_directions(page, server):
    page.get_by_role("tab", name="Directions").click()
    expect(page.locator("#moved img")).to_be_visible(timeout=60_000)
    gallery = Gallery(Client(f"http://127.0.0.1:{server}"), "")

    def expect_moved(class_id, seed, *amounts):
        expect(page.locator("#curl-moved")).to_contain_text(
            f'"seed": [{seed}, {seed}], "amounts": '
            f'[[0.0, 0.0, 0.0, 0.0], {list(amounts)}], "class_id": [{class_id}, {class_id}]'
        )
        picture, _ = gallery.moved((class_id, seed), amounts)
        np.testing.assert_array_equal(shown(page, "moved"), np.asarray(picture))

    expect_moved(0, 0, 0, 0, 0, 0)
    page.get_by_role("slider", name="Direction 2").focus()
    for _ in range(15):
        page.keyboard.press("ArrowRight")
    expect_moved(0, 0, 0, 1.5, 0, 0)
    typed = page.get_by_label("number input for Direction 4")
    typed.fill("99")  # beyond the end
    typed.press("Tab")
    expect_moved(0, 0, 0, 1.5, 0, 4)
    typed.fill("")
    expect_moved(0, 0, 0, 1.5, 0, 0)
    page.get_by_label("Seed", exact=True).fill("-1")
    page.get_by_label("Seed", exact=True).press("Enter")
    expect(page.get_by_text("Seed must be a number from 0 to")).to_be_visible()
    page.get_by_label("Seed", exact=True).fill("5")
    page.get_by_label("Seed", exact=True).press("Enter")
    expect_moved(0, 5, 0, 1.5, 0, 0)


def test_an_older_export_has_no_sliders(chromium, exported, tmp_path):
    """Exported again without the signature, as exports were before it was there."""
    import tensorflow as tf

    loaded = tf.saved_model.load(str(exported / "1"))
    shutil.copytree(exported / "1" / "assets.extra", tmp_path / "1" / "assets.extra")
    (tmp_path / "1" / WARM_UP_PATH).unlink()
    older = {name: value for name, value in loaded.signatures.items() if name != "directions"}
    tf.saved_model.save(loaded, str(tmp_path / "1"), signatures=older)
    with (
        local_server.serving(("sagan", tmp_path)) as (port, _),
        local_server.guarding(port) as guarded,
    ):
        for number in (port, guarded):
            with playground(number) as address:
                page = chromium.new_page()
                page.goto(address)
                expect(page.locator("#images img")).to_be_visible(timeout=60_000)
                expect(page.get_by_role("tab", name="Between two")).to_be_visible()
                expect(page.get_by_role("tab", name="Directions")).to_be_hidden()
                expect(page.get_by_text("Error")).to_be_hidden()
                page.close()


def test_gradio_deletes_downloads_that_are_old(monkeypatch, tmp_path):
    """It keeps a list of the files in its cache; one from elsewhere would be copied and stay."""
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    path = _in_cache("film.webp")
    path.touch()
    button = gradio.DownloadButton()
    assert button.move_resource_to_block_cache(path) == str(path)
    assert button.temp_files == {str(path)}


def test_a_film_wants_a_seed(page):
    page.get_by_role("tab", name="Between two").click()
    page.get_by_label("To seed").fill("-1")
    page.get_by_role("button", name="Make a film").click()
    expect(page.get_by_text("To seed must be a number from 0 to")).to_be_visible()


def test_no_class_is_a_message(page):
    box = page.get_by_label("Classes")
    box.focus()
    for _ in range(5):
        page.keyboard.press("Backspace")
    page.get_by_role("button", name="Generate").press("Enter")
    expect(page.get_by_text("Choose a class.")).to_be_visible()


def test_no_files_and_no_other_names(address):
    """A page of another site that lets its name point here, and uploads, which no control takes."""
    assert requests.get(address, headers={"Host": "evil.example"}, timeout=60).status_code == 421
    files = {"files": ("a.txt", b"text")}
    refused = requests.post(f"{address}/gradio_api/upload", files=files, timeout=60)
    assert (refused.status_code, refused.json()) == (404, {"error": "This page takes no files."})
    large = requests.post(f"{address}/gradio_api/queue/join", data=b"a" * 300_000, timeout=60)
    assert large.status_code == 413


def test_a_server_that_is_down_is_a_message_until_it_is_back(chromium, exported):
    with bind("127.0.0.1", 0) as free:
        port = free.getsockname()[1]
    with playground(port) as address:
        page = chromium.new_page()
        page.goto(address)
        expect(page.get_by_text("The model cannot be reached.")).to_be_visible(timeout=60_000)
        expect(page.get_by_text("Is the server running?")).to_be_visible()
        assert str(port) not in page.locator("#notice").inner_text()
        with local_server.serving(("sagan", exported), at=port):
            page.get_by_role("button", name="Try again").click()
            expect(page.locator("#images img")).to_be_visible(timeout=60_000)
            expect(page.get_by_text("The model cannot be reached.")).to_be_hidden()
        page.get_by_role("button", name="Generate").click()
        expect(page.get_by_text("Is the server running?")).to_be_visible(timeout=60_000)
        page.close()


def test_through_a_gateway_with_a_key(chromium, server, tmp_path, monkeypatch):
    key = add_key(tmp_path / "keys", "page")
    with local_server.guarding(server, keys=read_keys(tmp_path / "keys")) as guarded:
        monkeypatch.setenv("SAGAN_TF_API_KEY", key)
        with playground(guarded) as address:
            page = chromium.new_page()
            page.goto(address)
            expect(page.locator("#images img")).to_be_visible(timeout=60_000)
            expect(page.locator("#curl-images")).to_contain_text("Bearer $SAGAN_TF_API_KEY")
            page.close()
        monkeypatch.setenv("SAGAN_TF_API_KEY", "wrong")
        with playground(guarded) as address:
            page = chromium.new_page()
            page.goto(address)
            expect(page.get_by_text("A key is needed")).to_be_visible(timeout=60_000)
            page.close()


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("--url=localhost", "`--url` must begin with http://"),
        ("--public_url=x", "`--public_url` must begin with http://"),
        ("--port=0", "`--port` must be in [1, 65535]. Received: 0"),
    ],
)
def test_bad_settings_are_one_message(argument, message):
    assert message in commands.fail("playground", argument)


def test_without_the_extra_the_message_names_it(tmp_path, monkeypatch):
    (tmp_path / "gradio.py").write_text("raise ModuleNotFoundError(name='gradio')\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    errors = commands.failed(commands.start_anew("playground"))
    assert "`gradio` is not installed; `pip install 'sagan_tf[playground]'` brings it." in errors


def test_a_port_in_use_is_one_message():
    with bind("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        errors = commands.failed(commands.start_anew("playground", f"--port={port}"))
    assert f"Port {port} of 127.0.0.1 cannot be listened at: Address already in use" in errors
    assert os.linesep.join(errors.strip().splitlines()[1:]) == ""
