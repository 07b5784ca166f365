"""Compare: the difference of two versions with their files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mreg.domain.comparison import Comparison
from mreg.domain.comparison import compare as compare_versions
from mreg.domain.manifest import ManifestEntry
from mreg.domain.model import ArtifactKind, ModelVersion
from mreg.domain.names import Selector, SelectorKind, VersionRef
from mreg.registry.references import as_reference, find, find_model, find_told
from mreg.registry.session import Session

if TYPE_CHECKING:
    from mreg.catalog.reader import Reader


def compare(session: Session, first: VersionRef | str, second: VersionRef | str | None = None) -> Comparison:
    """The comparison of two versions, of one model or of two, both seen at one moment.

    Args:
        first: Which version; a bare name means the latest.
        second: Which version; None: then the first is the second, and is compared with what is in Production.

    Raises:
        NotFound: There is no such model or version.
        Corrupt: The list of a folder's files is damaged.
    """
    one = as_reference(first)
    other = as_reference(second) if second is not None else one
    if second is None:
        split = one.split_last_part() if one.selector is None else None
        name = session.catalog.read(lambda reader: find(reader, one))[0].name if split else one.name
        one = VersionRef(name, Selector(SelectorKind.STAGE, "production"))

    def both(reader: Reader) -> tuple[ModelVersion, ModelVersion, dict[str, str], tuple[str, str]]:
        (left, first_note), (right, second_note) = find_told(reader, one), find_told(reader, other)
        # Where two models disagree on a direction, the first one is the yardstick.
        directions = {
            **find_model(reader, right.model_name).directions,
            **find_model(reader, left.model_name).directions,
        }
        return left, right, directions, (first_note, second_note)

    left, right, directions, notes = session.catalog.read(both)
    for note in filter(None, notes):
        session.notice(note)
    if left.version_id == right.version_id:
        session.notice(f"both are {left.reference}: there is nothing to compare")
    same = left.artifact.digest == right.artifact.digest and left.artifact.kind is right.artifact.kind
    return compare_versions(
        left,
        right,
        directions=directions,
        first_files=() if same else _files(session, left),
        second_files=() if same else _files(session, right),
    )


def _files(session: Session, version: ModelVersion) -> tuple[ManifestEntry, ...]:
    artifact = version.artifact
    if artifact.kind is ArtifactKind.FILE:
        return (ManifestEntry(artifact.name, artifact.size_bytes, artifact.digest),)
    return session.artifacts().manifest(artifact.digest).entries
