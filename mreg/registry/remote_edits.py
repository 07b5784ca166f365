"""Register, edit, tag, alias, rename and delete models and versions on a server."""

from __future__ import annotations

from collections.abc import Mapping

from mreg.domain.metrics import Direction
from mreg.domain.model import RegisteredModel
from mreg.registry.references import as_name
from mreg.registry.registry import Name
from mreg.registry.remote_session import RemoteSession


def register(
    session: RemoteSession,
    name: Name,
    *,
    description: str = "",
    tags: Mapping[str, str] | None = None,
    directions: Mapping[str, Direction | str] | None = None,
    primary_metric: str = "",
) -> RegisteredModel:
    """See `mreg.Registry.register`."""
    body = {
        "name": str(as_name(name)),
        "description": description,
        "tags": dict(tags or {}),
        "directions": {metric: session.bare(direction) for metric, direction in (directions or {}).items()},
        "primary_metric": primary_metric,
    }
    return session.result(RegisteredModel, session.call("POST", "/models", body=body))
