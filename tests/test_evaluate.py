import dataclasses
import json
import re
import shutil

import numpy as np
import pytest
from PIL import Image

from sagan_tf.data import load_source
from sagan_tf.evaluate import EvaluateSettings, main
from sagan_tf.evaluation.images import RealImages
from sagan_tf.evaluation.protocols import PROTOCOLS
from sagan_tf.evaluation.sides import RealPlace
from tests.support import commands, local_server

FEW = ("--num_images=60", "--num_real=200")


@pytest.fixture
def workdir(digits, tmp_path):
    shutil.copytree(digits, tmp_path / "run")
    return tmp_path / "run"


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return str(tmp_path_factory.mktemp("cache"))


def last(path):
    return json.loads(path.read_text().splitlines()[-1])


def evaluate(workdir, cache, **changed):
    """The last line of JSON of an evaluation within the test's process."""
    out = workdir / "out.jsonl"
    settings = {"workdir": str(workdir), "num_images": 60, "num_real": 200, "cache_dir": cache}
    main(EvaluateSettings(**{**settings, "out": str(out), **changed}))
    return last(out)


def test_scores_a_run(workdir, cache):
    printed = commands.run("evaluate", f"--workdir={workdir}", *FEW, f"--cache_dir={cache}")
    assert "60 generated against 200 real images, step 20, protocol fidelity" in printed
    assert re.search(r"^frechet_distance +\d", printed, re.MULTILINE)
    record = last(workdir / "scores.jsonl")
    assert record["step"] == 20
    assert record["protocol"]["num_images"] == 60
    assert record["protocol"]["num_real"] == 200
    assert record["real"]["dataset"] == "digits"
    names = {"frechet_distance", "kernel_distance", "precision", "label_agreement"}
    assert names <= set(record["scores"])
    assert 0 < record["scores"]["within_class_spread"] < 2
    assert len(record["by_class"]["within_class_spread"]) == 10
    assert "not computed" not in printed
    some = ["--metrics=is,fid,sfid", *FEW, f"--cache_dir={cache}"]
    printed = commands.run("evaluate", f"--workdir={workdir}", *some)
    assert "\nnot computed: is, sfid (" in printed


def test_the_classifier_refuses_images_of_another_kind(workdir, cache, tmp_path):
    """Files are read in colour, and the digits are grey."""
    (tmp_path / "files").mkdir()
    for index in range(8):
        image = Image.fromarray(np.full((16, 16), 30 * index, np.uint8))
        image.save(tmp_path / "files" / f"{index}.png")
    with pytest.raises(
        ValueError, match=r"channels \(16, 16, 1\).*Received: images of \(16, 16, 3\)"
    ):
        evaluate(workdir, cache, images=f"folder:{tmp_path / 'files'}", num_images=8)


def test_a_run_that_kept_a_directory_for_nothing(workdir, cache):
    config = workdir / "config.json"
    description = json.loads(config.read_text())
    description["settings"]["data_dir"] = "/nowhere"
    config.write_text(json.dumps(description))
    assert evaluate(workdir, cache, metrics=("agreement",))["real"]["dataset"] == "digits"
    with pytest.raises(ValueError, match=r"`--data_dir` is for data sets of TensorFlow Datasets"):
        evaluate(workdir, cache, data_dir="/nowhere")


def test_averaged_and_not(workdir, cache):
    averaged = evaluate(workdir, cache)
    trained = evaluate(workdir, cache, averaged=False)
    assert len((workdir / "scores.jsonl").read_text().splitlines()) == 2
    assert trained["images"]["generator"] != averaged["images"]["generator"]
    assert trained["scores"]["frechet_distance"] != averaged["scores"]["frechet_distance"]
    assert trained["extractor"] == averaged["extractor"]


def test_a_server_and_an_export_score_as_the_run(workdir, exported, cache):
    expected = evaluate(workdir, cache)["scores"]
    with local_server.serving(("sagan", exported)) as (port, _):
        for images in (f"savedmodel:{exported}/1", f"http://127.0.0.1:{port}"):
            scores = evaluate(workdir, cache, images=images)["scores"]
            assert scores.keys() == expected.keys()
            for name, value in scores.items():
                assert value == pytest.approx(expected[name], rel=1e-3, abs=1e-6), name
    assert len((workdir / "scores.jsonl").read_text().splitlines()) == 1


