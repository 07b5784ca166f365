"""The routes of the web page; none of them changes the registry."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby
from typing import Annotated

from fastapi import APIRouter, Query
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from mreg.domain.expression import metrics_of
from mreg.domain.metrics import Verdict
from mreg.domain.model import ArtifactKind, ModelVersion
from mreg.domain.parsing import parse
from mreg.errors import BadInput, MregError
from mreg.registry.local import LocalRegistry
from mreg.results.files import StoredFile
from mreg.results.models import ModelVersions
from mreg.results.reasons import Why
from mreg.server.download import download
from mreg.server.parameters import (
    Limit,
    Model,
    Offset,
    RegistryOf,
    Version,
    decoded,
    model_versions,
    other_version,
    whole_model,
)
from mreg.server.problems import for_client
from mreg.server.ui.graph import lineage_graph
from mreg.server.ui.listing import entries, metric_order, model_row, page_range, version_table
from mreg.server.ui.responses import PageRoute, asset_response, links_of, page
from mreg.server.ui.stage_entry import metric_rows, stage_entry
from mreg.server.ui.timeline import timeline
from mreg.server.ui.trend import trend

PAGE_SIZE = 50
"""Default number of models or versions of a page."""

TREND_VERSIONS = 200
"""Number of the newest versions in the chart of a metric."""

EVENTS = 100
VERSION_EVENTS = 20
FILES = 200
ROWS = 300
"""Maximum number of rows of a page, which says so if there are more."""

Text = Annotated[str, Query(max_length=4_000)]

router = APIRouter(route_class=PageRoute, include_in_schema=False)


@router.get("/ui")
def models(
    request: Request,
    registry: RegistryOf,
    q: Text = "",
    sort: Text = "",
    limit: Limit = PAGE_SIZE,
    offset: Offset = 0,
) -> Response:
    """Show all models with their latest and production versions, or the versions that a search finds."""
    if q or sort:
        return _search(request, registry, q, sort, limit, offset)
    summaries = registry.models(limit=limit, offset=offset)
    rows = tuple(model_row(summary) for summary in summaries)
    shown = page_range(len(rows), limit=limit, offset=offset, more=summaries.more)
    return page(request, "models.html", rows=rows, range=shown, q="", sort="")


def _search(request: Request, registry: LocalRegistry, q: str, sort: str, limit: int, offset: int) -> Response:
    registry, notices = _with_notices(registry)
    try:
        found = registry.search(q, sort=sort or None, limit=limit, offset=offset)
        where = parse(q)
    except BadInput as error:
        return page(request, "search.html", status=400, error=error, q=q, sort=sort)
    asked = metrics_of(where) if where is not None else ()
    by = sort.removeprefix("-").removeprefix("metrics.")
    return page(
        request,
        "search.html",
        error=None,
        table=version_table(found, by, *asked),
        range=page_range(len(found), limit=limit, offset=offset, more=found.more),
        notices=notices,
        q=q,
        sort=sort,
    )


def _with_notices(registry: LocalRegistry) -> tuple[LocalRegistry, list[str]]:
    """Return the registry and the list that receives its notices."""
    notices: list[str] = []
    return registry.acting_as(registry.actor, notices.append), notices


@router.get("/ui/")
def redirect_to_models(request: Request) -> Response:
    """Redirect to /ui."""
    return RedirectResponse(links_of(request).page(), status_code=308)


@router.get("/ui/models/{model}")
def model_page(
    request: Request,
    model: Model,
    registry: RegistryOf,
    metric: Text = "",
    limit: Limit = PAGE_SIZE,
    offset: Offset = 0,
) -> Response:
    """Show a model, the trend of a metric, and the versions."""
    newest = model_versions(registry, model, limit=max(TREND_VERSIONS, limit))
    end = offset + limit
    found, more = newest.versions[offset:end], newest.more or end < len(newest.versions)
    if newest.more and end > len(newest.versions):
        shown = model_versions(registry, model, limit=limit, offset=offset)
        found, more = shown.versions, shown.more
    recent = newest.versions[:TREND_VERSIONS]
    names = metric_order((name for version in recent for name in version.metrics), newest.metric)
    chosen = metric or newest.metric
    return page(
        request,
        "model.html",
        model=newest.model,
        trend=trend(newest.model, recent, chosen) if chosen else None,
        metric_names=names[:ROWS],
        recent=recent,
        table=version_table(found, newest.metric),
        range=page_range(len(found), limit=limit, offset=offset, more=more, total=newest.model.version_count),
        compared=_compared(newest),
        newest_metric=newest.metric,
        tags=entries(newest.model.tags),
    )


def _compared(listed: ModelVersions) -> tuple[str, str] | None:
    """Return the two versions that the comparison form suggests; None if the model has only one."""
    if len(listed.versions) < 2:
        return None
    latest = listed.model.latest_version or listed.versions[0].version
    if listed.model.production_version not in (None, latest):
        return "production", str(latest)
    return str(next(version.version for version in listed.versions if version.version != latest)), str(latest)


@router.get("/ui/models/{model}/versions/{version}")
def version_page(request: Request, version: Version, registry: RegistryOf) -> Response:
    """Show a version."""
    found = registry.version(version)
    model = registry.model(found.model_name)
    problems: list[MregError] = []
    why = _why(registry, found, problems)
    files = _files(registry, found, problems) if found.artifact.kind is ArtifactKind.FOLDER else ()
    events = registry.history(found.reference, limit=VERSION_EVENTS)
    return page(
        request,
        "version.html",
        model=model,
        version=found,
        metrics=metric_rows(found, model, why),
        parameters=entries(found.parameters),
        tags=entries(found.tags),
        data=entries(found.data),
        environment=entries(found.source.environment),
        entry=stage_entry(why) if why is not None else None,
        files=files[:FILES],
        graph=lineage_graph(registry.lineage(found.reference), links_of(request)),
        events=timeline(events, links_of(request), found.model_name),
        more_events=events.more,
        problems=[for_client(request, error) for error in problems],
    )


@router.get("/ui/models/{model}/versions/{version}/artifact")
async def artifact(request: Request, version: Version, registry: RegistryOf) -> Response:
    """Download the file of a version; a browser sends its token only to /ui."""
    return await download(request, registry, version, None)


@router.get("/ui/models/{model}/versions/{version}/files/{path:path}")
async def file(request: Request, version: Version, path: str, registry: RegistryOf) -> Response:
    """Download one file of a version."""
    return await download(request, registry, version, decoded(path))


def _why(registry: LocalRegistry, version: ModelVersion, problems: list[MregError]) -> Why | None:
    """Return why a version is in its stage; None if that fails, so that the page shows the rest."""
    try:
        return registry.why(version.reference)
    except MregError as error:
        problems.append(error)
        return None


def _files(registry: LocalRegistry, version: ModelVersion, problems: list[MregError]) -> tuple[StoredFile, ...]:
    try:
        return registry.files(version.reference)
    except MregError as error:
        problems.append(error)
        return ()


@router.get("/ui/models/{model}/compare")
def compare_page(request: Request, model: Model, registry: RegistryOf, version_a: Text, version_b: Text) -> Response:
    """Show the differences of two versions."""
    registry, notices = _with_notices(registry)
    comparison = registry.compare(other_version(model, version_a.strip()), other_version(model, version_b.strip()))
    groups = [(name, tuple(changes)) for name, changes in groupby(comparison.changes, key=lambda change: change.group)]
    return page(
        request,
        "compare.html",
        model=registry.model(model),
        comparison=comparison,
        metrics=comparison.metrics[:ROWS],
        counts=_counts(row.verdict for row in comparison.metrics),
        groups=[(name, changes[:ROWS], len(changes)) for name, changes in groups],
        notices=notices,
    )


def _counts(verdicts: Iterable[Verdict]) -> tuple[tuple[Verdict, int], ...]:
    """Return the number of metrics with each verdict that occurs."""
    occurring = list(verdicts)
    return tuple((verdict, occurring.count(verdict)) for verdict in Verdict if verdict in occurring)


@router.get("/ui/models/{model}/history")
def model_history_page(request: Request, model: Model, registry: RegistryOf, limit: Limit = EVENTS) -> Response:
    """Show the history of a model and its versions, newest first; also of a deleted model."""
    events = registry.history(whole_model(model), limit=limit)
    deleted = bool(events) and events[0].action == "model.deleted"
    return page(
        request,
        "history.html",
        name=str(model),
        deleted=deleted,
        events=timeline(events, links_of(request), None if deleted else model),
        limit=limit,
        more=events.more,
    )


@router.get("/ui/history")
def history_page(request: Request, registry: RegistryOf, limit: Limit = EVENTS) -> Response:
    """Show the history of all models, newest first."""
    events = registry.history(limit=limit)
    return page(
        request, "history.html", name=None, events=timeline(events, links_of(request)), limit=limit, more=events.more
    )


@router.get("/ui/static/{name}")
def static_page(request: Request, name: str) -> Response:
    """Return the stylesheet or the icon."""
    return asset_response(request, name)


@router.get("/ui/{path:path}")
def not_found() -> Response:
    """Return 404 for other paths below /ui."""
    raise HTTPException(404)
