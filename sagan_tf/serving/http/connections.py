"""HTTP connections with deadlines and caps, so that no caller can hold the server for nothing.

uvicorn and httptools parse requests, refuse malformed ones, write answers and keep the order of
pipelined calls. Added here: a deadline for every state of a connection, a cap on headers and
errors as `{"error": ...}`. `connection_table` caps the number of connections, and
`guarded_server` ends late ones.
"""

import http
import json
import time
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from sagan_tf.serving.http.connection_table import ConnectionTable
from sagan_tf.serving.http.joined_writes import JoinedWrites

# Most requests that a connection may send before their answers.
_MAX_PIPELINED = 16
# Seconds and bytes for which data after a refused request is read and thrown away. If the
# connection were closed at once, it would be reset, and the caller might never see the error.
_LINGER_SECONDS = 1.0
_LINGER_BYTES = 2**20


def error_answer(status: int, message: str) -> bytes:
    """Returns a whole HTTP answer with a JSON error, which closes the connection."""
    body = json.dumps({"error": message}).encode()
    phrase = http.HTTPStatus(status).phrase
    return (
        f"HTTP/1.1 {status} {phrase}\r\ncontent-type: application/json\r\n"
        f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
    ).encode() + body


class GuardedConnection(HttpToolsProtocol):
    """uvicorn's connection, with a deadline and caps; `table` holds all of the server's."""

    def __init__(self, *args: Any, table: ConnectionTable, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._table = table
        self._limits = table.limits
        self.address = "unknown"
        self.deadline = time.monotonic() + self._limits.header_seconds
        self._begun = False  # whether a part of the next request has arrived
        self._in_headers = True
        self._received = 0  # bytes of the current request
        self._header_bytes = 0
        self._lingering = False
        self._discarded = 0
        self._refusal = 400, "This is not an HTTP request."

    @property
    def is_idle(self) -> bool:
        """Whether the connection has no call that is still to be answered."""
        return self.cycle is None or self.cycle.response_complete

    def connection_made(self, transport: Any) -> None:
        super().connection_made(JoinedWrites(transport))  # type: ignore[arg-type]
        if self.client:
            self.address = self.client[0]
        if not self._table.add(self, self.address):
            self._lingering = True
            transport.write(error_answer(503, "There are too many connections; try again."))
            transport.close()  # at once: lingering would exceed the cap

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
            raise ValueError(self._refusal[1])  # the parser turns it into an error of its own

    def on_headers_complete(self) -> None:
        self._in_headers = False
        if self.parser.get_http_version() not in ("1.0", "1.1"):
            raise ValueError(self._refusal[1])
        if len(self.pipeline) >= _MAX_PIPELINED:
            self._refusal = 400, "Wait for answers before you send more requests."
            raise ValueError(self._refusal[1])
        # Not in ASGI: the address as it was sent, which its `path` is no more, and whether all of
        # the body has arrived.
        self.scope["target"] = self.url.decode("latin-1")  # type: ignore[typeddict-unknown-key]
        self.scope["has_body"] = False  # type: ignore[typeddict-unknown-key]
        super().on_headers_complete()
        self.deadline = time.monotonic() + self._limits.call_seconds
        if self._table.stopping:
            self.cycle.keep_alive = False

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self.scope["has_body"] = True  # type: ignore[typeddict-unknown-key]
        self._begun, self._in_headers, self._received = False, True, 0

    def on_response_complete(self) -> None:
        unsent = self.transport.get_write_buffer_size()
        waits = (
            self._limits.call_seconds if unsent or self.pipeline else self._limits.header_seconds
        )
        self.deadline = time.monotonic() + waits
        super().on_response_complete()

    def _unsupported_upgrade_warning(self) -> None:
        self.cycle.keep_alive = False  # the parser reads no further; uvicorn would log a warning

    def send_400_response(self, msg: str) -> None:
        """Refuses a malformed request; uvicorn's own message `msg` is not used."""
        if self.is_idle or self.cycle.more_body:
            self.refuse(*self._refusal)
            return
        # An earlier call is under way, and is still answered.
        self.cycle.keep_alive = False
        self.pipeline.clear()
        self._lingering = True

    def refuse(self, status: int, message: str) -> None:
        """Writes an error in place of an answer, and closes the connection soon."""
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.disconnected = True  # the application sees a caller who has left
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
