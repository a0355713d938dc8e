"""An HTTP server around `rest.handle`: Starlette and uvicorn."""

import contextlib
import logging
import socket
import threading
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread
import uvicorn
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from sagan_tf.serving import rest
from sagan_tf.serving.json_tensors import dump

if TYPE_CHECKING:
    from sagan_tf.serving.versions import ServedModels


def bind(host: str, port: int) -> socket.socket:
    """A listening socket, taken before minutes of loading.

    Raises:
        ValueError: if the address cannot be listened at.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio sends without delay only where the protocol is named: 40 ms less for each answer.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(128)
    except OSError as error:
        listener.close()
        raise ValueError(
            f"`--rest_api_port` {port} cannot be listened at on {host}: {error.strerror}. "
            "Stop what uses it, or choose another port."
        ) from None
    return listener


def make_app(
    models: "ServedModels",
    timeout_seconds: float = 30.0,
    num_threads: int = 8,
    enable_cors: bool = False,
    poll_seconds: float = 1.0,
) -> Starlette:
    """The application, which also looks for new versions while it runs.

    Args:
        models: what is served.
        timeout_seconds: after which a call is answered with 504.
        num_threads: calls that run at a time; others wait.
        enable_cors: whether pages of other sites may read the answers.
        poll_seconds: between looks at the disk.
    """
    threads = anyio.CapacityLimiter(num_threads)

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        path = scope["raw_path"].decode("latin-1")
        if scope["query_string"]:
            path += "?" + scope["query_string"].decode("latin-1")
        try:
            body = await request.body()
        except ClientDisconnect:  # nobody is left to be answered
            return
        response = rest.Response(
            504,
            {"Content-Type": "application/json"},
            dump({"error": f"No answer within {timeout_seconds:g} seconds."}),
        )
        with anyio.move_on_after(timeout_seconds):
            # A call cannot be stopped: after the time limit it ends unheard.
            response = await anyio.to_thread.run_sync(
                rest.handle,
                request.method,
                path,
                request.headers,
                body,
                models,
                enable_cors,
                abandon_on_cancel=True,
                limiter=threads,
            )
        await Response(response.body, response.status, response.headers)(scope, receive, send)

    @contextlib.asynccontextmanager
    async def watching(app: Starlette) -> AsyncIterator[None]:
        stop = threading.Event()
        watcher = threading.Thread(target=models.watch, args=(poll_seconds, stop), daemon=True)
        watcher.start()
        try:
            yield
        finally:
            stop.set()

    app = Starlette(lifespan=watching)
    app.mount("/", answer)
    return app


def make_server(app: Starlette) -> uvicorn.Server:
    """A server, whose `run(sockets=[listener])` answers until SIGTERM or Ctrl-C.

    It then finishes what is under way.
    """
    return uvicorn.Server(uvicorn.Config(app, log_level=logging.WARNING, access_log=False))
