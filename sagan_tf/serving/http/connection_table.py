"""Caps open connections, in all and per address, and chooses which are closed for new ones."""

import dataclasses
import resource
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sagan_tf.serving.http.connections import GuardedConnection

# Connections that asyncio accepts at once, before the table can count any of them.
ACCEPTED_AT_ONCE = 32


@dataclasses.dataclass(frozen=True)
class ConnectionLimits:
    """Limits of connections and of the requests on them.

    Attributes:
        max_connections: most connections that are open at the same time.
        max_connections_per_address: most of these from one address.
        max_header_bytes: most bytes of a request's first line and headers together, or of trailers.
        max_body_bytes: most bytes of a request's body; about twice as many are read before a
            request is refused, to allow for the sizes of chunks.
        header_seconds: most seconds from the connection's start, or from the last answer, to the
            end of the next request's headers.
        call_seconds: most seconds from there to the last byte of the answer.
        reserved_descriptors: file descriptors that the process needs for other things.
        is_shared: returns whether an address stands for many callers, as a proxy's does.
    """

    max_connections: int = 512
    max_connections_per_address: int = 128
    max_header_bytes: int = 16 * 2**10
    max_body_bytes: int = 4 * 2**20
    header_seconds: float = 10.0
    call_seconds: float = 60.0
    reserved_descriptors: int = 96
    is_shared: Callable[[str], bool] = lambda address: False


class ConnectionTable:
    """Holds the open connections by address, oldest first.

    When there is no room for a new connection, the oldest idle one is closed.

    Args:
        limits: caps on connections; those of requests are not used here.
    """

    def __init__(self, limits: ConnectionLimits) -> None:
        self.limits = limits
        self.stopping = False
        descriptors, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        free = max(16, descriptors - limits.reserved_descriptors - 2 * ACCEPTED_AT_ONCE)
        self._capacity = min(limits.max_connections, free)
        self._by_address: dict[str, dict[GuardedConnection, None]] = {}
        self._count = 0

    def add(self, connection: "GuardedConnection", address: str) -> bool:
        """Adds a connection; returns whether there was room or room could be made."""
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
        """Removes a connection, if it is still there."""
        mine = self._by_address.get(address, {})
        if connection in mine:
            del mine[connection]
            self._count -= 1
            if not mine:
                del self._by_address[address]

    def close_late(self) -> None:
        """Ends the connections that are beyond their deadlines."""
        now = time.monotonic()
        for mine in [*self._by_address.values()]:
            for connection in [one for one in mine if one.deadline < now]:
                connection.end_late()

    def _close_one(self, connections: Iterable["GuardedConnection"]) -> bool:
        """Closes an idle connection, or else one whose request has not arrived in full."""
        unfinished = [one for one in connections if one.is_idle or one.cycle.more_body]
        victim = next((one for one in unfinished if one.is_idle), None)
        victim = victim or next(iter(unfinished), None)
        if victim is None:
            return False
        victim.transport.abort()
        self.remove(victim, victim.address)  # now: `connection_lost` is called later
        return True
