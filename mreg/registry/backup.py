"""Back up a catalog to a file, restore it, and copy it to another location."""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING

from mreg.artifacts.access import missing_folder
from mreg.catalog.catalog import Catalog
from mreg.catalog.journals import JOURNAL, LOG, check_journals
from mreg.catalog.sqlite import SqliteDatabase
from mreg.catalog.tokens import Tokens
from mreg.domain.buckets import is_bucket
from mreg.domain.paths import refuse_url
from mreg.domain.text import printable, quoted
from mreg.errors import AlreadyExists, BadInput, Corrupt, MregError, NotFound, Unavailable
from mreg.registry.audit import verify_audit
from mreg.registry.destinations import COPY_TO, check_database, check_destination
from mreg.registry.needed import needed_blobs
from mreg.results.upkeep import CatalogCopy

if TYPE_CHECKING:
    from mreg.catalog.writer import Writer
    from mreg.domain.digest import Digest
    from mreg.registry.session import Session


def backup(session: Session, file: str | os.PathLike[str], *, force: bool = False) -> CatalogCopy:
    """See `mreg.Registry.backup`."""
    session.scope.check_unlimited("back up the catalog")
    from mreg.artifacts.destination import Destination

    refuse_url(os.fspath(file), COPY_TO)
    path = os.path.abspath(file)
    check_destination(session, path)
    check_database(path)

    def write(partial: str) -> CatalogCopy:
        with path_in_errors(partial, path):
            return _copy(session, _session_on(session, partial))

    copied = Destination(Path(path)).receive_written(write, force=force)
    return replace(copied, target=path)


def restore(session: Session, file: str | os.PathLike[str], *, with_tokens: bool = False) -> CatalogCopy:
    """See `mreg.Registry.restore`."""
    session.scope.check_unlimited("restore a backup")
    with _opened_backup(session, file) as source:
        damage = source.catalog.examine().damage
        if damage:
            raise Corrupt(
                f"the backup {quoted(os.fspath(file), 200)} is damaged: {damage[0]}", hint="use another backup"
            )
        before = verify_audit(source)
        if not before.events:
            raise BadInput(f"the catalog in {quoted(os.fspath(file), 200)} is empty", hint="use another backup")
        details = {
            "events": before.events,
            "last_hash": before.last_hash,
            "file": printable(os.path.basename(os.fspath(file))),
        }

        def finish(writer: Writer) -> None:
            tokens = [token.name for token in Tokens(writer).usable()]
            writer.record("catalog.restored", None, {**details, **({"tokens": tokens} if tokens else {})})

        def fill() -> int:
            return session.catalog.replace_by(
                source.catalog, finish, actor=session.actor(), at=session.now(), with_tokens=with_tokens
            )

        aside = session.catalog.set_aside() if _is_damaged(session) else ""
        try:
            rows = fill()
        except Corrupt as error:  # damage that only a write finds; an error of the backup names another catalog
            if aside or error.details.get("catalog") != place_of(session):
                raise
            aside = session.catalog.set_aside()
            rows = fill()
        _note_tokens(session, source, with_tokens=with_tokens)
    after = verify_audit(session)
    return CatalogCopy(
        source=os.path.abspath(file),
        target=place_of(session),
        rows=rows,
        events=after.events,
        last_hash=after.last_hash,
        set_aside=aside,
    )


def _note_tokens(session: Session, source: Session, *, with_tokens: bool) -> None:
    """Tell which active tokens of the backup a server refuses, or accepts again, after the restore."""
    now = session.now()
    tokens = source.catalog.read(lambda reader: Tokens(reader).usable())
    active = [token for token in tokens if not token.is_expired(now)]
    here = session.catalog.read(lambda reader: [Tokens(reader).named(token.name) for token in active])
    absent = [token.name for token, known in zip(active, here, strict=True) if known is None]
    if with_tokens:
        same = [token.name for token, known in zip(active, here, strict=True) if known == token]
        if same:
            session.notice(
                f"active tokens of the backup: {_listed(same)}; if one of them was revoked after the backup: "
                "mreg token revoke NAME"
            )
    elif absent:
        session.notice(
            f"tokens of the backup that were not restored: {_listed(absent)}; create them again: mreg token create "
            "NAME; or restore them too: mreg restore FILE --with-tokens"
        )


