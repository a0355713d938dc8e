import asyncio

import pytest

from sagan_tf.serving.playground.guard import PageGuard


def status_of(host="localhost:7860", path="/", headers=(), parts=(b"",), hosts=("page.example",)):
    """What a guarded application that reads the whole body answers."""

    async def app(scope, receive, send):
        while (await receive())["more_body"]:
            pass
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    sent = []
    waiting = list(parts)

    async def receive():
        body = waiting.pop(0)
        return {"type": "http.request", "body": body, "more_body": bool(waiting)}

    async def send(message):
        sent.append(message)

    all_headers = [(b"host", host.encode()), *headers]
    scope = {"type": "http", "path": path, "headers": all_headers, "method": "POST"}
    asyncio.run(PageGuard(app, hosts)(scope, receive, send))
    return sent[0]["status"]


@pytest.mark.parametrize(
    "host",
    ["localhost", "LOCALHOST:7860", "127.0.0.1:7860", "[::1]:7860", "10.1.2.3", "page.example:1"],
)
def test_own_names_and_addresses_are_let_in(host):
    assert status_of(host) == 200


@pytest.mark.parametrize(
    "host", ["", "evil.example", "localhost.evil.example", "127.0.0.1.evil.example:7860", "a:b"]
)
def test_other_names_are_refused(host):
    assert status_of(host) == 421


@pytest.mark.parametrize("path", ["/gradio_api/upload", "/upload", "/gradio_api/UPLOAD_progress"])
def test_files_are_refused(path):
    assert status_of(path=path) == 404


def test_large_bodies_are_refused_with_and_without_a_length():
    assert status_of(headers=[(b"content-length", b"300000")]) == 413
    assert status_of(headers=[(b"content-length", b"x")]) == 413
    assert status_of(parts=[b"a" * 2**17] * 3) == 413
    assert status_of(parts=[b"a" * 2**16] * 3) == 200
