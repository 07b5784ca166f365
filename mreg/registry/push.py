"""Push: store a file or folder as the next version of a model."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from mreg.domain.metadata import VersionMetadata
from mreg.domain.model import ArtifactKind, ModelArtifact, ModelStage, ModelVersion, RegisteredModel, Source
from mreg.domain.names import ModelName, Selector, SelectorKind, VersionRef
from mreg.domain.paths import check_artifact_name
from mreg.errors import Corrupt, NotFound, Unavailable
from mreg.registry.outgoing import EVERYTHING, Choice, Outgoing, existing_only, new_model_note, planned, target_model
from mreg.registry.promote import enter_stage
from mreg.registry.references import as_reference, find_model, find_version, not_registered
from mreg.registry.registry import Reference
from mreg.registry.stage_changes import after_hooks
from mreg.registry.storing import add_with_bytes, begin_storing
from mreg.results.changes import StageChange

if TYPE_CHECKING:
    from mreg.artifacts.folder_upload import FolderUpload
    from mreg.artifacts.stream_upload import StreamUpload
    from mreg.artifacts.upload import Stored
    from mreg.catalog.reader import Reader
    from mreg.catalog.writer import Writer
    from mreg.domain.digest import Digest
    from mreg.registry.environments import TrainingEnvironment
    from mreg.registry.idempotency import IdempotentRequest
    from mreg.registry.session import Session
    from mreg.results.files import PushPlan


SAME_SIZE = 64
"""Maximum number of blobs that a file of their size is compared with, before it is hashed."""


def push(
    session: Session,
    path: str | os.PathLike[str],
    name: ModelName,
    metadata: VersionMetadata,
    *,
    stage: ModelStage | str | None = None,
    parent: Reference | None = None,
    choice: Choice = EVERYTHING,
    python: TrainingEnvironment | str | os.PathLike[str] | None = None,
    existing: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> ModelVersion:
    """See `mreg.Registry.push`."""
    stage = ModelStage.parse(stage) if isinstance(stage, str) else stage  # fails before any upload
    made_from = as_reference(parent) if parent is not None else None
    existing = existing_only(session, existing)
    if existing:
        session.catalog.read(lambda reader: _registered(reader, name))  # fails before any upload
    outgoing = Outgoing.of(session, path, choice=choice, python=python)
    known = session.catalog.read(lambda reader: _look_before(reader, name, outgoing.path, made_from, session))
    begin_storing(session)
    sent = outgoing.send(session, session.artifacts(), known=known, progress=progress)
    done = [sent.stored]

    def put() -> Stored:
        return done.pop() if done else outgoing.put(session.artifacts(), progress=progress)

    return add_pushed(
        session,
        name,
        put,
        metadata,
        Found(outgoing.name, sent.format, sent.source, sent.run_id),
        stage=stage,
        parent=parent,
        new_model=not existing,
    )


def plan_push(
    session: Session,
    path: str | os.PathLike[str],
    *,
    name: ModelName | str | None = None,
    include: Iterable[str] = (),
    exclude: Iterable[str] = (),
    follow_links: bool = False,
    existing: bool = False,
) -> PushPlan:
    """See `mreg.Registry.plan_push`."""
    model = target_model(session, path, name)
    existing = existing_only(session, existing)
    note = session.catalog.read(
        lambda reader: "" if existing and _registered(reader, model) else _new_model(reader, model)
    )
    choice = Choice(include=tuple(include), exclude=tuple(exclude), follow_links=follow_links)
    plan = planned(session, model, path, choice)
    session.notices(note and f"would register {note}")
    return plan


def _registered(reader: Reader, name: ModelName) -> RegisteredModel:
    """Return the model of a push that must not register one.

    Raises:
        NotFound: The model does not exist; the hint registers it.
    """
    try:
        return find_model(reader, name)
    except NotFound as error:
        raise not_registered(error, name) from None


def _new_model(reader: Reader, name: ModelName) -> str:
    """Return a model that a push registers with the similar names, for a note; empty if no name is similar."""
    return new_model_note(name, () if reader.model(name) else reader.near_names(name.value))


def push_upload(
    session: Session,
    upload: StreamUpload | FolderUpload,
    artifact_name: str,
    name: ModelName,
    metadata: VersionMetadata,
    *,
    stage: ModelStage | str | None = None,
    parent: Reference | None = None,
) -> ModelVersion:
    """Add a received file or folder as the next version of a registered model; otherwise like `push`.

    Git commit and environment are not recorded, because they would be the server's.

    Args:
        upload: A completely written upload.
        artifact_name: Name of the file or folder; see `check_file_name`.

    Raises:
        NotFound: The model or parent does not exist.
        BadInput: The file or folder is empty, or its name is invalid.
        Unavailable: The store cannot be written.
    """
    check_artifact_name(artifact_name)
    found = Found(artifact_name, upload.format(artifact_name), Source(), "")
    return add_pushed(session, name, upload.put, metadata, found, stage=stage, parent=parent, new_model=False)


def check_file_name(name: str) -> str:
    """Return the last part of a file name that a client sent.

    Raises:
        BadInput: It is not a valid name of an artifact.
    """
    return check_artifact_name(re.split(r"[/\\]", name)[-1])


@dataclass(frozen=True, slots=True)
class Found:
    """Recorded facts of a pushed artifact."""

    artifact_name: str
    format: str
    source: Source
    run_id: str


def add_pushed(
    session: Session,
    name: ModelName,
    put: Callable[[], Stored],
    metadata: VersionMetadata,
    found: Found,
    *,
    stage: ModelStage | str | None,
    parent: Reference | None,
    new_model: bool,
    request: IdempotentRequest | None = None,
) -> ModelVersion:
    """Add the version with its aliases and stage in one transaction.

    Args:
        put: Stores the bytes; can run more than once.
        new_model: Register the model if it does not exist.
        request: The request that is recorded with the version; if it has made a version, that one is returned.
    """
    target = ModelStage.parse(stage) if isinstance(stage, str) else stage
    made_from = as_reference(parent) if parent is not None else None

    notes: list[str] = []

    def add(writer: Writer, stored: Stored) -> StageChange:
        notes.clear()  # the transaction can be retried
        if request is not None and (earlier := request.earlier(writer)) is not None:
            return StageChange(version=earlier, before=earlier.stage)
        known = writer.model(name) if new_model else _registered(writer, name)
        if known is None:
            note = _new_model(writer, name)
            notes.append(note and f"registered {note}")
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
        if request is not None:
            request.record(writer, version)
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
    session.notices(*notes)
    for other in change.archived:
        session.notice(f"{other} is archived: {version.reference} replaced it in {version.stage.value}")
    return version


def _look_before(
    reader: Reader, name: ModelName, path: str, made_from: VersionRef | None, session: Session
) -> Mapping[int, Collection[Digest]]:
    """Return the blobs, by size, that the store could have already; a missing parent fails before any upload."""
    if made_from is not None:
        find_version(reader, made_from)
    if not os.path.isdir(path):
        with contextlib.suppress(OSError, ValueError):
            size = os.stat(path).st_size
            return {size: reader.files_of_size(size, SAME_SIZE)}
        return {}
    model = reader.model(name)
    before = reader.versions(model, limit=1) if model else ()
    if not before or before[0].artifact.kind is not ArtifactKind.FOLDER:
        return {}
    known: dict[int, list[Digest]] = {}
    with contextlib.suppress(Corrupt, Unavailable):  # a damaged last version must not block a new one
        for entry in session.artifacts().manifest(before[0].artifact.digest).entries:
            digests = known.setdefault(entry.size, [])
            if len(digests) < SAME_SIZE:
                digests.append(entry.digest)
    return known
