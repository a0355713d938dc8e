"""The page in a real browser, with a stub and with ONNX Runtime Web, which `make test` installs."""

import json

import numpy as np
import pytest
from playwright.sync_api import expect

from sagan_tf import export, sampling
from sagan_tf.export import ExportSettings
from sagan_tf.serving.exporting import html_format
from tests.support import browser, commands, trained_generator

RUNTIME = commands.ROOT / "node_modules" / "onnxruntime-web"
# Says what it was given, and draws the class and the first latent of each image.
STUB = """
export const env = {wasm: {}};
export class Tensor {
  constructor(type, data, dims) { Object.assign(this, {type, data, dims}); }
}
export class InferenceSession {
  static async create(model) {
    window.given = {model: model.length, binary: env.wasm.wasmBinary.byteLength};
    return new InferenceSession();
  }
  async run({latents, class_id}) {
    window.given.latents = latents;
    window.given.class_id = class_id;
    const size = 16 * 16;
    const data = new Float32Array(latents.dims[0] * size);
    data.forEach((_, index) => {
      const image = Math.floor(index / size);
      data[index] = index % size ? class_id.data[image] / 5 - 1 :
        Math.tanh(latents.data[image * latents.dims[1]]);
    });
    return {images: {data}};
  }
}
"""
HOSTILE = "</script><script>document.title = 'taken'</script><b>bold"


@pytest.fixture(scope="module")
def chromium():
    with browser.browsing() as started:
        yield started


@pytest.fixture
def opened(chromium):
    """A function that opens a page; it may ask for nothing else and say nothing in the console."""
    context = chromium.new_context()
    asked, said = [], []

    def opened(path):
        page = context.new_page()
        page.on("request", lambda request: asked.append(request.url))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("console", lambda message: said.append(message.text))
        page.goto(path.as_uri())
        return page

    yield opened
    context.close()
    assert said == []
    assert [url[:5] for url in asked if not url.startswith("blob:")] == ["file:"]


@pytest.fixture(scope="module")
def stub(tmp_path_factory):
    """A folder like that of the npm package."""
    folder = tmp_path_factory.mktemp("onnxruntime-web")
    (folder / "dist").mkdir()
    (folder / "package.json").write_text('{"version": "0.0.1"}')
    (folder / html_format._SCRIPT).write_text(STUB)
    (folder / html_format._BINARY).write_bytes(b"\0asm" * 5)
    return folder


@pytest.fixture(scope="module")
def page_of_stub(stub, tmp_path_factory):
    folder = tmp_path_factory.mktemp("exports")
    export.main(
        ExportSettings("digits", format="html", export_dir=str(folder), onnxruntime_web=str(stub))
    )
    return folder / "sagan.html"


def pixels(page):
    """The grey levels of the shown images, uint8 `(12, S, S)`, and whether all are opaque grey."""
    values = page.evaluate(
        """[...document.querySelectorAll("canvas")].map(canvas => [...canvas.getContext("2d")
        .getImageData(0, 0, canvas.width, canvas.height).data])"""
    )
    images = np.array(values, np.uint8).reshape(12, 16, 16, 4)
    assert np.ptp(images[..., :3], axis=-1).max() == 0
    assert images[..., 3].min() == 255
    return images[..., 0]


def test_seeds_give_the_latents_that_they_give_everywhere(opened, page_of_stub):
    """In the tails, too: of 64,000 numbers some lie beyond 4."""
    page = opened(page_of_stub)
    expect(page.get_by_role("status")).to_contain_text("12 images")
    seeds = [*range(995), 1234, 2**31, 2**32 + 1, 2**40 + 3, 2**53 - 1]
    values = page.evaluate("seeds => [...latentsFromSeeds(seeds)]", seeds)
    latents = np.array(values, np.float32).reshape(-1, 64)
    expected = sampling.latents_from_seeds(seeds, 64).numpy()
    np.testing.assert_array_max_ulp(latents, expected, maxulp=1)
    assert np.mean(latents == expected) > 0.9999
    assert np.abs(expected).max() > 4


