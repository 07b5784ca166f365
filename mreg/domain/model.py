"""Models, their versions, and the artifacts that versions are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from types import MappingProxyType
from typing import Any

from mreg.domain.digest import Digest
from mreg.domain.metrics import MetricValue
from mreg.domain.names import ModelName, Selector, VersionRef
from mreg.domain.text import nearest, quoted
from mreg.errors import BadInput


def _nothing() -> Mapping[str, Any]:
    return MappingProxyType({})


class ModelStage(Enum):
    """How far a version has come; the road is None, Staging, Production, Archived."""

    NONE = "None"
    STAGING = "Staging"
    PRODUCTION = "Production"
    ARCHIVED = "Archived"

    @classmethod
    def parse(cls, text: str) -> ModelStage:
        """The stage of that name, in any case.

        Raises:
            BadInput: There is no such stage.
        """
        for stage in cls:
            if stage.value.lower() == text.lower():
                return stage
        names = [stage.value for stage in cls]
        near = nearest(text, names, 1)
        hint = f"did you mean {near[0]}?" if near else f"the stages are {', '.join(names)}"
        raise BadInput(f"{quoted(text)} is no stage", hint=hint)


class ModelStatus(Enum):
    """Whether a version can be used, and what became of its deployment."""

    PENDING = "pending"
    READY = "ready"
    FAILED = "failed"
    DEPLOYING = "deploying"
    DEPLOYED = "deployed"


class ArtifactKind(Enum):
    """Whether an artifact is one file (its blob) or a folder (a manifest, itself a blob)."""

    FILE = "file"
    FOLDER = "folder"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelArtifact:
    """The bytes of a version; they never change.

    Attributes:
        artifact_id: Number in the catalog, 0 before it is stored there.
        kind: One file or a folder.
        name: The file's or folder's own name at the push, and what pull calls it.
        path: Where it is stored, as a URL.
        size_bytes: Bytes of the file, or of all files of the folder together.
        digest: SHA-256 of the file, or of the folder's manifest.
        file_count: 1 for a file.
        format: What the content is (pickle, joblib, onnx, safetensors ...), ``unknown`` where nothing told.
    """

    artifact_id: int = 0
    kind: ArtifactKind
    name: str
    path: str
    size_bytes: int
    digest: Digest
    file_count: int = 1
    format: str = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """From where a version was pushed; empty text and empty mappings where that was not found out.

    Attributes:
        git_commit: Full hash of HEAD.
        git_branch: Its branch, empty when detached.
        git_remote: URL of the remote, without any user or password.
        git_dirty: Whether tracked files were changed; None: unknown, or outside a repository.
        run_url: Page of the CI run.
        environment: Python's and known frameworks' versions, by name.
    """

    git_commit: str = ""
    git_branch: str = ""
    git_remote: str = ""
    git_dirty: bool | None = None
    run_url: str = ""
    environment: Mapping[str, str] = field(default_factory=_nothing)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelVersion:
    """One version of a model.

    Attributes:
        version_id: Number in the catalog, 0 before it is stored there; not the version.
        model_name: Of the model as it is called now.
        version: 1, 2, 3 ... within the model, never given twice.
        aliases: Names that now point to this version, sorted.
        parent: The version it was made from, as the reference it has now, or None.
        data: What it was made from, by name: an address, with ``@`` and a digest where one is known.
        deployed_at: When it last entered Production, or None.
    """

    version_id: int = 0
    model_name: ModelName
    version: int
    stage: ModelStage = ModelStage.NONE
    status: ModelStatus = ModelStatus.READY
    description: str = ""
    tags: Mapping[str, str] = field(default_factory=_nothing)
    parameters: Mapping[str, str] = field(default_factory=_nothing)
    metrics: Mapping[str, MetricValue] = field(default_factory=_nothing)
    aliases: tuple[str, ...] = ()
    artifact: ModelArtifact
    run_id: str = ""
    experiment_id: str = ""
    parent: VersionRef | None = None
    data: Mapping[str, str] = field(default_factory=_nothing)
    source: Source = field(default_factory=Source)
    created_at: datetime
    updated_at: datetime
    deployed_at: datetime | None = None
    created_by: str

    @property
    def reference(self) -> VersionRef:
        """The reference that always means this version: ``classifier@3``."""
        return VersionRef(self.model_name, Selector.number(self.version))


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisteredModel:
    """A model: the name under which versions are pushed.

    Attributes:
        model_id: Number in the catalog, 0 before it is stored there; stays when the model is renamed.
        aliases: Version numbers by alias.
        directions: The model's own word on whether ``higher`` or ``lower`` is better, by metric; wins over what the
            metric's name suggests.
        primary_metric: The metric by which ``best`` and the list judge; empty: the first well-known one it has.
        version_count: Versions that exist now.
        latest_version: Newest version not archived, or None.
        newest_version: Newest version, archived or not, or None.
        production_version: The version in Production that entered last, or None; staging_version likewise.
    """

    model_id: int = 0
    name: ModelName
    description: str = ""
    tags: Mapping[str, str] = field(default_factory=_nothing)
    aliases: Mapping[str, int] = field(default_factory=_nothing)
    directions: Mapping[str, str] = field(default_factory=_nothing)
    primary_metric: str = ""
    version_count: int = 0
    latest_version: int | None = None
    newest_version: int | None = None
    production_version: int | None = None
    staging_version: int | None = None
    created_at: datetime
    updated_at: datetime
    created_by: str

    @property
    def newer_archived(self) -> str:
        """A clause about archived versions that are newer than the latest one; empty if there are none."""
        newest, latest = self.newest_version, self.latest_version
        if newest is None or newest == latest:
            return ""
        if latest is None:
            return "all versions are archived"
        if newest == latest + 1:
            return f"version {newest} is archived"
        return f"newer versions up to {newest} are archived"
