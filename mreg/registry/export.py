"""Export a version, or a model with all its versions, to one self-contained file."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mreg.domain.bundle import DOCUMENT_LIMIT, ELEMENTS_LIMIT, Bundle, BundledModel, BundledVersion, check_bounds
from mreg.domain.model import ArtifactKind, ModelVersion, RegisteredModel
from mreg.domain.names import VersionRef
from mreg.domain.paths import refuse_url
from mreg.domain.text import quoted
from mreg.errors import AlreadyExists, BadInput
from mreg.registry.destinations import COPY_TO, check_destination
from mreg.registry.references import as_reference, find, find_with_note, naming_version
from mreg.registry.registry import Reference
from mreg.results.bundles import Exported

if TYPE_CHECKING:
    from mreg.catalog.reader import Reader
    from mreg.domain.digest import Digest
    from mreg.domain.events import Event
    from mreg.registry.session import Session

SUFFIX = ".mreg"


@dataclass(frozen=True, slots=True)
class _Found:
    reference: VersionRef
    model: RegisteredModel
    versions: tuple[BundledVersion, ...]
    events: tuple[Event, ...]
    note: str


def export(
    session: Session,
    reference: Reference,
    destination: str | os.PathLike[str] | None = None,
    *,
    force: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Exported:
    """See `mreg.Registry.export`."""
    refuse_url(os.fspath(destination or ""), COPY_TO)
    wanted = as_reference(reference)
    found = session.catalog.read(lambda reader: _look(reader, wanted))
    if found.note:
        session.notice(found.note)
    target = target_of(found.reference, destination)
    check_destination(session, target)
    refuse_existing(target, force=force)
    model = found.model
    bundle = Bundle(
        model=BundledModel(
            name=model.name,
            description=model.description,
            tags=model.tags,
            directions=model.directions,
            primary_metric=model.primary_metric,
        ),
        versions=found.versions,
        events=found.events,
        blobs=_blobs(session, found.versions),
    )
    document = bundle.canonical()
    try:
        check_bounds(document)
    except BadInput as error:
        raise _too_large(found, document) from error
    Bundle.parse(document)  # an invalid bundle must fail now, not at the import, when the source can be gone
    with naming_version(found.versions[0].version.reference) if len(found.versions) == 1 else nullcontext():
        size = session.artifacts().write_bundle(bundle, target, force=force, progress=progress)
    return Exported(
        reference=found.reference,
        versions=tuple(bundled.version.reference for bundled in found.versions),
        destination=target,
        size_bytes=size,
    )


def _too_large(found: _Found, document: bytes) -> BadInput:
    if len(found.versions) > 1:
        hint = f"export single versions: mreg export {found.versions[0].version.reference}"
    else:
        hint = "push an archive of the folder, and export that version"
    return BadInput(
        f"{found.reference} cannot be exported: its bundle would list {len(document):,} bytes; the limit is "
        f"{DOCUMENT_LIMIT >> 20} MiB and {ELEMENTS_LIMIT:,} values",
        hint=hint,
    )


def _look(reader: Reader, wanted: VersionRef) -> _Found:
    model, selector = find(reader, wanted)
    if selector is None:
        versions = tuple(reversed(reader.versions(model)))
        events = reader.events(model=model, newest_first=False)
        reference, note = VersionRef(model.name), ""
    else:
        version, note = find_with_note(reader, wanted)
        versions = (version,)
        events = reader.events(model=model, version=version.version, newest_first=False)
        reference = version.reference
    return _Found(reference, model, tuple(_with_parent(reader, version) for version in versions), events, note)


def _with_parent(reader: Reader, version: ModelVersion) -> BundledVersion:
    parent_id = reader.parent_of(version.version_id) if version.parent else None
    parent = reader.version_by_id(parent_id) if parent_id is not None else None
    return BundledVersion(version=version, parent_digest=parent.artifact.digest if parent else None)


def _blobs(session: Session, versions: tuple[BundledVersion, ...]) -> dict[Digest, int]:
    """Return every blob that the versions need, with its size."""
    sizes: dict[Digest, int] = {}
    manifests: set[Digest] = set()
    for bundled in versions:
        artifact = bundled.version.artifact
        if artifact.kind is ArtifactKind.FILE:
            sizes[artifact.digest] = artifact.size_bytes
        elif artifact.digest not in manifests:
            with naming_version(bundled.version.reference):
                manifest = session.artifacts().manifest(artifact.digest)
            manifests.add(artifact.digest)
            sizes[artifact.digest] = len(manifest.canonical())
            sizes.update((entry.digest, entry.size) for entry in manifest.entries)
    return sizes


def default_name(reference: VersionRef) -> str:
    """Return the name of the bundle of a version or a model, unless another is given."""
    name = f"{reference.name}-{reference.selector}" if reference.selector else str(reference.name)
    return name.replace("/", "-") + SUFFIX


def target_of(reference: VersionRef, destination: str | os.PathLike[str] | None) -> Path:
    """Return the absolute path of the bundle for a destination of `mreg.Registry.export`."""
    if destination is None:
        return Path.cwd() / default_name(reference)
    target = Path(os.path.abspath(os.fspath(destination)))
    return target / default_name(reference) if target.is_dir() else target


def refuse_existing(target: Path, *, force: bool) -> None:
    """Refuse to replace a file, unless `force` is set.

    Raises:
        AlreadyExists: The file exists.
    """
    if os.path.lexists(target) and not force:
        raise AlreadyExists(
            f"{quoted(str(target), 200)} already exists",
            hint="add --force to replace it, or name another file: -o FILE",
        )