def test_compares_like_with_like(workdir, cache):
    def written(name, **changed):
        record = evaluate(workdir, cache, metrics=("fid",), **changed)
        (workdir / name).write_text(json.dumps(record) + "\n")
        return workdir / name

    first, second = written("a"), written("b", averaged=False)
    printed = commands.run("evaluate", "--compare", first, second)
    (line,) = re.findall(r"^frechet_distance .*", printed, re.MULTILINE)
    scores = [last(path)["scores"]["frechet_distance"] for path in (first, second)]
    assert list(map(float, line.split()[1:])) == pytest.approx(scores, rel=1e-3)
    third = written("c", protocol="adm")
    errors = commands.fail("evaluate", "--compare", first, third)
    assert "cannot be compared: they differ in `protocol.name`. Received: 'fidelity' in" in errors
    fourth = written("d", num_images=70)
    errors = commands.fail("evaluate", "--compare", first, fourth)
    assert "they differ in `protocol.num_images`. Received: 60 in" in errors


@pytest.mark.parametrize("protocol", ["fidelity", "sagan"])
def test_inception_of_one_s_own_weights(workdir, cache, inception_weights, monkeypatch, protocol):
    monkeypatch.setenv("SAGAN_TF_INCEPTION", str(inception_weights))
    metrics = ("is", "fid", "sfid", "kid", "overlap", "agreement")
    record = evaluate(
        workdir,
        cache,
        extractor="inception",
        metrics=metrics,
        protocol=protocol,
        num_images=20,
        num_real=30,
    )
    names = {"is", "is_1split", "fid", "sfid", "kid", "precision", "coverage"}
    assert names <= set(record["scores"])
    assert "label_agreement" not in record["scores"]  # the network knows no digits
    assert record["extractor"]["taps"] == ["2048", "logits_unbiased", "spatial"]
    assert record["images"]["quantized"] is (protocol == "fidelity")


def test_classes_have_images_of_their_own_number(workdir, cache):
    expected = evaluate(workdir, cache, metrics=("fid",))["scores"]["frechet_distance"]
    groups = workdir / "groups.json"
    groups.write_text(json.dumps({"round": ["0", "6"], "straight": ["1"]}))
    page = workdir / "page"
    record = evaluate(
        workdir,
        cache,
        metrics=("fid", "intra_fid"),
        class_images=20,
        groups=str(groups),
        report=str(page),
    )
    by_class = record["by_class"]["intra_frechet_distance_20"]
    assert len(by_class) == 10
    mean = (by_class["0"] + by_class["6"]) / 2
    assert record["groups"]["intra_frechet_distance_20"]["round"] == pytest.approx(mean)
    # The others are of the first 60 images, as without.
    assert record["protocol"]["num_images"] == 60
    assert record["scores"]["frechet_distance"] == pytest.approx(expected, rel=1e-6)
    assert "intra_frechet_distance_20, round" in (page / "index.html").read_text()


def test_real_images_as_if_they_were_generated(workdir, cache):
    generated = evaluate(workdir, cache, num_real=300)
    ceiling = evaluate(workdir, cache, num_real=300, images="real")
    # All that the two are scored by is the same.
    for name in ("protocol", "extractor", "real"):
        assert ceiling[name] == generated[name]
    assert ceiling["images"]["real"]["dataset"] == "digits"
    assert ceiling["images"]["real"]["num_images"] == 60
    assert ceiling["images"]["real"]["first"] == 1797 - 60
    assert ceiling["step"] is None
    assert len((workdir / "scores.jsonl").read_text().splitlines()) == 1  # of the run's own images
    scores = ceiling["scores"]
    assert scores["frechet_distance"] < 0.5 * generated["scores"]["frechet_distance"]
    assert scores["label_agreement"] > 0.8
    assert scores["within_class_spread"] == pytest.approx(1, abs=0.1)
    assert scores["recall"] > 0.5


