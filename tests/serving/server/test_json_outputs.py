import json

import numpy as np
import pytest

from sagan_tf.serving.server.json_inputs import TensorError
from sagan_tf.serving.server.json_outputs import dump, write_columns, write_rows


def test_answers_by_row_and_by_column():
    outputs = {"y": np.array([1.5, 2.0], "float32"), "png_bytes": np.array([b"\xff", b""], object)}
    assert write_rows(outputs) == {
        "predictions": [
            {"y": 1.5, "png_bytes": {"b64": "/w=="}},
            {"y": 2.0, "png_bytes": {"b64": ""}},
        ]
    }
    assert write_columns(outputs) == {
        "outputs": {"y": [1.5, 2.0], "png_bytes": [{"b64": "/w=="}, {"b64": ""}]}
    }
    assert write_rows({"y": np.eye(2, dtype="int32")}) == {"predictions": [[1, 0], [0, 1]]}
    assert write_columns({"y": np.float32(3)[...]}) == {"outputs": 3.0}
    with pytest.raises(TensorError, match="the same number of rows"):
        write_rows({"y": np.zeros(2), "z": np.zeros(3)})
    with pytest.raises(TensorError, match="`y` is of float16"):
        write_columns({"y": np.zeros(2, "float16")})


def test_float32_is_written_short_and_read_back_exactly():
    values = np.random.default_rng(0).normal(size=1000).astype("float32")
    text = dump(write_columns({"y": values}))
    assert len(text) < 15 * 1000
    np.testing.assert_array_equal(np.float32(json.loads(text)["outputs"]), values)


def test_numbers_that_are_not_finite_are_bare_words():
    values = np.array([np.nan, np.inf, -np.inf], "float32")
    assert dump(write_columns({"y": values})) == b'{"outputs":[NaN,Infinity,-Infinity]}'


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_many_floats_are_written_as_python_writes_each(dtype):
    """Of any size and sign, in rows and columns."""
    generator = np.random.default_rng(0)
    sizes = 10.0 ** generator.uniform(-45 if dtype == "float32" else -300, 38, size=3000)
    edges = [0.0, -0.0, 1e-4, 9.9e-5, 1e-5, 1e13, 9.9e12, 1e15, 1e16, 1e17, 2**24, 1.5e30, -1.5e30]
    values = np.concatenate([sizes, -sizes, np.resize(edges, 1000)]).astype(dtype).reshape(7, 1000)
    expected = [[float(str(value)) for value in row] for row in values]
    text = json.dumps(expected, separators=(",", ":")).encode()
    assert dump(write_columns({"y": values})) == b'{"outputs":' + text + b"}"
    assert dump(write_rows({"y": values})) == b'{"predictions":' + text + b"}"
