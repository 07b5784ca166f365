"""Push: bytes become the next version of a model."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from mreg.domain.manifest import check_path
from mreg.domain.metrics import MetricValue, check_metric
from mreg.domain.model import ArtifactKind, ModelArtifact, ModelStage, ModelVersion
from mreg.domain.names import ModelName, VersionRef, check_alias
from mreg.domain.text import ENTRIES_LIMIT, check_key, check_line, check_text, check_value
from mreg.errors import BadInput
from mreg.registry.promote import enter_stage
from mreg.registry.references import as_reference, find_version

if TYPE_CHECKING:
    from mreg.artifacts.store import ArtifactStore
    from mreg.catalog.catalog import Reader
    from mreg.catalog.writer import Writer
    from mreg.registry.session import Session

Progress = Callable[[int, int], None]
"""Told now and then how many bytes of how many are done."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attachments:
    """What a person says of a version at its push, checked when made.

    Raises:
        BadInput: A name, number or text can't be stored, or there are more than `ENTRIES_LIMIT` of a kind.
    """

    description: str = ""
    metrics: Mapping[str, MetricValue] = field(default_factory=dict)
    parameters: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    aliases: tuple[str, ...] = ()
    run_id: str = ""
    experiment_id: str = ""
    format: str = ""

    def __post_init__(self) -> None:
        check_text("description", self.description)
        for kind, entries in (("metric", self.metrics), ("parameter", self.parameters), ("tag", self.tags)):
            if len(entries) > ENTRIES_LIMIT:
                raise BadInput(f"{len(entries)} {kind}s are too many; the limit is {ENTRIES_LIMIT}")
        metrics = {check_key("metric", name): check_metric(name, value) for name, value in self.metrics.items()}
        object.__setattr__(self, "metrics", metrics)
        for kind, texts in (("parameter", self.parameters), ("tag", self.tags)):
            for key, value in texts.items():
                check_value(kind, check_key(kind, key), value)
        for alias in self.aliases:
            check_alias(alias)
        for what, line in (("run id", self.run_id), ("experiment id", self.experiment_id), ("format", self.format)):
            if line:
                check_line(what, line)


def push(
    session: Session,
    path: str | os.PathLike[str],
    name: ModelName,
    attachments: Attachments,
    *,
    stage: ModelStage | None = None,
    parent: VersionRef | str | None = None,
    progress: Progress | None = None,
) -> ModelVersion:
    """Store a file or folder and make it the next version of a model, which is registered when it is new.

    The version appears when all its bytes are durable; aliases and stage come in the same transaction. Bytes that the
    store has already are stored once. Where this fails no version exists, and a crash leaves at most garbage in the
    store.

    Raises:
        NotFound: There is no such file, folder or parent.
        BadInput: The path is nothing that can be pushed, or is empty.
        Conflict: The file or folder changed while it was read.
        Unavailable: The file can't be read, or the store can't be written.
    """
    from mreg.artifacts.format import detect
    from mreg.registry.capture import begin_capture

    source_path = Path(os.fspath(path))
    artifact_name = check_path(source_path.name or source_path.resolve().name)
    parent_reference = as_reference(parent) if parent is not None else None
    if parent_reference is not None:
        session.catalog.read(lambda reader: find_version(reader, parent_reference))
    store = session.artifacts()
    capture = begin_capture(source_path)
    if source_path.is_dir():
        artifact = _put_folder(session, store, source_path, name, progress)
    else:
        artifact = _put_file(session, store, source_path, progress)
    source, run_id = capture.result()
    found_format = attachments.format or detect(source_path)

    def add(writer: Writer) -> tuple[ModelVersion, tuple[ModelVersion, ...]]:
        model = writer.model(name) or writer.register(name=name)
        version = writer.add_version(
            model,
            artifact=ModelArtifact(
                kind=artifact.kind,
                name=artifact_name,
                path=artifact.path,
                size_bytes=artifact.size_bytes,
                digest=artifact.digest,
                file_count=artifact.file_count,
                format=found_format,
            ),
            description=attachments.description,
            tags=attachments.tags,
            parameters=attachments.parameters,
            metrics=attachments.metrics,
            run_id=attachments.run_id or run_id,
            experiment_id=attachments.experiment_id,
            parent=find_version(writer, parent_reference) if parent_reference else None,
            source=source,
        )
        for alias in attachments.aliases:
            version = writer.set_alias(version, alias)
        archived: tuple[ModelVersion, ...] = ()
        if stage is not None and stage is not ModelStage.NONE:
            change = enter_stage(writer, version, stage, reason="pushed into the stage")
            version, archived = change.version, change.archived
        return version, archived

    version, archived = session.write(add)
    for other in archived:
        session.notice(f"archived {other.reference}, which was in {stage.value if stage else ''}")
    return version
