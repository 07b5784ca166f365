"""Add versions whose bytes are in the store, safe against concurrent garbage collection."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from mreg.artifacts.access import missing_folder
from mreg.catalog.removals import Removal, RemovalWriter
from mreg.catalog.stored_artifacts import newest_artifacts
from mreg.domain.digest import Digest
from mreg.errors import Conflict

if TYPE_CHECKING:
    from mreg.catalog.reader import Reader
    from mreg.catalog.writer import Writer
    from mreg.registry.session import Session

S = TypeVar("S")
T = TypeVar("T")

WAIT_SECONDS = 60.0
"""Seconds to wait for a gc that is removing the same blobs."""


def _add(
    now: datetime,
    stored: S,
    needed: Collection[Digest],
    put_again: Mapping[Digest, str],
    add: Callable[[Writer, S], T],
    writer: Writer,
) -> T:
    records = RemovalWriter(writer, now)
    removals = records.of(needed)
    new = tuple(removal for removal in removals if removal.under_way or put_again.get(removal.digest) != removal.mark)
    if new:
        raise _PutAgainError(new)
    records.forget({removal.digest: removal.mark for removal in removals})
    return add(writer, stored)


def begin_storing(session: Session) -> None:
    """Check that the registry can be written, before bytes are stored for it.

    Raises:
        Unavailable: The catalog cannot be written; or the artifact folder is missing although there are versions, so
            that the bytes would go to another place than those of the other versions.
    """
    session.catalog.begin()
    missing = session.artifacts().missing
    if missing and session.catalog.read(lambda reader: newest_artifacts(reader, 1)):
        raise missing_folder(missing)


class _PutAgainError(Exception):
    def __init__(self, removals: tuple[Removal, ...]) -> None:
        self.removals = removals


def add_with_bytes(
    session: Session,
    put: Callable[[], S],
    blobs: Callable[[S], Collection[Digest]],
    add: Callable[[Writer, S], T],
    after: Callable[[Reader, T], T] | None = None,
) -> T:
    """Store bytes, then run ``add`` in the transaction that adds their versions, and return its result.

    Bytes that a gc removed after ``put`` found them in the store are put again first.

    Args:
        put: Stores the missing bytes; can run more than once.
        blobs: Returns the blobs that the versions need, from the result of ``put``.
        after: Returns the result with the state after the hooks.

    Raises:
        Conflict: A gc has been removing the blobs for a minute.
    """
    begin_storing(session)
    put_again: dict[Digest, str] = {}
    deadline = time.monotonic() + WAIT_SECONDS
    while True:
        stored = put()
        try:
            return session.write(partial(_add, session.now(), stored, blobs(stored), put_again, add), after)
        except _PutAgainError as error:
            if any(removal.under_way for removal in error.removals):
                if time.monotonic() > deadline:
                    raise Conflict(
                        f"the blob {error.removals[0].digest} is being removed by a gc",
                        hint="try again in ten minutes, when a gc that died no longer blocks it",
                    ) from None
                time.sleep(0.1)
            # The next put follows the announcement of this removal, so this gc cannot remove its bytes. Earlier entries
            # stay, otherwise two blobs that were removed one after the other would be put in turn forever.
            put_again |= {removal.digest: removal.mark for removal in error.removals if not removal.under_way}
