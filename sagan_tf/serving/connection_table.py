"""How many connections may be open, in all and of each address, and which are closed for others."""

import dataclasses
import resource
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sagan_tf.serving.connections import GuardedConnection

# Connections that asyncio accepts before it looks at any of them: they are beyond the cap so long.
ACCEPTED_AT_ONCE = 32


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


class ConnectionTable:
    """The open connections by address, oldest first.

    When there is no room, the oldest that does nothing is closed for the new one.
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
