import hashlib

import keras
import numpy as np
import pytest
import tensorflow as tf
import torch

from sagan_tf.evaluation import extractor_base as extraction
from sagan_tf.evaluation import inception_weights
from sagan_tf.evaluation.inception import InceptionExtractor
from sagan_tf.evaluation.inception_network import TAPS, build_network, graph_scopes
from sagan_tf.evaluation.inception_weights import find_weights, folded, load_weights
from tests.support import inception_files


@pytest.fixture(scope="module")
def extractor(inception_weights):
    return InceptionExtractor(inception_weights, taps=TAPS)


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).integers(0, 256, (3, 40, 32, 3), np.uint8)


@pytest.fixture(scope="module")
def features(extractor, images):
    return extractor(images)


def assert_near(features, wanted, limit=3e-6):
    assert set(features) == set(wanted)
    for tap, values in features.items():
        error = np.max(np.abs(values - wanted[tap])) / np.max(np.abs(wanted[tap]))
        assert error <= limit, tap


def test_layers_are_those_of_both_published_files(inception_state):
    network = build_network()
    # 94 convolutions with bias, and the dense layer.
    assert network.count_params() == 23_833_744
    assert len(inception_state) == 94 * 5 + 2
    scopes = graph_scopes()
    assert len(set(scopes.values())) == len(scopes) == 94
    known = {
        "Conv2d_1a_3x3": "conv",
        "Conv2d_4a_3x3": "conv_4",
        "Mixed_5b.branch1x1": "mixed/conv",
        "Mixed_5c.branch5x5_2": "mixed_1/tower/conv_1",
        "Mixed_5d.branch_pool": "mixed_2/tower_2/conv",
        "Mixed_6a.branch3x3": "mixed_3/conv",
        "Mixed_6a.branch3x3dbl_3": "mixed_3/tower/conv_2",
        "Mixed_6e.branch7x7dbl_5": "mixed_7/tower_1/conv_4",
        "Mixed_7a.branch7x7x3_4": "mixed_8/tower_1/conv_3",
        "Mixed_7b.branch3x3_2b": "mixed_9/tower/mixed/conv_1",
        "Mixed_7c.branch3x3dbl_2": "mixed_10/tower_1/conv_1",
        "Mixed_7c.branch3x3dbl_3a": "mixed_10/tower_1/mixed/conv",
        "Mixed_7c.branch_pool": "mixed_10/tower_2/conv",
    }
    assert known.items() <= scopes.items()


def test_all_forms_of_the_file_give_the_same_weights(inception_state, inception_weights, tmp_path):
    wanted = build_network()
    load_weights(wanted, inception_weights)
    paths = [
        inception_files.write_torch(tmp_path / "zipped.pth", inception_state, zipped=True),
        inception_files.write_graph(tmp_path / "classify_image_graph_def.pb", inception_state),
    ]
    network = build_network()
    for path in paths:
        load_weights(network, path)
        for value, weight in zip(network.get_weights(), wanted.get_weights(), strict=True):
            np.testing.assert_array_equal(value, weight)


def test_folding_a_batch_norm():
    rng = np.random.default_rng(0)
    gamma, beta, mean, variance = rng.uniform(0.5, 1.5, (4, 6))
    inputs, matrix = rng.normal(size=(10, 5)), rng.normal(size=(5, 6))
    kernel, bias = folded(matrix, gamma, beta, mean, variance)
    norm = keras.layers.BatchNormalization(epsilon=1e-3, dtype="float64")
    norm.build((None, 6))
    norm.set_weights([gamma, beta, mean, variance])
    np.testing.assert_allclose(inputs @ kernel + bias, norm(inputs @ matrix), rtol=1e-12)


def test_features_by_tap(extractor, features, inception_weights):
    sizes = [64, 192, 768, 2048, 1008, 1008, 17 * 17 * 7]
    assert tuple(features) == TAPS
    assert [value.shape for value in features.values()] == [(3, size) for size in sizes]
    assert {value.dtype for value in features.values()} == {np.dtype("float32")}
    assert extractor.name == "inception-2015-12-05"
    assert (
        extractor.identity["weights"] == hashlib.sha256(inception_weights.read_bytes()).hexdigest()
    )
    bias = features["logits"] - features["logits_unbiased"]
    np.testing.assert_allclose(bias, np.broadcast_to(bias[0], bias.shape), atol=1e-5)


def test_batches_change_nothing_and_are_traced_once(extractor, images, features, monkeypatch):
    monkeypatch.setattr(extraction, "BATCH_SIZE", 2)  # a whole batch, and the rest
    assert_near(extractor(images), features)
    assert_near(extractor(images[:1]), {tap: values[:1] for tap, values in features.items()})
    assert extractor._features.experimental_get_tracing_count() == 1


def test_gray_images_are_repeated(extractor, images):
    gray = images[:1, ..., :1]
    assert_near(extractor(gray), extractor(np.repeat(gray, 3, axis=-1)), limit=0)


def test_the_global_policy_changes_nothing(inception_weights, images, features):
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        extractor = InceptionExtractor(inception_weights, taps=TAPS)
        assert_near(extractor(images), features, limit=0)
    finally:
        keras.config.set_dtype_policy("float32")


