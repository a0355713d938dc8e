"""The HTTP application around `rest.read`, and what it shares with the gateway and playground."""

import asyncio
import concurrent.futures
import contextlib
import errno
import functools
import re
import socket
import threading
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse
from starlette.routing import Router
from starlette.types import ASGIApp, Receive, Scope, Send

from sagan_tf.serving.server import rest
from sagan_tf.serving.server.batching import Batcher, BatchingParameters

if TYPE_CHECKING:
    from sagan_tf.serving.server.versions import ServedModels

# Bytes beyond the limit that are still read, so that the sender of a larger body sees the error.
_DISCARDED_BYTES = 2**20
# Larger bodies are parsed in a thread, so that they do not hold up other callers.
_SMALL_BODY = 2**14
_READERS = 2
_SCHEME_AND_HOST = re.compile("^https?://[^/]*")


def bind(host: str, port: int) -> socket.socket:
    """Opens a listening socket, before models load for minutes; callers wait meanwhile.

    Args:
        host: name or address to listen at.
        port: port to listen at; 0 for a free one.

    Raises:
        ValueError: if it is not possible to listen there.
    """
    try:
        # asyncio sets TCP_NODELAY, which saves up to 40 ms, only if the protocol is named.
        (family, kind, protocol, _, address), *_ = socket.getaddrinfo(
            host.strip("[]"), port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP
        )
        listener = socket.socket(family, kind, protocol)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            listener.listen(128)
        except OSError:
            listener.close()
            raise
    except OSError as error:
        at_port = error.errno in (errno.EADDRINUSE, errno.EACCES)
        remedy = "choose another port" if at_port else "name an address of this machine"
        raise ValueError(
            f"Port {port} of {host} cannot be listened at: {error.strerror}. "
            f"Stop what uses it, or {remedy}."
        ) from None
    return listener


def make_app(
    models: "ServedModels",
    timeout_seconds: float = 30.0,
    num_threads: int = 8,
    enable_cors: bool = False,
    poll_seconds: float = 1.0,
    max_body_bytes: int = rest.MAX_INFLATED_BYTES,
    batching: BatchingParameters | None = None,
) -> ASGIApp:
    """Makes the application, which also looks for new versions while it runs.

    Args:
        models: the models to serve.
        timeout_seconds: seconds after which a call is answered with 504, and a slow body with 408.
        num_threads: calls that run at the same time; others wait, but status requests do not.
        enable_cors: whether pages of other sites may read the answers.
        poll_seconds: seconds between looks for new versions on disk.
        max_body_bytes: most bytes of a request's body, also after it is inflated.
        batching: limits of joined calls; `None` for the defaults.
    """
    return _App(
        models, timeout_seconds, num_threads, enable_cors, max_body_bytes, batching, poll_seconds
    )


class _App:
    """Reads requests, runs their calls and writes the answers; arguments as of `make_app`."""

    def __init__(
        self,
        models: "ServedModels",
        timeout_seconds: float,
        num_threads: int,
        enable_cors: bool,
        max_body_bytes: int,
        batching: BatchingParameters | None,
        poll_seconds: float,
    ) -> None:
        self._models = models
        self._timeout_seconds = timeout_seconds
        self._enable_cors = enable_cors
        self._max_body_bytes = max_body_bytes
        self._poll_seconds = poll_seconds
        self._batcher = Batcher(batching or BatchingParameters(), num_threads)
        self._readers = concurrent.futures.ThreadPoolExecutor(_READERS)
        self._lifespan = Router(lifespan=self._watching)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._lifespan(scope, receive, send)
            return
        try:
            answer = await self._respond(Request(scope, receive))
        except rest.RequestError as error:
            await error_response(error)(scope, receive, send)
        except asyncio.CancelledError:
            stops = rest.RequestError(503, "The server stops; try again.")
            await error_response(stops)(scope, receive, send)
        except ClientDisconnect:  # nobody is left to be answered
            return
        else:
            await _send(answer, send)

    async def _respond(self, request: Request) -> rest.Response:
        body = await read_body(request, self._max_body_bytes, self._timeout_seconds)
        read = functools.partial(
            rest.read,
            request.method,
            address(request),
            request.headers,
            body,
            self._models,
            self._enable_cors,
            self._max_body_bytes,
        )
        is_small = len(body) <= _SMALL_BODY and "content-encoding" not in request.headers
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._timeout_seconds
        try:
            if is_small:
                found = read()
            else:
                async with asyncio.timeout_at(deadline):
                    found = await loop.run_in_executor(self._readers, read)
            if isinstance(found, rest.Call):
                return await self._batcher.run(found, deadline)
        except TimeoutError:
            message = f"No answer within {self._timeout_seconds:g} seconds."
            raise rest.RequestError(504, message) from None
        return found

    @contextlib.asynccontextmanager
    async def _watching(self, app: Router) -> AsyncIterator[None]:
        """Looks for new versions while the application runs, and ends all threads afterwards."""
        stop = threading.Event()
        watcher = threading.Thread(
            target=self._models.watch, args=(self._poll_seconds, stop), daemon=True
        )
        watcher.start()
        try:
            yield
        finally:
            stop.set()
            self._batcher.stop()
            self._readers.shutdown(wait=False, cancel_futures=True)


async def _send(answer: rest.Response, send: Send) -> None:
    headers = {**answer.headers, "Content-Length": str(len(answer.body))}
    pairs = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": answer.status, "headers": pairs})
    await send({"type": "http.response.body", "body": answer.body})


async def read_body(request: Request, max_bytes: int, timeout_seconds: float) -> bytes:
    """Reads the body of a request.

    Args:
        request: the request.
        max_bytes: most bytes of the body.
        timeout_seconds: seconds until the whole body must be there.

    Raises:
        RequestError: 413 if it is too large, 408 if it takes too long.
        ClientDisconnect: if the caller leaves.
    """
    try:
        if request.scope["has_body"]:  # it came with the headers: a timer would take as long to set
            body = await _received(request.receive, max_bytes)
        else:
            async with asyncio.timeout(timeout_seconds):
                body = await _received(request.receive, max_bytes)
    except TimeoutError:
        raise rest.RequestError(408, "The body took too long.") from None
    if body is None:
        raise rest.RequestError(413, f"The body must be at most {max_bytes} bytes.")
    return body


async def _received(receive: Receive, max_bytes: int) -> bytes | None:
    """Returns a body, or `None` if it has more than `max_bytes`."""
    body = bytearray()
    size, more = 0, True
    # Some more is read and dropped: most callers send all before they read an answer.
    while more and size <= max_bytes + _DISCARDED_BYTES:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        part = message["body"]
        size += len(part)
        if size <= max_bytes:
            body += part
        more = message["more_body"]
    return bytes(body) if size <= max_bytes else None


def address(request: Request) -> str:
    """Returns path and query as they were sent, still quoted, without scheme and host."""
    return _SCHEME_AND_HOST.sub("", request.scope["target"])


def error_response(error: rest.RequestError) -> JSONResponse:
    """Makes the answer to a failed request; if its body was not read, the connection is closed."""
    headers = {}
    if error.retry_after is not None:
        headers["Retry-After"] = str(error.retry_after)
    if error.status in (408, 413):
        headers["Connection"] = "close"
    return JSONResponse({"error": str(error)}, error.status, headers)