def test_real_images_are_halved_and_no_image_is_on_both_sides(workdir, cache):
    pixels = np.random.default_rng(0).integers(0, 256, (40, 16, 16, 1), np.uint8)
    np.savez(workdir / "all.npz", pixels)
    place = RealPlace(f"npz:{workdir / 'all.npz'}")
    protocol = dataclasses.replace(PROTOCOLS["fidelity"], num_images=15)
    real, others = place.halves(protocol, 15)
    assert (real.num_images, others.num_images) == (25, 15)
    read = np.concatenate([real.read(0, 25)[0], others.read(0, 5)[0], others.read(5, 15)[0]])
    np.testing.assert_array_equal(read, pixels)
    real, others = place.halves(protocol, None)
    assert (real.num_images, others.num_images) == (25, 15)
    few = dataclasses.replace(protocol, num_images=50_000, num_real=7)
    real, others = place.halves(few, None)
    assert (real.num_images, others.num_images) == (7, 20)
    with pytest.raises(ValueError, match=r"at most half .* num_images=21 of 40 real images"):
        place.halves(protocol, 21)
    np.savez(workdir / "all.npz", pixels[:3])
    with pytest.raises(ValueError, match="num_images=2 of 3 real images"):
        place.halves(few, None)


def test_spread_of_one_s_own_images(workdir, cache):
    digits = load_source("digits")
    real = RealImages(digits, "train", 16, 200)
    images, labels = real.read(0, 200)
    for label in range(10):  # half as varied, around the first of each class
        first = np.flatnonzero(labels == label)[0]
        images[labels == label] = images[labels == label] // 2 + images[first] // 2
    np.savez(workdir / "halves.npz", images, labels)
    settings = {"metrics": ("spread",), "num_images": 200}
    record = evaluate(workdir, cache, images=f"npz:{workdir / 'halves.npz'}", **settings)
    assert record["scores"] == {"within_class_spread": pytest.approx(0.5, rel=0.01)}
    # Without classes, 0 to 9 lie apart on both sides.
    np.savez(workdir / "plain.npz", images)
    plain = evaluate(workdir, cache, images=f"npz:{workdir / 'plain.npz'}", **settings)
    assert plain["scores"]["spread_of_all"] > 0.55
    assert plain["by_class"] == {}


def test_published_statistics_as_the_real_side(workdir, cache, inception_weights, monkeypatch):
    monkeypatch.setenv("SAGAN_TF_INCEPTION", str(inception_weights))
    path = workdir / "real.npz"
    np.savez(path, mu=np.zeros(2048), sigma=np.eye(2048))
    settings = {"extractor": "inception", "num_images": 20, "dataset": f"npz:{path}"}
    with pytest.raises(ValueError, match="has statistics alone, and `--metrics` kid need"):
        evaluate(workdir, cache, metrics=("fid", "kid"), **settings)
    record = evaluate(workdir, cache, metrics=("fid",), **settings)
    assert record["real"].keys() == {"statistics"}
    assert record["scores"]["fid"] > 0


def test_without_weights_or_network_it_says_how(workdir, cache, monkeypatch, tmp_path):
    monkeypatch.setenv("SAGAN_TF_INCEPTION", str(tmp_path / "none.pth"))
    with pytest.raises(ValueError, match="`SAGAN_TF_INCEPTION` must be the path of a file"):
        evaluate(workdir, cache, extractor="inception")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--protocol=best"],
            "must be one of fidelity, sagan, clean, adm. Received: 'best'",
        ),
        (["--metrics=fid,ssim"], "Received: 'fid,ssim'"),
        (["--num_images=1"], "`--num_images` must be at least 2. Received: 1"),
        (["--compare", "one"], "`--compare` expects two files"),
        (["--compare", "/none", "/none"], "holds no scores of this command"),
        (["--images=folder:/tmp"], "`--images` needs `--dataset` or `--workdir`"),
        (["--images=real"], "`--images` needs `--dataset` or `--workdir`"),
        (["--report=README.md"], "`--report` must be a directory. Received: README.md, a file"),
        (["--workdir=/none"], "holds no training run"),
        (
            ["--images=ftp:x", "--dataset=digits", "--image_size=16"],
            "`--images` is one of folder:PATH",
        ),
        (["--images=folder:/none", "--dataset=digits", "--image_size=16"], "which is missing"),
        (["--images=npz:x", "--dataset=digits"], "`--image_size` must say"),
        (
            ["--images=real", "--workdir=digits", "--best"],
            "choose weights of a run. Leave them out",
        ),
        (["--images=real", "--workdir=digits", "--noaveraged"], "choose weights of a run"),
        (
            ["--images=savedmodel:x", "--dataset=digits", "--protocol=sagan"],
            "which an export does not give",
        ),
        (["--workdir=digits", "--dataset=npz:x", "--image_size=8"], "cannot resize npz:PATH"),
    ],
)
def test_bad_settings_are_one_message(arguments, message):
    assert message in commands.fail("evaluate", *arguments)
