"""Head and body of an answer in one packet."""

import asyncio
from typing import Any

# More is written at once: to join it would cost memory and save nothing.
_MOST_HELD_BYTES = 2**16


class JoinedWrites:
    """Holds back what is written to a transport until the event loop's next turn.

    uvicorn writes an answer's head and body one after the other. Sent as one packet, they take one
    system call here and wake the caller once. All else goes to the transport as it is.
    """

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._loop = asyncio.get_running_loop()
        self._parts: list[bytes] = []
        self._held_bytes = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """Writes in the next turn of the event loop, together with what else is written by then."""
        if self._held_bytes + len(data) > _MOST_HELD_BYTES:
            self._flush()
            self._transport.write(data)
            return
        if not self._parts:
            self._loop.call_soon(self._flush)
        self._parts.append(data)
        self._held_bytes += len(data)

    def get_write_buffer_size(self) -> int:
        """Returns the number of bytes that are still to be sent."""
        return self._held_bytes + self._transport.get_write_buffer_size()

    def write_eof(self) -> None:
        """Closes the write end after what was written."""
        self._flush()
        self._transport.write_eof()

    def close(self) -> None:
        """Closes the transport after what was written."""
        self._flush()
        self._transport.close()

    def _flush(self) -> None:
        if self._parts:
            self._transport.write(b"".join(self._parts))
            self._parts.clear()
            self._held_bytes = 0
