"""The routes of the page, all of them for looking."""

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
from mreg.results.history import Why
from mreg.results.models import ModelVersions
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
from mreg.server.ui.answers import PageRoute, asset_answer, page
from mreg.server.ui.links import link
from mreg.server.ui.listing import entries, metric_order, model_row, part, version_table
from mreg.server.ui.standing import metric_rows, standing
from mreg.server.ui.story import told
from mreg.server.ui.tree import drawing
from mreg.server.ui.trend import trend

ITEMS = 50
"""Models or versions of a page, unless the address says otherwise."""

TREND = 200
"""The newest versions, whose metrics are drawn and can be chosen."""

EVENTS = 100
VERSION_EVENTS = 20
FILES = 200
ROWS = 300
"""How many of each a page shows at most; it says so where there are more."""

Text = Annotated[str, Query(max_length=4_000)]

router = APIRouter(route_class=PageRoute)


@router.get("/ui")
def models(
    request: Request,
    registry: RegistryOf,
    q: Text = "",
    sort: Text = "",
    limit: Limit = ITEMS,
    offset: Offset = 0,
) -> Response:
    """All models, latest and production side by side; or the versions that are searched for."""
    if q or sort:
        return _search(request, registry, q, sort, limit, offset)
    found = registry.models(limit=limit, offset=offset)
    rows = tuple(model_row(summary) for summary in found)
    shown = part(len(rows), limit=limit, offset=offset, more=found.more)
    return page(request, "models.html", rows=rows, part=shown, q="", sort="")


def _search(request: Request, registry: LocalRegistry, q: str, sort: str, limit: int, offset: int) -> Response:
    heard, notices = _hearing(registry)
    try:
        found = heard.search(q, sort=sort or None, limit=limit, offset=offset)
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
        part=part(len(found), limit=limit, offset=offset, more=found.more),
        notices=notices,
        q=q,
        sort=sort,
    )


def _hearing(registry: LocalRegistry) -> tuple[LocalRegistry, list[str]]:
    """The registry, and what it has to say beside its results."""
    notices: list[str] = []
    return registry.acting_as(registry.actor, notices.append), notices


@router.get("/ui/")
def with_a_slash() -> Response:
    """The page is at /ui."""
    return RedirectResponse(link(), status_code=308)


@router.get("/ui/models/{model}")
def model_page(
    request: Request,
    model: Model,
    registry: RegistryOf,
    metric: Text = "",
    limit: Limit = ITEMS,
    offset: Offset = 0,
) -> Response:
    """One model: what is said of it, how a metric went, its versions."""
    newest = model_versions(registry, model, limit=max(TREND, limit))
    end = offset + limit
    found, more = newest.versions[offset:end], newest.more or end < len(newest.versions)
    if newest.more and end > len(newest.versions):
        shown = model_versions(registry, model, limit=limit, offset=offset)
        found, more = shown.versions, shown.more
    recent = newest.versions[:TREND]
    names = metric_order((name for one in recent for name in one.metrics), newest.metric)
    chosen = metric or newest.metric
    return page(
        request,
        "model.html",
        model=newest.model,
        trend=trend(newest.model, recent, chosen) if chosen else None,
        metric_names=names[:ROWS],
        recent=recent,
        table=version_table(found, newest.metric),
        part=part(len(found), limit=limit, offset=offset, more=more, total=newest.model.version_count),
        compared=_compared(newest),
        newest_metric=newest.metric,
        tags=entries(newest.model.tags),
    )


def _compared(found: ModelVersions) -> tuple[str, str] | None:
    """Which two versions are worth a comparison first; None where there are not two."""
    if len(found.versions) < 2:
        return None
    latest = found.model.latest_version or found.versions[0].version
    if found.model.production_version not in (None, latest):
        return "production", str(latest)
    return str(next(one.version for one in found.versions if one.version != latest)), str(latest)


@router.get("/ui/models/{model}/versions/{version}")
def version_page(request: Request, version: Version, registry: RegistryOf) -> Response:
    """One version whole."""
    found = registry.version(version)
    model = registry.model(found.model_name)
    troubles: list[MregError] = []
    why = _why(registry, found, troubles)
    files = _files(registry, found, troubles) if found.artifact.kind is ArtifactKind.FOLDER else ()
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
        standing=standing(why) if why is not None else None,
        files=files[:FILES],
        drawing=drawing(registry.lineage(found.reference)),
        events=told(events, found.model_name),
        more_events=events.more,
        troubles=troubles,
    )


@router.get("/ui/models/{model}/versions/{version}/artifact")
async def artifact(request: Request, version: Version, registry: RegistryOf) -> Response:
    """The bytes of a version that is one file, here too: a browser knows a token for /ui alone."""
    return await download(request, registry, version, None)


@router.get("/ui/models/{model}/versions/{version}/files/{path:path}")
async def file(request: Request, version: Version, path: str, registry: RegistryOf) -> Response:
    """The bytes of one file of a version, likewise."""
    return await download(request, registry, version, decoded(path))


def _why(registry: LocalRegistry, version: ModelVersion, troubles: list[MregError]) -> Why | None:
    """Why it is where it is; None where that can't be told, which is no reason to show nothing of it."""
    try:
        return registry.why(version.reference)
    except MregError as error:
        troubles.append(error)
        return None


def _files(registry: LocalRegistry, version: ModelVersion, troubles: list[MregError]) -> tuple[StoredFile, ...]:
    try:
        return registry.files(version.reference)
    except MregError as error:
        troubles.append(error)
        return ()


@router.get("/ui/models/{model}/compare")
def compare_page(request: Request, model: Model, registry: RegistryOf, version_a: Text, version_b: Text) -> Response:
    """Two versions and what differs."""
    heard, notices = _hearing(registry)
    found = heard.compare(other_version(model, version_a.strip()), other_version(model, version_b.strip()))
    groups = [(name, tuple(changes)) for name, changes in groupby(found.changes, key=lambda change: change.group)]
    return page(
        request,
        "compare.html",
        model=registry.model(model),
        found=found,
        metrics=found.metrics[:ROWS],
        counts=_counts(row.verdict for row in found.metrics),
        groups=[(name, changes[:ROWS], len(changes)) for name, changes in groups],
        notices=notices,
    )


def _counts(verdicts: Iterable[Verdict]) -> tuple[tuple[Verdict, int], ...]:
    """How often there is each verdict, those that there are none of left out."""
    found = list(verdicts)
    return tuple((verdict, found.count(verdict)) for verdict in Verdict if verdict in found)


@router.get("/ui/models/{model}/history")
def model_history_page(request: Request, model: Model, registry: RegistryOf, limit: Limit = EVENTS) -> Response:
    """What happened to a model and its versions, newest first."""
    events = registry.history(whole_model(model), limit=limit)
    return page(
        request,
        "history.html",
        model=registry.model(model),
        events=told(events, model),
        limit=limit,
        more=events.more,
    )


@router.get("/ui/history")
def history_page(request: Request, registry: RegistryOf, limit: Limit = EVENTS) -> Response:
    """What happened to anything, newest first."""
    events = registry.history(limit=limit)
    return page(request, "history.html", model=None, events=told(events), limit=limit, more=events.more)


@router.get("/ui/static/{name}")
def static_page(request: Request, name: str) -> Response:
    """The stylesheet and the icon."""
    return asset_answer(request, name)


@router.get("/ui/{path:path}")
def nothing() -> Response:
    """Anything else below /ui."""
    raise HTTPException(404)
