"""The page in a real browser, which must not ask for anything else."""

import base64
import io

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import expect

from sagan_tf.attention.map_page import write_page
from tests.support import browser

MEASURES = {"distance": 1, "entropy": 0.5, "effective_keys": 8, "far_mass": 0.25, "usage": 0.125}
HOSTILE = "</script><script>document.title = 'taken'</script><b>bold"
FIRST, SECOND = "generator/attention_4x4", "discriminator/attention_64x64"
YELLOW = 0.7 * np.array([255, 255, 0]) + 0.3 * 100  # over the images' grey


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """A page whose first layer looks from each place of the upper half to the lower right."""
    path = tmp_path_factory.mktemp("page") / "new" / "attention.html"
    images = np.full((2, 16, 16, 1), 100, np.uint8)
    looking = np.zeros((2, 4, 4, 2, 2), np.float32)
    looking[:, :2, :, 1, 1] = 1
    looking[:, 2:] = 1 / 4
    scores = {FIRST: looking, SECOND: np.full((2, 64, 64, 4, 4), 1 / 16, np.float32)}
    measures = {FIRST: MEASURES, SECOND: {**MEASURES, "usage": 0}}
    write_page(path, HOSTILE, images, [HOSTILE, "cat, seed 1"], scores, measures)
    assert [file.name for file in path.parent.iterdir()] == ["attention.html"]
    return path


@pytest.fixture(scope="module")
def chromium():
    with browser.browsing() as started:
        yield started


@pytest.fixture
def page(chromium, path):
    """The page, loaded; nothing but the file and its own pictures may have been asked for."""
    context = chromium.new_context(has_touch=True)
    opened = context.new_page()
    asked, errors = [], []
    opened.on("request", lambda request: asked.append(request.url))
    opened.on("pageerror", lambda error: errors.append(str(error)))
    opened.on("console", lambda message: errors.append(message.text))
    opened.goto(path.as_uri())
    yield opened
    context.close()
    assert not errors
    assert [url for url in asked if not url.startswith("data:")] == [path.as_uri()]


def shown(canvas):
    """What a canvas shows, uint8 `(256, 256, 3)`: every second of its pixels."""
    url = canvas.evaluate("canvas => canvas.toDataURL()")
    png = base64.b64decode(url.removeprefix("data:image/png;base64,"))
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))[::2, ::2]


def canvas(page, index=0):
    return page.locator("canvas").nth(index)


def test_hovering_shows_what_the_place_attends_to(page):
    image = canvas(page)
    assert (shown(image) == 100).all()
    image.hover(position={"x": 96, "y": 32})  # row 0, column 1 of 4
    expect(page.locator("#seen")).to_contain_text(
        "row 1 of 4, column 2 of 4 attends most to row 2 of 2, column 2 of 2 (100 % of its"
    )
    picture = shown(image)
    assert picture[250, 250] == pytest.approx(YELLOW, abs=3)
    assert (picture[250, 5] == 100).all()
    assert tuple(picture[32, 64]) == (255, 255, 255)  # the frame of the place
    assert (shown(canvas(page, 1)) == 100).all()
    image.hover(position={"x": 96, "y": 250})  # from where attention is uniform
    expect(page.locator("#seen")).to_contain_text("25 % of its attention")
    assert shown(image)[5, 5] == pytest.approx(YELLOW, abs=3)
    page.mouse.move(1, 1)
    expect(page.locator("#seen")).to_be_empty()
    assert (shown(image) == 100).all()


def test_without_a_mouse(page):
    page.keyboard.press("Tab")
    expect(page.get_by_label("Attention layer")).to_be_focused()
    page.keyboard.press("Tab")
    expect(canvas(page)).to_be_focused()
    seen = page.locator("#seen")
    expect(seen).to_contain_text("row 3 of 4, column 3 of 4 attends")
    for key in ("ArrowUp", "ArrowRight", "ArrowRight", "ArrowRight"):
        page.keyboard.press(key)
    expect(seen).to_contain_text("row 2 of 4, column 4 of 4 attends")
    page.keyboard.press("Escape")
    expect(seen).to_be_empty()
    page.keyboard.press("ArrowUp")
    expect(seen).to_contain_text("row 3 of 4, column 3 of 4 attends")


def test_with_a_finger(page):
    canvas(page, 1).tap(position={"x": 10, "y": 10})
    expect(page.locator("#seen")).to_contain_text("cat, seed 1: row 1 of 4, column 1 of 4")


def test_another_layer(page):
    expect(page.get_by_role("row").last).to_contain_text("0.125")
    page.get_by_label("Attention layer").select_option(SECOND)
    expect(page.get_by_role("row").last).to_have_text(
        "Norm of what attention adds, relative to the input0"
    )
    canvas(page).hover(position={"x": 250, "y": 250})
    # Every second of 64 places is kept.
    expect(page.locator("#seen")).to_contain_text("row 32 of 32, column 32 of 32 attends")
    assert shown(canvas(page))[5, 5] == pytest.approx(YELLOW, abs=3)


def test_names_are_only_text(page):
    assert page.title() == HOSTILE
    expect(page.get_by_role("heading", level=1)).to_have_text(HOSTILE)
    expect(page.locator("figcaption").first).to_have_text(HOSTILE)
    assert page.locator("b").count() == 0
