"""doctor: all checks that do not need to read all bytes; each finding has a remedy."""

from __future__ import annotations

import contextlib
import os
import stat
import tempfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from shlex import quote
from typing import TYPE_CHECKING

from mreg.catalog.removals import Removals
from mreg.catalog.schema import SCHEMA, UPGRADE, older_note
from mreg.catalog.stored_artifacts import newest_artifacts
from mreg.catalog.tokens import Tokens
from mreg.domain.text import counted, printable
from mreg.errors import Corrupt, MregError
from mreg.registry.audit import verify_audit
from mreg.registry.backup import place_of
from mreg.registry.gc import unfinished
from mreg.registry.permissions import permission_problems
from mreg.results.upkeep import Finding

if TYPE_CHECKING:
    from mreg.catalog.reader import Reader
    from mreg.registry.session import Session

SKEW = timedelta(minutes=2)
"""Clock differences above this are reported. S3 refuses 15 minutes; mreg orders events by number, people by time."""

OLD = timedelta(hours=24)

TEMPORARY = ("mreg-restore-", "mreg-import-", "mreg-git-", "mreg-read-", "mreg-serve-")
"""Prefixes of temporary folders: of `mreg.registry.backup.restore`, `mreg.artifacts.bundle_file.unpacking`,
`mreg.registry.git_changes.DirtyCheck`, `mreg.catalog.snapshot.taken` and `mreg.registry.prepared`."""

EXPIRES_SOON, UNUSED = timedelta(days=7), timedelta(days=90)
"""Time before the expiry of a token, and since its last use, from which on it is reported."""

NAMED = 5
"""Maximum number of tokens that a finding names of each kind."""

NEWEST = 5
"""Newest artifacts that are looked up in the store, to detect a lost or wrong store."""


CATALOG_PAGE = "see the page on where to keep the catalog in the documentation"

FINE = {
    "tables": "intact",
    "rows": "all can be read",
    "tokens": "none expires within 7 days or is unused for 90 days",
    "audit trail": "hash chain intact",
    "clock": "no difference above 2 minutes",
    "leftovers": "no files of dead processes",
    "removals": "none unfinished",
    "bytes": "the newest artifacts are in the store",
    "permissions": "no missing permissions",
    "temporary folders": "none of killed commands",
    "store": "no old unfinished uploads",
}
"""The message of each check that found nothing."""


def examine(session: Session) -> tuple[Finding, ...]:
    """See `mreg.Registry.examine`."""
    session.scope.check_unlimited("examine the registry")
    return tuple(_findings(session))


def _findings(session: Session) -> Iterator[Finding]:
    catalog, store = place_of(session), session.profile.artifacts
    try:
        found = session.catalog.examine()
    except MregError as error:
        yield _failed("catalog", catalog, error)
    else:
        if found.schema < SCHEMA:
            yield Finding(name="catalog", place=catalog, state="note", message=older_note(found.schema), remedy=UPGRADE)
        else:
            yield Finding(name="catalog", place=catalog, state="fine", message=f"schema {found.schema} of {SCHEMA}")
        yield _found(
            "tables",
            catalog,
            "; ".join(found.damage),
            "restore a backup: mreg restore FILE (the damaged catalog is kept under another name)",
            "damaged",
        )
        yield from _open_to_others(session)
        for remark in found.remarks:
            yield Finding(
                name="place",
                place=catalog,
                state="note",
                message=remark,
                remedy=CATALOG_PAGE,
            )
        yield _tried("rows", catalog, lambda: _rows(session))
        yield _tried("audit trail", catalog, lambda: _audit(session))
        yield _tried(
            "clock", catalog, lambda: _clock(session, found.clock), "set this machine's clock: timedatectl set-ntp true"
        )
        yield _found(
            "leftovers", catalog, ", ".join(found.leftovers), "remove these files of dead processes: rm", "note"
        )
        yield from _tokens(session, catalog)
        yield _tried("removals", catalog, lambda: _stuck(session), "finish it: mreg gc --remove")
        yield _tried("bytes", store, lambda: _bytes(session))
    problems = permission_problems(session.profile)
    for problem in problems:
        yield Finding(
            name="permissions", place=problem.place, state="note", message=problem.message, remedy=problem.remedy
        )
    if not problems:
        yield Finding(name="permissions", place=catalog, state="fine", message=FINE["permissions"])
    yield _found(
        "temporary folders",
        tempfile.gettempdir(),
        _temporary(session),
        "remove these folders of killed commands: rm -r",
        "note",
    )
    yield _tried("store", store, lambda: _store(session), "list it: mreg gc; remove it: mreg gc --remove")


