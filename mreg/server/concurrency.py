"""Limits to concurrent uploads and downloads."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from mreg.server.problems import Refused

if TYPE_CHECKING:
    from starlette.types import Scope

    from mreg.server.guard import Caller


def client_of(scope: Scope) -> str:
    """Return the name with whose limits a request counts; empty on a server without tokens."""
    caller: Caller = scope["mreg.caller"]
    return caller.token.counts_as if caller.token is not None else ""


class ConcurrencyLimit:
    """A limit to concurrent operations that hold memory or files, for the event loop of one process.

    Args:
        operations: Plural name for messages, such as ``uploads``.

    Attributes:
        limit: Maximum number of operations; further ones are refused with 503 and ``Retry-After``.
        each: Maximum number of operations of one client (default: no other limit).
        active: Operations in progress.
    """

    def __init__(self, operations: str, limit: int, each: int | None = None) -> None:
        self._operations = operations
        self.limit = limit
        self.each = each
        self.active = 0
        self._of_clients: Counter[str] = Counter()

    @contextmanager
    def slot(self, client: str = "") -> Iterator[None]:
        """Hold a slot until the block ends.

        Args:
            client: Name of the client; empty on a server without tokens.

        Raises:
            Refused: All slots are taken, or all of the client.
        """
        self.check(client)
        self.active += 1
        self._of_clients[client] += 1
        try:
            yield
        finally:
            self.active -= 1
            self._of_clients[client] -= 1
            if not self._of_clients[client]:
                del self._of_clients[client]

    def check(self, client: str) -> None:
        """Check that a client could take a slot now.

        Raises:
            Refused: All slots are taken, or all of the client.
        """
        if (why := self._taken(client)) is not None:
            raise Refused(
                503,
                "busy",
                f"too many {self._operations}: {why}",
                hint="retry after 5 seconds",
                headers={"Retry-After": "5"},
            )

    def is_full(self, client: str) -> bool:
        """Return whether all slots are taken, or all of a client."""
        return self._taken(client) is not None

    def _taken(self, client: str) -> str | None:
        if self.active >= self.limit:
            return f"{self.limit} are in progress"
        if client and self.each is not None and self._of_clients[client] >= self.each:
            return f"{self.each} of {client} are in progress"
        return None
