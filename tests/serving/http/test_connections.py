"""What a connection may do before, and after, its request is worked on."""

import asyncio
import contextlib
import json
import re
import socket
import time

import pytest
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Router

from sagan_tf.serving.http.connection_table import ConnectionLimits
from sagan_tf.serving.server.app import address, error_response, read_body
from sagan_tf.serving.server.rest import RequestError
from tests.support import local_server

GET = b"GET /%s HTTP/1.1\r\nHost: a\r\n\r\n"


async def answer(scope, receive, send):
    """Says how long the body was; waits, or makes a large answer, at the addresses for it."""
    request = Request(scope, receive)
    try:
        body = await read_body(request, 1000, 0.5)
    except RequestError as error:
        await error_response(error)(scope, receive, send)
        return
    except ClientDisconnect:
        return
    path = address(request)
    if path == "/wait":
        await asyncio.sleep(1.0)
    text = b"x" * 2**25 if path == "/large" else b"%s %d" % (path.encode(), len(body))
    await Response(text)(scope, receive, send)


@contextlib.contextmanager
def connected(port, data=b""):
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(data)
        yield connection


def everything(connection):
    """What comes until the server closes."""
    received = b""
    with contextlib.suppress(ConnectionResetError):
        while part := connection.recv(65536):
            received += part
    return received


def one_answer(connection):
    """The whole of the next answer."""
    received = b""
    while True:
        part = connection.recv(65536)
        assert part
        received += part
        head, end, body = received.partition(b"\r\n\r\n")
        length = re.search(rb"content-length: (\d+)", head)
        if end and len(body) >= int(length[1]):
            return received


def ask(port, path=b"a"):
    with connected(port, b"GET /%s HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n" % path) as one:
        return everything(one)


def errors(received):
    """Status and message of an answer that must be one error in JSON."""
    head, _, body = received.partition(b"\r\n\r\n")
    assert b"content-type: application/json" in head.lower()
    assert b"connection: close" in head.lower()
    assert list(json.loads(body)) == ["error"]
    return int(head.split()[1])


@pytest.fixture(scope="module")
def port():
    limits = ConnectionLimits(header_seconds=0.6, call_seconds=1.5, max_body_bytes=1000)
    with local_server.running(Router(default=answer), connections=limits) as port:
        yield port


POST = b"POST / HTTP/1.1\r\nHost: a\r\n"
MALFORMED = {
    "no HTTP": b"\x00\x01\x02\r\n\r\n",
    "unknown version": b"GET / HTTP/9.9\r\nHost: a\r\n\r\n",
    "no version": b"GET /\r\n\r\n",
    "unknown method": b"FETCH / HTTP/1.1\r\nHost: a\r\n\r\n",
    "two lengths": POST + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    "length and chunks": POST + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunks not last": POST + b"Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n",
    "negative length": POST + b"Content-Length: -5\r\n\r\n",
    "length of letters": POST + b"Content-Length: 1e3\r\n\r\n",
    "bare line feeds": b"GET / HTTP/1.1\nHost: a\n\n",
    "folded header": b"GET / HTTP/1.1\r\nHost: a\r\nX-API-Key: a\r\n b\r\n\r\n",
    "space before the colon": b"GET / HTTP/1.1\r\nHost : a\r\n\r\n",
    "no colon": b"GET / HTTP/1.1\r\nHost\r\n\r\n",
    "zero byte in a header": b"GET / HTTP/1.1\r\nHost: a\r\nX: a\x00b\r\n\r\n",
    "chunk size of letters": POST + b"Transfer-Encoding: chunked\r\n\r\nxyz\r\n",
    "connect": b"CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n",
}


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_requests_are_one_error_and_closed(port, name):
    with connected(port, MALFORMED[name]) as connection:
        assert errors(everything(connection)) == 400
    assert b"/a 0" in ask(port)


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\nX: " + b"a" * 50_000,
        b"GET / HTTP/1.1\r\nX: " + b"a" * 2**20 + b"\r\n\r\n",
        b"GET /" + b"a" * 50_000 + b" HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"X: a\r\n" * 6_000 + b"\r\n",
    ],
    ids=["unfinished", "one line", "address", "many"],
)
def test_large_headers_are_refused(port, data):
    with connected(port, data) as connection:
        assert errors(everything(connection)) == 431


