"""Limits to open connections: in total, and from one address.

A connection is idle until the headers of a request are complete, and again between two requests. Opening idle
connections costs a client nothing, so an idle connection never keeps another client out: at a limit, the connection
that has been idle for longest is closed and the new one is served. A connection with a request under way is never
closed for a new one. If all are busy, the new connection is answered 503.
"""

from __future__ import annotations

import ipaddress
import logging
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

NOTE_SECONDS = 60.0
"""The log has at most one line about closed connections in this time."""

MOST_CONNECTIONS = 4096
"""Default limit where the process may open any number of files; an idle connection takes some 10 KB of memory."""

_LOG = logging.getLogger("mreg.server")


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How a server shares out its file descriptors.

    Attributes:
        total: Open connections.
        per_address: Open connections from one IPv4 address or one IPv6 /64 network.
        backlog: Connections that the kernel accepts before the server looks at them.
        threads: Requests that use the catalog at once; each may open four files.
    """

    total: int
    per_address: int
    backlog: int
    threads: int


def limits_of(files: int, total: int | None = None, per_address: int | None = None) -> Limits:
    """The limits of a process that may open this many files.

    Half of the files are for connections and a quarter for those that wait to be accepted. The rest is for catalog,
    store and log.

    Args:
        total: Replaces the computed limit.
        per_address: Replaces half of the total.
    """
    connections = max(1, min(MOST_CONNECTIONS, files // 2) if total is None else total)
    backlog = max(1, min(2048, files // 4))
    return Limits(
        total=connections,
        per_address=max(1, connections // 2) if per_address is None else per_address,
        backlog=backlog,
        threads=max(2, min(40, (files - min(connections, files // 2) - backlog - 16) // 4)),
    )


class Connection(Protocol):
    """A connection as `Connections` sees it."""

    def let_go(self) -> None:
        """Close it; no request is under way on it."""


class Connections:
    """The open connections of a server, used by its event loop alone.

    Args:
        clock: Monotonic seconds.
    """

    def __init__(self, limits: Limits, clock: Callable[[], float] = time.monotonic) -> None:
        self.limits = limits
        self._clock = clock
        self._places: dict[Connection, str] = {}
        self._counts: Counter[str] = Counter()
        self._idle: dict[str, dict[Connection, None]] = {}  # by place, the longest idle first
        self._closed = 0
        self._noted: float | None = None

    def admit(self, connection: Connection, address: str) -> bool:
        """Count a new, idle connection; False if it must be refused because all others are busy.

        At a limit the longest idle connection is closed first: one from the same address at the limit per address, one
        from the address with the most connections at the total limit.
        """
        place = place_of(address)
        if self._counts[place] >= self.limits.per_address and not self._close_idle(place):
            return False
        if len(self._places) >= self.limits.total and not self._close_idle():
            return False
        self._places[connection] = place
        self._counts[place] += 1
        self.idle(connection)
        return True

    def busy(self, connection: Connection) -> None:
        """Note that a request is under way on a connection."""
        place = self._places.get(connection, "")
        waiting = self._idle.get(place, {})
        waiting.pop(connection, None)
        if not waiting:
            self._idle.pop(place, None)

    def idle(self, connection: Connection) -> None:
        """Note that a connection waits for a request."""
        if connection in self._places:
            self._idle.setdefault(self._places[connection], {})[connection] = None

    def forget(self, connection: Connection) -> None:
        """Note that a connection is closed."""
        self.busy(connection)
        place = self._places.pop(connection, None)
        if place is not None:
            self._counts[place] -= 1
            if not self._counts[place]:
                del self._counts[place]

    def _close_idle(self, place: str | None = None) -> bool:
        self._note()
        if place is None:
            place = max(self._idle, key=self._counts.__getitem__, default="")
        connection = next(iter(self._idle.get(place, ())), None)
        if connection is None:
            return False
        self.forget(connection)
        connection.let_go()
        return True

    def _note(self) -> None:
        """Write one line to the log now, and one for everything that happens until a minute later."""
        self._closed += 1
        now = self._clock()
        if self._noted is not None and now - self._noted < NOTE_SECONDS:
            return
        self._noted = now
        _LOG.warning(
            "connection limit reached (%d in total, %d per address): closed %d idle or new connections",
            self.limits.total,
            self.limits.per_address,
            self._closed,
        )
        self._closed = 0


def place_of(address: str) -> str:
    """What connections are counted by: the IPv4 address, or the /64 network that one IPv6 client has to itself."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv6Address):
        if found.ipv4_mapped is not None:
            return str(found.ipv4_mapped)
        return str(ipaddress.ip_network((found, 64), strict=False))
    return str(found)
