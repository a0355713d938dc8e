import concurrent.futures
import http.server
import json
import re
import socket
import threading
import time

import pytest
from PIL import Image

from sagan_tf.serving.client import Client, ServingError
from sagan_tf.serving.gateway.admission import Limits
from sagan_tf.serving.gateway.callers import add_key, read_keys
from tests.by_hand.hostile import GOOD, HOSTILE, ask
from tests.support import local_server


@pytest.fixture(scope="module")
def upstream(exported):
    with local_server.serving(("sagan", exported)) as (port, _):
        yield port


@pytest.fixture(scope="module")
def port(upstream):
    with local_server.guarding(upstream, timeout_seconds=60.0) as port:
        yield port


def raw(port, data, timeout=10):
    """What comes back for bytes that are no proper request, until the server closes."""
    with socket.create_connection(("127.0.0.1", port), timeout=timeout) as connection:
        connection.sendall(data)
        received = b""
        while part := connection.recv(65536):
            received += part
    return received


def head(length, extra=b""):
    return (
        b"POST /v1/models/sagan:predict HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n" % length
        + extra
        + b"\r\n"
    )


def test_what_is_admitted_is_answered_as_without_a_gateway(port, upstream):
    through, direct = (Client(f"http://127.0.0.1:{number}") for number in (port, upstream))
    assert through.sample("3", seed=7).tobytes() == direct.sample("3", seed=7).tobytes()
    assert isinstance(through.sample(3, 7, truncation=0.5), Image.Image)
    status = ask(port, "GET", "/v1/models/sagan", None)
    assert status.json()["model_version_status"][0]["state"] == "AVAILABLE"


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_requests_get_one_error_each(port, name):
    status, arguments = HOSTILE[name]
    response = ask(port, **arguments)
    assert response.status_code == status, response.text
    assert list(response.json()) == ["error"]
    assert 0 < len(response.json()["error"]) < 400
    assert ask(port).status_code == 200


@pytest.mark.parametrize(
    "data",
    [
        b"\x00\x01\x02\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"POST /v1/models/sagan:predict HTTP/1.1\r\nHost: a\r\nContent-Length: -5\r\n\r\n",
        head(10, b"X: " + b"A" * 200_000 + b"\r\n"),
        b"GET /" + b"A" * 200_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
    ],
    ids=["no HTTP", "no version", "negative length", "long header", "long address"],
)
def test_what_is_no_request_is_closed(port, data):
    try:
        received = raw(port, data)
    except ConnectionError:
        received = b""
    assert received == b"" or received.split()[1][:1] == b"4"
    assert ask(port).status_code == 200


def test_a_slow_body_is_given_up(upstream):
    with local_server.guarding(upstream, timeout_seconds=1.0) as port:
        ask(port, "GET", "/healthz", None)
        start = time.monotonic()
        assert b" 408 " in raw(port, head(100, b"Connection: close\r\n") + b"{")
        assert 0.5 < time.monotonic() - start < 8


def test_a_caller_who_leaves_disturbs_no_other(port):
    for _ in range(20):
        with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
            connection.sendall(head(len(GOOD)) + GOOD[:-5])
    assert ask(port).status_code == 200


def test_hundreds_of_idle_connections_keep_nobody_out(port):
    idle = [socket.create_connection(("127.0.0.1", port), timeout=10) for _ in range(300)]
    for connection in idle[::2]:
        connection.sendall(b"POST /v1/mod")
    try:
        for _ in range(5):
            assert ask(port).status_code == 200
    finally:
        for connection in idle:
            connection.close()


def test_errors_tell_nothing_of_other_callers(port):
    """Good and bad requests at once: each bad one is told of its own value alone."""

    def call(index):
        body = GOOD.replace(b": 3", b": %d" % (1000 + index)) if index % 2 else GOOD
        return index, ask(port, body=body)

    with concurrent.futures.ThreadPoolExecutor(16) as threads:
        for index, response in threads.map(call, range(64)):
            assert response.status_code == (400 if index % 2 else 200)
            others = set(re.findall(r"\b1\d{3}\b", response.text)) - {str(1000 + index)}
            assert not others or response.status_code == 200


