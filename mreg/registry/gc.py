"""gc: what nothing needs any more, in the artifact store."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING

from mreg.catalog.removals import begin_removals, end_removals
from mreg.domain.digest import Digest
from mreg.domain.events import time_text
from mreg.domain.text import counted
from mreg.errors import BadInput, Corrupt
from mreg.registry.needed import needed_blobs
from mreg.registry.session import Session
from mreg.results.upkeep import Garbage

if TYPE_CHECKING:
    from mreg.artifacts.backend import Unfinished
    from mreg.catalog.database import Abandoned

GRACE = timedelta(hours=24)
"""Younger bytes may belong to a push that is under way, which would only have to put them again."""

PUSH_LIVES = timedelta(hours=1)
"""What is on its way in is left alone for as long in any case: nothing but its age tells whether its push lives."""

BATCH = 500
"""Blobs that are written down, removed and reported together."""

LEASE_SECONDS = 300.0
"""For so long after it wrote them down a gc removes blobs: half of the time after which others take it for dead."""


def gc(
    session: Session, *, grace: timedelta | None = None, remove: bool = False, seen: Collection[Garbage] | None = None
) -> tuple[Garbage, ...]:
    """See `mreg.Registry.gc`."""
    grace = GRACE if grace is None else grace
    if grace < timedelta(0):
        raise BadInput("a grace period can't be negative")
    now = session.now()
    names = None if seen is None else {(one.kind, one.name) for one in seen}

    def wanted(kind: str, name: str) -> bool:
        return names is None or (kind, name) in names

    arriving, younger = _Younger(max(grace, PUSH_LIVES)), _Younger(grace)
    found = (
        *_unfinished(session, now - arriving.grace, arriving, wanted, remove=remove),
        *_unreferenced(session, now - grace, younger, wanted, remove=remove),
    )
    notices = (
        arriving.notice("unfinished upload", "unfinished uploads", "a push could still be writing"),
        younger.notice("blob of no version", "blobs of no version", "to list all: mreg gc --grace 0s"),
    )
    for notice in filter(None, notices):
        session.notice(notice)
    return found


@dataclass(slots=True)
class _Younger:
    """What nothing needs and what is younger than the grace period, added up."""

    grace: timedelta
    count: int = 0
    size_bytes: int = 0
    oldest: datetime | None = None

    def add(self, size: int, modified: datetime) -> None:
        self.count += 1
        self.size_bytes += size
        self.oldest = modified if self.oldest is None else min(self.oldest, modified)

    def notice(self, one: str, several: str, more: str) -> str:
        if self.oldest is None:
            return ""
        what, first = (one, "it") if self.count == 1 else (several, "the first")
        at = time_text(self.oldest + self.grace + timedelta(seconds=1))[:19]  # a whole second, and not before the time
        return (
            f"left alone: {self.count} {what}, {counted(self.size_bytes, 'byte')}, younger than {_span(self.grace)}; "
            f"{first} can be removed from {at}Z; {more}"
        )


def _span(time: timedelta) -> str:
    seconds = int(time.total_seconds())
    for size, unit in ((3600, "h"), (60, "m")):
        if seconds and seconds % size == 0:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"


def _unfinished(
    session: Session, before: datetime, younger: _Younger, wanted: Callable[[str, str], bool], *, remove: bool
) -> Iterator[Garbage]:
    for place, one, discard in unfinished(session):
        if one.modified > before:
            younger.add(one.size, one.modified)
        elif wanted("unfinished", one.name):
            if remove:
                discard()
            yield Garbage(
                kind="unfinished",
                place=place,
                name=one.name,
                size_bytes=one.size,
                modified=one.modified,
                removed=remove,
            )


def unfinished(session: Session) -> Iterator[tuple[str, Unfinished | Abandoned, Callable[[], None]]]:
    """What is on its way in, or a probe of a store, with its place and what removes it."""
    store, catalog = session.artifacts(), session.catalog
    for upload in store.unfinished():
        yield session.profile.artifacts, upload, partial(store.discard, upload)
    for probe in catalog.abandoned():
        yield session.profile.catalog, probe, partial(catalog.discard, probe)


def _unreferenced(
    session: Session, before: datetime, younger: _Younger, wanted: Callable[[str, str], bool], *, remove: bool
) -> Iterator[Garbage]:
    store = session.artifacts()
    stored = dict(store.blobs())
    old = {digest: stat for digest, stat in stored.items() if stat.modified <= before}
    if not stored:
        return
    try:
        needed, last_artifact = needed_blobs(session)
    except Corrupt as error:
        if not old:
            return  # nothing would be removed, and mreg verify reports the damage
        error.message = f"what can be removed is not known: {error.message}"
        raise
    for digest in stored.keys() - old.keys() - needed:
        younger.add(stored[digest].size, stored[digest].modified)
    garbage = {
        digest: Garbage(
            kind="unreferenced",
            place=session.profile.artifacts,
            name=str(digest),
            size_bytes=old[digest].size,
            modified=old[digest].modified,
            removed=False,
        )
        for digest in old
        if digest not in needed and wanted("unreferenced", str(digest))
    }
    if not remove:
        yield from garbage.values()
        return
    pending = iter(garbage)
    while batch := tuple(islice(pending, BATCH)):
        removed = _remove(session, batch, last_artifact)
        yield from (replace(garbage[digest], removed=True) for digest in removed)


def _remove(session: Session, batch: Sequence[Digest], last_artifact: int) -> tuple[Digest, ...]:
    """Remove blobs but for those that versions came to need meanwhile; those that went.

    In this order: it is written down which blobs go; then it is seen what versions that were made before that need;
    what is left goes. Versions that are made later see what is written down.
    """
    mark, now = os.urandom(12).hex(), session.now()
    began = time.monotonic()
    taken = session.write_quietly(lambda writer: begin_removals(writer, batch, mark, now))
    removed: list[Digest] = []
    try:
        needed, _ = needed_blobs(session, after=last_artifact)
        for digest in taken:
            if digest in needed:
                continue
            if time.monotonic() - began > LEASE_SECONDS:
                break  # others may take this gc for dead soon
            session.artifacts().remove(digest)
            removed.append(digest)
    finally:
        kept = set(taken) - set(removed)
        session.write_quietly(lambda writer: end_removals(writer, removed, kept, mark))
    return tuple(removed)
