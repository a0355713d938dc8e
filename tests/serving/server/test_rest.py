"""What the recorded calls leave open: labels, gzip, CORS, names, versions out of range."""

import gzip
import json

import numpy as np
import pytest

from sagan_tf.serving.server import rest
from sagan_tf.serving.server.rest import RequestError, handle


class Doubling:
    """A model that gives twice its input, and all the models there are."""

    version = 3

    def input_dtypes(self, signature_name):
        return {"x": "float32"}

    def predict(self, signature_name, inputs):
        return {"y": 2 * inputs["x"]}

    def find(self, name, version, label):
        if name != "my model" or version not in (None, 3) or label not in (None, "stable"):
            raise RequestError(404, f"no {name} {version} {label}")
        return self

    def status(self, name, version):
        return [{"version": "3", "asked": [name, version]}]


def predict(path="/v1/models/my%20model:predict", body=b'{"instances": [1]}', **headers):
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    return handle("POST", path, headers, body, Doubling())


@pytest.mark.parametrize(
    "path",
    [
        "/v1/models/my%20model:predict",
        "/v1/models/my%20model/versions/3:predict",
        "/v1/models/my%20model/versions/0003:predict",
        "/v1/models/my%20model/labels/stable:predict",
        "/V1/Models/my%20model/Labels/stable:predict",
    ],
)
def test_addresses_of_a_version(path):
    response = predict(path)
    assert (response.status, response.body) == (200, b'{"predictions":[2.0]}')


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/v1/models/my%20model/versions/4:predict", 404),
        ("/v1/models/my%20model/labels/canary:predict", 404),
        ("/v1/models/other:predict", 404),
        ("/v1/models/my%20model/versions/99999999999999999999:predict", 400),
        ("/v1/models/my%20model/versions/" + "9" * 5000 + ":predict", 400),
        ("/v1/models/my%20model/versions/x:predict", 400),
        ("/v1/models/my%20model:predict?x=1", 400),
        ("/v1/models/my%20model:predict/", 400),
        ("/v1/", 404),
        ("/", 404),
        ("/metrics", 404),
    ],
)
def test_other_addresses(path, status):
    assert predict(path).status == status


def test_a_query_is_part_of_the_name():
    response = handle("GET", "/v1/models/sagan?x=1", {}, b"", Doubling())
    assert json.loads(response.body)["model_version_status"][0]["asked"] == ["sagan?x=1", None]


def test_compressed_requests(monkeypatch):
    body = gzip.compress(b'{"instances": [1]}')
    assert predict(body=body, content_encoding="gzip").status == 200
    assert predict(body=body[:-1], content_encoding="gzip").status == 400
    assert predict(body=body + b"more", content_encoding="gzip").status == 400
    assert predict(body=body).status == 400
    monkeypatch.setattr(rest, "MAX_INFLATED_BYTES", 1000)
    bomb = gzip.compress(b'{"instances": [1]}' + b" " * 1000)
    assert b"cut short, or larger" in predict(body=bomb, content_encoding="gzip").body


def test_other_sites_are_let_in_only_by_flag():
    arguments = ("GET", "/v1/models/a", {}, b"", Doubling())
    assert "Access-Control-Allow-Origin" not in handle(*arguments).headers
    assert handle(*arguments, enable_cors=True).headers["Access-Control-Allow-Origin"] == "*"
    for origin, status in (("https://a.example", 200), ("ftp://a.example", 400), ("", 400)):
        assert handle("OPTIONS", "/", {"origin": origin}, b"", Doubling()).status == status


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "HEAD", "TRACE"])
def test_other_methods_are_refused(method):
    assert handle(method, "/v1/models/a", {}, b"", Doubling()).status == 400


@pytest.mark.parametrize(
    "body",
    [b"[]", b'{"instances": [1], "inputs": [1]}', b"{}", b'{"inputs": [1], "signature_name": 1}'],
)
def test_bodies_that_are_no_request(body):
    response = predict(body=body)
    assert response.status == 400
    assert json.loads(response.body).keys() == {"error"}


def test_an_answer_that_cannot_be_written_is_an_error():
    class Half(Doubling):
        def predict(self, signature_name, inputs):
            return {"y": inputs["x"].astype(np.float16)}

    body = b'{"inputs": [1]}'
    response = handle("POST", "/v1/models/my%20model:predict", {}, body, Half())
    assert response.status == 400
    assert b"float16" in response.body


def test_a_defect_is_logged_and_not_told(caplog):
    class Broken(Doubling):
        def predict(self, signature_name, inputs):
            raise KeyError("secret")

    body = b'{"inputs": [1]}'
    response = handle("POST", "/v1/models/my%20model:predict", {}, body, Broken())
    assert response.status == 500
    assert json.loads(response.body) == {"error": "Internal error; see the server's log."}
    assert "secret" in caplog.text
