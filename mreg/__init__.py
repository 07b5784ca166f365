"""mreg: a model registry that needs no server.

It consists of a *catalog* (metadata) and an *artifact store* (bytes), with a command line and a Python API over both::

    import mreg

    registry = mreg.open_registry()
    version = registry.push("model.pkl", name="classifier", metrics={"accuracy": 0.95})
    registry.promote("classifier@3", to="Production")
    registry.pull("classifier@production", "model.pkl")

Imports point in one direction::

    cli, server, mlflow  ->  registry  ->  catalog, artifacts, hooks  ->  wire  ->  results  ->  domain  ->  errors

- ``domain`` holds values and rules: no I/O, no clock, no environment.
- ``results`` holds the types that operations return; ``wire`` converts them to JSON.
- ``catalog`` stores metadata behind the contract `mreg.catalog.database.Database`.
- ``artifacts`` stores bytes behind the contract `mreg.artifacts.backend.BlobBackend`.
- ``s3`` is the S3 client under both; ``waiting`` reports calls that get no answer.
- ``hooks`` runs commands and calls webhooks when a version changes.
- ``registry`` holds the use cases. Only it combines catalog, artifacts and hooks.
- ``profile`` reads the configuration; ``documents`` reads files that users pass to commands.
- ``server`` is the registry over HTTP. Only it imports FastAPI; only ``cli`` imports Typer and rich.
- ``mlflow`` is the plugin for MLflow. Only it imports MLflow, and only MLflow imports it.

Everything is imported on first use, so a command loads only what it needs.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mreg.domain.bundle import BundledModel, BundledVersion
    from mreg.domain.digest import Digest
    from mreg.domain.events import Event
    from mreg.domain.gates import GateResult
    from mreg.domain.hook import Deployment, DeploymentStatus, Hook
    from mreg.domain.metadata import VersionMetadata
    from mreg.domain.metrics import Direction, Verdict
    from mreg.domain.model import (
        ArtifactKind,
        ModelArtifact,
        ModelStage,
        ModelStatus,
        ModelVersion,
        RegisteredModel,
        Source,
    )
    from mreg.domain.names import ModelName, Selector, SelectorKind, VersionRef
    from mreg.domain.policy import Assessment, Decision, Departure, Policy, Rule
    from mreg.domain.value import FrozenMapping
    from mreg.errors import (
        AlreadyExists,
        ApprovalMissing,
        BadInput,
        BadProfile,
        BlobsMissing,
        Conflict,
        Corrupt,
        DamagedBundle,
        DeploymentFailed,
        GateFailed,
        LeavesProduction,
        MissingBlob,
        MregError,
        NotAllowed,
        NotFound,
        OutsideScope,
        Unavailable,
        Unchanged,
    )
    from mreg.registry.open import open_registry
    from mreg.registry.registry import Registry
    from mreg.registry.session import HookLog
    from mreg.results import Page
    from mreg.results.bundles import BundleContents, Exported, Imported, ImportedVersion
    from mreg.results.changes import Deletion, StageChange
    from mreg.results.comparison import Change, Comparison, MetricDifference, Regression
    from mreg.results.configuration import Login, Logout, ProfileEntry, TrustedFolder
    from mreg.results.deployments import DeploymentReport
    from mreg.results.evaluations import Evaluation
    from mreg.results.files import LocalArtifact, PlannedFile, Pulled, PulledFile, PushPlan, StoredFile
    from mreg.results.history import AuditReport, StagesAt
    from mreg.results.imports import ImportEntry, ImportReport, ImportStatus
    from mreg.results.lineage import Lineage, LineageNode
    from mreg.results.models import ModelSummary, ModelVersions
    from mreg.results.policies import DecisionResult, ModelPolicy, PendingApproval, Plan, PolicyCheck
    from mreg.results.profiles import Profile
    from mreg.results.reasons import Why
    from mreg.results.tokens import Identity, NewToken, Role, Token, TokenInfo
    from mreg.results.upkeep import (
        BlobProblem,
        CatalogCopy,
        Check,
        CopiedFile,
        CopyVerification,
        Finding,
        Garbage,
        Migration,
        Upgrade,
        Verification,
    )
    from mreg.results.uploads import DirectUpload, NeededBlob, StagedUpload, UploadPart, UploadState

__version__ = "0.1.0"

__all__ = [
    "AlreadyExists",
    "ApprovalMissing",
    "ArtifactKind",
    "Assessment",
    "AuditReport",
    "BadInput",
    "BadProfile",
    "BlobProblem",
    "BlobsMissing",
    "BundleContents",
    "BundledModel",
    "BundledVersion",
    "CatalogCopy",
    "Change",
    "Check",
    "Comparison",
    "Conflict",
    "CopiedFile",
    "CopyVerification",
    "Corrupt",
    "DamagedBundle",
    "Decision",
    "DecisionResult",
    "Deletion",
    "Departure",
    "Deployment",
    "DeploymentFailed",
    "DeploymentReport",
    "DeploymentStatus",
    "Digest",
    "DirectUpload",
    "Direction",
    "Evaluation",
    "Event",
    "Exported",
    "Finding",
    "FrozenMapping",
    "Garbage",
    "GateFailed",
    "GateResult",
    "Hook",
    "HookLog",
    "Identity",
    "ImportEntry",
    "ImportReport",
    "ImportStatus",
    "Imported",
    "ImportedVersion",
    "LeavesProduction",
    "Lineage",
    "LineageNode",
    "LocalArtifact",
    "Login",
    "Logout",
    "MetricDifference",
    "Migration",
    "MissingBlob",
    "ModelArtifact",
    "ModelName",
    "ModelPolicy",
    "ModelStage",
    "ModelStatus",
    "ModelSummary",
    "ModelVersion",
    "ModelVersions",
    "MregError",
    "NeededBlob",
    "NewToken",
    "NotAllowed",
    "NotFound",
    "OutsideScope",
    "Page",
    "PendingApproval",
    "Plan",
    "PlannedFile",
    "Policy",
    "PolicyCheck",
    "Profile",
    "ProfileEntry",
    "Pulled",
    "PulledFile",
    "PushPlan",
    "RegisteredModel",
    "Registry",
    "Regression",
    "Role",
    "Rule",
    "Selector",
    "SelectorKind",
    "Source",
    "StageChange",
    "StagedUpload",
    "StagesAt",
    "StoredFile",
    "Token",
    "TokenInfo",
    "TrustedFolder",
    "Unavailable",
    "Unchanged",
    "Upgrade",
    "UploadPart",
    "UploadState",
    "Verdict",
    "Verification",
    "VersionMetadata",
    "VersionRef",
    "Why",
    "__version__",
    "open_registry",
]

_HOMES = {
    "mreg.domain.bundle": ("BundledModel", "BundledVersion"),
    "mreg.domain.digest": ("Digest",),
    "mreg.domain.events": ("Event",),
    "mreg.domain.gates": ("GateResult",),
    "mreg.domain.hook": ("Deployment", "DeploymentStatus", "Hook"),
    "mreg.domain.metadata": ("VersionMetadata",),
    "mreg.domain.metrics": ("Direction", "Verdict"),
    "mreg.domain.model": (
        "ArtifactKind",
        "ModelArtifact",
        "ModelStage",
        "ModelStatus",
        "ModelVersion",
        "RegisteredModel",
        "Source",
    ),
    "mreg.domain.names": ("ModelName", "Selector", "SelectorKind", "VersionRef"),
    "mreg.domain.policy": ("Assessment", "Decision", "Departure", "Policy", "Rule"),
    "mreg.domain.value": ("FrozenMapping",),
    "mreg.errors": (
        "AlreadyExists",
        "ApprovalMissing",
        "BadInput",
        "BadProfile",
        "BlobsMissing",
        "Conflict",
        "Corrupt",
        "DamagedBundle",
        "DeploymentFailed",
        "GateFailed",
        "LeavesProduction",
        "MissingBlob",
        "MregError",
        "NotAllowed",
        "NotFound",
        "OutsideScope",
        "Unavailable",
        "Unchanged",
    ),
    "mreg.registry.open": ("open_registry",),
    "mreg.registry.registry": ("Registry",),
    "mreg.registry.session": ("HookLog",),
    "mreg.results": ("Page",),
    "mreg.results.bundles": ("BundleContents", "Exported", "Imported", "ImportedVersion"),
    "mreg.results.changes": ("Deletion", "StageChange"),
    "mreg.results.comparison": ("Change", "Comparison", "MetricDifference", "Regression"),
    "mreg.results.configuration": ("Login", "Logout", "ProfileEntry", "TrustedFolder"),
    "mreg.results.deployments": ("DeploymentReport",),
    "mreg.results.evaluations": ("Evaluation",),
    "mreg.results.files": ("LocalArtifact", "PlannedFile", "Pulled", "PulledFile", "PushPlan", "StoredFile"),
    "mreg.results.history": ("AuditReport", "StagesAt"),
    "mreg.results.imports": ("ImportEntry", "ImportReport", "ImportStatus"),
    "mreg.results.lineage": ("Lineage", "LineageNode"),
    "mreg.results.models": ("ModelSummary", "ModelVersions"),
    "mreg.results.policies": ("DecisionResult", "ModelPolicy", "PendingApproval", "Plan", "PolicyCheck"),
    "mreg.results.profiles": ("Profile",),
    "mreg.results.reasons": ("Why",),
    "mreg.results.tokens": ("Identity", "NewToken", "Role", "Token", "TokenInfo"),
    "mreg.results.upkeep": (
        "BlobProblem",
        "CatalogCopy",
        "Check",
        "CopiedFile",
        "CopyVerification",
        "Finding",
        "Garbage",
        "Migration",
        "Upgrade",
        "Verification",
    ),
    "mreg.results.uploads": ("DirectUpload", "NeededBlob", "StagedUpload", "UploadPart", "UploadState"),
}
"""The names of the API by the module that defines them."""


if not TYPE_CHECKING:  # to a type checker, every name would be one of the module

    def __getattr__(name: str) -> object:
        home = next((home for home, names in _HOMES.items() if name in names), None)
        if home is None:
            raise AttributeError(f"module 'mreg' has no attribute {name!r}")
        globals()[name] = found = getattr(import_module(home), name)
        return found


def __dir__() -> list[str]:
    return [*__all__]
