"""Limits to open connections, in total and per address.

A connection is idle until the headers of a request are complete, and again between two requests. Opening idle
connections costs a client nothing, so an idle connection never keeps another client out: at a limit, the server closes
the connection that has been idle for longest and serves the new one. It never closes a connection with a request in
progress for a new one. If all connections are busy, the new one is answered with 503.
"""

from __future__ import annotations

import ipaddress
import logging
import time
from collections import Counter
from collections.abc import Callable, Container
from dataclasses import dataclass
from typing import Protocol

from mreg.server.concurrency import THREADS

LOG_SECONDS = 60.0
"""Minimum interval between two log lines about closed connections."""

CONNECTIONS_LIMIT = 4096
"""Upper bound of the default limit; an idle connection takes about 10 KB of memory."""

_LOG = logging.getLogger("mreg.server")


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How a server divides its file descriptors.

    Attributes:
        total: Maximum number of open connections.
        per_address: Maximum number of open connections from one IPv4 address or one IPv6 /64 network.
        backlog: Maximum number of connections that the kernel accepts before the server does.
        threads: Maximum number of requests that use the catalog at once, each of which opens at most four files; and of
            steps of transfers.
    """

    total: int
    per_address: int
    backlog: int
    threads: int


def compute_limits(files: int, total: int | None = None, per_address: int | None = None) -> Limits:
    """Return the limits of a process that may open a number of files.

    Half of the files are for connections and a quarter for connections that wait to be accepted. The rest is for
    catalog, artifact store and log.

    Args:
        total: Maximum number of connections (default: computed from ``files``).
        per_address: Maximum number of connections per address (default: half of the total).
    """
    connections = max(1, min(CONNECTIONS_LIMIT, files // 2) if total is None else total)
    backlog = max(1, min(2048, files // 4))
    return Limits(
        total=connections,
        per_address=max(1, connections // 2) if per_address is None else per_address,
        backlog=backlog,
        threads=max(2, min(THREADS, (files - min(connections, files // 2) - backlog - 16) // 4)),
    )


class Connection(Protocol):
    """A connection as `Connections` sees it."""

    def disconnect(self) -> None:
        """Close the connection, which has no request in progress."""


class Connections:
    """The open connections of a server, used only by its event loop.

    Args:
        proxies: Addresses without a limit per address: their connections carry the requests of many clients.
        clock: Monotonic seconds.
    """

    def __init__(
        self, limits: Limits, proxies: Container[str] = (), clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.limits = limits
        self._proxies = proxies
        self._clock = clock
        self._networks: dict[Connection, str] = {}
        self._counts: Counter[str] = Counter()
        self._idle: dict[str, dict[Connection, None]] = {}  # by network, longest idle first
        self._closed = 0
        self._logged_at: float | None = None

    def admit(self, connection: Connection, address: str) -> bool:
        """Count a new, idle connection; return False if it must be refused because all others are busy.

        At a limit, the longest idle connection is closed first: from the same address at the limit per address, from
        the address with the most connections at the total limit.
        """
        network = network_of(address)
        full = self._counts[network] >= self.limits.per_address and address not in self._proxies
        if full and not self._close_idle(network):
            return False
        if len(self._networks) >= self.limits.total and not self._close_idle():
            return False
        self._networks[connection] = network
        self._counts[network] += 1
        self.idle(connection)
        return True

    def busy(self, connection: Connection) -> None:
        """Mark a connection as busy: a request is in progress."""
        network = self._networks.get(connection, "")
        waiting = self._idle.get(network, {})
        waiting.pop(connection, None)
        if not waiting:
            self._idle.pop(network, None)

    def idle(self, connection: Connection) -> None:
        """Mark a connection as idle: it waits for a request."""
        if connection in self._networks:
            self._idle.setdefault(self._networks[connection], {})[connection] = None

    def forget(self, connection: Connection) -> None:
        """Remove a closed connection."""
        self.busy(connection)
        network = self._networks.pop(connection, None)
        if network is not None:
            self._counts[network] -= 1
            if not self._counts[network]:
                del self._counts[network]

    def _close_idle(self, network: str | None = None) -> bool:
        self._log_closed()
        if network is None:
            network = max(self._idle, key=self._counts.__getitem__, default="")
        connection = next(iter(self._idle.get(network, ())), None)
        if connection is None:
            return False
        self.forget(connection)
        connection.disconnect()
        return True

    def _log_closed(self) -> None:
        """Log closed connections now, at most once per `LOG_SECONDS`; the next line counts those in between."""
        self._closed += 1
        now = self._clock()
        if self._logged_at is not None and now - self._logged_at < LOG_SECONDS:
            return
        self._logged_at = now
        _LOG.warning(
            "connection limit reached (%d in total, %d per address): closed %d idle or new connections",
            self.limits.total,
            self.limits.per_address,
            self._closed,
        )
        self._closed = 0


def network_of(address: str) -> str:
    """Return the network that counts as one client: an IPv4 address, or an IPv6 /64 network."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped is not None:
            return str(parsed.ipv4_mapped)
        return str(ipaddress.ip_network((parsed, 64), strict=False))
    return str(parsed)
