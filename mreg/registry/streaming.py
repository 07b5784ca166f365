"""Bytes that come from a stream and go to one: what a server needs where a command has paths."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace
from typing import TYPE_CHECKING

from mreg.domain.manifest import Manifest
from mreg.domain.model import ArtifactKind, ModelVersion
from mreg.domain.names import VersionRef
from mreg.domain.text import check_line, counted, quoted
from mreg.errors import NotAllowed, NotFound
from mreg.registry.references import as_reference, concerning, find_version
from mreg.results.files import StoredFile

if TYPE_CHECKING:
    from collections.abc import Callable

    from mreg.registry.session import Session


def files(session: Session, reference: VersionRef | str) -> tuple[StoredFile, ...]:
    """The files of a version in the order of its manifest.

    Raises:
        NotFound: There is no such model or version.
        Corrupt: The manifest is missing or damaged.
    """
    return _look(session, reference)[1]


def _look(session: Session, reference: VersionRef | str) -> tuple[ModelVersion, tuple[StoredFile, ...]]:
    wanted = as_reference(reference)
    version = session.catalog.read(lambda reader: find_version(reader, wanted))
    artifact, exact = version.artifact, version.reference
    if artifact.kind is ArtifactKind.FILE:
        size, digest = artifact.size_bytes, artifact.digest
        return version, (StoredFile(reference=exact, path=artifact.name, size_bytes=size, digest=digest),)
    return version, tuple(
        StoredFile(
            reference=exact,
            path=entry.path,
            size_bytes=entry.size,
            digest=entry.digest,
            executable=entry.executable,
        )
        for entry in _manifest(session, version).entries
    )


def _manifest(session: Session, version: ModelVersion) -> Manifest:
    with concerning(version.reference):
        return session.artifacts().manifest(version.artifact.digest)


def file(session: Session, reference: VersionRef | str, path: str | None = None) -> StoredFile:
    """One file of a version.

    Args:
        path: Which; None for the one of a version that is one file.

    Raises:
        NotFound: There is no such model, version or file.
        NotAllowed: The version is a folder, and no path says which file.
    """
    version, found = _look(session, reference)
    if path is not None:
        for one in found:
            if one.path == path:
                return one
        raise NotFound(f"{version.reference} has no file {quoted(path)}", kind="file", path=path)
    if version.artifact.kind is ArtifactKind.FOLDER:
        raise NotAllowed(
            f"{version.reference} is a folder of {counted(len(found), 'file')}, and this gives one file",
            hint="ask for its files one by one",
        )
    return found[0]


def read_file(session: Session, wanted: StoredFile, start: int = 0, length: int | None = None) -> Generator[bytes]:
    """The bytes of a file chunk by chunk; see `mreg.artifacts.store.ArtifactStore.read`.

    Raises:
        Corrupt: They are not what they should be; of a whole file found before its last chunk is given.
        Unavailable: They can't be read.
    """
    with concerning(wanted.reference):
        yield from session.artifacts().read(wanted.digest, wanted.size_bytes, start, length)


def acting_as(session: Session, actor: str, notice: Callable[[str], None]) -> Session:
    """The same registry in the hands of somebody else, who hears what is to be said.

    Raises:
        BadInput: Nobody can be called that.
    """
    check_line("actor", actor)
    return replace(session, actor=lambda: actor, notice=notice, delivered=[], undone=[])
