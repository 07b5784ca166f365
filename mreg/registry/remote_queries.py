"""Queries of models, versions and events on a server."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from mreg.domain.model import ModelVersion, RegisteredModel
from mreg.domain.names import VersionRef
from mreg.errors import NotFound
from mreg.registry.references import as_name, as_reference
from mreg.registry.registry import Name, Reference
from mreg.registry.remote_session import PAGE, RemoteSession
from mreg.remote.references import model_path, version_path

if TYPE_CHECKING:
    from mreg.results import Page
    from mreg.results.models import ModelSummary, ModelVersions


def models(session: RemoteSession, *, limit: int | None = None, offset: int = 0) -> Page[ModelSummary]:
    """See `mreg.Registry.models`."""
    from mreg.results.models import ModelSummary

    return session.page(ModelSummary, "/models", limit=limit, offset=offset)


def model(session: RemoteSession, name: Name) -> RegisteredModel:
    """See `mreg.Registry.model`."""
    return _listed(session, VersionRef(as_name(name), exact=True), 1, 0).model


def version(session: RemoteSession, reference: Reference) -> ModelVersion:
    """See `mreg.Registry.version`."""
    # Without the notices of the route: they are those of `show`.
    return session.result(ModelVersion, session.connection.call("GET", version_path(as_reference(reference))))


def show(
    session: RemoteSession, reference: Reference, *, limit: int | None = None, offset: int = 0
) -> ModelVersions | ModelVersion:
    """See `mreg.Registry.show`."""
    wanted = as_reference(reference)
    if wanted.selector is not None:
        return session.result(ModelVersion, session.call("GET", version_path(wanted)))
    try:
        return _listed(session, wanted, limit, offset)
    except NotFound as error:
        split = wanted.split_last_part()
        if split is None or error.details.get("kind") != "model":
            raise
        try:
            return session.result(ModelVersion, session.call("GET", version_path(split)))
        except NotFound as other:
            raise (error if other.details.get("kind") == "model" else other) from None


def _listed(session: RemoteSession, wanted: VersionRef, limit: int | None, offset: int) -> ModelVersions:
    """Return a model with a part of its versions; many are fetched in pages."""
    from mreg.results.models import ModelVersions

    path = model_path(wanted.name)
    found: ModelVersions | None = None
    versions: list[ModelVersion] = []
    more = True
    while found is None or (more and (limit is None or len(versions) < limit)):
        size = PAGE if limit is None else max(min(PAGE, limit - len(versions)), 1)
        opened = session.call("GET", path, query={"limit": size, "offset": offset + len(versions)})
        found = session.result(ModelVersions, opened)
        versions += found.versions
        more = opened.more and bool(found.versions)
    cut = len(versions) if limit is None else limit
    return replace(found, versions=tuple(versions[:cut]), more=more or len(versions) > cut)