def test_the_page_gives_the_runtime_what_it_needs(opened, page_of_stub):
    page = opened(page_of_stub)
    expect(page.get_by_role("heading")).to_have_text("sagan")
    page.get_by_label("Class").select_option("7")
    page.get_by_label("First seed").fill("1000")
    page.get_by_role("button", name="Next").click()
    expect(page.get_by_role("img").first).to_have_accessible_name("7 seed 1012")
    given = page.evaluate(
        """({...given, shape: given.latents.dims, latents: [...given.latents.data],
        class_id: [given.class_id.type, ...given.class_id.data]})"""
    )
    assert given["binary"] == 20
    assert given["model"] > 500_000
    assert given["shape"] == [12, 64]
    assert given["class_id"] == ["int32"] + [7] * 12
    expected = sampling.latents_from_seeds(np.arange(1012, 1024), 64).numpy()
    np.testing.assert_allclose(np.reshape(given["latents"], (12, 64)), expected, rtol=2e-7)
    shown = pixels(page)
    np.testing.assert_array_equal(shown[:, 0, 0], sampling.to_uint8(np.tanh(expected[:, 0])))
    assert np.unique(shown[:, 1:]) == sampling.to_uint8(7 / 5 - 1)


def test_seeds_do_not_fall_below_zero(opened, page_of_stub):
    page = opened(page_of_stub)
    page.get_by_role("button", name="Previous").click()
    expect(page.get_by_role("img").first).to_have_accessible_name("0 seed 0")
    page.get_by_label("First seed").fill("-3")
    page.get_by_label("First seed").blur()
    expect(page.get_by_role("img").first).to_have_accessible_name("0 seed 0")


@pytest.mark.parametrize("num_classes", [5, None])
def test_names_are_text(opened, stub, tmp_path, num_classes):
    from sagan_tf.serving.exporting.file_formats import write_file

    generator = trained_generator.trained(image_size=16, channels=1, num_classes=num_classes)
    names = [HOSTILE, "b", "c", "d", "e"] if num_classes else []
    path = tmp_path / "page.html"
    write_file(path, html_format.Page(stub, HOSTILE), generator, names, {}, "# card\n")
    page = opened(path)
    expect(page.get_by_role("heading")).to_have_text(HOSTILE)
    assert page.title() == HOSTILE
    picker = page.get_by_label("Class")
    if num_classes:
        expect(picker.get_by_role("option").first).to_have_text(HOSTILE)
    else:
        expect(picker).to_be_hidden()


def test_the_runtime_is_asked_for_before_the_work(tmp_path):
    settings = ExportSettings("digits", format="html", onnxruntime_web=str(tmp_path))
    message = r"npm install onnxruntime-web` makes .* which lacks package.json, dist/ort.wasm"
    with pytest.raises(ValueError, match=message):
        export.main(settings)


def test_the_browser_draws_the_generators_digits(opened, tmp_path):
    export.main(
        ExportSettings(
            "digits", format="html", export_dir=str(tmp_path), onnxruntime_web=str(RUNTIME)
        )
    )
    page = opened(tmp_path / "sagan.html")
    expect(page.get_by_role("status")).to_contain_text("12 images", timeout=60_000)
    generator = sampling.load_generator("digits")
    for label in (0, 7):
        page.get_by_label("Class").select_option(str(label))
        expect(page.get_by_role("img").first).to_have_accessible_name(f"{label} seed 0")
        expected = np.stack(list(sampling.sample(generator, range(12), [label] * 12)))[..., 0]
        assert np.abs(pixels(page).astype(int) - expected).max() <= 1
    version = json.loads((RUNTIME / "package.json").read_text())["version"]
    expect(page.locator("#version")).to_have_text(version)