def test_large_bodies_are_refused_and_closed(port):
    for body in (b"Content-Length: 5000\r\n\r\n" + b"a" * 5000,):
        with connected(port, POST + body) as connection:
            assert errors(everything(connection)) == 413
    # Small chunks, and chunks' extensions, are more than the body that they carry.
    for body in (b"1\r\na\r\n" * 20_000, b"1;" + b"a" * 200_000):
        with connected(port, POST + b"Transfer-Encoding: chunked\r\n\r\n" + body) as connection:
            assert errors(everything(connection)) == 413


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"", None),
        (b"GET / HT", 408),
        (GET % b"a" + b"GET / HT", 200),
        (POST + b"Content-Length: 9\r\n\r\n{", 408),
        (POST + b"Transfer-Encoding: chunked\r\n\r\n3\r\nab", 408),
    ],
    ids=["silent", "header", "second header", "body", "chunk"],
)
def test_who_sends_slowly_is_closed(port, data, status):
    start = time.monotonic()
    with connected(port, data) as connection:
        received = everything(connection)
    assert 0.3 < time.monotonic() - start < 4
    if status == 200:
        assert received.startswith(b"HTTP/1.1 200")
        received = received[received.index(b"HTTP/1.1", 1) :]
        status = 408
    assert (errors(received) if received else None) == status


def test_a_dripping_header_is_closed_all_the_same(port):
    start = time.monotonic()
    with connected(port, b"GET / HTTP/1.1\r\n") as connection, contextlib.suppress(OSError):
        while time.monotonic() - start < 6:
            connection.sendall(b"X: a\r\n")
            time.sleep(0.05)
    assert time.monotonic() - start < 4


def test_who_does_not_read_his_answer_is_cut_off(port):
    start = time.monotonic()
    with connected(port, GET % b"large") as connection:
        time.sleep(3)
        assert len(everything(connection)) < 2**25
    assert time.monotonic() - start < 6


def test_pipelined_requests_are_answered_in_their_order(port):
    data = GET % b"wait" + GET % b"b" + b"GET /c HTTP/1.1\r\nConnection: close\r\n\r\n"
    with connected(port, data) as connection:
        received = everything(connection)
    assert [part.split()[-2][-5:] for part in received.split(b"HTTP/1.1")[1:]] == [
        b"/wait",
        b"/b",
        b"/c",
    ]
    with connected(port, GET % b"wait" + GET % b"b" * 100) as connection:
        assert b" 200 OK" in everything(connection)
    with connected(port, GET % b"wait" + b"no request\r\n\r\n") as connection:
        assert everything(connection).startswith(b"HTTP/1.1 200")


def test_idle_connections_make_room():
    limits = ConnectionLimits(max_connections=40, max_connections_per_address=20)
    with (
        local_server.running(Router(default=answer), connections=limits) as port,
        contextlib.ExitStack() as stack,
    ):
        working = stack.enter_context(connected(port, GET % b"wait"))
        time.sleep(0.2)  # until its request was read
        idle = [stack.enter_context(connected(port, b"GET")) for _ in range(100)]
        assert b"/a 0" in ask(port)
        assert b"/wait 0" in one_answer(working)  # who waits for an answer is not closed
        time.sleep(0.2)
        closed = 0
        for connection in idle:
            connection.settimeout(0.01)
            with contextlib.suppress(TimeoutError):
                closed += everything(connection) == b""
        assert 80 <= closed < 100


def test_when_all_work_nobody_else_gets_in():
    limits = ConnectionLimits(max_connections_per_address=3)
    with (
        local_server.running(Router(default=answer), connections=limits) as port,
        contextlib.ExitStack() as stack,
    ):
        working = [stack.enter_context(connected(port, GET % b"wait")) for _ in range(3)]
        time.sleep(0.1)
        assert errors(ask(port)) == 503
        for connection in working:
            assert b"/wait 0" in one_answer(connection)
        shared = ConnectionLimits(max_connections_per_address=3, is_shared=lambda address: True)
    with local_server.running(Router(default=answer), connections=shared) as port:
        waiting = [stack.enter_context(connected(port, GET % b"wait")) for _ in range(5)]
        assert all(b"/wait 0" in one_answer(connection) for connection in waiting)