@pytest.mark.parametrize("before", [True, False])
def test_tensor_float_32_is_off_for_the_call_only(before):
    setting = tf.config.experimental.tensor_float_32_execution_enabled
    during = []

    def function(images):
        during.append(setting())
        if images.any():
            raise OSError
        return {"x": tf.zeros((len(images), 1))}

    tf.config.experimental.enable_tensor_float_32_execution(before)
    try:
        extraction.extract(function, np.zeros((1, 4, 4, 3), np.uint8))
        assert setting() == before
        with pytest.raises(OSError):  # noqa: PT011
            extraction.extract(function, np.ones((1, 4, 4, 3), np.uint8))
        assert setting() == before
    finally:
        tf.config.experimental.enable_tensor_float_32_execution(True)
    assert during == [False, False]


def test_refused_arguments(extractor, inception_weights, images):
    with pytest.raises(ValueError, match=r"`resize` must be one of .*'nearest'"):
        InceptionExtractor(inception_weights, resize="nearest")
    for taps in [("pool_3",), (), "2048"]:
        with pytest.raises(ValueError, match=r"`taps` must be some of .*'spatial'"):
            InceptionExtractor(inception_weights, taps=taps)
    for wrong in [images / 255, images[0], images[..., :2], images[:0]]:
        with pytest.raises(
            ValueError, match=r"must be uint8 or float32 \(N, H, W, 1\) or \(N, H, W, 3\)"
        ):
            extractor(wrong)


def tiny_file(path, state):
    """Of the same shapes, each tensor being one number that is repeated without being stored."""
    tensors = {name: torch.tensor(0.5).expand(shape) for name, shape in state.items()}
    torch.save(tensors, path)
    return path


def test_other_weights_are_refused_by_name(inception_state, tmp_path):
    network = build_network()
    shapes = {name: value.shape for name, value in inception_state.items()}
    load_weights(network, tiny_file(tmp_path / "whole.pth", shapes))
    shapes["AuxLogits.fc.bias"] = (1000,)
    shapes["fc.weight"] = (1000, 2048)
    del shapes["Mixed_7b.branch1x1.bn.bias"], shapes["Conv2d_1a_3x3.conv.weight"]
    with pytest.raises(ValueError) as error:  # noqa: PT011
        load_weights(network, tiny_file(tmp_path / "other.pth", shapes))
    for part in [
        "missing: Conv2d_1a_3x3.conv.weight, Mixed_7b.branch1x1.bn.bias (2)",
        "unknown: AuxLogits.fc.bias (1)",
        "of another shape: fc.weight (2048, 1000) instead of (2048, 1008) (1)",
    ]:
        assert part in str(error.value)


def test_numbers_must_be_finite(inception_state, tmp_path):
    tensors = {name: torch.tensor(0.5).expand(v.shape) for name, v in inception_state.items()}
    tensors["fc.bias"] = torch.full((1008,), torch.inf)
    torch.save(tensors, tmp_path / "infinite.pth")
    with pytest.raises(ValueError, match=r"not finite: fc\.bias \(1\)"):
        load_weights(build_network(), tmp_path / "infinite.pth")


def test_damaged_files_are_refused(inception_weights, tmp_path):
    network = build_network()
    start = inception_weights.read_bytes()[:100_000]
    for name, message in [("x.pth", "no whole file of tensors"), ("x.pb", "no whole frozen graph")]:
        (tmp_path / name).write_bytes(start)
        with pytest.raises(ValueError, match=message):
            load_weights(network, tmp_path / name)


@pytest.fixture
def published(tmp_path, monkeypatch):
    """A file that stands for the published one; the first address does not exist."""
    path = tmp_path / "published.pth"
    path.write_bytes(b"weights")
    addresses = (tmp_path / "absent.pth").as_uri(), path.as_uri()
    monkeypatch.setattr(inception_weights, "ADDRESSES", addresses)
    monkeypatch.setattr(inception_weights, "SHA256", hashlib.sha256(b"weights").hexdigest())
    monkeypatch.delenv("SAGAN_TF_INCEPTION", raising=False)
    monkeypatch.setattr(inception_weights, "_FOLDER", str(tmp_path / "cache"))
    return path


def test_the_published_file_is_fetched_once(published):
    path = find_weights()
    assert path.read_bytes() == b"weights"
    published.unlink()
    assert find_weights() == path


def test_another_file_at_the_address_is_refused(published):
    published.write_bytes(b"others")
    with pytest.raises(ValueError, match="hash does not match"):
        find_weights()


def test_without_a_network_the_error_says_what_to_bring(published, monkeypatch, tmp_path):
    published.unlink()
    with pytest.raises(ValueError) as error:  # noqa: PT011
        find_weights()
    parts = *inception_weights.ADDRESSES, inception_weights.SHA256, "set SAGAN_TF_INCEPTION to"
    assert all(part in str(error.value) for part in parts)
    (tmp_path / "own.pb").touch()
    monkeypatch.setenv("SAGAN_TF_INCEPTION", str(tmp_path / "own.pb"))
    assert find_weights() == tmp_path / "own.pb"
    monkeypatch.setenv("SAGAN_TF_INCEPTION", str(tmp_path))
    with pytest.raises(ValueError, match="`SAGAN_TF_INCEPTION` must be the path of a file"):
        find_weights()
    with pytest.raises(ValueError, match=r"`weights` must be the path of a file.*absent\.pth"):
        find_weights(tmp_path / "absent.pth")
