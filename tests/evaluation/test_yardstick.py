import numpy as np
import pytest

from sagan_tf.evaluation.feature_files import extract_features
from sagan_tf.evaluation.yardstick import real_to_real


class Rows:
    """Images whose features are given."""

    def __init__(self, rows):
        self.rows, self.num_images = rows, len(rows)
        self.identity = {"rows": len(rows)}

    def read(self, start, stop):
        return np.arange(start, stop, dtype=np.uint8)[:, None, None, None], None


class Lookup:
    name, identity = "lookup", {"network": "lookup"}

    def __init__(self, rows):
        self.rows = rows

    def __call__(self, images):
        return {"features": self.rows[images.ravel()]}


def features(rows, folder):
    rows = np.float32(rows)
    return extract_features(Rows(rows), Lookup(rows), folder, "real")


def test_alike_halves_are_at_no_distance(tmp_path):
    found = real_to_real(features(np.ones((8, 3)), tmp_path), 100, ["fid", "kid"])
    assert found == {
        "num_images": 4,
        "frechet_distance": pytest.approx(0, abs=1e-9),
        "kernel_distance": pytest.approx(0, abs=1e-9),
    }


def test_distances_are_those_of_as_many_images_as_are_scored(tmp_path):
    real = features(np.random.default_rng(0).normal(size=(200, 3)), tmp_path)
    large, small = (real_to_real(real, count, ["fid"]) for count in (1000, 10))
    assert (large["num_images"], small["num_images"]) == (100, 10)
    assert 0 < large["frechet_distance"] < small["frechet_distance"]
    assert "kernel_distance" not in large
    assert real_to_real(real, 1000, ["fid"]) == large


def test_three_images_have_no_halves_of_two(tmp_path):
    assert real_to_real(features(np.eye(3), tmp_path), 10, ["fid"]) is None
