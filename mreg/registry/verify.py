"""Verify the bytes in the store against their digests."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

from mreg.artifacts.parallel import in_order
from mreg.artifacts.progress import progress_callback
from mreg.catalog.stored_artifacts import StoredArtifact, stored_artifact, stored_artifacts, versions_of
from mreg.domain.digest import Digest
from mreg.domain.model import ArtifactKind
from mreg.domain.names import VersionRef
from mreg.errors import BadInput, Corrupt, MissingBlob, MregError
from mreg.registry.references import as_reference, find, find_version
from mreg.registry.registry import Reference
from mreg.results.upkeep import BlobProblem, Verification

if TYPE_CHECKING:
    from mreg.catalog.reader import Reader
    from mreg.registry.session import Session

LARGE_BYTES = 8 << 20
LARGE_AT_ONCE, SMALL_AT_ONCE = 2, 8
"""Blobs that are read at the same time; each large one is read on several threads."""

NAMED = 20
"""Maximum number of versions that are named for a damaged blob."""


def verify(
    session: Session,
    reference: Reference | None = None,
    *,
    sample: float = 1.0,
    progress: Callable[[int, int], None] | None = None,
) -> Verification:
    """See `mreg.Registry.verify`."""
    if reference is None:
        session.scope.check_unlimited("verify the artifacts of all models", "mreg verify NAME")
    if not 0 < sample <= 1:
        raise BadInput("the sample must be above 0 % and at most 100 %", hint="mreg verify --all --sample 5%")
    wanted = as_reference(reference) if reference is not None else None
    found = session.catalog.read(lambda reader: _artifacts(reader, wanted))
    chosen = random.sample(found, max(1, round(len(found) * sample))) if found and sample < 1 else found
    needs, broken = _blobs_of(session, chosen)
    sizes = {digest: size for digest, (size, _) in needs.items()}
    problems = dict(broken)
    problems.update(_read(session, sizes, progress))
    complete = wanted is None and sample == 1
    unreferenced = _unreferenced(session, sizes) if complete and not broken else None
    return Verification(
        artifacts=len(chosen),
        all_artifacts=len(found),
        blobs=len(sizes),
        size_bytes=sum(sizes.values()),
        problems=tuple(_problem(session, digest, error, needs[digest][1]) for digest, error in problems.items()),
        unreferenced=unreferenced[0] if unreferenced else None,
        unreferenced_bytes=unreferenced[1] if unreferenced else None,
    )


def _artifacts(reader: Reader, wanted: VersionRef | None) -> list[StoredArtifact]:
    if wanted is None:
        return list(stored_artifacts(reader))
    model, selector = find(reader, wanted)
    versions = reader.versions(model) if selector is None else (find_version(reader, wanted),)
    artifacts = {(version.artifact.digest, version.artifact.kind): version.artifact for version in versions}
    return [stored_artifact(reader, artifact) for artifact in artifacts.values()]


Needs = dict[Digest, tuple[int, list[StoredArtifact]]]


def _blobs_of(session: Session, artifacts: Iterable[StoredArtifact]) -> tuple[Needs, dict[Digest, MregError]]:
    """Return every blob with its size and the artifacts that need it, and the manifests that cannot be read."""
    needs: Needs = {}
    broken: dict[Digest, MregError] = {}
    for artifact in artifacts:
        if artifact.kind is ArtifactKind.FILE:
            needs.setdefault(artifact.digest, (artifact.size_bytes, []))[1].append(artifact)
            continue
        try:
            manifest = session.artifacts().manifest(artifact.digest)
        except MregError as error:
            broken[artifact.digest] = error
            needs.setdefault(artifact.digest, (0, []))[1].append(artifact)
            continue
        needs.setdefault(artifact.digest, (len(manifest.canonical()), []))[1].append(artifact)
        for entry in manifest.entries:
            needs.setdefault(entry.digest, (entry.size, []))[1].append(artifact)
    return needs, broken


def _read(
    session: Session, sizes: Mapping[Digest, int], progress: Callable[[int, int], None] | None
) -> dict[Digest, MregError]:
    store = session.artifacts()
    advance = progress_callback(progress, sum(sizes.values()))

    def look(digest: Digest) -> tuple[Digest, MregError | None]:
        try:
            store.check_blob(digest, sizes[digest], advance)
        except MregError as error:
            return digest, error
        return digest, None

    small = [digest for digest, size in sizes.items() if size <= LARGE_BYTES]
    large = [digest for digest, size in sizes.items() if size > LARGE_BYTES]
    found: dict[Digest, MregError] = {}
    for digests, at_once in ((small, SMALL_AT_ONCE), (large, LARGE_AT_ONCE)):
        found.update((digest, error) for digest, error in in_order(look, digests, at_once=at_once) if error)
    return found


def _unreferenced(session: Session, sizes: Mapping[Digest, int]) -> tuple[int, int]:
    """Return the number and total size of the blobs that no version needs."""
    found = [stat.size for digest, stat in session.artifacts().blobs() if digest not in sizes]
    return len(found), sum(found)


def _problem(session: Session, digest: Digest, error: MregError, artifacts: list[StoredArtifact]) -> BlobProblem:
    def named(reader: Reader) -> tuple[VersionRef, ...]:
        found = [version for artifact in artifacts[:NAMED] for version in versions_of(reader, artifact, NAMED)]
        return tuple(found[:NAMED])

    kind = "unreadable"
    if isinstance(error, Corrupt):
        kind = "missing" if isinstance(error, MissingBlob) else "damaged"
    return BlobProblem(
        checksum=digest,
        problem=kind,
        message=error.message,
        hint=error.hint,
        versions=session.catalog.read(named),
    )
