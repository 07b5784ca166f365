"""mreg: a model registry that needs no server.

It consists of a *catalog* (metadata) and an *artifact store* (bytes), with a command line and a Python API over both::

    import mreg

    registry = mreg.open_registry()
    version = registry.push("model.pkl", name="classifier", metrics={"accuracy": 0.95})
    registry.promote("classifier@3", to="Production")
    registry.pull("classifier@production", "model.pkl")

Imports point in one direction::

    cli, server  ->  registry  ->  catalog, artifacts, hooks  ->  wire  ->  results  ->  domain  ->  errors

- ``domain`` holds values and rules: no I/O, no clock, no environment.
- ``results`` holds the types that operations return; ``wire`` converts them to JSON.
- ``catalog`` stores metadata behind the contract `mreg.catalog.database.Database`.
- ``artifacts`` stores bytes behind the contract `mreg.artifacts.backend.BlobBackend`.
- ``s3`` is the S3 client under both; ``waiting`` reports calls that get no answer.
- ``hooks`` runs commands and calls webhooks when a version changes.
- ``registry`` holds the use cases. Only it combines catalog, artifacts and hooks.
- ``profile`` reads the configuration; ``documents`` reads files that users pass to commands.
- ``server`` is the registry over HTTP. Only it imports FastAPI; only ``cli`` imports Typer and rich.

Everything is imported on first use, so a command loads only what it needs.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mreg.domain.metadata import VersionMetadata
    from mreg.errors import (
        AlreadyExists,
        ApprovalMissing,
        BadInput,
        BadProfile,
        Conflict,
        Corrupt,
        GateFailed,
        LeavesProduction,
        MregError,
        NotAllowed,
        NotFound,
        Unavailable,
    )
    from mreg.registry.open import open_registry
    from mreg.registry.registry import Registry
    from mreg.registry.session import HookLog

__version__ = "0.1.0"

__all__ = [
    "AlreadyExists",
    "ApprovalMissing",
    "BadInput",
    "BadProfile",
    "Conflict",
    "Corrupt",
    "GateFailed",
    "HookLog",
    "LeavesProduction",
    "MregError",
    "NotAllowed",
    "NotFound",
    "Registry",
    "Unavailable",
    "VersionMetadata",
    "__version__",
    "open_registry",
]

_PLACES = {
    "HookLog": "mreg.registry.session",
    "Registry": "mreg.registry.registry",
    "VersionMetadata": "mreg.domain.metadata",
    "open_registry": "mreg.registry.open",
}


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module 'mreg' has no attribute {name!r}")
    return getattr(import_module(_PLACES.get(name, "mreg.errors")), name)
