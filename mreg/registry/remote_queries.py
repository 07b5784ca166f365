"""Queries of models, versions and events on a server."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from mreg.domain.model import ModelVersion, RegisteredModel
from mreg.domain.names import VersionRef
from mreg.registry.references import as_name, as_reference
from mreg.registry.registry import Name, Reference
from mreg.registry.remote_session import Parts, RemoteSession
from mreg.remote.references import model_or_version_path, model_path, reference_text, version_path

if TYPE_CHECKING:
    from mreg.domain.events import Event
    from mreg.results import Page
    from mreg.results.comparison import Comparison
    from mreg.results.history import StagesAt
    from mreg.results.lineage import Lineage
    from mreg.results.models import ModelSummary, ModelVersions
    from mreg.results.reasons import Why


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

    def show_one(wanted: VersionRef) -> ModelVersions | ModelVersion:
        if wanted.selector is None:
            return _listed(session, wanted, limit, offset)
        return session.result(ModelVersion, session.call("GET", version_path(wanted)))

    return session.split(as_reference(reference), show_one)


def _listed(session: RemoteSession, wanted: VersionRef, limit: int | None, offset: int) -> ModelVersions:
    """Return a model with a part of its versions; many are fetched in pages."""
    from mreg.results.models import ModelVersions

    path = model_path(wanted.name)
    found: ModelVersions | None = None
    versions: list[ModelVersion] = []
    more, parts = True, Parts(session, path, {}, limit=limit, offset=offset)
    while found is None or (more and (limit is None or len(versions) < limit)):
        opened = parts.next(len(versions))
        found = session.result(ModelVersions, opened)
        versions += found.versions
        more = opened.more and bool(found.versions)
    cut = len(versions) if limit is None else limit
    return replace(found, versions=tuple(versions[:cut]), more=more or len(versions) > cut)


def search(
    session: RemoteSession, expression: str = "", *, sort: str | None = None, limit: int | None = None, offset: int = 0
) -> Page[ModelVersion]:
    """See `mreg.Registry.search`."""
    query = {"q": expression, "sort": sort or None}
    return session.page(ModelVersion, "/search", limit=limit, offset=offset, query=query)


def compare(session: RemoteSession, first: Reference, second: Reference | None = None) -> Comparison:
    """See `mreg.Registry.compare`."""
    from mreg.results.comparison import Comparison

    query = {
        "version_a": reference_text(as_reference(first)),
        "version_b": reference_text(as_reference(second)) if second is not None else None,
    }
    return session.result(Comparison, session.call("GET", "/compare", query=query))


def history(
    session: RemoteSession, reference: Reference | None = None, *, limit: int | None = None, offset: int = 0
) -> Page[Event]:
    """See `mreg.Registry.history`."""
    from mreg.domain.events import Event

    def events(path: str) -> Page[Event]:
        from mreg.registry.query import MOST_EVENTS, too_many_events

        most = MOST_EVENTS if limit is None else limit
        found = session.page(Event, path, limit=most, offset=offset, key=lambda event: event.seq)
        if limit is None and found.more:
            raise too_many_events()
        return found

    if reference is None:
        return events("/history")
    return session.split(as_reference(reference), lambda wanted: events(model_or_version_path(wanted, "history")))


def stages_at(session: RemoteSession, name: Name, at: str) -> StagesAt:
    """See `mreg.Registry.stages_at`."""
    from mreg.results.history import StagesAt

    return session.result(StagesAt, session.call("GET", model_path(as_name(name), "stages"), query={"at": at}))


def version_at(session: RemoteSession, reference: Reference, at: str) -> ModelVersion:
    """See `mreg.Registry.version_at`."""
    path = version_path(as_reference(reference), "at")
    return session.result(ModelVersion, session.call("GET", path, query={"at": at}))


def lineage(session: RemoteSession, reference: Reference) -> Lineage:
    """See `mreg.Registry.lineage`."""
    from mreg.results.lineage import Lineage

    return session.result(Lineage, session.call("GET", version_path(as_reference(reference), "lineage")))


def why(session: RemoteSession, reference: Reference) -> Why:
    """See `mreg.Registry.why`."""
    from mreg.results.reasons import Why

    return session.result(Why, session.call("GET", version_path(as_reference(reference), "why")))


def completions(session: RemoteSession, prefix: str) -> tuple[str, ...]:
    """See `mreg.Registry.completions`."""
    return session.texts(session.call("GET", "/completions", query={"prefix": prefix}))


def metric_names(session: RemoteSession, prefix: str = "") -> tuple[str, ...]:
    """See `mreg.Registry.metric_names`."""
    return session.texts(session.call("GET", "/metric-names", query={"prefix": prefix}))


def wait(
    session: RemoteSession,
    reference: Reference,
    *,
    changed_from: ModelVersion | int | None = None,
    timeout: float | None = None,
    interval: float = 5.0,
) -> ModelVersion:
    """See `mreg.Registry.wait`."""
    from mreg.registry.waiting import wait_for

    wanted = as_reference(reference)
    return wait_for(
        wanted,
        lambda: version(session, wanted),
        session.notice,
        changed_from=changed_from,
        timeout=timeout,
        interval=interval,
        again="the server answers again",
    )
