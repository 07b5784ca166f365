"""Push: store a file or folder as the next version of a model."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from mreg.domain.metadata import VersionMetadata
from mreg.domain.model import ArtifactKind, ModelArtifact, ModelStage, ModelVersion, RegisteredModel, Source
from mreg.domain.names import ModelName, Selector, SelectorKind, VersionRef
from mreg.domain.paths import check_artifact_name
from mreg.domain.text import quoted
from mreg.errors import BadInput, Corrupt, NotFound, Unavailable
from mreg.registry.promote import enter_stage
from mreg.registry.references import as_name, as_reference, find_model, find_version
from mreg.registry.registry import Name, Reference
from mreg.registry.stage_changes import after_hooks
from mreg.registry.storing import add_with_bytes, begin_storing
from mreg.results.changes import StageChange

if TYPE_CHECKING:
    from mreg.artifacts.folder_upload import FolderUpload
    from mreg.artifacts.source_folder import SourceFolder
    from mreg.artifacts.stream_upload import StreamUpload
    from mreg.artifacts.upload import Stored
    from mreg.catalog.reader import Reader
    from mreg.catalog.writer import Writer
    from mreg.domain.digest import Digest
    from mreg.registry.environments import TrainingEnvironment
    from mreg.registry.session import Session
    from mreg.results.files import PushPlan


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """The files of a folder that a push takes.

    Attributes:
        include: Patterns of which one must match a file, if there are any.
        exclude: Patterns of files that are left out.
        follow_links: Take what links point to, instead of refusing links.
    """

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    follow_links: bool = False


EVERYTHING = Choice()

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
    from mreg.artifacts.format import detect
    from mreg.registry.capture import begin_capture
    from mreg.registry.environments import training_environment

    place = os.fspath(path)
    artifact_name = check_artifact_name(_artifact_name(place))
    stage = ModelStage.parse(stage) if isinstance(stage, str) else stage  # fails before any upload
    made_from = as_reference(parent) if parent is not None else None
    existing = existing_only(session, existing)
    if existing:
        session.catalog.read(lambda reader: _registered(reader, name))  # fails before any upload
    training = training_environment(python, os.environ)
    folder = _content(session, place, choice)
    known = session.catalog.read(lambda reader: _look_before(reader, name, place, made_from, session))
    begin_storing(session)
    with begin_capture(place, training=training) as capture:
        stored = session.artifacts().put(place, folder=folder, known=known, progress=progress)
        source, run_id = capture.result()
    for note in capture.notes:
        session.notice(note)
    if stored.kept_bytes:
        session.notice(f"resumed: {stored.kept_bytes} of {stored.size_bytes} bytes had arrived before")
    file_format = detect(place)
    done = [stored]

    def put() -> Stored:
        return done.pop() if done else session.artifacts().put(place, folder=folder, progress=progress)

    return add_pushed(
        session,
        name,
        put,
        metadata,
        Found(artifact_name, file_format, source, run_id),
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
    from mreg.results.files import PlannedFile, PushPlan

    model = target_model(session, path, name)
    existing = existing_only(session, existing)
    note = session.catalog.read(
        lambda reader: "" if existing and _registered(reader, model) else _new_model(reader, model)
    )
    _notice(session, note and f"would register {note}")
    place = os.fspath(path)
    check_artifact_name(_artifact_name(place))
    choice = Choice(include=tuple(include), exclude=tuple(exclude), follow_links=follow_links)
    folder = _content(session, place, choice)
    if folder is None:
        from mreg.artifacts.source import source_file

        session.artifacts().refuse_overlap(Path(place), "push the model from its source")
        file = source_file(place)
        return PushPlan(
            model=model,
            path=place,
            kind=ArtifactKind.FILE,
            files=(PlannedFile(path=_artifact_name(place), size_bytes=file.size),),
        )
    return PushPlan(
        model=model,
        path=place,
        kind=ArtifactKind.FOLDER,
        files=tuple(PlannedFile(path=file.name, size_bytes=file.size) for file in folder.files),
        folders=folder.folders,
        left_out=dict(sorted(folder.left_out.items())),
    )


def existing_only(session: Session, existing: bool) -> bool:
    """Return whether a push must not register a new model."""
    return existing or bool(session.profile.existing_only)


def _registered(reader: Reader, name: ModelName) -> RegisteredModel:
    """Return the model of a push that must not register one.

    Raises:
        NotFound: The model does not exist; the hint registers it.
    """
    try:
        return find_model(reader, name)
    except NotFound as error:
        raise NotFound(
            error.message, hint=f"{error.hint}\nto register it: mreg register {name}", **dict(error.details)
        ) from None


def _new_model(reader: Reader, name: ModelName) -> str:
    """Return a model that a push registers with the similar names, for a note; empty if no name is similar."""
    near = () if reader.model(name) else reader.near_names(name.value)
    return f"new model {name} (similar: {', '.join(near)})" if near else ""


def _content(session: Session, path: str, choice: Choice) -> SourceFolder | None:
    """Return the content of a folder that is pushed; None for a file. Notices say what is left out or looks secret.

    Raises:
        BadInput: The folder cannot be pushed or has no content, a pattern is invalid, or the path is a file and there
            are patterns.
    """
    from mreg.registry.secret_names import secrets_warning

    if not os.path.isdir(path):
        if choice.include or choice.exclude:
            raise BadInput(
                f"patterns select files of a folder: {quoted(path)} is not a folder",
                hint="push the folder, or leave out --include and --exclude",
            )
        _notice(session, secrets_warning([(path, os.path.realpath(path) if os.path.islink(path) else "")]))
        return None
    from mreg.artifacts.upload import check_content
    from mreg.registry.selection import left_out_note, selected, targets

    folder = selected(session, path, include=choice.include, exclude=choice.exclude, follow_links=choice.follow_links)
    check_content(folder)
    _notice(session, left_out_note(folder), secrets_warning(targets(folder)))
    return folder


def _notice(session: Session, *texts: str) -> None:
    for text in texts:
        if text:
            session.notice(text)


def _artifact_name(path: str) -> str:
    return os.path.basename(os.path.abspath(path)) or "root"


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
    _notice(session, *notes)
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


def target_model(session: Session, path: str | os.PathLike[str], name: Name | None) -> ModelName:
    """Return the model of a push: the given name, otherwise an inferred one, with a notice.

    Raises:
        BadInput: The name is invalid, or no name can be inferred.
        NotFound: The path does not exist.
    """
    if name is not None:
        return as_name(name)
    from mreg.artifacts.source import check_source
    from mreg.registry.naming import found_name

    check_source(os.fspath(path))  # a note on the model of a missing file would hide the error
    profile = session.profile
    found, why = found_name(path, profile.model, profile.origins.get("model", ""))
    session.notice(f"model {found} ({why}); to use another: --name")
    return found
