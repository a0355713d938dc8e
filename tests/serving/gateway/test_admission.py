import json
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sagan_tf.serving.gateway.admission import Limits, admit
from sagan_tf.serving.server.loaded_version import LoadedVersion
from sagan_tf.serving.server.rest import RequestError
from sagan_tf.serving.server.signature_inputs import Input, read_signatures

SIGNATURES = {
    "serving_default": {
        "class_id": Input("int32", (), 0, 9),
        "seed": Input("int64", (), 0, 2**53 - 1),
        "truncation": Input("float32", (), 1e-38, None),
    },
    "from_latent": {"class_id": Input("int32", (), 0, 9), "latents": Input("float32", (3,))},
    "class_names": {"class_id": Input("int32", (), 0, 9)},
}
LIMITS = Limits(max_body_bytes=2000, max_depth=5, max_rows=4)
ROW = {"class_id": 1, "seed": 7, "truncation": 1.0}


def request(**changed):
    return json.dumps({"instances": [{**ROW, **changed}]}).encode()


def refused(body):
    with pytest.raises(RequestError) as caught:
        admit(body, SIGNATURES, LIMITS)
    return caught.value.status, str(caught.value)


def test_signatures_of_an_export(exported):
    model = LoadedVersion(exported / "1", 1)
    metadata = {"metadata": {"signature_def": model.metadata()}}
    signatures = read_signatures(metadata, num_classes=10)
    assert signatures["serving_default"] == {
        **SIGNATURES["serving_default"],
        "truncation": Input("float32", (), np.finfo(np.float32).tiny, None),
    }
    assert signatures["from_latent"]["latents"] == Input("float32", (8,))
    assert signatures["directions"]["amounts"] == Input("float32", (4,))
    inputs = {"class_id": np.array([3], np.int32), "seed": np.array([7])}
    assert model.joins("directions")
    assert model.accepts("directions", {**inputs, "amounts": np.ones((1, 4), np.float32)})
    assert not model.accepts("directions", {**inputs, "amounts": np.ones((1, 3), np.float32)})
    assert signatures["attention"]["row"] == Input("int32", (), 0, 15)
    assert "__saved_model_init_op" not in signatures
    with pytest.raises(ValueError, match="no model's metadata"):
        read_signatures({"error": "no"}, None)


