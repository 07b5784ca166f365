"""Clients of the server: their tokens are in a file, in the environment, and in the catalog.

A token of the catalog is accepted and refused at once, whichever process created or revoked it: a token that was
read is kept only while the catalog is unchanged. SQLite tells that in some ten microseconds. With the other
engines, a request with a token of the catalog reads the catalog once more.

Requests share these reads: one runs at a time, and serves all requests that arrived before it began. So many requests
with invented tokens cost the catalog no more than a few.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Collection, Coroutine
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from anyio import CapacityLimiter
from anyio.to_thread import run_sync

from mreg.domain.digest import Digest
from mreg.domain.password import SECRET
from mreg.domain.text import printable, quoted
from mreg.errors import MregError
from mreg.registry.tokens import digest_of
from mreg.results.tokens import USE_INTERVAL, Token, TokenInfo
from mreg.server.tokens import find_token

if TYPE_CHECKING:
    from mreg.registry.local import LocalRegistry
    from mreg.server.settings import ServerSettings

CHECK_SECONDS = 1.0
"""Interval of the checks for a first token, and of those of a token during a request, if only a read can tell."""

KNOWN_LIMIT = 10_000
"""Number of secrets after which all are read again; most of them open nothing then."""

USE_SECONDS = 1.0
"""Time until uses of tokens are written, all at once."""

RETRY_USE = timedelta(minutes=10)
"""Time after which a use is written again if the catalog could not be written."""

_LOG = logging.getLogger("mreg.server")


class WrongToken(Exception):
    """A secret that opens nothing; the text tells the client the reason."""


class Unreadable(Exception):
    """The tokens cannot be read."""


@dataclass(frozen=True, slots=True)
class Client:
    """A client with a token.

    Attributes:
        stored: Whether the token is in the catalog.
    """

    token: Token
    stored: bool


@dataclass(frozen=True, slots=True)
class _Known:
    """The result of a read of the catalog.

    Attributes:
        stored: The token with a digest; None if there is none.
        any: Whether the catalog has any token, be it expired or revoked.
        state: State of the catalog before the read; None if only a read can tell.
        read_at: Time before the read by the monotonic clock.
    """

    stored: tuple[Token, TokenInfo] | None
    any: bool
    state: object
    read_at: float


class Access:
    """Finds the clients of requests by their secrets; used by the thread of the event loop.

    Args:
        now: The clock for expiries.
    """

    def __init__(
        self,
        settings: ServerSettings,
        registry: LocalRegistry,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._settings = settings
        self._registry = registry
        self._now = now
        self._known: dict[Digest | None, _Known] = {}
        self._waiting: dict[Digest | None, asyncio.Future[_Known]] = {}
        self._reading = False
        self._thread: CapacityLimiter | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._uses: dict[Digest, datetime] = {}
        self._noted: dict[Digest, datetime] = {}
        self._writing = asyncio.Lock()
        self._closed = settings.needs_token
        self._reported = ""

    async def client(self, secret: str) -> Client | None:
        """Return the client with a secret; None if the server has no tokens, so that each client is an admin.

        Args:
            secret: Empty for a request without a token.

        Raises:
            WrongToken: The secret is missing, unknown or revoked, or its token has expired.
            Unreadable: The tokens cannot be read, so every client is refused.
        """
        client = (self._configured(secret) if secret else None) or await self._stored(secret)
        if client is not None and client.token.is_expired(self._now()):
            token = client.token
            raise WrongToken(f"the token {quoted(token.name)} expired at {_time(token.expires)}")
        return client

    def _configured(self, secret: str) -> Client | None:
        """Return the client with a token of the file or the environment."""
        try:
            token = find_token(self._settings.current_tokens(), secret) if self._settings.needs_token else None
        except MregError as error:  # it is in the log already
            raise Unreadable from error
        return None if token is None else Client(token, stored=False)

    async def _stored(self, secret: str) -> Client | None:
        """Return the client with a token of the catalog; None if the server has no tokens."""
        digest = digest_of(secret) if SECRET.fullmatch(secret) else None
        if self._closed and digest is None:
            raise WrongToken("unknown token" if secret else "")
        try:
            known = self._current(digest) or await self._read(digest)
        except MregError as error:
            before = self._known.get(None)
            if not self._closed and before is not None and not before.any:
                return None  # the routes that need the catalog report the error
            self._report(error)
            raise Unreadable from error
        self._closed = self._closed or known.any
        if known.stored is not None:
            token, info = known.stored
            if info.revoked_at is not None:
                raise WrongToken(f"the token {quoted(token.name)} was revoked")
            self._note_use(token, info)
            return Client(token, stored=True)
        if self._closed:
            raise WrongToken("unknown token" if secret else "")
        return None

    def _current(self, digest: Digest | None) -> _Known | None:
        """Return the kept result for a digest, if the catalog is unchanged."""
        known = self._known.get(digest) or (None if self._closed else self._known.get(None))
        if known is None:
            return None
        state = self._registry.catalog_state()
        if state is not None or known.state is not None:
            return known if state == known.state else None
        # The first token is required within a second; all other changes hold for the next request.
        return None if known.any or _age(known) > CHECK_SECONDS else known

    async def _read(self, digest: Digest | None) -> _Known:
        """Return what the catalog has of a digest, by a read that begins after this call."""
        found = self._waiting.get(digest)
        if found is None:
            found = self._waiting[digest] = asyncio.get_running_loop().create_future()
        if not self._reading:
            self._reading = True
            self._start(self._read_waiting())
        return await asyncio.shield(found)  # others wait for it too

    async def _read_waiting(self) -> None:
        try:
            while self._waiting:
                waiting, self._waiting = self._waiting, {}
                try:
                    known = await self._read_together([digest for digest in waiting if digest is not None])
                except BaseException as error:
                    for future in waiting.values():
                        future.set_exception(error if isinstance(error, Exception) else Unreadable())
                        future.exception()  # if no request waits any more, the loop must not report it
                    if not isinstance(error, Exception):
                        raise
                else:
                    for digest, future in waiting.items():
                        future.set_result(known[digest])
        finally:
            self._reading = False

    async def _read_together(self, digests: Collection[Digest]) -> dict[Digest | None, _Known]:
        """Return what the catalog has of some digests, and keep it."""
        if self._thread is None:
            self._thread = CapacityLimiter(1)  # apart from the threads that routes can occupy
        state, began = self._registry.catalog_state(), time.monotonic()
        found, some = await run_sync(self._registry.find_tokens, digests, limiter=self._thread)
        known: dict[Digest | None, _Known] = {
            digest: _Known(found.get(digest), some, state, began) for digest in digests
        }
        known[None] = _Known(None, some, state, began)
        if len(self._known) > KNOWN_LIMIT:
            self._known.clear()
        self._known.update(known)
        return known

    def is_refused(self, client: Client | None) -> bool:
        """Return whether the last read of the catalog showed that the token of a running request was revoked.

        A change of the catalog is seen by a later call. A token that expires does not end a request.
        """
        if client is None:
            return False
        if not client.stored:
            return not self._settings.still_valid(client.token)
        if self._is_stale(client.token.digest) and client.token.digest not in self._waiting:
            self._start(self._refresh(client.token.digest))
        return self._is_revoked(client.token.digest)

    async def is_refused_now(self, client: Client | None) -> bool:
        """Return whether the token of a running request was revoked."""
        if client is not None and client.stored and self._is_stale(client.token.digest):
            await self._refresh(client.token.digest)
        return self.is_refused(client)

    def _is_revoked(self, digest: Digest) -> bool:
        known = self._known.get(digest)
        return known is not None and (known.stored is None or known.stored[1].revoked_at is not None)

    def _is_stale(self, digest: Digest) -> bool:
        known = self._known.get(digest)
        if known is None:
            return True
        state = self._registry.catalog_state()
        return state != known.state or (state is None and _age(known) > CHECK_SECONDS)

    async def _refresh(self, digest: Digest) -> None:
        """Read a token again; a catalog that cannot be read ends no request."""
        try:
            await self._read(digest)
        except MregError as error:
            self._report(error)

    def _report(self, error: MregError) -> None:
        if error.message != self._reported:
            self._reported = error.message
            _LOG.error("cannot read the tokens of the catalog: %s", printable(error.message))

    def _note_use(self, token: Token, info: TokenInfo) -> None:
        """Have the use of a token written, unless a recent one is; a request does not wait for it."""
        now = self._now()
        if self._settings.read_only or (info.last_used_at is not None and now - info.last_used_at < USE_INTERVAL):
            return
        noted = self._noted.get(token.digest)
        if noted is not None and now - noted < RETRY_USE:
            return
        self._noted[token.digest] = now
        if not self._uses:
            self._start(self._write_uses_later())
        self._uses[token.digest] = now

    async def _write_uses_later(self) -> None:
        await asyncio.sleep(USE_SECONDS)
        await self.write_uses()

    async def write_uses(self) -> None:
        """Write the uses that are not written yet; a catalog that cannot be written is logged."""
        async with self._writing:  # a write that has begun is waited for
            uses, self._uses = self._uses, {}
            if not uses:
                return
            try:
                await run_sync(self._registry.record_token_uses, uses)
            except MregError as error:
                _LOG.warning("cannot record the use of tokens: %s", printable(error.message))

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        """Run a coroutine in the background."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)  # the loop has only a weak reference
        task.add_done_callback(self._tasks.discard)


def _time(at: datetime | None) -> str:
    return "" if at is None else at.isoformat(timespec="seconds").replace("+00:00", "Z")


def _age(known: _Known) -> float:
    return time.monotonic() - known.read_at
