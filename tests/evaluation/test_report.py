import dataclasses
import re

import numpy as np
import pytest

from sagan_tf.evaluation.evaluation import evaluate
from sagan_tf.evaluation.image_files import ArrayImages, NoImages
from sagan_tf.evaluation.moments import moments_of
from sagan_tf.evaluation.protocols import PROTOCOLS
from sagan_tf.evaluation.report import write_report
from tests.support import browser

NAMES = ("cat", "<script>document.title = 'broken'</script>", "d & g")
PROTOCOL = dataclasses.replace(PROTOCOLS["fidelity"], kernel_subsets=0)
METRICS = ("fid", "intra_fid", "agreement")


class Corners:
    """Features that are the pixels of a corner; the brightest of three says the class."""

    name = "corners"
    identity = {"network": "corners"}  # noqa: RUF012

    def __call__(self, images):
        corner = images[:, :2, :2, 0].reshape(len(images), -1).astype(np.float32)
        return {"features": corner, "logits": corner[:, :3]}


def images_of(folder, name, seed, copies=None):
    """Noise in which one pixel tells the class; some are copies of given images."""
    random = np.random.default_rng(seed)
    pixels = random.integers(0, 128, (60, 8, 8, 3), np.uint8)
    labels = np.arange(60) % 3
    pixels[np.arange(60), labels // 2, labels % 2] = 255
    if copies is not None:
        pixels[: len(copies)] = copies
    np.savez(folder / name, pixels, labels)
    return ArrayImages(folder / f"{name}.npz", 60)


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """The path of a report of 60 images, of which the first three are copies of real ones."""
    folder = tmp_path_factory.mktemp("report")
    real = images_of(folder, "real", seed=0)
    fake = images_of(folder, "fake", seed=1, copies=real.read(30, 33)[0])
    evaluation = evaluate(real, fake, Corners(), PROTOCOL, METRICS, folder)
    record = {"step": 20, **evaluation.record}
    earlier = {**record, "step": 10, "scores": {"frechet_distance": 99.0}}
    other = {**record, "step": 15, "protocol": {"name": "other"}}
    write_report(folder / "page", evaluation, 20, NAMES, [earlier, other, record])
    evaluation.features.remove()
    return folder / "page" / "index.html"


def test_tells_scores_and_how_they_were_made(page):
    text = page.read_text()
    assert re.search(r"label_agreement</th><td class=\"number\">1<", text)
    assert re.search(r"<th scope=\"row\">num_real</th><td>60</td>", text)
    assert text.count("<svg") == 1  # the distance alone was there at two steps
    assert len(list(page.parent.iterdir())) == 1


def test_copies_come_first(page):
    section = page.read_text().partition("Nearest real images")[2]
    distances = [float(found) for found in re.findall(r"<span>([\d.]+)</span>", section)]
    assert distances[:3] == [0, 0, 0]
    assert distances[3] > 0
    assert distances[:8] == sorted(distances[:8])


def test_is_one_file_that_a_browser_shows(page):
    asked = []
    with browser.browsing() as started:
        tab = started.new_page()
        tab.on("request", lambda request: asked.append(request.url))
        tab.goto(f"file://{page}")
        assert tab.title() == "Scores at step 20"
        assert tab.get_by_text(NAMES[1]).count()  # as text
        assert tab.locator("#classes figure").count() == 3
        widths = tab.locator("img").evaluate_all("all => all.map(image => image.naturalWidth)")
    assert len(widths) > 20
    assert min(widths) >= 48
    assert [url for url in asked if not url.startswith("data:")] == [f"file://{page}"]


def test_without_classes_and_real_images(tmp_path):
    fake = images_of(tmp_path, "fake", seed=1)
    np.savez(tmp_path / "plain", fake.read(0, 60)[0])
    np.savez(tmp_path / "moments", mu=0)
    known = {"features": moments_of(np.random.default_rng(0).normal(size=(50, 4)))}
    evaluation = evaluate(
        NoImages(tmp_path / "moments.npz"),
        ArrayImages(tmp_path / "plain.npz", 60),
        Corners(),
        PROTOCOL,
        ["fid"],
        tmp_path,
        known,
    )
    write_report(tmp_path / "page", evaluation, None, (), [])
    text = (tmp_path / "page" / "index.html").read_text()
    assert "Nearest" not in text
    assert text.count("<img") == 7