def test_keys(upstream, tmp_path):
    file = tmp_path / "keys"
    key, other = add_key(file, "anna"), add_key(file, "ben")
    assert sorted(read_keys(file).values()) == ["anna", "ben"]
    assert key not in file.read_text()
    assert file.stat().st_mode & 0o777 == 0o644
    with local_server.guarding(upstream, keys=read_keys(file)) as port:
        for headers in ({}, {"X_API_Key": "x"}, {"Authorization": f"Basic {key}"}):
            response = ask(port, **headers)
            assert response.status_code == 401
            assert "A key is needed" in response.json()["error"]
        assert ask(port, Authorization=f"Bearer {key}").status_code == 200
        assert ask(port, X_API_Key=other).status_code == 200
        assert ask(port, "GET", "/healthz", None).json() == {"status": "ok"}
    with pytest.raises(ValueError, match=r"'ben' is in .* already"):
        add_key(file, "ben")
    with pytest.raises(ValueError, match="expects letters"):
        add_key(file, "b:n")
    file.write_text("anna\n")
    with pytest.raises(ValueError, match="must have lines `name:sha256`"):
        read_keys(file)
    with pytest.raises(ValueError, match="cannot be read"):
        read_keys(tmp_path / "none")


def test_the_rate_is_of_each_key(upstream, tmp_path):
    keys = {name: add_key(tmp_path / "keys", name) for name in ("anna", "ben")}
    with local_server.guarding(
        upstream, keys=read_keys(tmp_path / "keys"), requests_per_minute=3
    ) as port:
        for _ in range(3):
            assert ask(port, X_API_Key=keys["anna"]).status_code == 200
        refused = ask(port, X_API_Key=keys["anna"])
        assert refused.status_code == 429
        assert refused.headers["Retry-After"] == "1"
        assert ask(port, X_API_Key=keys["ben"]).status_code == 200


def test_limits_by_setting(upstream):
    limits = Limits(max_body_bytes=100, max_rows=1)
    with local_server.guarding(upstream, limits=limits) as port:
        assert ask(port).status_code == 200
        assert ask(port, body=GOOD + b" " * 100).status_code == 413


def test_a_server_that_is_down(port):
    with socket.create_server(("127.0.0.1", 0)) as free:
        nobody = free.getsockname()[1]
    with local_server.guarding(nobody) as guarded:
        for arguments in ({}, {"method": "GET", "path": "/healthz", "body": None}):
            response = ask(guarded, **arguments)
            assert response.status_code == 503
            assert "cannot be reached" in response.json()["error"]
        with pytest.raises(ServingError, match=r"answered 503: .*cannot be reached"):
            Client(f"http://127.0.0.1:{guarded}", retries=1).sample(1)


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (200, b"<html>", (502, "no answer that can be used")),
        (500, b'{"error": "secret of another"}', (502, "The model failed.")),
        (400, b'{"error": "secret of another"}', (400, "refused the inputs")),
        (404, b"", (404, "not served now")),
    ],
)
def test_what_the_server_says_is_not_passed_on(status, body, expected):
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        with local_server.guarding(server.server_port) as port:
            response = ask(port)
        server.shutdown()
        thread.join()
    assert response.status_code == expected[0]
    assert expected[1] in response.json()["error"]
    assert "secret" not in response.text


def test_metrics_do_not_grow_with_what_callers_send(port):
    def lines():
        return set(
            re.findall(r"^(\S+?\{[^}]*\}|\S+) ", ask(port, "GET", "/metrics", None).text, re.M)
        )

    ask(port)
    ask(port, path="/v1/models/a:predict")
    before = lines()
    assert 'sagan_gateway_requests_total{signature="sample",status="200"}' in before
    for index in range(20):
        ask(port, path=f"/v1/models/a{index}:predict")
        ask(port, body=GOOD.replace(b"sample", b"x%d" % index))
    assert len(lines() - before) <= 3


def test_the_log_is_json_without_secrets(upstream, tmp_path, capfd):
    key = add_key(tmp_path / "keys", "anna")
    with local_server.guarding(upstream, keys=read_keys(tmp_path / "keys")) as port:
        ask(port, X_API_Key=key)
        ask(port, path="/" + "x" * 1000, X_API_Key="wrong")
    errors = capfd.readouterr().err
    good, bad = (json.loads(line) for line in errors.splitlines() if line.startswith("{"))
    assert (good["caller"], good["signature"], good["rows"], good["status"]) == (
        "anna",
        "sample",
        1,
        200,
    )
    assert (bad["caller"], bad["status"]) == ("anonymous", 401)
    assert bad["path"] == "other"
    assert key not in errors
