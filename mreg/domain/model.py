"""Models, versions and artifacts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum

from mreg.domain.digest import Digest
from mreg.domain.metrics import MetricValue, primary_metric
from mreg.domain.names import ModelName, Selector, VersionRef
from mreg.domain.text import counted, nearest, quoted
from mreg.domain.value import FrozenMapping, Result, Value, short_repr
from mreg.errors import BadInput

UNKNOWN_FORMAT = "unknown"
"""The format of an artifact whose format was not detected."""


class ModelStage(Enum):
    """Stage of a version; the usual sequence is None, Staging, Production, Archived."""

    NONE = "None"
    STAGING = "Staging"
    PRODUCTION = "Production"
    ARCHIVED = "Archived"

    @property
    def location(self) -> str:
        """``in Production``, in a sentence about a version; ``in no stage`` for None."""
        return "in no stage" if self is ModelStage.NONE else f"in {self.value}"

    @classmethod
    def parse(cls, text: str) -> ModelStage:
        """Return the stage with a name, in any case.

        Raises:
            BadInput: There is no such stage.
        """
        for stage in cls:
            if stage.value.lower() == text.lower():
                return stage
        names = [stage.value for stage in cls]
        near = nearest(text, names, 1)
        hint = f"did you mean {near[0]}?" if near else f"use one of: {', '.join(names)}"
        raise BadInput(f"invalid stage {quoted(text)}", hint=hint)


class ModelStatus(Enum):
    """Status of a version: whether it can be used, and the state of its deployment."""

    PENDING = "pending"
    READY = "ready"
    FAILED = "failed"
    DEPLOYING = "deploying"
    DEPLOYED = "deployed"


class ArtifactKind(Enum):
    """Kind of an artifact: a file, stored as one blob, or a folder, stored as a manifest, which is itself a blob."""

    FILE = "file"
    FOLDER = "folder"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelArtifact(Value):
    """The bytes of a version; they never change.

    Attributes:
        artifact_id: Id in the catalog, 0 before it is stored there.
        kind: File or folder.
        name: Name of the file or folder at the push; a pull gives it the same name.
        path: URL in the artifact store; empty for clients of a server other than admins for all models.
        size_bytes: Size of the file, or total size of the files of the folder.
        digest: SHA-256 of the file, or of the folder's manifest.
        file_count: Number of files; 1 for a file.
        format: Format of the content (pickle, joblib, onnx, safetensors ...); ``unknown`` if it was not detected.
    """

    artifact_id: int = 0
    kind: ArtifactKind
    name: str
    path: str
    size_bytes: int
    digest: Digest
    file_count: int = 1
    format: str = UNKNOWN_FORMAT


@dataclass(frozen=True, slots=True, kw_only=True)
class Source(Value):
    """The code and environment from which a version was pushed; unknown values are empty.

    Attributes:
        git_commit: Full hash of HEAD.
        git_branch: Branch of HEAD; if HEAD is detached, the branch that a CI run names, empty outside CI.
        git_remote: URL of the remote without user and password.
        git_dirty: Whether tracked files were modified; None if unknown or outside a repository.
        run_url: URL of the CI run.
        environment: Versions of Python and of known frameworks, by name, with ``platform`` and, as ``source``, the
            environment that was read.
    """

    git_commit: str = ""
    git_branch: str = ""
    git_remote: str = ""
    git_dirty: bool | None = None
    run_url: str = ""
    environment: Mapping[str, str] = field(default_factory=FrozenMapping)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelVersion(Result):
    """One version of a model.

    Attributes:
        version_id: Id in the catalog, 0 before it is stored there; not the version number.
        model_name: Current name of the model.
        version: 1, 2, 3 ... within the model, never reused.
        aliases: Aliases that currently name this version, sorted.
        parent: Current reference of the version from which this one was made, or None.
        data: Data from which it was made, by name: an address, followed by ``@`` and a digest if that is known.
        deployed_at: Time of the last entry into Production, or None.
    """

    version_id: int = 0
    model_name: ModelName
    version: int
    stage: ModelStage = ModelStage.NONE
    status: ModelStatus = ModelStatus.READY
    description: str = ""
    tags: Mapping[str, str] = field(default_factory=FrozenMapping)
    parameters: Mapping[str, str] = field(default_factory=FrozenMapping)
    metrics: Mapping[str, MetricValue] = field(default_factory=FrozenMapping)
    aliases: tuple[str, ...] = ()
    artifact: ModelArtifact
    run_id: str = ""
    experiment_id: str = ""
    parent: VersionRef | None = None
    data: Mapping[str, str] = field(default_factory=FrozenMapping)
    source: Source = field(default_factory=Source)
    created_at: datetime
    updated_at: datetime
    deployed_at: datetime | None = None
    created_by: str

    @property
    def reference(self) -> VersionRef:
        """The reference by number: ``classifier@3``."""
        return VersionRef(self.model_name, Selector.number(self.version))

    def __repr__(self) -> str:
        metric = primary_metric("", self.metrics)
        measured = f"{metric}={self.metrics[metric]}" if metric else ""
        stage = "" if self.stage is ModelStage.NONE else self.stage.value
        return short_repr(self, self.reference, stage, measured)


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisteredModel(Result):
    """A model: the name under which versions are pushed.

    Attributes:
        model_id: Id in the catalog, 0 before it is stored there; not changed by a rename.
        aliases: Version numbers by alias.
        directions: ``higher`` or ``lower`` by metric; takes precedence over the direction that a name suggests.
        primary_metric: The metric that ``best`` and the list use; empty for the default, see
            `mreg.domain.metrics.primary_metric`.
        version_count: Number of versions that exist now.
        latest_version: Newest version that is not archived, or None.
        newest_version: Newest version, archived or not, or None.
        production_version: The version in Production that entered it last, or None; the same for Staging.
    """

    model_id: int = 0
    name: ModelName
    description: str = ""
    tags: Mapping[str, str] = field(default_factory=FrozenMapping)
    aliases: Mapping[str, int] = field(default_factory=FrozenMapping)
    directions: Mapping[str, str] = field(default_factory=FrozenMapping)
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

    def __repr__(self) -> str:
        return short_repr(self, self.name, counted(self.version_count, "version"))
