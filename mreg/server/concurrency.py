"""Limits to what clients do at the same time."""

from __future__ import annotations

import asyncio
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


class Turns:
    """Turns of the clients of a server: a limited number of the requests of a client is answered at once, others wait.

    Requests share the threads of the server, and Python runs one of these at a time. Without this limit, many requests
    of one client would take all threads, and those of other clients would wait for them.

    Args:
        each: Maximum number of requests of one client.
    """

    def __init__(self, each: int) -> None:
        self._each = each
        self._clients: dict[str, asyncio.Semaphore] = {}
        self._requests: Counter[str] = Counter()

    async def take(self, client: str) -> Turn:
        """Wait for the turn of a request; turns of a client are given in the order of its requests."""
        turn = Turn(self, client)
        self._requests[client] += 1
        try:
            await self._clients.setdefault(client, asyncio.Semaphore(self._each)).acquire()
        except BaseException:
            self._forget(client)
            raise
        return turn

    def _end(self, client: str) -> None:
        self._clients[client].release()
        self._forget(client)

    def _forget(self, client: str) -> None:
        self._requests[client] -= 1
        if not self._requests[client]:
            del self._requests[client], self._clients[client]


class Turn:
    """The turn of one request."""

    def __init__(self, turns: Turns, client: str) -> None:
        self._turns: Turns | None = turns
        self._client = client

    def end(self) -> None:
        """Let the next request have its turn; idempotent."""
        turns, self._turns = self._turns, None
        if turns is not None:
            turns._end(self._client)
