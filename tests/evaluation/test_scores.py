import numpy as np
import pytest
from PIL import Image

from sagan_tf.data import load_source
from sagan_tf.evaluation.classifier import ClassifierExtractor
from sagan_tf.evaluation.feature_files import extract_features
from sagan_tf.evaluation.frechet import frechet_distance_to_rows
from sagan_tf.evaluation.image_files import ArrayImages
from sagan_tf.evaluation.images import RealImages
from sagan_tf.evaluation.protocols import PROTOCOLS, difference
from sagan_tf.evaluation.scores import all_scores, class_distances, class_scores, summary

METRICS = ("is", "fid", "fid_infinity", "sfid", "intra_fid", "kid", "overlap", "agreement")


@pytest.fixture(scope="module")
def real():
    return RealImages(load_source("digits"), "train", 16, 1000)


@pytest.fixture(scope="module")
def classifier(real, tmp_path_factory):
    return ClassifierExtractor(real, tmp_path_factory.mktemp("classifier"))


@pytest.fixture(scope="module")
def score(real, classifier, tmp_path_factory):
    """Scores of images, with classes, against the real digits."""
    folder = tmp_path_factory.mktemp("features")
    real_features = extract_features(real, classifier, folder, "real")

    def score(images, labels, metrics=METRICS):
        np.savez(folder / "images.npz", images, labels)
        generated = ArrayImages(folder / "images.npz", len(images))
        features = extract_features(generated, classifier, folder, "generated")
        scores = all_scores(real_features, features, PROTOCOLS["fidelity"], metrics, {})
        return scores | summary(class_scores(real_features, features, metrics))

    return score


def others(count=700):
    """Real digits that are not among the thousand."""
    source = load_source("digits")
    whole = RealImages(source, "train", 16, 1797)
    return whole.read(1797 - count, 1797)


def test_real_images_score_well_and_broken_ones_worse(score):
    images, labels = others()
    good = score(images, labels)
    assert good["label_agreement"] > 0.9
    assert good["class_coverage"] == 1
    assert good["precision"] > 0.8
    assert good["recall"] > 0.8
    blurred = np.stack(
        [np.asarray(Image.fromarray(x[..., 0]).resize((4, 4)).resize((16, 16))) for x in images]
    )[..., None]
    worse = score(blurred, labels)
    assert worse["frechet_distance"] > 3 * good["frechet_distance"]
    assert worse["kernel_distance"] > 3 * abs(good["kernel_distance"])
    assert worse["frechet_distance_infinity"] > 2 * good["frechet_distance_infinity"]
    one = np.repeat(images[:1], len(images), axis=0)
    collapsed = score(one, np.repeat(labels[:1], len(images)))
    assert collapsed["recall"] < 0.05
    assert collapsed["coverage"] < 0.1
    wrong = score(images, (labels + 1) % 10)
    assert wrong["label_agreement"] < 0.1
    assert wrong["class_coverage"] == 0
    assert wrong["frechet_distance"] == pytest.approx(good["frechet_distance"])
    (name,) = (name for name in good if name.startswith("intra_frechet_distance_"))
    assert int(name.rsplit("_", 1)[1]) == np.bincount(labels).min()
    (other,) = (name for name in wrong if name.startswith("intra_frechet_distance_"))
    assert wrong[other] > 3 * good[name]


def test_the_order_of_images_does_not_matter(score):
    images, labels = others()
    metrics = ("fid", "kid", "overlap", "agreement", "intra_fid")
    straight = score(images, labels, metrics)
    mixed = np.random.default_rng(0).permutation(len(images))
    shuffled = score(images[mixed], labels[mixed], metrics)
    for name, value in straight.items():
        if "x" not in name and "deviation" not in name:  # of subsets, which are others
            assert shuffled[name] == pytest.approx(value, rel=1e-6), name


def test_the_classifier_is_trained_once_and_kept(real, classifier, tmp_path):
    assert classifier.accuracy > 0.9
    first = ClassifierExtractor(real, tmp_path)
    again = ClassifierExtractor(real, tmp_path)
    assert first.identity == again.identity
    images, _ = real.read(0, 10)
    for name, value in first(images).items():
        np.testing.assert_array_equal(again(images)[name], value)
        # Rows do not know of one another.
        np.testing.assert_allclose(
            first(images[:3])[name], value[:3], rtol=0, atol=1e-6 * np.abs(value).max()
        )


def test_scores_of_classes_by_hand(tmp_path):
    class Logits:
        name = "logits"
        identity = {"network": "logits"}  # noqa: RUF012

        def __call__(self, images):
            return {
                "features": images[:, 0, 0].astype(float),
                "logits": np.eye(3)[images[:, 0, 0, 0]],
            }

    def features(answers, labels, name):
        images = np.array(answers, np.uint8)[:, None, None, None]
        np.savez(tmp_path / name, images, np.array(labels))
        path = tmp_path / f"{name}.npz"
        return extract_features(ArrayImages(path, 99), Logits(), tmp_path, name)

    real = features([0, 1, 2], [0, 1, 2], "real")
    fake = features([0, 0, 1, 2, 2, 0], [0, 0, 0, 1, 2, 2], "fake")
    by_class = class_scores(real, fake, ("agreement",))
    assert by_class == {"label_agreement": {0: pytest.approx(2 / 3), 1: 0, 2: 0.5}}
    assert summary(by_class) == {
        "label_agreement": pytest.approx(7 / 18),
        "class_coverage": pytest.approx(1 / 3),  # a half is not most
    }


def test_without_real_images_the_moments_must_be_known(tmp_path):
    class Flat:
        name = "flat"
        identity = {"network": "flat"}  # noqa: RUF012

        def __call__(self, images):
            return {"features": images.reshape(len(images), -1).astype(float)}

    np.savez(tmp_path / "images.npz", np.arange(12, dtype=np.uint8).reshape(3, 2, 2, 1))
    images = ArrayImages(tmp_path / "images.npz", 3)
    fake = extract_features(images, Flat(), tmp_path, "fake")
    with pytest.raises(ValueError, match=r"`known` must have features. Received: \['spatial'\]"):
        all_scores(None, fake, PROTOCOLS["fidelity"], ("fid",), {"spatial": None})


def test_distances_of_classes():
    random = np.random.default_rng(0)
    real, fake = random.normal(size=(40, 5)), random.normal(size=(30, 5))
    real_labels = np.arange(40) % 4
    fake_labels = np.repeat([0, 1, 2, 7], [14, 14, 1, 1])
    found = class_distances(real, real_labels, fake, fake_labels)
    assert found.keys() == {0, 1}  # one image has no covariance, and class 7 no real ones
    expected = frechet_distance_to_rows(real[real_labels == 1], fake[14:28])
    assert found[1] == pytest.approx(expected)


def test_protocols_differ_in_a_named_field():
    assert difference({"a": 1, "b": {"c": 2}}, {"a": 1, "b": {"c": 2}}) is None
    assert difference({"a": 1, "b": {"c": 2}}, {"a": 1, "b": {"c": 3}}) == "b.c"
    assert difference({"a": 1}, {"a": 1, "z": 0}) == "z"
