"""HTTP connections with deadlines and caps, so that no caller can hold the server for nothing.

uvicorn and httptools parse requests, refuse malformed ones, write answers and keep the order of
pipelined calls. Added here: a deadline for every state of a connection, a cap on connections (in
all and of each address), a cap on headers, errors as `{"error": ...}`, and a stop that loses no
call.
"""

import asyncio
import contextlib
import dataclasses
import functools
import http
import json
import logging
import resource
import socket
import time
from collections.abc import Callable, Iterable
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

# Connections that asyncio accepts before it looks at any of them: they are beyond the cap so long.
_ACCEPTED_AT_ONCE = 32
_BACKLOG = 1024
# Requests that a connection may send ahead of its answers.
_MAX_PIPELINED = 16
# How long, and how many bytes of, what follows a refused request is read and thrown away. Closed
# at once, the connection would be reset and the caller might never see why.
_LINGER_SECONDS = 1.0
_LINGER_BYTES = 2**20
# A stop takes at most the sum. First, answers close their connections while new ones are still
# taken, so that nobody is cut off who asks just then; then the last to come are heard; then calls
# may end.
_DRAIN_SECONDS = 1.0
_LAST_HEARD_SECONDS = 0.5
_LAST_SECONDS = 6


@dataclasses.dataclass(frozen=True)
class ConnectionLimits:
    """What a caller may take of a server before, and after, his call is worked on.

    Attributes:
        max_connections: open at a time.
        max_connections_per_address: of these, of one address.
        max_header_bytes: of a request's first line and headers, and of trailers.
        max_body_bytes: of a request's body; about twice as many are read, for chunks' sizes.
        header_seconds: from the connection's start, or the last answer, to the end of the headers.
        call_seconds: from there to the last byte of the answer.
        reserved_descriptors: files and sockets that the process needs for other things.
        is_shared: says of an address that it stands for many callers, as a proxy does.
    """

    max_connections: int = 512
    max_connections_per_address: int = 128
    max_header_bytes: int = 16 * 2**10
    max_body_bytes: int = 4 * 2**20
    header_seconds: float = 10.0
    call_seconds: float = 60.0
    reserved_descriptors: int = 96
    is_shared: Callable[[str], bool] = lambda address: False


def error_answer(status: int, message: str) -> bytes:
    """A whole HTTP answer that closes the connection."""
    body = json.dumps({"error": message}).encode()
    phrase = http.HTTPStatus(status).phrase
    return (
        f"HTTP/1.1 {status} {phrase}\r\ncontent-type: application/json\r\n"
        f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
    ).encode() + body


class ConnectionTable:
    """The open connections by address, oldest first.

    When there is no room, the oldest that does nothing is closed for the new one.
    """

    def __init__(self, limits: ConnectionLimits) -> None:
        self.limits = limits
        self.stopping = False
        descriptors, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        free = max(16, descriptors - limits.reserved_descriptors - 2 * _ACCEPTED_AT_ONCE)
        self._capacity = min(limits.max_connections, free)
        self._by_address: dict[str, dict[GuardedConnection, None]] = {}
        self._count = 0

    def add(self, connection: "GuardedConnection", address: str) -> bool:
        """Whether there is room, or room could be made."""
        mine = self._by_address.get(address, {})
        shared = self.limits.is_shared(address)
        if len(mine) >= self.limits.max_connections_per_address and not shared:
            if not self._close_one(mine):
                return False
        elif self._count >= self._capacity:
            largest = max(self._by_address.values(), key=len)
            if not self._close_one(largest):
                return False
        self._by_address.setdefault(address, {})[connection] = None
        self._count += 1
        return True

    def remove(self, connection: "GuardedConnection", address: str) -> None:
        """Forgets a connection, which may be gone already."""
        mine = self._by_address.get(address, {})
        if connection in mine:
            del mine[connection]
            self._count -= 1
            if not mine:
                del self._by_address[address]

    def close_late(self) -> None:
        """Ends what is beyond its deadline."""
        now = time.monotonic()
        for mine in [*self._by_address.values()]:
            for connection in [one for one in mine if one.deadline < now]:
                connection.end_late()

    def _close_one(self, connections: Iterable["GuardedConnection"]) -> bool:
        """Closes an idle connection, or else one whose request is not there in full."""
        unfinished = [one for one in connections if one.is_idle or one.cycle.more_body]
        victim = next((one for one in unfinished if one.is_idle), None)
        victim = victim or next(iter(unfinished), None)
        if victim is None:
            return False
        victim.transport.abort()
        self.remove(victim, victim.address)  # now: its own notice comes later
        return True


