"""Which blobs the versions of a catalog need."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mreg.catalog.rows import number, read_artifact
from mreg.domain.model import ArtifactKind

if TYPE_CHECKING:
    from mreg.catalog.database import Row
    from mreg.catalog.reader import Reader
    from mreg.domain.digest import Digest
    from mreg.registry.session import Session

PAGE = 5_000
MANIFESTS_AT_ONCE = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredArtifact:
    """Bytes that some version has."""

    artifact_id: int
    kind: ArtifactKind
    digest: Digest
    size_bytes: int


def stored_artifacts(reader: Reader, after: int = 0) -> Iterator[StoredArtifact]:
    """Every artifact of any version, oldest first, a page at a time.

    Args:
        after: Only those that came after this one.
    """
    while rows := reader.connection.all("versions.artifacts_after", artifact_id=after, row_limit=PAGE):
        yield from map(_stored, rows)
        after = number(rows[-1], "artifact_id")


def newest_artifacts(reader: Reader, limit: int) -> tuple[StoredArtifact, ...]:
    """The artifacts that came last, the newest first."""
    return tuple(map(_stored, reader.connection.all("versions.newest_artifacts", row_limit=limit)))


def _stored(row: Row) -> StoredArtifact:
    artifact_id, kind, digest, size_bytes = read_artifact(row)
    return StoredArtifact(artifact_id=artifact_id, kind=kind, digest=digest, size_bytes=size_bytes)


def needed_blobs(session: Session, after: int = 0) -> tuple[set[Digest], int]:
    """The blobs of all artifacts that came after one, and the id of the last artifact.

    Raises:
        Corrupt: A folder's manifest is missing or damaged.
    """
    artifacts = session.catalog.read(lambda reader: tuple(stored_artifacts(reader, after)))
    needed = {one.digest for one in artifacts}
    folders = {one.digest for one in artifacts if one.kind is ArtifactKind.FOLDER}
    if folders:
        from mreg.artifacts.parallel import in_order

        for manifest in in_order(session.artifacts().manifest, folders, at_once=MANIFESTS_AT_ONCE):
            needed.update(entry.digest for entry in manifest.entries)
    return needed, max((one.artifact_id for one in artifacts), default=after)
