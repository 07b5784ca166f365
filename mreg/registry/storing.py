"""Where bytes and the version that needs them meet."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from mreg.catalog.removals import Removal, forget_removals, removals_of
from mreg.domain.digest import Digest
from mreg.errors import Conflict

if TYPE_CHECKING:
    from mreg.catalog.reader import Reader
    from mreg.catalog.writer import Writer
    from mreg.registry.session import Session

S = TypeVar("S")
T = TypeVar("T")

WAIT_SECONDS = 60.0
"""How long a gc is waited for that is removing the very bytes."""


def _add(
    now: datetime,
    stored: S,
    needed: Collection[Digest],
    put_again: Mapping[Digest, str],
    add: Callable[[Writer, S], T],
    writer: Writer,
) -> T:
    removals = removals_of(writer, needed, now)
    unseen = tuple(one for one in removals if one.under_way or put_again.get(one.digest) != one.mark)
    if unseen:
        raise _PutAgainError(unseen)
    forget_removals(writer, {one.digest: one.mark for one in removals})
    return add(writer, stored)


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
    """What ``add`` gives in the transaction that makes versions of bytes that are in the store.

    Bytes that a gc removed after ``put`` had seen them there are put again first.

    Args:
        put: Puts what is not there yet; may be run more than once.
        blobs: What the versions need of what was put.
        after: Returns the result with the state after the hooks.

    Raises:
        Conflict: A gc has been at the very bytes for a minute.
    """
    session.catalog.begin()
    put_again: dict[Digest, str] = {}
    deadline = time.monotonic() + WAIT_SECONDS
    while True:
        stored = put()
        try:
            return session.write(partial(_add, session.now(), stored, blobs(stored), put_again, add), after)
        except _PutAgainError as error:
            if any(one.under_way for one in error.removals):
                if time.monotonic() > deadline:
                    raise Conflict(
                        f"a gc is removing {error.removals[0].digest}, which this needs",
                        hint="try again in ten minutes; a gc that died is not waited for any longer",
                    ) from None
                time.sleep(0.1)
            # Put after its removal was written down: it can't be what that gc took. What was put again for an earlier
            # removal stays so, or two blobs that went one after the other would be put in turn for ever.
            put_again |= {one.digest: one.mark for one in error.removals if not one.under_way}
