"""mreg: a model registry that needs no server.

A *catalog* (who, what, which stage, why) and an *artifact store* (the bytes), with one command line and one Python
API over both::

    import mreg

    registry = mreg.open_registry()
    version = registry.push("model.pkl", name="classifier", metrics={"accuracy": 0.95})
    registry.promote("classifier@3", to="Production")
    registry.pull("classifier@production", "model.pkl")

The house, every arrow pointing one way::

    cli, server  ->  registry  ->  catalog, artifacts, hooks  ->  wire  ->  results  ->  domain  ->  errors

- ``domain`` holds the values and rules: pure, without I/O, clock or environment.
- ``results`` holds the types that operations return; ``wire`` converts them to JSON.
- ``catalog`` keeps metadata over one small contract, `mreg.catalog.database.Database`.
- ``artifacts`` keeps bytes over another, `mreg.artifacts.backend.BlobBackend`.
- ``s3`` is one bucket and what can go wrong with it, below both; ``waiting`` tells of what does not answer.
- ``hooks`` runs commands and calls webhooks that changes set off.
- ``registry`` holds the use cases, the only place that spans both.
- ``profile`` says where things are; ``documents`` reads what people hand in.
- ``server`` is the registry over HTTP, and the only place that knows FastAPI; ``cli`` the only one that knows Typer and
  rich.

Everything is imported on first use, so that a command pays for what it needs alone.
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
