"""Calls recorded from TensorFlow Serving's own REST code, replayed over HTTP.

Recorded with TensorFlow Serving at commit 9d981c5c, linked with TensorFlow 2.21, serving the toy
model. Errors must agree in their status; what they say is our own. Of images, and of random numbers
with a state, the lengths must agree: the weights were others.
"""

import base64
import http.client
import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.support import local_server, toy_model

RECORDED = Path(__file__).parents[2] / "vectors/tfserving_calls.jsonl"
CALLS = [json.loads(line) for line in RECORDED.read_text().splitlines()]


@pytest.fixture(scope="module")
def port(tmp_path_factory):
    base_path = tmp_path_factory.mktemp("models") / "sagan"
    toy_model.write(base_path / "1")
    with local_server.serving(("sagan", base_path)) as (port, _):
        yield port


def answer(port, method, path, body=None, headers=None):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request(method, path, body, headers or {})
    response = connection.getresponse()
    content = response.read()
    connection.close()
    return response, content


def without_chance(value):
    """A value in which images become their shapes, and numbers float32."""
    if isinstance(value, dict) and value.keys() == {"b64"}:
        data = base64.b64decode(value["b64"])
        return np.asarray(Image.open(io.BytesIO(data))).shape if data[1:4] == b"PNG" else data
    if isinstance(value, dict):
        return {key: without_chance(item) for key, item in value.items()}
    if isinstance(value, list):
        return [without_chance(item) for item in value]
    return repr(np.float32(value)) if isinstance(value, float) else value


@pytest.mark.parametrize("call", CALLS, ids=lambda call: call["name"])
def test_status_and_answer_agree(port, call):
    body = call.get("body")
    if "body_b64" in call:
        body = base64.b64decode(call["body_b64"])
    response, content = answer(
        port,
        call["method"],
        call["path"],
        body and (body if isinstance(body, bytes) else body.encode()),
        call.get("headers"),
    )
    assert response.status == call["status"], content
    if response.status == 200 and call["method"] != "OPTIONS":
        assert response.headers["Content-Type"] == "application/json"
    if "response" in call:
        ours = json.loads(content.decode("utf-8", errors="replace"))
        if call["name"].startswith("stateful_rng"):
            assert len(ours["predictions"]) == len(call["response"]["predictions"])
        else:
            assert without_chance(ours) == without_chance(call["response"])
    elif response.status >= 400 and call["method"] != "HEAD" and call["path"].startswith("/v1"):
        assert json.loads(content).keys() == {"error"}


def test_all_calls_are_there():
    assert len(CALLS) == 94
    assert len({call["name"] for call in CALLS}) == 94


def test_bytes_that_are_no_utf8_come_back_as_they_were(port):
    body = b'{"signature_name": "strs", "instances": ["\xff\xfe"]}'
    _, content = answer(port, "POST", "/v1/models/sagan:predict", body)
    assert b'"same":"\xff\xfe"' in content


def test_metadata_has_the_form_of_protocol_buffers_in_json(port):
    _, content = answer(port, "GET", "/v1/models/sagan/metadata")
    metadata = json.loads(content)
    assert metadata["model_spec"] == {"name": "sagan", "version": "1", "signature_name": ""}
    signature = metadata["metadata"]["signature_def"]["signature_def"]["mat"]
    dim = [{"size": "-1", "name": ""}, {"size": "4", "name": ""}]
    assert signature == {
        "inputs": {
            "x": {
                "name": "mat_x:0",
                "dtype": "DT_FLOAT",
                "tensor_shape": {"dim": dim, "unknown_rank": False},
            }
        },
        "outputs": {
            "y": {
                "name": signature["outputs"]["y"]["name"],
                "dtype": "DT_FLOAT",
                "tensor_shape": {"dim": dim[:1], "unknown_rank": False},
            }
        },
        "method_name": "tensorflow/serving/predict",
        "defaults": {},
    }


def test_what_xla_compiles_is_refused_as_by_tensorflow_serving(port):
    body = b'{"signature_name": "xla", "instances": [1.0]}'
    response, content = answer(port, "POST", "/v1/models/sagan:predict", body)
    assert response.status == 500
    assert "XLA" in json.loads(content)["error"]