def _listed(names: list[str], most: int = 5) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(map(printable, names[:most])) + more


def _is_damaged(session: Session) -> bool:
    try:
        return bool(session.catalog.examine().damage)
    except Corrupt:
        return True


def copy_catalog(
    session: Session,
    other: Session,
    *,
    with_artifacts: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> CatalogCopy:
    """Copy a catalog with its audit trail to an empty catalog of any kind, in one transaction.

    The blobs of all versions are in the other store before any version is registered there. A copy that was
    interrupted leaves blobs and no catalog, and can be repeated.

    Args:
        with_artifacts: Copy the blobs that the other store lacks, each verified by its SHA-256.
        progress: Called with the bytes of blobs copied so far and the total.

    Raises:
        BadInput: Both sessions use the same catalog.
        AlreadyExists: The other catalog is not empty.
        NotFound: The other artifact store lacks bytes that versions need.
        Corrupt: This catalog or a blob is damaged, or a copied row differs from its source.
        Unavailable: A catalog or a store cannot be read or written.
    """
    if _identity(session, "catalog") == _identity(other, "catalog"):
        raise BadInput(
            "cannot copy the catalog: both profiles name the same catalog", hint="mreg profile show --profile NAME"
        )
    other.catalog.permit_new()  # an earlier copy can have stored blobs
    if other.catalog.read(lambda reader: bool(reader.models(limit=1) or reader.events(limit=1))):
        raise AlreadyExists("cannot copy the catalog: the destination already has a catalog", hint="name another place")
    copied: dict[Digest, int] = {}
    if _identity(session, "artifacts") != _identity(other, "artifacts"):
        needed, _ = needed_blobs(session)
        there = {digest: found.size for digest, found in other.artifacts().blobs()}
        missing = needed - there.keys()
        if missing and not with_artifacts:
            raise NotFound(
                f"{len(missing)} of the {len(needed)} blobs that this catalog needs are missing "
                f"from {other.profile.artifacts}",
                hint="copy them together: add --with-artifacts"
                + (f"; or copy them first: {first}" if (first := _how_to_copy(session, other)) else ""),
                kind="blob",
            )
        if missing:
            copied = _copy_blobs(session, other, missing, progress)
            if len(missing) < len(needed):
                other.notice(f"{len(needed) - len(missing)} of the {len(needed)} blobs were there already")
    result = _copy(session, other)
    return replace(result, blobs=len(copied), size_bytes=sum(copied.values()))


def _copy_blobs(
    session: Session, other: Session, digests: set[Digest], progress: Callable[[int, int], None] | None
) -> dict[Digest, int]:
    """Copy blobs to the store of another session; return their sizes."""
    sizes = {digest: found.size for digest, found in session.artifacts().blobs() if digest in digests}
    absent = digests - sizes.keys()
    if absent:
        folder = session.artifacts().missing
        if folder:
            raise missing_folder(folder)
        raise Corrupt(
            f"{len(absent)} of the blobs that this catalog needs are missing from {session.profile.artifacts}, "
            f"such as {min(absent, key=str)}",
            hint="list the versions that need them: mreg verify",
        )
    other.catalog.begin()
    session.artifacts().copy_blobs(sizes, other.artifacts(), progress)
    return sizes


def _identity(session: Session, key: str) -> tuple[str, ...]:
    """Return the identity of a location: its URL (of a bucket, with the endpoint), or its path without links.

    Different identities can still be one location, for example by a service file or a second address. Such a catalog is
    not empty, and therefore refused as a target.
    """
    place = str(getattr(session.profile, key))
    if is_bucket(place):
        return place, session.profile.endpoint_url.rstrip("/")
    return (place,) if "://" in place else (os.path.realpath(place),)


def _how_to_copy(session: Session, other: Session) -> str:
    """Return the command that copies the artifacts of one session to the other's store; empty if no tool knows both."""
    places = [each.profile.artifacts for each in (session, other)]
    if not any("://" in place for place in places):
        return f"mkdir -p {quote(places[1])} && cp -rn {quote(places[0])}/. {quote(places[1])}"
    if any("://" in place and not place.startswith("s3://") for place in places):
        return ""
    endpoints = [each.profile.endpoint_url for each in (session, other) if "://" in each.profile.artifacts]
    if len(set(endpoints)) == 1:
        option = f" --endpoint-url {endpoints[0]}" if endpoints[0] else ""
        return f"aws s3 sync {quote(places[0])} {quote(places[1])}{option}"
    first, second = (f" --endpoint-url {endpoint}" if endpoint else "" for endpoint in endpoints)
    return f"aws s3 sync {quote(places[0])} ./artifacts{first} && aws s3 sync ./artifacts {quote(places[1])}{second}"


def _copy(session: Session, other: Session) -> CatalogCopy:
    before = verify_audit(session)
    try:
        rows = session.catalog.copy_to(other.catalog)
        after = verify_audit(other)
    finally:
        other.catalog.close()
    if after.events < before.events:
        raise Corrupt("the copy has fewer events than the catalog")
    return CatalogCopy(
        source=place_of(session), target=place_of(other), rows=rows, events=after.events, last_hash=after.last_hash
    )


def place_of(session: Session) -> str:
    """Return the location of the catalog; a URL without its parameters."""
    return session.profile.catalog.partition("?")[0] if "://" in session.profile.catalog else session.profile.catalog


def _session_on(session: Session, path: str) -> Session:
    """Return the session with a SQLite file as its catalog."""
    return replace(
        session,
        profile=replace(session.profile, catalog=path),
        catalog=Catalog(SqliteDatabase(path), lambda digest: str(digest)),
    )


def check_backup(file: str | os.PathLike[str]) -> str:
    """Return the real path of a backup.

    Raises:
        NotFound: The file does not exist.
        BadInput: It is a URL, or not a regular file.
        Unavailable: It cannot be examined.
    """
    refuse_url(os.fspath(file), "download it, and name the file")
    with _reading(file):
        real = os.path.realpath(file)
        if not stat.S_ISREG(os.stat(real).st_mode):
            raise BadInput(
                f"cannot restore {quoted(os.fspath(file), 200)}: not a regular file",
                hint="use a file that mreg backup wrote",
            )
        return real


@contextlib.contextmanager
def _reading(file: str | os.PathLike[str]) -> Iterator[None]:
    """Name a backup in the errors of the operating system."""
    try:
        yield
    except (FileNotFoundError, NotADirectoryError):
        raise NotFound(f"file not found: {quoted(os.fspath(file), 200)}", kind="file") from None
    except OSError as error:
        raise Unavailable(f"cannot read {quoted(os.fspath(file), 200)}: {error.strerror or error}") from error


@contextlib.contextmanager
def _opened_backup(session: Session, file: str | os.PathLike[str]) -> Iterator[Session]:
    """Open a temporary copy of a backup, so that a backup with an older schema is not upgraded itself."""
    with tempfile.TemporaryDirectory(prefix="mreg-restore-") as folder:
        path = os.path.join(folder, "catalog.db")
        with _reading(file):
            real = check_backup(file)
            check_journals(real)
            shutil.copyfile(real, path)
            for log in (JOURNAL, LOG):
                with contextlib.suppress(FileNotFoundError):
                    shutil.copyfile(f"{real}{log}", f"{path}{log}")
        source = _session_on(session, path)
        try:
            with path_in_errors(path, os.fspath(file)):
                yield source
        finally:
            source.catalog.close()


@contextlib.contextmanager
def path_in_errors(path: str, shown: str) -> Iterator[None]:
    """Replace the path of a temporary file in errors by the path that the user knows."""
    try:
        yield
    except MregError as error:
        error.message = error.message.replace(path, shown)
        error.hint = error.hint.replace(path, shown)
        raise
