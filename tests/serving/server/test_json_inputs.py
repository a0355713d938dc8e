import math

import numpy as np
import pytest

from sagan_tf.serving.server.json_inputs import (
    TensorError,
    parse,
    read_array,
    read_columns,
    read_rows,
)


@pytest.mark.parametrize(
    ("body", "document"),
    [
        (b'{"a": 1, "a": 2}', {"a": 1}),
        (b"[1] and more", [1]),
        (b"\xef\xbb\xbf [1]", [1]),
        (b"[Inf, -Inf, Infinity, -Infinity]", [math.inf, -math.inf, math.inf, -math.inf]),
        (b'["Inf", "a \\" Inf", Inf]', ["Inf", 'a " Inf', math.inf]),
        (b'["Info"]', ["Info"]),
    ],
)
def test_parses_what_rapidjson_does(body, document):
    assert parse(body) == document


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"  \n",
        b"{",
        b"[1e400]",
        b"[01]",
        b"[.5]",
        b"{'a': 1}",
        b"[1,]",
        b'["\x01"]',
        b"Info",
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b"[" + b"9" * 5000 + b"]",
    ],
    ids=lambda body: body[:10].decode(),
)
def test_refuses_what_is_no_json(body):
    with pytest.raises(TensorError):
        parse(body)


@pytest.mark.parametrize(
    ("value", "dtype", "expected"),
    [
        ([[1, 2.5], [3, 4]], "float32", np.array([[1, 2.5], [3, 4]], "float32")),
        (7, "int64", np.array(7)),
        ([], "int32", np.zeros(0, "int32")),
        ([[], []], "float32", np.zeros((2, 0), "float32")),
        ([2**63 - 1, -(2**63)], "int64", np.array([2**63 - 1, -(2**63)])),
        ([2**64 - 1], "uint64", np.array([2**64 - 1], "uint64")),
        ([300, -1, 128], "uint8", np.array([44, 255, 128], "uint8")),
        ([300, -1, 128], "int8", np.array([44, -1, -128], "int8")),
        ([True, False], "bool", np.array([True, False])),
        ([1e39, -1e39], "float32", np.array([np.inf, -np.inf], "float32")),
        ([{"b64": "/w=="}, {"b64": "/w"}, "é"], "string", [b"\xff", b"\xff", "é".encode()]),
    ],
    ids=str,
)
def test_arrays_of_values(value, dtype, expected):
    array = read_array(value, dtype, "x")
    np.testing.assert_array_equal(array, expected)
    assert array.dtype == (object if dtype == "string" else dtype)


@pytest.mark.parametrize(
    ("value", "dtype"),
    [
        ([1.0], "int32"),
        (["1"], "int64"),
        ([True], "int32"),
        ([2**31], "int32"),
        ([2**31], "uint8"),
        ([2**63], "int64"),
        ([-1], "uint64"),
        ([None], "float32"),
        (["1"], "float32"),
        ([False], "float32"),
        ([10**400], "float32"),
        ([1], "bool"),
        ([1], "string"),
        ([{"b64": "_-8="}], "string"),
        ([{"b64": 1}], "string"),
        ([{"b64": "aGk=", "more": 1}], "string"),
        (["\ud800"], "string"),
        (eval("[" * 80 + "1" + "]" * 80), "float32"),
        ([[1], [1, 2]], "float32"),
        ([[1], 1], "float32"),
        ([1, [1]], "float32"),
        ([1.0], "float16"),
    ],
    ids=str,
)
def test_values_of_another_kind_are_refused_by_name(value, dtype):
    with pytest.raises(TensorError, match=r"`x`|Values of float16"):
        read_array(value, dtype, "x")


def test_a_long_value_is_cut_in_the_message():
    with pytest.raises(TensorError) as caught:
        read_array(["A" * 10_000], "int32", "x")
    assert len(str(caught.value)) < 200


def test_rows_become_columns():
    dtypes = {"a": "int32", "b": "float32"}
    inputs = read_rows([{"a": 1, "b": [1, 2]}, {"b": [3, 4], "a": 2}], dtypes)
    np.testing.assert_array_equal(inputs["a"], [1, 2])
    np.testing.assert_array_equal(inputs["b"], [[1, 2], [3, 4]])


@pytest.mark.parametrize(
    ("instances", "dtypes", "message"),
    [
        ({}, {"a": "int32"}, "`instances` must be a list"),
        ([], {"a": "int32"}, "at least one row"),
        ([1], {"a": "int32", "b": "int32"}, r"A row must be an object with the keys a, b\."),
        ([{"a": 1}], {"a": "int32", "b": "int32"}, r'Row 0 .* Received: \["a"\]'),
        ([{"a": 1}, {"a": 1, "c": 2}], {"a": "int32"}, r'Row 1 .* Received: \["a", "c"\]'),
        ([{"a": 1}, 2], {"a": "int32"}, "Row 1 is not of the same kind as row 0: 2"),
        ([1], {}, "has no inputs"),
        ([2, {"a": 1}], {"a": "int32"}, "Row 1 is not of the same kind as row 0"),
    ],
)
def test_rows_that_do_not_fit(instances, dtypes, message):
    with pytest.raises(TensorError, match=message):
        read_rows(instances, dtypes)


def test_columns():
    dtypes = {"a": "int32", "b": "float32"}
    inputs = read_columns({"a": [1, 2], "b": 0.5, "ignored": None}, dtypes)
    np.testing.assert_array_equal(inputs["a"], [1, 2])
    assert inputs["b"].shape == ()
    assert inputs.keys() == dtypes.keys()
    assert read_columns({"b64": "aGk="}, {"x": "string"})["x"] == b"hi"
    with pytest.raises(TensorError, match=r"lacks b\."):
        read_columns({"a": 1}, dtypes)