def _open_to_others(session: Session) -> Iterator[Finding]:
    """Report the default folder in the user's home if others can read it; mreg never changes an existing folder."""
    folder = session.profile.own_folder
    if not folder or not hasattr(os, "geteuid"):
        return
    with contextlib.suppress(OSError):
        mode = stat.S_IMODE(os.stat(folder).st_mode)
        if mode & 0o077:
            yield Finding(
                name="privacy",
                place=folder,
                state="note",
                message=f"other users can read it (mode {mode:04o})",
                remedy=f"chmod 700 {quote(folder)}",
            )


def _tokens(session: Session, catalog: str) -> Iterator[Finding]:
    """Report tokens that expire soon or are not used; nothing without tokens, or if they cannot be read."""
    now = session.now()
    try:
        tokens = session.catalog.read(lambda reader: Tokens(reader).usable())
    except MregError:
        return  # the rows are checked before
    active = [token for token in tokens if not token.is_expired(now)]
    if not active:
        return
    soon = [token.name for token in active if token.is_expired(now + EXPIRES_SOON)]
    idle = [token.name for token in active if (token.last_used_at or token.created_at) < now - UNUSED]
    facts = [
        f"{counted(len(names), 'token')} {what}: {', '.join(map(printable, names[:NAMED]))}"
        for names, what in (
            (soon, f"expiring within {EXPIRES_SOON.days} days"),
            (idle, f"not used for {UNUSED.days} days"),
        )
        if names
    ]
    yield _found("tokens", catalog, "; ".join(facts), "show them: mreg token list", "note")


def _found(name: str, place: str, message: str, remedy: str, state: str) -> Finding:
    if not message:
        return Finding(name=name, place=place, state="fine", message=FINE[name])
    return Finding(name=name, place=place, state=state, message=message, remedy=remedy)


def _tried(name: str, place: str, look: Callable[[], str], remedy: str = "") -> Finding:
    try:
        return _found(name, place, look(), remedy, "note")
    except MregError as error:
        return _failed(name, place, error)


def _failed(name: str, place: str, error: MregError) -> Finding:
    state = "damaged" if isinstance(error, Corrupt) else "unreachable"
    return Finding(name=name, place=place, state=state, message=error.message, remedy=error.hint)


def _audit(session: Session) -> str:
    verify_audit(session)
    return ""


def _rows(session: Session) -> str:
    def look(reader: Reader) -> None:
        for summary in reader.models():
            reader.versions(summary.model)
        Tokens(reader).usable()

    session.catalog.read(look)
    return ""


def _clock(session: Session, clock: datetime | None) -> str:
    now = session.now()
    if clock is None:
        newest = session.catalog.read(lambda reader: reader.events(limit=1))
        ahead = newest[0].at - now if newest else timedelta(0)
        return f"the time of the last change is {_words(ahead)} in the future" if ahead > SKEW else ""
    off = now - clock.astimezone(UTC)
    message = f"this machine's clock is {_words(abs(off))} {'ahead' if off > SKEW else 'behind'}"
    return message if abs(off) > SKEW else ""


def _words(time: timedelta) -> str:
    return str(timedelta(seconds=round(time.total_seconds())))


def _stuck(session: Session) -> str:
    def look(reader: Reader) -> int:
        return Removals(reader, session.now()).stuck()

    count = session.catalog.read(look)
    return f"a gc died while it removed {counted(count, 'blob')}" if count else ""


def _temporary(session: Session) -> str:
    """Return this user's old temporary folders, which killed commands left in the system's temporary folder."""
    before = (session.now() - OLD).timestamp()
    found = []
    with contextlib.suppress(OSError), os.scandir(tempfile.gettempdir()) as entries:
        for entry in entries:
            if entry.name.startswith(TEMPORARY):
                with contextlib.suppress(OSError):
                    status = entry.stat(follow_symlinks=False)
                    mine = not hasattr(os, "geteuid") or status.st_uid == os.geteuid()
                    if mine and status.st_mtime < before and entry.is_dir(follow_symlinks=False):
                        found.append(entry.path)
    return ", ".join(sorted(found))


def _bytes(session: Session) -> str:
    store = session.artifacts()
    newest = session.catalog.read(lambda reader: newest_artifacts(reader, NEWEST))
    missing = [artifact.digest for artifact in newest if not store.has(artifact.digest)]
    if missing:
        raise Corrupt(
            f"{len(missing)} of the {len(newest)} newest artifacts are missing, such as {missing[0]}",
            hint="check artifacts in the profile, and that the store is mounted; list all missing blobs: mreg verify",
        )
    return ""


def _store(session: Session) -> str:
    before = session.now() - OLD
    old = [found for _, found, _ in unfinished(session) if found.modified <= before]
    return f"{len(old)} left by killed commands, {sum(found.size for found in old)} bytes" if old else ""
