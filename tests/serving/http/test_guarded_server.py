"""The gateway before a server that is slow, large, broken or asked too much."""

import concurrent.futures
import contextlib
import http.server
import json
import re
import socket
import threading
import time
from pathlib import Path

import pytest
import requests

from sagan_tf.serving.gateway.callers import add_key, read_keys, read_networks
from tests.by_hand.hostile import GOOD, PREDICT, ask
from tests.support import local_server

IMAGES = GOOD.replace(b"sample", b"images")


def tensor(dtype, *shape):
    dim = [{"size": str(size)} for size in (-1, *shape)]
    return {"dtype": dtype, "tensor_shape": {"dim": dim, "unknown_rank": False}}


INPUTS = {"class_id": tensor("DT_INT32"), "seed": tensor("DT_INT64")}
METADATA = {
    "metadata": {
        "signature_def": {
            "signature_def": {
                "sample": {"inputs": INPUTS, "outputs": {"image_bytes": tensor("DT_STRING")}},
                "images": {
                    "inputs": INPUTS,
                    "outputs": {"images": tensor("DT_FLOAT", 128, 128, 3)},
                },
            }
        }
    }
}
ANSWER = b'{"predictions": [{"image_bytes": {"b64": "aGk="}}]}'


class Upstream(http.server.ThreadingHTTPServer):
    """A model's server that answers calls with `self.answer(handler)`."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.metadata = json.dumps(METADATA).encode()
        self.status = b'{"model_version_status": []}'
        self.answer = lambda handler: handler.give(ANSWER)
        self.calls = 0


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        is_metadata = self.path.endswith("/metadata")
        self.give(self.server.metadata if is_metadata else self.server.status)

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.server.calls += 1
        with contextlib.suppress(ConnectionError):
            self.server.answer(self)

    def give(self, body):
        self.begin(len(body))
        self.wfile.write(body)

    def begin(self, length):
        self.send_response(200)
        self.send_header("Content-Length", str(length))
        self.end_headers()

    def log_message(self, *_):
        pass


@pytest.fixture
def upstream():
    with Upstream() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def keys(tmp_path):
    """Keys of `anna` and `ben`, and what the gateway knows of them."""
    made = {name: add_key(tmp_path / "keys", name) for name in ("anna", "ben")}
    return made, read_keys(tmp_path / "keys")


def log_lines(capfd):
    return [json.loads(line) for line in capfd.readouterr().err.splitlines() if line[:1] == "{"]


FORGED = "X_Forwarded_For X_Real_IP Forwarded True_Client_IP X_Client_IP CF_Connecting_IP".split()


@pytest.mark.parametrize("header", FORGED)
def test_a_forged_address_passes_no_limit(upstream, capfd, header):
    with local_server.guarding(upstream.server_port, requests_per_minute=4) as port:
        codes = [
            ask(port, **{header: f"{'for=' * (header == 'Forwarded')}9.9.9.{index}"}).status_code
            for index in range(8)
        ]
        assert ask(port, **{header: "x" * 10_000}).status_code == 429
    assert codes == [200] * 4 + [429] * 4
    assert {line["client"] for line in log_lines(capfd)} == {"127.0.0.1"}


def test_a_trusted_proxy_is_believed(upstream, capfd):
    trusted = read_networks(["127.0.0.0/8"])
    with local_server.guarding(
        upstream.server_port, requests_per_minute=2, trusted_proxies=trusted
    ) as port:
        for address, expected in (("9.9.9.1", 200), ("9.9.9.1", 200), ("9.9.9.1", 429)):
            assert ask(port, X_Forwarded_For=f"1.1.1.1, {address}").status_code == expected
        assert ask(port, X_Forwarded_For="9.9.9.2").status_code == 200
    assert [line["client"] for line in log_lines(capfd)] == ["9.9.9.1"] * 3 + ["9.9.9.2"]


def test_one_key_keeps_nobody_else_out(upstream, keys):
    """While one caller has all his calls under way, others, health and refusals do not wait."""
    made, known = keys
    free = threading.Event()

    def answer(handler):
        if upstream.calls <= 5:
            free.wait(20)
        handler.give(ANSWER)

    upstream.answer = answer
    with (
        local_server.guarding(
            upstream.server_port, keys=known, max_in_flight=8, max_in_flight_per_caller=5
        ) as port,
        concurrent.futures.ThreadPoolExecutor(40) as threads,
    ):
        held = [threads.submit(ask, port, X_API_Key=made["anna"]) for _ in range(40)]
        while upstream.calls < 5:
            time.sleep(0.01)
        start = time.monotonic()
        assert ask(port, X_API_Key=made["ben"]).status_code == 200
        assert ask(port, "GET", "/healthz", None).json() == {"status": "ok"}
        assert "in_flight 5.0" in ask(port, "GET", "/metrics", None).text
        assert ask(port, X_API_Key="wrong").status_code == 401
        assert ask(port, X_API_Key=made["ben"], body=b"{").status_code == 400
        assert time.monotonic() - start < 5
        free.set()
        codes = [call.result().status_code for call in held]
    assert codes.count(200) == 5
    assert codes.count(429) == 35


def test_images_are_counted(upstream):
    inputs = {"class_id": [1] * 8, "seed": [1] * 8}
    body = json.dumps({"signature_name": "sample", "inputs": inputs})
    with local_server.guarding(upstream.server_port, images_per_minute=20) as port:
        codes = [ask(port, body=body).status_code for _ in range(3)]
        assert codes == [200, 200, 429]
        assert ask(port).status_code == 200


def test_who_has_no_key_is_counted_too(upstream, keys, capfd):
    made, known = keys
    with local_server.guarding(upstream.server_port, keys=known, requests_per_minute=60) as port:
        codes = [ask(port, X_API_Key=str(index)).status_code for index in range(100)]
        assert codes == [401] * 60 + [429] * 40
        assert ask(port, X_API_Key=made["anna"]).status_code == 200
        health = [ask(port, "GET", "/healthz", None).status_code for _ in range(61)]
        assert health == [200] * 60 + [429]
    lines = log_lines(capfd)
    assert all(line["path"] != "/healthz" or line["status"] != 200 for line in lines)
    left_out = sum(line.get("refused_and_not_written", 0) for line in lines)
    assert left_out > 0
    assert len(lines) < 100


def test_a_large_answer_passes_through_a_small_gateway(upstream):
    """60 MB three times at once; the gateway keeps a few hundred KB of each."""
    text = b'{"outputs": [' + b"0.12345678, " * 5_000_000 + b"1.0]}"

    def memory():
        status = Path("/proc/self/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+) kB", status)[1]) / 1024

    def length():
        url = f"http://127.0.0.1:{port}{PREDICT}"
        with requests.post(url, GOOD, stream=True, timeout=60) as answer:
            assert answer.status_code == 200
            return sum(len(part) for part in answer.iter_content(2**16))

    upstream.answer = lambda handler: handler.give(text)
    with (
        local_server.guarding(upstream.server_port, timeout_seconds=60.0) as port,
        concurrent.futures.ThreadPoolExecutor(3) as threads,
    ):
        before = memory()
        assert [*threads.map(lambda _: length(), range(3))] == [len(text)] * 3
        assert memory() - before < 60


def test_an_answer_that_would_be_too_large_is_not_computed(upstream):
    inputs = {"class_id": [1] * 64, "seed": [1] * 64}
    body = json.dumps({"signature_name": "images", "inputs": inputs})
    with local_server.guarding(upstream.server_port) as port:
        refused = ask(port, body=body)
        assert refused.status_code == 400
        assert refused.json()["error"].startswith("At most 28 images at a time of `images`")
        assert upstream.calls == 0
        assert ask(port, body=body.replace("images", "sample")).status_code == 200


@pytest.mark.parametrize(
    ("text", "status"),
    [
        (b'{"outputs": [[NaN, 1.0]]}', 400),
        (b'{"predictions": [1.0,-Infinity]}', 400),
        (b'{"predictions": [\n        -Inf\n]}', 400),
        (b'{"outputs": {"b64": "NaNInf", "x": 1}}', 200),
        (b'{"outputs": [1.0]', 502),
        (b"garbage", 502),
        (b"", 502),
        (b"[" * 100_000, 502),
        (b'{"other": 1}', 502),
        (b'{"error": "secret"}', 502),
        (b"<html>" + b" " * 2**21, 502),
        (b'{"outputs": [NaN' + b", 1.0" * 2**19 + b"]}", 400),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_an_answer_is_looked_at(upstream, text, status):
    upstream.answer = lambda handler: handler.give(text)
    with local_server.guarding(upstream.server_port) as port:
        answer = ask(port)
    assert answer.status_code == status
    assert answer.content == text if status == 200 else list(answer.json()) == ["error"]


@pytest.mark.parametrize("fault", ["not finite", "too large", "cut short", "no end"])
def test_what_goes_wrong_late_is_no_whole_answer(upstream, fault):
    """The status has been sent; the caller sees that the answer does not end."""
    text = b'{"outputs": [' + b"1.0, " * 2**20

    def answer(handler):
        if fault == "cut short":
            handler.begin(len(text) + 5)
            handler.wfile.write(text)
            handler.close_connection = True
        else:
            handler.give(text + (b"NaN]}" if fault == "not finite" else b"1.0, "))

    upstream.answer = answer
    most = 3 * 2**20 if fault == "too large" else 2**26
    with (
        local_server.guarding(upstream.server_port, max_answer_bytes=most) as port,
        pytest.raises(requests.exceptions.ChunkedEncodingError),
    ):
        ask(port)


def test_a_dripping_server_is_given_up(upstream):
    def answer(handler):
        handler.begin(1000)
        for _ in range(100):
            handler.wfile.write(b" ")
            time.sleep(0.1)

    upstream.answer = answer
    with local_server.guarding(upstream.server_port, timeout_seconds=1.0) as port:
        start = time.monotonic()
        assert ask(port).status_code == 504
        assert time.monotonic() - start < 4


def test_metadata_too_deep_is_the_servers_fault(upstream):
    upstream.metadata = b'{"metadata": ' + b"[" * 200_000
    with local_server.guarding(upstream.server_port) as port:
        assert ask(port).status_code == 502
        assert ask(port, "GET", "/healthz", None).status_code == 502


def test_a_server_that_comes_back_is_asked_again(upstream):
    good, upstream.metadata = upstream.metadata, b"<html>"
    with local_server.guarding(upstream.server_port) as port:
        assert ask(port).status_code == 502
        upstream.metadata = good
        deadline = time.monotonic() + 10
        while ask(port).status_code != 200:
            assert time.monotonic() < deadline
            time.sleep(0.1)


def test_status_names_no_files(upstream):
    broken = {
        "version": "2",
        "state": "END",
        "status": {"error_code": "NOT_FOUND", "error_message": "/models/secret/2 is broken"},
    }
    upstream.status = json.dumps({"model_version_status": [broken]}).encode()
    with local_server.guarding(upstream.server_port) as port:
        answer = ask(port, "GET", "/v1/models/sagan", None)
        assert "secret" not in answer.text
        (entry,) = answer.json()["model_version_status"]
        assert (entry["version"], entry["state"]) == ("2", "END")
        assert entry["status"] == {"error_code": "NOT_FOUND", "error_message": ""}
        for odd in (b"[]", b'{"model_version_status": [{"version": "/a"}]}'):
            upstream.status = odd
            assert ask(port, "GET", "/v1/models/sagan", None).status_code == 502


def test_an_extra_column_goes_no_further(upstream):
    extra = {"class_id": [1], "seed": [1], "b64": {"anything": ["from the caller", 1]}}
    with local_server.guarding(upstream.server_port) as port:
        answer = ask(port, body=json.dumps({"signature_name": "sample", "inputs": extra}))
    assert answer.status_code == 400
    assert upstream.calls == 0


def test_no_key_is_logged_wherever_it_is_put(upstream, keys, capfd):
    made, known = keys
    key = made["anna"]
    with local_server.guarding(upstream.server_port, keys=known) as port:
        for path in (f"{PREDICT}?key={key}", f"/{key}", f"/v1/models/{key}:predict"):
            assert ask(port, path=path, X_API_Key=key).status_code in (400, 404)
        ask(port, X_API_Key=key + "x", Cookie=key, User_Agent=key, Authorization=f"Basic {key}")
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.sendall(f"{key} / HTTP/1.1\r\nX-API-Key: {key}\r\n\r\n".encode())
            connection.recv(1000)
    errors = capfd.readouterr().err
    assert key not in errors
    assert errors.count('"status"') >= 4
