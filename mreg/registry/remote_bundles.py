"""Export from a server, import to it, and back up its catalog."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from mreg.domain.model import ModelVersion
from mreg.domain.names import VersionRef
from mreg.domain.paths import refuse_url
from mreg.domain.text import quoted
from mreg.errors import Conflict, Corrupt, Unavailable
from mreg.files import CREATE, open_file, room
from mreg.registry.audit import verify_trail
from mreg.registry.backup import path_in_errors
from mreg.registry.destinations import COPY_TO, check_database, check_name, check_repository
from mreg.registry.export import refuse_existing, target_of
from mreg.registry.references import as_name, as_reference
from mreg.registry.remote_operations import downloaded, prepared_file, run
from mreg.registry.remote_queries import show
from mreg.registry.remote_session import RemoteSession
from mreg.remote.references import model_or_version_path
from mreg.results.bundles import Exported, Imported
from mreg.results.upkeep import CatalogCopy

if TYPE_CHECKING:
    from mreg.artifacts.backend import BlobRequest
    from mreg.registry.registry import Name, Place, Reference
    from mreg.remote.events import OfferedFile

CHUNK_BYTES = 1 << 20


def export(
    session: RemoteSession,
    reference: Reference,
    destination: Place | None = None,
    *,
    force: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Exported:
    """See `mreg.Registry.export`: the server prepares the bundle, and its SHA-256 is verified here."""
    from mreg.artifacts.destination import Destination
    from mreg.artifacts.progress import name_pass, progress_callback

    refuse_url(os.fspath(destination or ""), COPY_TO)
    wanted, found = _found(session, as_reference(reference))
    target = target_of(found, destination)
    check_name(str(target))
    check_repository(str(target))
    refuse_existing(target, force=force)
    name_pass(progress, "pack")
    outcome = session.split(
        wanted, lambda one: run(session, "GET", model_or_version_path(one, "export"), progress=progress)
    )
    exported, file = session.result(Exported, outcome.envelope), prepared_file(session, outcome)
    name_pass(progress, "fetch")
    advance = progress_callback(progress, file.size_bytes)

    def fetch(requests: Sequence[BlobRequest]) -> Generator[Iterator[bytes]]:
        for request in requests:
            with closing(_counted(downloaded(session, file, request.start), advance)) as chunks:
                yield chunks

    Destination(target, fetch, resumable=True, advance=advance).receive_file(file.digest, file.size_bytes, force=force)
    return replace(exported, reference=found, destination=target, size_bytes=file.size_bytes)


def import_bundle(
    session: RemoteSession,
    path: Place,
    name: Name | None = None,
    *,
    aliases: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Imported:
    """See `mreg.Registry.import_bundle`: the bundle is verified here before it is sent, and by the server."""
    from mreg.artifacts.progress import name_pass, progress_callback
    from mreg.registry.importing import inspect_bundle

    target = as_name(name) if name is not None else None
    name_pass(progress, "verify")
    inspect_bundle(path, progress)
    try:
        size = os.path.getsize(path)
    except OSError as error:
        raise _unreadable(path, error) from error

    def chunks() -> Iterator[bytes]:
        name_pass(progress, "send")
        advance, left = progress_callback(progress, size), size
        try:
            with open(path, "rb", buffering=0) as stream:
                while left and (chunk := stream.read(min(CHUNK_BYTES, left))):
                    left -= len(chunk)
                    yield chunk
                    advance(len(chunk))
            name_pass(progress, "import")
        except OSError as error:
            raise _unreadable(path, error) from error
        if left:
            raise Conflict(f"{quoted(os.fspath(path), 200)} was changed while it was read", hint="repeat the command")

    outcome = run(
        session,
        "POST",
        "/import",
        query={"name": None if target is None else str(target), "aliases": aliases},
        body=chunks,
        length=size,
        content_type="application/octet-stream",
        left="the versions of the bundle might have been imported",
        hint="repeat the command: versions that exist are not imported again",
        progress=progress,
    )
    return session.result(Imported, outcome.envelope)


def backup(session: RemoteSession, file: str | os.PathLike[str], *, force: bool = False) -> CatalogCopy:
    """See `mreg.Registry.backup`: the copy is verified here, too, before it gets its name."""
    from mreg.artifacts.destination import Destination

    refuse_url(os.fspath(file), COPY_TO)
    path = os.path.abspath(file)
    check_name(path)
    check_repository(path)
    check_database(path)

    def write(partial: str) -> CatalogCopy:
        outcome = run(session, "GET", "/backup")
        copied = session.result(CatalogCopy, outcome.envelope)
        _write(session, prepared_file(session, outcome), partial)
        with path_in_errors(partial, path):
            _check_backup(partial, copied)
        return copied

    copied = Destination(Path(path)).receive_written(write, force=force)
    return replace(copied, target=path)


def _found(session: RemoteSession, wanted: VersionRef) -> tuple[VersionRef, VersionRef]:
    """Return a reference to what another one names now, and the text of it in results.

    Raises:
        NotFound: The model or version does not exist.
    """
    shown = show(session, wanted, limit=1)
    if isinstance(shown, ModelVersion):
        return as_reference(shown), shown.reference
    return as_reference(shown.model), VersionRef(shown.model.name)


def _counted(chunks: Iterator[bytes], advance: Callable[[int], None]) -> Generator[bytes]:
    for chunk in chunks:
        advance(len(chunk))
        yield chunk


def _write(session: RemoteSession, file: OfferedFile, path: str) -> None:
    """Write a prepared file, verified.

    Raises:
        Corrupt: The bytes do not match the digest.
    """
    from mreg.artifacts.hashing import Hashing

    free = room(os.path.dirname(path))
    if file.size_bytes > free:
        raise Unavailable(
            f"not enough space: {file.size_bytes:,} bytes needed, {free:,} free",
            hint="free some space, or name another file",
        )
    with os.fdopen(open_file(path, CREATE, 0o666, follow=False), "wb") as stream, Hashing(file.size_bytes) as hashing:
        for chunk in downloaded(session, file):
            hashing.add(chunk)
            stream.write(chunk)
        if hashing.digest() != file.digest:
            raise Corrupt(f"the backup is damaged: expected {file.digest}, got {hashing.digest()}", hint="try again")


def _check_backup(path: str, copied: CatalogCopy) -> None:
    """Check that a file is an intact catalog with the events that the server stated.

    Raises:
        Corrupt: It is damaged, or has other events.
        Unavailable: It has a newer schema than this release.
    """
    from mreg.catalog.catalog import Catalog
    from mreg.catalog.sqlite import SqliteDatabase

    catalog = Catalog(SqliteDatabase(path), str)
    try:
        damage = catalog.examine().damage
        if damage:
            raise Corrupt(f"the backup is damaged: {damage[0]}", hint="try again")
        found = verify_trail(catalog)
    finally:
        catalog.close()
    if (found.events, found.last_hash) != (copied.events, copied.last_hash):
        raise Corrupt(
            f"the backup is damaged: expected {copied.events} events as on the server, got {found.events} or others",
            hint="try again",
        )


def _unreadable(path: Place, error: OSError) -> Unavailable:
    return Unavailable(f"cannot read {quoted(os.fspath(path), 200)}: {error.strerror or error}")