class GuardedConnection(HttpToolsProtocol):
    """uvicorn's connection with a deadline; `table` has those of the same server."""

    def __init__(self, *args: Any, table: ConnectionTable, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._table = table
        self._limits = table.limits
        self.address = "unknown"
        self.deadline = time.monotonic() + self._limits.header_seconds
        self._begun = False  # whether a byte of the next request is there
        self._in_headers = True
        self._received = 0  # bytes of the request
        self._header_bytes = 0
        self._lingering = False
        self._discarded = 0
        self._refusal = 400, "This is no HTTP request."

    @property
    def is_idle(self) -> bool:
        """Whether no call is under way."""
        return self.cycle is None or self.cycle.response_complete

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        if self.client:
            self.address = self.client[0]
        if not self._table.add(self, self.address):
            self._lingering = True
            transport.write(error_answer(503, "There are too many connections; try again."))
            transport.close()  # without lingering, which would go beyond the cap

    def connection_lost(self, exc: Exception | None) -> None:
        self._table.remove(self, self.address)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._lingering:
            self._discarded += len(data)
            if self._discarded > _LINGER_BYTES:
                self.transport.abort()
            return
        self._received += len(data)
        super().data_received(data)
        if self.parser is None or self._lingering:
            return
        most = self._limits.max_header_bytes
        if not self._in_headers:
            most += 2**16 + 2 * self._limits.max_body_bytes
        if self._received > most:
            status = 431 if self._in_headers else 413
            self.refuse(status, f"The request must be at most {most} bytes.")

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._begun, self._header_bytes = True, 0

    def on_url(self, url: bytes) -> None:
        self._count_header(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._count_header(len(name) + len(value) + len(b": \r\n"))
        super().on_header(name, value)

    def _count_header(self, length: int) -> None:
        self._header_bytes += length
        if self._header_bytes > self._limits.max_header_bytes:
            most = self._limits.max_header_bytes
            self._refusal = 431, f"Address and headers must be at most {most} bytes."
            raise ValueError(self._refusal[1])  # which the parser turns into an error of its own

    def on_headers_complete(self) -> None:
        self._in_headers = False
        if self.parser.get_http_version() not in ("1.0", "1.1"):
            raise ValueError(self._refusal[1])
        if len(self.pipeline) >= _MAX_PIPELINED:
            self._refusal = 400, "Wait for answers before you send more requests."
            raise ValueError(self._refusal[1])
        # Not in ASGI: the address as it was sent, which its `path` is no more.
        self.scope["target"] = self.url.decode("latin-1")  # type: ignore[typeddict-unknown-key]
        super().on_headers_complete()
        self.deadline = time.monotonic() + self._limits.call_seconds
        if self._table.stopping:
            self.cycle.keep_alive = False

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._begun, self._in_headers, self._received = False, True, 0

    def on_response_complete(self) -> None:
        unsent = self.transport.get_write_buffer_size()
        waits = (
            self._limits.call_seconds if unsent or self.pipeline else self._limits.header_seconds
        )
        self.deadline = time.monotonic() + waits
        super().on_response_complete()

    def _unsupported_upgrade_warning(self) -> None:
        self.cycle.keep_alive = False  # the parser reads no further; no line in the log for it

    def send_400_response(self, msg: str) -> None:
        """Refuses what is no request; `msg` is uvicorn's."""
        if self.is_idle or self.cycle.more_body:
            self.refuse(*self._refusal)
            return
        # An earlier call is under way, and is still answered.
        self.cycle.keep_alive = False
        self.pipeline.clear()
        self._lingering = True

    def refuse(self, status: int, message: str) -> None:
        """Writes an error in place of an answer, and closes soon."""
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.disconnected = True  # for the application, the caller has left
            self.cycle.message_event.set()
            if self.cycle.response_started:
                self.transport.abort()
                return
        self.pipeline.clear()
        self._lingering = True
        self.deadline = time.monotonic() + _LINGER_SECONDS
        if not self.transport.is_closing():
            self.flow.resume_reading()
            self.transport.write(error_answer(status, message))
            self.transport.write_eof()

    def end_late(self) -> None:
        """Ends a connection that is beyond its deadline."""
        if self.is_idle and self._begun and not self._lingering:
            self.refuse(408, "The headers took too long.")
        else:
            self.transport.abort()

    def shutdown(self) -> None:
        if not self.is_idle and self.cycle.more_body:
            self.refuse(503, "The server stops; try again.")
        else:
            super().shutdown()


class GuardedServer(uvicorn.Server):
    """uvicorn's server, which ends late connections and, told to stop, first empties itself."""

    def __init__(self, config: uvicorn.Config, table: ConnectionTable) -> None:
        super().__init__(config)
        self._table = table

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        for listener in sockets or ():
            listener.listen(_BACKLOG)  # what the kernel keeps; asyncio takes few at a time

    async def on_tick(self, counter: int) -> bool:
        self._table.close_late()
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._table.stopping = True
        for connection in self.server_state.connections:
            if isinstance(connection, GuardedConnection) and not connection.is_idle:
                connection.cycle.keep_alive = False
        await asyncio.sleep(_DRAIN_SECONDS)
        accepted: list[socket.socket] = []
        for server in self.servers:
            # Whom the kernel has let in already, closing the listener would reset.
            for listener in [one.dup() for one in server.sockets]:
                with listener, contextlib.suppress(OSError):  # there is nobody left
                    while True:
                        accepted.append(listener.accept()[0])
            server.close()
        loop = asyncio.get_running_loop()
        for late in accepted:
            late.setblocking(False)
            await loop.connect_accepted_socket(self._make_connection, late)
        await asyncio.sleep(_LAST_HEARD_SECONDS)
        await super().shutdown(sockets)

    def _make_connection(self) -> GuardedConnection:
        return GuardedConnection(
            config=self.config,
            server_state=self.server_state,
            app_state=self.lifespan.state,
            table=self._table,
        )


def make_server(app: Any, limits: ConnectionLimits | None = None) -> GuardedServer:
    """A server, whose `run(sockets=[listener])` answers until SIGTERM or Ctrl-C.

    It then takes up to 8 seconds to finish what is under way.
    """
    table = ConnectionTable(limits or ConnectionLimits())
    config = uvicorn.Config(
        app,
        loop="asyncio",  # uvloop would accept without looking at the caps
        # uvicorn only calls it, as it would call the class.
        http=functools.partial(GuardedConnection, table=table),  # type: ignore[arg-type]
        ws="none",
        backlog=_ACCEPTED_AT_ONCE,
        log_config=None,
        log_level=logging.WARNING,
        access_log=False,
        proxy_headers=False,  # which would believe what any caller says of his address
        server_header=False,
        timeout_graceful_shutdown=_LAST_SECONDS,
    )
    # Its warnings are of requests that are refused, each in its answer.
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)
    return GuardedServer(config, table)
