"""uvicorn's server with guarded connections, and with a stop that loses no call."""

import asyncio
import contextlib
import functools
import logging
import socket
from typing import Any

import uvicorn

from sagan_tf.serving.http.connection_table import (
    ACCEPTED_AT_ONCE,
    ConnectionLimits,
    ConnectionTable,
)
from sagan_tf.serving.http.connections import GuardedConnection

_BACKLOG = 1024
# Seconds of the three steps of a stop. While it drains, answers close their connections but new
# connections are still accepted, so that no caller is cut off; then the last connections may send
# their requests; then calls that run may end.
_DRAIN_SECONDS = 1.0
_LAST_HEARD_SECONDS = 0.5
_LAST_SECONDS = 6


class GuardedServer(uvicorn.Server):
    """uvicorn's server, which ends late connections and drains before it stops."""

    def __init__(self, config: uvicorn.Config, table: ConnectionTable) -> None:
        super().__init__(config)
        self._table = table

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        for listener in sockets or ():
            listener.listen(_BACKLOG)  # the kernel's queue; asyncio accepts a few at a time

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
            # Closing the listener would reset the connections in the kernel's queue.
            for listener in [one.dup() for one in server.sockets]:
                with listener, contextlib.suppress(OSError):  # the queue is empty
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
    """Makes a server, whose `run(sockets=[listener])` serves until SIGTERM or Ctrl-C.

    It then takes up to 8 seconds to finish the calls that run.

    Args:
        app: an ASGI application.
        limits: of connections; `None` for the defaults.
    """
    table = ConnectionTable(limits or ConnectionLimits())
    config = uvicorn.Config(
        app,
        loop="asyncio",  # uvloop has no cap on connections that it accepts at once
        # uvicorn only calls it, as it would call the class.
        http=functools.partial(GuardedConnection, table=table),  # type: ignore[arg-type]
        ws="none",
        backlog=ACCEPTED_AT_ONCE,
        log_config=None,
        log_level=logging.WARNING,
        access_log=False,
        proxy_headers=False,  # uvicorn would believe any caller's claim of his address
        server_header=False,
        timeout_graceful_shutdown=_LAST_SECONDS,
    )
    # Its warnings are about refused requests, which each answer explains.
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)
    return GuardedServer(config, table)
