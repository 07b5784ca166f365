"""The artifacts in a catalog, each once even if several versions have it."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mreg.catalog.rows import number, read_artifact, read_reference
from mreg.catalog.scoped import scoped_rows, scoped_sql
from mreg.domain.digest import Digest
from mreg.domain.model import ArtifactKind, ModelArtifact
from mreg.domain.names import VersionRef

if TYPE_CHECKING:
    from mreg.catalog.database import Row, Value
    from mreg.catalog.reader import Reader

PAGE = 5_000

CHUNK = 500
"""Number of digests that one statement looks for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredArtifact:
    """An artifact of at least one version."""

    artifact_id: int
    kind: ArtifactKind
    digest: Digest
    size_bytes: int


def stored_artifacts(reader: Reader, after: int = 0) -> Iterator[StoredArtifact]:
    """Yield every artifact, oldest first, in pages of `PAGE`; only without a limited scope.

    Args:
        after: Lower bound of the ids, excluded.
    """
    reader.scope.check_unlimited("read the artifacts of all models")
    while rows := reader.connection.all("versions.artifacts_after", artifact_id=after, row_limit=PAGE):
        yield from map(_stored, rows)
        after = number(rows[-1], "artifact_id")


def stored_artifact(reader: Reader, artifact: ModelArtifact) -> StoredArtifact:
    """Return the artifact of a version that the reader found."""
    row = reader.connection.one("versions.artifact", digest=artifact.digest.value, kind=artifact.kind.value)
    return StoredArtifact(
        artifact_id=number(row, "artifact_id", 1) if row else 0,
        kind=artifact.kind,
        digest=artifact.digest,
        size_bytes=artifact.size_bytes,
    )


def newest_artifacts(reader: Reader, limit: int) -> tuple[StoredArtifact, ...]:
    """Return at most ``limit`` artifacts, newest first."""
    return tuple(map(_stored, reader.connection.all("versions.newest_artifacts", row_limit=limit)))


def artifacts_of_versions(reader: Reader, digests: Collection[Digest]) -> Iterator[StoredArtifact]:
    """Yield the artifacts with these digests that a version has; one can be repeated for each model that has it.

    Only versions within the scope of the reader count.
    """
    wanted = sorted(digest.value for digest in digests)
    sql, scope = scoped_sql("versions.artifacts_in_use", reader.scope)
    word = "AND" if reader.scope.limited else "WHERE"
    for start in range(0, len(wanted), CHUNK):
        values: dict[str, Value] = {f"d{place}": value for place, value in enumerate(wanted[start : start + CHUNK])}
        marks = ", ".join(f":{name}" for name in values)
        yield from map(_stored, reader.connection.query(f"{sql} {word} a.digest IN ({marks})", {**values, **scope}))


def versions_of(reader: Reader, artifact: StoredArtifact, limit: int) -> tuple[VersionRef, ...]:
    """Return at most ``limit`` versions that have the artifact."""
    values = {"artifact_id": artifact.artifact_id, "row_limit": limit}
    rows = scoped_rows(reader.connection, reader.scope, "versions.of_artifact", **values)
    return tuple(map(read_reference, rows))


def _stored(row: Row) -> StoredArtifact:
    artifact_id, kind, digest, size_bytes = read_artifact(row)
    return StoredArtifact(artifact_id=artifact_id, kind=kind, digest=digest, size_bytes=size_bytes)
