"""Requests of a server's clients that made a version, so that a repeated request makes no second one."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from mreg.catalog.rows import number, row_of, text
from mreg.domain.digest import Digest
from mreg.domain.events import time_text
from mreg.domain.text import check_line
from mreg.errors import Conflict

if TYPE_CHECKING:
    from mreg.catalog.database import Row
    from mreg.catalog.reader import Reader
    from mreg.catalog.writer import Writer

REMEMBERED = timedelta(days=2)
"""Time for which requests are recorded; a client repeats a request within minutes."""

RECENT = 1_000
"""Number of the newest versions whose requests stay, too: the clock of another server of the catalog can be wrong."""

FORGOTTEN_AT_ONCE = 100
"""Maximum number of old requests that one request removes, so that each transaction stays short."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredRequest:
    """A request that made a version.

    Attributes:
        fingerprint: SHA-256 of the content of the request; another content with the same key is a client's mistake.
        version_id: Id of the version, which can be deleted since.
    """

    fingerprint: Digest
    version_id: int


class Requests:
    """Queries of recorded requests in a transaction."""

    def __init__(self, reader: Reader) -> None:
        self._connection = reader.connection

    def request(self, key: str, caller: str) -> StoredRequest | None:
        """Return the request that a caller made with an idempotency key; None if it is unknown or forgotten."""
        row = self._connection.one("requests.of", caller=caller, key=key)
        return None if row is None else _read(row)


class RequestWriter(Requests):
    """Records requests, without audit events."""

    def __init__(self, writer: Writer) -> None:
        super().__init__(writer)
        self._writer = writer

    def record_request(self, key: str, caller: str, fingerprint: Digest, version_id: int) -> None:
        """Record the request that made a version, in the transaction of the version.

        Removes at most `FORGOTTEN_AT_ONCE` requests that are older than `REMEMBERED` and not of a `RECENT` version.

        Raises:
            BadInput: The key or the caller is not a line of text.
            Conflict: The caller used the key before.
        """
        check_line("idempotency key", key)
        check_line("caller", caller)
        before = time_text(self._writer.at - REMEMBERED)
        self._connection.run(
            "requests.forget_old", before=before, recent=version_id - RECENT, row_limit=FORGOTTEN_AT_ONCE
        )
        if self.request(key, caller) is not None:
            raise Conflict("repeated idempotency key: a version was made with it", hint="use a new key")
        self._connection.run(
            "requests.insert",
            caller=caller,
            key=key,
            fingerprint=fingerprint.value,
            version_id=version_id,
            at=self._writer.time,
        )


@row_of("requests", "key")
def _read(row: Row) -> StoredRequest:
    return StoredRequest(fingerprint=Digest.sha256(text(row, "fingerprint")), version_id=number(row, "version_id", 1))
