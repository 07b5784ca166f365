"""Limits to what clients do at the same time."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from anyio import CapacityLimiter
from anyio.to_thread import run_sync

from mreg.server.problems import Refused

if TYPE_CHECKING:
    from mreg.server.guard import Caller

T = TypeVar("T")

THREADS = 40
"""Number of threads that answer requests, and of those that transfer bytes."""

TURNS = 10
"""Number of these threads that one client can have at once."""


def client_of(scope: Mapping[str, Any]) -> str:
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
        await turn.begin()
        return turn

    async def _begin(self, client: str) -> None:
        self._requests[client] += 1
        try:
            await self._clients.setdefault(client, asyncio.Semaphore(self._each)).acquire()
        except BaseException:
            self._forget(client)
            raise

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
        self._turns, self._client, self._begun = turns, client, False

    async def begin(self) -> None:
        """Wait for the turn."""
        await self._turns._begin(self._client)
        self._begun = True

    def end(self) -> None:
        """Let the next request have its turn; idempotent."""
        if self._begun:
            self._begun = False
            self._turns._end(self._client)


@asynccontextmanager
async def without_turn(scope: Mapping[str, Any]) -> AsyncIterator[None]:
    """Let other requests of the client have the turn of a request while this one waits, and wait for it afterwards."""
    turn: Turn | None = scope.get("mreg.turn")
    if turn is None:  # a server without tokens
        yield
        return
    turn.end()
    yield
    await turn.begin()


class TransferThreads:
    """Threads for the steps of uploads and downloads, which wait for disks, networks and catalogs.

    They are separate from those of other requests, which hold a turn, so that no transfer delays these.

    Args:
        limit: Number of threads.
    """

    def __init__(self, limit: int) -> None:
        self._threads = CapacityLimiter(limit)
        self._turns = Turns(TURNS)

    async def run(self, client: str, step: Callable[..., T], *args: Any) -> T:
        """Run a step in a thread when its client has a turn, and return its result.

        Args:
            client: Name of the client; empty on a server without tokens.
        """
        turn = await self._turns.take(client) if client else None
        try:
            return await run_sync(step, *args, limiter=self._threads)
        finally:
            if turn is not None:
                turn.end()


async def run_transfer(scope: Mapping[str, Any], step: Callable[..., T], *args: Any) -> T:
    """Run a step of the upload or download of a request in a thread, and return its result; see `TransferThreads`."""
    threads: TransferThreads = scope["app"].state.transfer_threads
    return await threads.run(client_of(scope), step, *args)
