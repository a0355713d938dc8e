"""Refuses requests before Gradio sees them: other hosts' names, uploads and large bodies."""

import ipaddress
import socket
from collections.abc import Iterable

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

# Far more than the values of all controls of the page.
_MAX_BODY_BYTES = 256 * 1024


class _TooLargeError(Exception):
    pass


class PageGuard:
    """ASGI middleware in front of Gradio's application.

    Args:
        app: the application to guard.
        hosts: names in the `Host` header that are accepted, beside IP addresses, `localhost` and
            this machine's own name. This refuses DNS rebinding, where a page of another site lets
            its name point here.
    """

    def __init__(self, app: ASGIApp, hosts: Iterable[str] = ()) -> None:
        self._app = app
        self._hosts = {name.lower() for name in (*hosts, "localhost", socket.gethostname())}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
        length = headers.get(b"content-length", "0")
        if not self._knows(headers.get(b"host", "")):
            refusal = 421, "This page has another name; start it with `--allowed_hosts`."
        elif "upload" in scope["path"].lower():
            refusal = 404, "This page takes no files."
        elif not length.isdecimal() or int(length) > _MAX_BODY_BYTES:
            refusal = 413, f"The body must be at most {_MAX_BODY_BYTES} bytes."
        else:
            await self._pass_on(scope, receive, send)
            return
        await _refuse(*refusal)(scope, receive, send)

    async def _pass_on(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes on a request and counts its body, since a chunked one does not tell its length."""
        size = 0

        async def counted() -> Message:
            nonlocal size
            message = await receive()
            size += len(message.get("body", b""))
            if size > _MAX_BODY_BYTES:
                raise _TooLargeError
            return message

        try:
            await self._app(scope, counted, send)
        except _TooLargeError:
            refusal = _refuse(413, f"The body must be at most {_MAX_BODY_BYTES} bytes.")
            await refusal(scope, receive, send)

    def _knows(self, host: str) -> bool:
        name = host.rpartition(":")[0] if host.rpartition(":")[2].isdecimal() else host
        name = name.strip("[]").lower()
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return name in self._hosts
        return True  # only a name can be made to point here by another site


def _refuse(status: int, message: str) -> JSONResponse:
    # The rest of the body is not read.
    return JSONResponse({"error": message}, status, {"Connection": "close"})
