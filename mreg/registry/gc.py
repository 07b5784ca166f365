"""gc: find and remove garbage in the artifact store."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING

from mreg.catalog.removals import RemovalWriter
from mreg.domain.digest import Digest
from mreg.domain.events import time_text
from mreg.domain.text import counted, size_text
from mreg.errors import BadInput, Corrupt
from mreg.registry.needed import needed_blobs
from mreg.registry.session import Session
from mreg.results.upkeep import Garbage

if TYPE_CHECKING:
    from mreg.artifacts.backend import Unfinished
    from mreg.catalog.database import Abandoned

GRACE = timedelta(hours=24)
"""Age below which garbage is kept by default: a running push can rely on it, and would have to upload it again."""

PUSH_LIVES = timedelta(hours=1)
"""Minimum age of a removed upload, for any grace period: only its age shows whether its push still runs."""

BATCH = 500
"""Blobs that are announced in the catalog, removed and reported together."""

LEASE_SECONDS = 300.0
"""Seconds after their announcement in which a gc removes blobs: half the time after which others consider it dead."""


def gc(
    session: Session,
    *,
    grace: timedelta | None = None,
    remove: bool = False,
    seen: Collection[Garbage] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[Garbage, ...]:
    """See `mreg.Registry.gc`."""
    session.scope.check_unlimited("collect garbage")
    grace = GRACE if grace is None else grace
    if grace < timedelta(0):
        raise BadInput("the grace period cannot be negative")
    now = session.now()
    names = None if seen is None else {(garbage.kind, garbage.name) for garbage in seen}

    def wanted(kind: str, name: str) -> bool:
        return names is None or (kind, name) in names

    arriving, younger = _Younger(max(grace, PUSH_LIVES)), _Younger(grace)
    claims = session.artifacts().claims.all()
    claimed = {digest for _, claim, digest in claims if claim.modified > now - arriving.grace}
    found = (
        *_unfinished(session, now - arriving.grace, arriving, wanted, remove=remove),
        *_unreferenced(session, now - grace, younger, claimed, wanted, progress or _ignore, remove=remove),
    )
    older = f"to list those that are older than {_span(PUSH_LIVES)}: mreg gc --grace {_span(PUSH_LIVES)}"
    notices = (
        arriving.notice("unfinished upload", older if grace > PUSH_LIVES else "", minimum=PUSH_LIVES),
        younger.notice("unreferenced blob", "to list all: mreg gc --grace 0s"),
    )
    for notice in filter(None, notices):
        session.notice(notice)
    return found


@dataclass(slots=True)
class _Younger:
    """Number and total size of the garbage that is younger than the grace period."""

    grace: timedelta
    count: int = 0
    size_bytes: int = 0
    oldest: datetime | None = None

    def add(self, size: int, modified: datetime) -> None:
        self.count += 1
        self.size_bytes += size
        self.oldest = modified if self.oldest is None else min(self.oldest, modified)

    def notice(self, noun: str, more: str, *, minimum: timedelta | None = None) -> str:
        if self.oldest is None:
            return ""
        first, them = ("it", "it") if self.count == 1 else ("the first", "them")
        reason = f"within the grace period of {_span(self.grace)}"
        if self.grace == minimum:
            reason = f"within the minimum of {_span(minimum)}, in which a push can still write to {them}"
        at = time_text(self.oldest + self.grace + timedelta(seconds=1))[:19]  # whole seconds, not too early
        return (
            f"too young to remove: {counted(self.count, noun)}, {size_text(self.size_bytes)}, {reason}; "
            f"{first} can be removed from {at}Z" + (f"; {more}" if more else "")
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
    for place, upload, discard in unfinished(session):
        if upload.modified > before:
            younger.add(upload.size, upload.modified)
        elif wanted("unfinished", upload.name):
            if remove:
                discard()
            yield Garbage(
                kind="unfinished",
                place=place,
                name=upload.name,
                size_bytes=upload.size,
                modified=upload.modified,
                removed=remove,
            )


def unfinished(session: Session) -> Iterator[tuple[str, Unfinished | Abandoned, Callable[[], None]]]:
    """What is on its way in, or a probe of a store, with its place and what removes it."""
    store, catalog = session.artifacts(), session.catalog
    artifacts, place = session.profile.artifacts, session.profile.catalog
    listed = set()
    for upload in store.unfinished():
        listed.add(upload.name)
        yield artifacts, upload, partial(store.discard, upload)
    together = place.rpartition("/")[0] == artifacts.rstrip("/")
    for probe in catalog.abandoned():
        if not (together and probe.name in listed):
            yield place, probe, partial(catalog.discard, probe)


def _ignore(_done: int, _total: int) -> None:
    """Ignore the progress."""


def _unreferenced(
    session: Session,
    before: datetime,
    younger: _Younger,
    claimed: Collection[Digest],
    wanted: Callable[[str, str], bool],
    progress: Callable[[int, int], None],
    *,
    remove: bool,
) -> Iterator[Garbage]:
    """Yield the blobs that no version needs and no client has uploaded lately; see `mreg.artifacts.claims`."""
    stored = {}
    for digest, stat in session.artifacts().blobs():
        stored[digest] = stat
        progress(0, len(stored))
    old = {digest: stat for digest, stat in stored.items() if stat.modified <= before and digest not in claimed}
    if not stored:
        return
    try:
        needed, last_artifact = needed_blobs(session)
    except Corrupt as error:
        if not old:
            return  # there is nothing to remove, and mreg verify reports the damage
        error.message = f"cannot find the unreferenced blobs: {error.message}"
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
    pending, done = iter(garbage), 0

    def advance() -> None:
        nonlocal done
        done += 1
        progress(done, len(garbage))

    while batch := tuple(islice(pending, BATCH)):
        removed = _remove(session, batch, last_artifact, advance)
        yield from (replace(garbage[digest], removed=True) for digest in removed)


def _remove(
    session: Session, batch: Sequence[Digest], last_artifact: int, advance: Callable[[], None]
) -> tuple[Digest, ...]:
    """Remove blobs, except those that versions have needed since the scan; return the removed ones.

    The order matters: announce the blobs in the catalog, read the blobs that versions made before the announcement
    need, remove the rest. Pushes of later versions see the announcement.
    """
    mark, now = os.urandom(12).hex(), session.now()
    began = time.monotonic()
    taken = session.write_quietly(lambda writer: RemovalWriter(writer, now).begin(batch, mark))
    removed: list[Digest] = []
    try:
        needed, _ = needed_blobs(session, after=last_artifact)
        for digest in taken:
            if digest in needed:
                continue
            if time.monotonic() - began > LEASE_SECONDS:
                break  # other processes will soon consider this gc dead
            session.artifacts().remove(digest)
            removed.append(digest)
            advance()
    finally:
        kept = set(taken) - set(removed)
        session.write_quietly(lambda writer: RemovalWriter(writer, session.now()).end(removed, kept, mark))
    return tuple(removed)
