"""The blobs that the versions of a catalog need."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mreg.catalog.stored_artifacts import stored_artifacts
from mreg.domain.model import ArtifactKind
from mreg.errors import MissingBlob

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from mreg.catalog.stored_artifacts import StoredArtifact
    from mreg.domain.digest import Digest
    from mreg.registry.session import Session

MANIFESTS_AT_ONCE = 8


def needed_blobs(session: Session, after: int = 0) -> tuple[set[Digest], int]:
    """Return the blobs of all artifacts with an id above ``after``, and the highest id.

    Raises:
        Corrupt: The manifest of a folder is missing or damaged.
    """
    while True:
        artifacts = _artifacts(session, after)
        try:
            contents = set(_contents(session, artifacts))
        except MissingBlob:
            if set(artifacts) <= set(_artifacts(session, after)):
                raise
            # Versions were deleted meanwhile, so another gc can have removed their manifests: read the catalog again.
        else:
            digests = {artifact.digest for artifact in artifacts}
            return digests | contents, max((artifact.artifact_id for artifact in artifacts), default=after)


def _artifacts(session: Session, after: int) -> tuple[StoredArtifact, ...]:
    return session.catalog.read(lambda reader: tuple(stored_artifacts(reader, after)))


def _contents(session: Session, artifacts: Iterable[StoredArtifact]) -> Iterator[Digest]:
    """Yield the blobs of all files in folders."""
    folders = {artifact.digest for artifact in artifacts if artifact.kind is ArtifactKind.FOLDER}
    if folders:
        from mreg.artifacts.parallel import in_order

        for manifest in in_order(session.artifacts().manifest, folders, at_once=MANIFESTS_AT_ONCE):
            yield from (entry.digest for entry in manifest.entries)
