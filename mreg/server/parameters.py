"""Parameters of routes: the registry of the caller, models and versions of the path, pages of lists."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from typing import Annotated, Any, cast
from urllib.parse import unquote, urlencode

from fastapi import Depends, Path, Query
from fastapi.params import Depends as Dependency
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import BaseRoute

from mreg.domain.digest import Digest
from mreg.domain.model import ModelStage
from mreg.domain.names import KnownVersion, ModelName, Selector, VersionRef
from mreg.domain.text import quoted
from mreg.errors import BadInput
from mreg.registry.local import LocalRegistry
from mreg.results import Page
from mreg.results.changes import Deletion
from mreg.results.models import ModelVersions
from mreg.results.policies import ModelPolicy
from mreg.results.tokens import Role
from mreg.server.envelopes import ResultResponse, collected
from mreg.server.guard import Caller, role_too_low
from mreg.server.places import Places, sees_places
from mreg.wire.envelope import state_digest

Override = Annotated[
    str,
    Query(description="Reason for overriding the policy, if it allows overrides (audited).", examples=["shop is down"]),
]

PAGE_ITEMS = 100
PAGE_LIMIT = 1_000
OFFSET_LIMIT = 200_000
"""Skipped items cost as much as returned ones; a client can page through as many events as `history` returns."""

Seen = Annotated[
    str | None,
    Query(
        description="Digest of the state at your decision, as mreg's own client computes it; 409 if it changed since."
    ),
]

PastTime = Annotated[str, Query(description="Time in ISO 8601 (default zone: UTC).", examples=["2026-03-01T12:00"])]


def decoded(part: str) -> str:
    """Return a segment of a path, decoded once.

    Raises:
        BadInput: The segment is not valid UTF-8.
    """
    try:
        return unquote(part, errors="strict")
    except UnicodeDecodeError:
        raise BadInput("the path is not valid UTF-8") from None


def registry_of(request: Request, notice: Callable[[str], None] | None = None) -> LocalRegistry:
    """Return the registry of the server, acting as the caller of a request and limited to the caller's models.

    Args:
        notice: Receives the notices of the registry (default: they are collected for the envelope).
    """
    registry: LocalRegistry = request.app.state.registry
    caller: Caller = request.scope["mreg.caller"]
    said = collected(request)
    places: Places = request.app.state.places
    return registry.acting_as(
        caller.name,
        notice or said.notices.append,
        said.log,
        scope=caller.scope,
        client=caller.token,
        hide=None if sees_places(request.scope) else partial(places.hide, failed=True),
    )


async def _registry(request: Request) -> LocalRegistry:
    """Return the registry of the server, acting as the caller."""
    return registry_of(request)


RegistryOf = Annotated[LocalRegistry, Depends(_registry)]


async def _model(
    model: Annotated[str, Path(description="Model name, with %2F for a slash.", examples=["classifier"])],
) -> ModelName:
    return ModelName(decoded(model))


Model = Annotated[ModelName, Depends(_model)]


async def _version(
    model: Model,
    version: Annotated[
        str,
        Path(
            description="A number, latest, best, a stage, an alias or sha256:DIGEST; ~N goes back N versions.",
            examples=["3"],
        ),
    ],
) -> VersionRef:
    selector, _, parameters = decoded(version).partition(";")
    return _with_parameters(VersionRef(model, Selector.parse(selector), exact=True), parameters)


Version = Annotated[VersionRef, Depends(_version)]


def reference_of(text: str) -> VersionRef:
    """Return the reference of a text in a query or body, with the parameters that mreg's own client appends.

    Raises:
        BadInput: The text is not a valid reference.
    """
    reference, _, parameters = text.partition(";")
    return _with_parameters(VersionRef.parse(reference), parameters)


_KNOWN = re.compile(r"id=([1-9][0-9]{0,18});digest=(sha256:[0-9a-f]{64})")
_ID_LIMIT = 2**63 - 1
"""The largest id that a catalog can have."""


def _with_parameters(reference: VersionRef, parameters: str) -> VersionRef:
    """Return the reference with the parameters of `mreg.remote.references`."""
    if not parameters:
        return reference
    if parameters in ("bare", "loose"):
        return VersionRef(reference.name, exact=parameters == "bare")
    known = _KNOWN.fullmatch(parameters)
    if known is None or reference.number is None or int(known[1]) > _ID_LIMIT:
        raise BadInput(
            f"invalid parameters of a reference: {quoted(parameters)}",
            hint="write ;id=ID;digest=sha256:DIGEST after a version number, or none",
        )
    version = KnownVersion(int(known[1]), Digest.parse(known[2]))
    return VersionRef(reference.name, reference.selector, exact=True, known=version)


def whole_model(model: ModelName) -> VersionRef:
    """Return the reference of a model without a selector, even if its name contains ``@``."""
    return VersionRef(model, exact=True)


def own_version(model: ModelName, version: str | int) -> VersionRef:
    """Return the version of the model that the body names."""
    selector, _, parameters = str(version).partition(";")
    return _with_parameters(VersionRef(model, Selector.parse(selector), exact=True), parameters)


def other_version(model: ModelName, text: str) -> VersionRef:
    """Return the version that a query names: a selector of the model in the path, or a reference (``other@3``)."""
    if "@" in text:
        return reference_of(text)
    return VersionRef(model, Selector.parse(text), exact=True)


def seen_stage(stage: str | None) -> ModelStage | None:
    """Return the stage that a body says was seen."""
    return ModelStage.parse(stage) if stage is not None else None


def seen_policy(registry: LocalRegistry, model: ModelName | None, seen: str | None) -> ModelPolicy | None:
    """Return a policy that is the current one exactly if it has the digest that was seen; None without a digest."""
    if seen is None:
        return None
    found = registry.policy(model)
    return found if state_digest(found) == seen else replace(found, own=not found.own)


def delete_seen(
    registry: LocalRegistry, reference: VersionRef, *, force: bool, dry_run: bool, override: str, seen: str | None
) -> Deletion:
    """Delete a model or version, only if the deletion has the digest that was seen."""
    expected = None
    if seen is not None and not dry_run:
        found = registry.delete(reference, force=force, dry_run=True, override=override)
        same = state_digest(found) == seen
        expected = found if same else replace(found, places={**found.places, found.reference: ("changed",)})
    return registry.delete(reference, force=force, dry_run=dry_run, seen=expected, override=override)


def requires_role(role: Role) -> Dependency:
    """Return a dependency that rejects callers with a lower role."""

    async def check(request: Request) -> None:
        caller: Caller = request.scope["mreg.caller"]
        if caller.role < role:
            raise role_too_low(caller, role)

    check.role = role  # type: ignore[attr-defined]  # for `role_of`
    dependency: Dependency = Depends(check)
    return dependency


def role_of(route: BaseRoute) -> Role | None:
    """Return the role that a route declares with `requires_role`; None if it declares none."""
    for dependency in getattr(route, "dependencies", ()):
        if (role := getattr(dependency.dependency, "role", None)) is not None:
            return cast("Role", role)
    return None


def requires_all_models(action: str) -> Dependency:
    """Return a dependency that rejects callers who are limited to some models.

    Args:
        action: The action of the route, for the error.
    """

    async def check(request: Request) -> None:
        caller: Caller = request.scope["mreg.caller"]
        caller.scope.check_unlimited(action)

    dependency: Dependency = Depends(check)
    return dependency


Limit = Annotated[int, Query(ge=1, le=PAGE_LIMIT, description="Maximum number of items.")]
Offset = Annotated[
    int, Query(ge=0, le=OFFSET_LIMIT, description="Number of items to skip; the Link header has the next page.")
]


def model_versions(registry: LocalRegistry, model: ModelName, *, limit: int, offset: int = 0) -> ModelVersions:
    """Return a model with a page of its versions, newest first."""
    shown = registry.show(whole_model(model), limit=limit, offset=offset)
    if not isinstance(shown, ModelVersions):
        raise TypeError(shown)
    return shown


def json_response(value: object) -> JSONResponse:
    """Return a result of the registry as a JSON response, in an envelope for mreg's own client."""
    return ResultResponse(value)


def add_warnings(response: JSONResponse, notes: Iterable[str]) -> JSONResponse:
    """Return the response with each note in a ``Warning`` header (RFC 7234, 5.5)."""
    for note in notes:
        text = note.encode("ascii", "backslashreplace").decode().replace("\\", "\\\\").replace('"', '\\"')
        response.headers.append("Warning", f'299 - "{text}"')
    return response


def page_response(request: Request, page: Page[Any] | ModelVersions, limit: int, offset: int) -> JSONResponse:
    """Return a page of a list as a JSON response; the ``Link`` header names the next page, if there is one."""
    headers = {}
    if page.more and offset + limit <= OFFSET_LIMIT:
        query = [(key, value) for key, value in request.query_params.multi_items() if key not in ("limit", "offset")]
        more = urlencode([*query, ("limit", str(limit)), ("offset", str(offset + limit))])
        headers["Link"] = f'<{request.scope["path"]}?{more}>; rel="next"'
    return ResultResponse(page, headers=headers)
