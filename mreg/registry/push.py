"""Push: store a file or folder as the next version of a model."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Callable, Container
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from mreg.domain.metadata import VersionMetadata
from mreg.domain.model import ArtifactKind, ModelArtifact, ModelStage, ModelVersion, Source
from mreg.domain.names import ModelName, Selector, SelectorKind, VersionRef
from mreg.domain.paths import check_artifact_name
from mreg.errors import Corrupt, Unavailable
from mreg.registry.promote import enter_stage
from mreg.registry.references import as_reference, find_model, find_version
from mreg.registry.stage_changes import after_hooks
from mreg.registry.storing import add_with_bytes
from mreg.results.changes import StageChange

if TYPE_CHECKING:
    from mreg.artifacts.stream_upload import StreamUpload
    from mreg.artifacts.upload import Stored
    from mreg.catalog.reader import Reader
    from mreg.catalog.writer import Writer
    from mreg.registry.session import Session


def push(
    session: Session,
    path: str | os.PathLike[str],
    name: ModelName,
    metadata: VersionMetadata,
    *,
    stage: ModelStage | str | None = None,
    parent: VersionRef | str | None = None,
    existing: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> ModelVersion:
    """See `mreg.Registry.push`."""
    from mreg.artifacts.format import detect
    from mreg.registry.capture import begin_capture

    place = os.fspath(path)
    artifact_name = check_artifact_name(os.path.basename(os.path.abspath(place)) or "root")
    stage = ModelStage.parse(stage) if isinstance(stage, str) else stage  # fails before any upload
    made_from = as_reference(parent) if parent is not None else None
    if existing:
        session.catalog.read(lambda reader: find_model(reader, name))  # fails before any upload
    known_sizes = session.catalog.read(lambda reader: _look_before(reader, name, place, made_from, session))
    session.catalog.begin()
    with begin_capture(place) as capture:
        stored = session.artifacts().put(place, known_sizes=known_sizes, progress=progress)
        source, run_id = capture.result()
    for note in capture.notes:
        session.notice(note)
    if stored.kept_bytes:
        session.notice(f"resumed: {stored.kept_bytes} of {stored.size_bytes} bytes had arrived before")
    file_format = detect(place)
    done = [stored]

    def put() -> Stored:
        return done.pop() if done else session.artifacts().put(place, progress=progress)

    return _add(
        session,
        name,
        put,
        metadata,
        _Found(artifact_name, file_format, source, run_id),
        stage=stage,
        parent=parent,
        new_model=not existing,
    )


def push_upload(
    session: Session,
    upload: StreamUpload,
    file_name: str,
    name: ModelName,
    metadata: VersionMetadata,
    *,
    stage: ModelStage | str | None = None,
    parent: VersionRef | str | None = None,
) -> ModelVersion:
    """Add a received file as the next version of a registered model; otherwise like `push`.

    Git commit and environment are not recorded, because they would be the server's.

    Args:
        upload: A completely written upload.
        file_name: Name of the file; folders in it are removed.

    Raises:
        NotFound: The model or parent does not exist.
        BadInput: The file is empty, or its name is invalid.
        Unavailable: The store cannot be written.
    """
    from mreg.artifacts.format import detect

    artifact_name = check_file_name(file_name)
    found = _Found(artifact_name, detect(upload.path, artifact_name), Source(), "")
    return _add(session, name, upload.put, metadata, found, stage=stage, parent=parent, new_model=False)


def check_file_name(name: str) -> str:
    """Return the last part of a file name that a client sent.

    Raises:
        BadInput: It is not a valid name of an artifact.
    """
    return check_artifact_name(re.split(r"[/\\]", name)[-1])


@dataclass(frozen=True, slots=True)
class _Found:
    """Recorded facts of an artifact."""

    artifact_name: str
    format: str
    source: Source
    run_id: str


def _add(
    session: Session,
    name: ModelName,
    put: Callable[[], Stored],
    metadata: VersionMetadata,
    found: _Found,
    *,
    stage: ModelStage | str | None,
    parent: VersionRef | str | None,
    new_model: bool,
) -> ModelVersion:
    """Add the version with its aliases and stage in one transaction.

    Args:
        put: Stores the bytes; can run more than once.
        new_model: Register the model if it does not exist.
    """
    target = ModelStage.parse(stage) if isinstance(stage, str) else stage
    made_from = as_reference(parent) if parent is not None else None

    notes: list[str] = []

    def add(writer: Writer, stored: Stored) -> StageChange:
        notes.clear()  # the transaction can be retried
        known = writer.model(name) if new_model else find_model(writer, name)
        if known is None:
            near = writer.near_names(name.value)
            notes.extend([f"registered new model {name} (similar: {', '.join(near)})"] if near else [])
        elif same := writer.find(known, Selector(SelectorKind.DIGEST, str(stored.digest))):
            notes.append(f"same bytes as {same.reference}")
        model = known or writer.register(name=name)
        version = writer.add_version(
            model,
            artifact=ModelArtifact(
                kind=stored.kind,
                name=found.artifact_name,
                path="",
                size_bytes=stored.size_bytes,
                digest=stored.digest,
                file_count=stored.file_count,
                format=metadata.format or found.format,
            ),
            metadata=replace(metadata, run_id=metadata.run_id or found.run_id),
            parent=find_version(writer, made_from) if made_from else None,
            source=found.source,
        )
        if metadata.aliases:
            from mreg.registry.admission import set_alias_checked
        for alias in metadata.aliases:
            version = set_alias_checked(writer, version, alias, new=True)
        if target is None or target is ModelStage.NONE:
            return StageChange(version=version, before=ModelStage.NONE)
        return enter_stage(writer, version, target, reason="pushed into the stage", new=True)

    def after(reader: Reader, change: StageChange) -> StageChange:
        return after_hooks(reader, change, target or ModelStage.NONE, session.hook_log.rollbacks)

    change = add_with_bytes(session, put, lambda stored: stored.blobs, add, after)
    version = change.version
    for note in notes:
        session.notice(note)
    for other in change.archived:
        session.notice(f"{other} is archived: {version.reference} replaced it in {version.stage.value}")
    return version


def _look_before(
    reader: Reader, name: ModelName, path: str, made_from: VersionRef | None, session: Session
) -> Container[int]:
    """Return sizes of files whose bytes the store could have already; a missing parent fails before any upload."""
    if made_from is not None:
        find_version(reader, made_from)
    if not os.path.isdir(path):
        with contextlib.suppress(OSError, ValueError):
            size = os.stat(path).st_size
            return {size} if reader.has_size(size) else ()
        return ()
    model = reader.model(name)
    before = reader.versions(model, limit=1) if model else ()
    if not before or before[0].artifact.kind is not ArtifactKind.FOLDER:
        return ()
    with contextlib.suppress(Corrupt, Unavailable):  # a damaged last version must not block a new one
        return {entry.size for entry in session.artifacts().manifest(before[0].artifact.digest).entries}
    return ()


def target_model(session: Session, path: str | os.PathLike[str], name: ModelName | str | None) -> ModelName:
    """Return the model of a push: the given name, otherwise an inferred one, with a notice.

    Raises:
        BadInput: The name is invalid, or no name can be inferred.
    """
    if name is not None:
        return name if isinstance(name, ModelName) else ModelName(name)
    from mreg.registry.naming import found_name

    profile = session.profile
    found, why = found_name(path, profile.model, profile.origins.get("model", ""))
    session.notice(f"model {found} ({why}); to use another: --name")
    return found
