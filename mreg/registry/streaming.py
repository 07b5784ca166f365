"""Operations for a server: files of a version as streams, and sessions of other actors."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from mreg.domain.manifest import NOTHING, Manifest
from mreg.domain.model import ArtifactKind, ModelVersion
from mreg.domain.scope import EVERYTHING, ModelScope
from mreg.domain.text import Caution, check_line, counted, quoted
from mreg.errors import BadInput, NotAllowed, NotFound
from mreg.registry.references import as_reference, find_version, naming_version
from mreg.registry.registry import Reference
from mreg.registry.session import HookLog
from mreg.results.files import StoredFile

if TYPE_CHECKING:
    from collections.abc import Callable

    from mreg.registry.session import Session, Transfers
    from mreg.results.tokens import Token


def files(
    session: Session, reference: Reference, *, include: Iterable[str] = (), exclude: Iterable[str] = ()
) -> tuple[StoredFile, ...]:
    """See `mreg.Registry.files`."""
    version, found = files_of(session, reference)
    return select_files(version, found, include, exclude)


def select_files(
    version: ModelVersion, found: tuple[StoredFile, ...], include: Iterable[str], exclude: Iterable[str]
) -> tuple[StoredFile, ...]:
    """Return those of the files of a version that patterns select; see `mreg.Registry.files`."""
    include, exclude = tuple(include), tuple(exclude)
    if include or exclude:
        from mreg.registry.selected_files import select_paths

        selected = select_paths([file.path for file in found], include, exclude, version.reference)
        found = tuple(file for file in found if file.path in selected)
    return found


def files_of(session: Session, reference: Reference) -> tuple[ModelVersion, tuple[StoredFile, ...]]:
    """Return a version and its files in the order of its manifest.

    Raises:
        NotFound: The model or version does not exist.
        Corrupt: The manifest is missing or damaged.
    """
    wanted = as_reference(reference)
    version = session.catalog.read(lambda reader: find_version(reader, wanted))
    return version, files_of_version(session, version)


def files_of_version(transfers: Transfers, version: ModelVersion) -> tuple[StoredFile, ...]:
    """Return the files of a version in the order of its manifest, without reading the catalog.

    Raises:
        Corrupt: The manifest is missing or damaged.
    """
    artifact, exact = version.artifact, version.reference
    if artifact.kind is ArtifactKind.FILE:
        size, digest = artifact.size_bytes, artifact.digest
        return (StoredFile(reference=exact, path=artifact.name, size_bytes=size, digest=digest),)
    return tuple(
        StoredFile(
            reference=exact,
            path=entry.path,
            size_bytes=entry.size,
            digest=entry.digest,
            executable=entry.executable,
        )
        for entry in _manifest(transfers, version).entries
    )


def _manifest(transfers: Transfers, version: ModelVersion) -> Manifest:
    with naming_version(version.reference):
        return transfers.artifacts().manifest(version.artifact.digest)


def file(session: Session, reference: Reference, path: str | None = None) -> StoredFile:
    """Return a file of a version.

    Args:
        path: Path of the file in the version (default: the only file of a version that is a file).

    Raises:
        NotFound: The model, version or file does not exist.
        NotAllowed: The version is a folder, and no path is given.
    """
    version, found = files_of(session, reference)
    if path is not None:
        for stored in found:
            if stored.path == path:
                return stored
        raise missing_file(version, path)
    if version.artifact.kind is ArtifactKind.FOLDER:
        raise NotAllowed(
            f"{version.reference} is a folder of {counted(len(found), 'file')}: expected a path of one file",
            hint="request each file by its path",
        )
    return found[0]


def manifest_file(session: Session, version: ModelVersion) -> StoredFile:
    """Return the manifest of a folder as a file.

    Raises:
        Corrupt: The manifest is missing.
    """
    from mreg.artifacts.hashing import missing

    artifact, store = version.artifact, session.artifacts()
    size = store.size(artifact.digest)
    if size is None:
        with naming_version(version.reference):
            raise missing(artifact.digest, session.profile.artifacts)
    name = f"{artifact.name}.manifest.json"
    return StoredFile(reference=version.reference, path=name, size_bytes=size, digest=artifact.digest)


def presign(session: Session, file: StoredFile, seconds: int) -> str:
    """Return a URL of the store from which a file can be read without credentials; see `ArtifactStore.presign`."""
    return session.artifacts().presign(file.digest, seconds)


def check_presigning(session: Session) -> None:
    """Check that the store has presigned URLs, without a request to it.

    Raises:
        BadInput: It has none.
        Unavailable: It has no credentials to sign with.
    """
    session.artifacts().presign(NOTHING, 1)


def missing_file(version: ModelVersion, path: str) -> NotFound:
    """Return the error for a file that a version does not have."""
    return NotFound(f"{version.reference} has no file {quoted(path)}", kind="file", path=path)


def read_file(session: Session, wanted: StoredFile, start: int = 0, length: int | None = None) -> Generator[bytes]:
    """Yield the bytes of a file in chunks; see `mreg.artifacts.store.ArtifactStore.read`.

    Raises:
        Corrupt: The bytes are damaged; if a complete file is read, this is raised before its last chunk.
        Unavailable: The store cannot be read.
    """
    with naming_version(wanted.reference):
        yield from session.artifacts().read(wanted.digest, wanted.size_bytes, start, length)


def acting_as(
    session: Session,
    actor: str,
    notice: Callable[[str], None],
    hook_log: HookLog | None = None,
    *,
    scope: ModelScope = EVERYTHING,
    client: Token | None = None,
    hide: Callable[[str], str] | None = None,
) -> Session:
    """Return the session for another actor, with another receiver of notices and another log of hooks.

    Args:
        hook_log: Receives the hooks that the session runs (default: a new log).
        scope: The models that exist for the actor; a session that is limited already keeps its own scope.
        client: The token of the server's client that acts (default: that of the session).
        hide: Returns a text without places of the server. Notices and the output of hooks are shown like this, and
            artifacts have no URL (default: that of the session).

    Raises:
        BadInput: The name of the actor is invalid, or a limited session would get another scope.
    """
    check_line("actor", actor)
    if session.scope.limited:
        if scope.limited and scope != session.scope:
            raise BadInput(f"the registry is limited to the models {session.scope} already")
        scope = session.scope
    catalog, hide = session.catalog.within(scope), hide or session.hide
    return replace(
        session,
        catalog=catalog if hide is None else catalog.without_places(),
        actor=lambda: actor,
        notice=notice if hide is None else partial(_tell_hidden, notice, hide),
        hook_log=hook_log or HookLog(),
        audience=None,
        client=client or session.client,
        served=True,
        hide=hide,
        # A limited session sees its own deployments only.
        enqueued=set() if scope.limited else session.enqueued,
    )


def _tell_hidden(notice: Callable[[str], None], hide: Callable[[str], str], text: str) -> None:
    hidden = hide(text)
    notice(Caution(hidden) if isinstance(text, Caution) else hidden)