@pytest.mark.parametrize(
    ("body", "rows"),
    [
        (request(), 1),
        (b'{"inputs": {"class_id": [1, 2], "seed": [1, 2], "truncation": [1, 2.5]}}', 2),
        (b'{"signature_name": "class_names", "instances": [1, 2, 3]}', 3),
        (b'{"signature_name": "class_names", "inputs": [1]}', 1),
        (
            b'{"signature_name": "from_latent", "inputs": {"class_id": [1], "latents": [[1,2,3]]}}',
            1,
        ),
    ],
)
def test_what_fits_passes_in_the_format_it_had(body, rows):
    admitted = admit(body, SIGNATURES, LIMITS)
    assert admitted.rows == rows
    asked, passed = json.loads(body), json.loads(admitted.body)
    assert passed == {"signature_name": "serving_default", **asked}


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "is not JSON"),
        (b"[]", "must be a JSON object"),
        (b"\xff", "is not UTF-8"),
        (b"\xef\xbb\xbf{}", "is not JSON"),
        (request() + b"x", "is not JSON"),
        (b'{"instances": [1], "instances": [1]}', "is not JSON: an object has a key twice"),
        (b'{"instances": ["\\ud800"]}', "is not JSON: it is not UTF-8"),
        (b'{"instances": [NaN]}', "is not JSON: NaN is not a number"),
        (b'{"instances": [1], "more": 1}', "unknown keys"),
        (b'{"instances": [1], "inputs": [1]}', "one of `instances` and `inputs`"),
        (b'{"signature_name": "classify", "inputs": 1}', r"must be one of class_names, "),
        (b'{"signature_name": ["a"], "inputs": 1}', "must be one of"),
        (b'{"instances": []}', "at least one row"),
        (json.dumps({"instances": [ROW] * 5}).encode(), "At most 4 images at a time. Received: 5"),
        (b'{"instances": [[[[[[[1]]]]]]]}', "nested at most 5 deep"),
        (b"[" * 1500, "is not JSON"),
        (request(class_id=10), r"`class_id` must be in \[0, 9\]"),
        (request(class_id=-1), r"`class_id` must be in \[0, 9\]"),
        (request(class_id=1.0), "whole number"),
        (request(class_id="1"), "whole number"),
        (request(class_id=None), "whole number"),
        (request(class_id=True), "whole number"),
        (request(class_id=2**31), "expected int32"),
        (request(class_id=[1]), r"`class_id` must have the shape \[\]. Received: \[1\]"),
        (request(seed=2**53), r"`seed` must be in \[0, 9007199254740991\]"),
        (request(truncation=0), "`truncation` must be in"),
        (request(truncation=1e39), "`truncation` must be finite"),
        (request().replace(b"1.0", b"1e400"), "`truncation` must be finite"),
        (request(extra=1), "must have the keys"),
        (b'{"inputs": {"class_id": [1], "seed": [1], "truncation": [1], "x": [1]}}', "keys"),
        (b'{"inputs": {"class_id": [1, 2], "seed": [1], "truncation": [1]}}', "one value per"),
        (b'{"inputs": {"class_id": 1, "seed": 1, "truncation": 1}}', "one value per image"),
        (b'{"inputs": {"class_id": [], "seed": [], "truncation": []}}', "one value per image"),
        (
            b'{"signature_name": "from_latent", "inputs": {"class_id": [1], "latents": [[1, 2]]}}',
            r"`latents` must have the shape \[3\]. Received: \[2\]",
        ),
        (
            b'{"signature_name": "from_latent", "inputs": {"class_id": [1], "latents": [1]}}',
            r"`latents` must have the shape \[3\]. Received: \[\]",
        ),
    ],
)
def test_what_does_not_fit_is_refused_by_name(body, message):
    status, told = refused(body)
    assert status == 400
    assert re.search(message, told), told


def test_a_large_body_is_refused_unread():
    assert refused(b"[" * 2001) == (413, "The body must be at most 2000 bytes.")


def test_messages_are_short_whatever_is_sent():
    for body in (request(class_id="A" * 1500), request(**{"A" * 1500: 1}), b'{"' + b"A" * 1900):
        assert len(refused(body)[1]) < 300


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda children: st.lists(children) | st.dictionaries(st.text(), children),
    max_leaves=10,
)
LIKELY = st.fixed_dictionaries(
    {},
    optional={
        "signature_name": st.sampled_from([*SIGNATURES, "", "nope"]) | JSON,
        "instances": st.lists(
            st.fixed_dictionaries(
                {},
                optional={
                    name: JSON | st.integers(-1, 10)
                    for name in ("class_id", "seed", "truncation", "latents")
                },
            ),
            max_size=6,
        )
        | JSON,
        "inputs": st.dictionaries(st.sampled_from(["class_id", "seed", "b64"]), JSON) | JSON,
    },
)


@settings(max_examples=500, deadline=None, derandomize=True)
@given(
    st.binary()
    | JSON.map(lambda value: json.dumps(value).encode())
    | LIKELY.map(lambda value: json.dumps(value).encode())
)
def test_whatever_comes_is_admitted_as_it_fits_or_refused(body):
    try:
        admitted = admit(body, SIGNATURES, LIMITS)
    except RequestError as error:
        refusal = error
    else:
        refusal = None
    if refusal is not None:
        assert refusal.status in (400, 413)
        assert 0 < len(str(refusal)) < 400
        return
    # What passes keeps to the limits, and passes again unchanged.
    assert 1 <= admitted.rows <= LIMITS.max_rows
    assert admit(admitted.body, SIGNATURES, Limits()).body == admitted.body
    passed = json.loads(admitted.body)
    assert passed["signature_name"] in SIGNATURES
