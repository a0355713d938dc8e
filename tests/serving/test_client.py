import http.server
import subprocess
import sys
import threading

import numpy as np
import pytest
from PIL import Image

from sagan_tf import sampling
from sagan_tf.models import Generator
from sagan_tf.serving.client import Client, ServingError
from sagan_tf.serving.exporting.saved_model import write_version
from tests.support import local_server


@pytest.fixture(scope="module")
def url(exported):
    with local_server.serving(("sagan", exported)) as (port, _):
        yield f"http://127.0.0.1:{port}"


@pytest.fixture
def client(url):
    return Client(url)


@pytest.fixture
def canned():
    """Serves answers of a list, one after the other: status, content type, body."""
    answers, calls = [], []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            calls.append(self.rfile.read(int(self.headers["Content-Length"])))
            status, kind, body = answers[min(len(calls), len(answers)) - 1]
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", answers, calls
    server.shutdown()
    thread.join()
    server.server_close()


def test_the_same_image_from_the_checkpoint_the_server_and_its_latents(client, digits):
    generator = sampling.load_generator(digits)
    (expected,) = sampling.sample(generator, [1234], [7])
    image = client.sample(class_id=7, seed=1234)
    assert isinstance(image, Image.Image)
    assert np.abs(np.asarray(image).astype(int) - expected.squeeze(-1)).max() <= 1
    latents = sampling.latents_from_seeds([1234], generator.latent_dim)
    outputs = client.predict("from_latent", {"class_id": [7], "latents": latents})
    np.testing.assert_array_equal(
        sampling.to_uint8(outputs["images"][0, ..., 0]), np.asarray(image)
    )


def test_bytes_are_those_of_the_model_in_python(client, exported):
    import tensorflow as tf

    signature = tf.saved_model.load(str(exported / "1")).signatures["sample"]
    expected = signature(class_id=tf.constant([7]), seed=tf.constant([1234], tf.int64))
    outputs = client.predict("sample", {"class_id": [7], "seed": [1234]})
    assert outputs["image_bytes"] == list(expected["image_bytes"].numpy())


def test_classes_by_name_and_number_one_or_many(client):
    assert client.class_names == list("0123456789")
    by_name = client.sample(class_id="7", seed=[1, 2])
    by_number = client.sample(class_id=[7, 7], seed=[1, 2])
    assert [image.tobytes() for image in by_name] == [image.tobytes() for image in by_number]
    assert len(client.sample(class_id=["1", 2, 3])) == 3
    truncated = client.sample(class_id=7, seed=1, truncation=0.5)
    assert truncated.tobytes() != by_name[0].tobytes()
    assert client.sample(7, 1, truncation=np.inf).tobytes() == by_name[0].tobytes()


def test_names_that_two_classes_share_are_refused(client):
    client.class_names = ["crane", "crane", "golden retriever"]
    assert client.sample("golden retriever").tobytes() == client.sample(2).tobytes()
    with pytest.raises(ValueError, match=r"'crane' is the name of the classes \[0, 1\]"):
        client.sample("crane")
    with pytest.raises(ValueError, match=r"no class's name. Did you mean 'golden retriever'\?"):
        client.sample("retriever")


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"class_id": 10}, ServingError, r"400: .*class must be in \[0, 9\]. Received: \[10\]"),
        ({"class_id": 1, "seed": -1}, ServingError, r"seed must not be negative.* \[-1\]"),
        ({}, ServingError, r"answered 400: `inputs` lacks class_id"),
        ({"class_id": 1, "truncation": 0.0}, ValueError, "`truncation` must be positive"),
        ({"class_id": [1, 2], "seed": [1, 2, 3]}, ValueError, "2 classes, 3 seeds"),
    ],
)
def test_what_is_refused_says_why(client, arguments, error, message):
    with pytest.raises(error, match=message):
        client.sample(**arguments)


@pytest.mark.parametrize("arguments", [{"class_id": 1.7}, {"class_id": 1, "seed": 0.5}])
def test_numbers_that_are_not_whole_are_refused(client, arguments):
    with pytest.raises(ValueError, match="must be a whole number"):
        client.sample(**arguments)


def test_a_class_of_a_generator_without_classes_is_refused(tmp_path):
    generator = Generator(16, None, base_filters=4, latent_dim=8)
    generator.build()
    (tmp_path / "sagan").mkdir()
    write_version(tmp_path / "sagan", 1, generator, (), {}, "")
    with local_server.serving(("sagan", tmp_path / "sagan")) as (port, _):
        client = Client(f"http://127.0.0.1:{port}")
        assert client.sample(seed=1).size == (16, 16)
        with pytest.raises(ValueError, match="the generator has no classes"):
            client.sample(7)


def test_latents_that_are_not_finite_are_refused(client):
    with pytest.raises(ValueError, match="cannot be sent as JSON"):
        client.predict("from_latent", {"class_id": [0], "latents": [[np.nan] * 8]})


def test_unknown_models_versions_and_servers(url):
    with pytest.raises(ServingError, match="no model 'other'") as caught:
        Client(url, "other").sample(0)
    assert caught.value.status == 404
    with pytest.raises(ServingError, match=r"Version 9 of 'sagan' is not served. There are: 1"):
        Client(url, version=9).sample(0)
    assert Client(url + "/", version=1).sample(0).size == (16, 16)
    with pytest.raises(ServingError, match=r"Connection refused.*sagan_tf.serve") as no:
        Client("http://127.0.0.1:1", retries=1).sample(0)
    assert no.value.status is None
    with pytest.raises(ValueError, match="`url` must begin with http://"):
        Client("127.0.0.1:8501")


def test_a_busy_server_is_asked_again(canned):
    url, answers, calls = canned
    answers += [
        (503, "text/plain", b"starting"),
        (429, "text/plain", b"slower"),
        (200, "application/json", b'{"outputs": {"y": [1.5], "z_bytes": [{"b64": "aGk="}]}}'),
    ]
    outputs = Client(url).predict("any", {"x": [1]})
    assert outputs["y"].tolist() == [1.5]
    assert outputs["z_bytes"] == [b"hi"]
    assert len(calls) == 3
    assert len(set(calls)) == 1


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ((503, "text/plain", b"starting"), "answered 503: starting"),
        ((400, "application/json", b'{"error": "no"}'), "answered 400: no"),
        ((200, "text/html", b"<html>login</html>"), "answered 200: <html>login</html>"),
        ((200, "application/json", b"[1]"), r"answered 200: \[1\]"),
    ],
)
def test_other_answers_are_errors(canned, answer, message):
    url, answers, _ = canned
    answers.append(answer)
    with pytest.raises(ServingError, match=message):
        Client(url, retries=1).predict("any", {"x": [1]})


def test_needs_no_tensorflow():
    code = (
        "import sys, sagan_tf.serving.client; assert not {'tensorflow', 'keras'} & {*sys.modules}"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_no_proxy_of_the_environment_stands_between_this_machine_and_itself(canned, monkeypatch):
    url, answers, calls = canned
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")  # nobody listens there
    monkeypatch.setenv("no_proxy", "example.com")
    answers.append((400, "application/json", b'{"error": "reached"}'))
    for address in (url, url.replace("127.0.0.1", "localhost")):
        with pytest.raises(ServingError, match="reached"):
            Client(address, retries=0).sample(class_id=1)
    assert len(calls) == 2
    with pytest.raises(ServingError, match=r"(?i)proxy"):  # others are asked through it
        Client("http://sagan.example.org", retries=0).sample(class_id=1)
