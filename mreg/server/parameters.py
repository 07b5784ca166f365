"""What routes take: the registry in the caller's hands, models and versions by their path, pages of lists."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import unquote, urlencode

from fastapi import Depends, Path, Query
from fastapi.params import Depends as Dependency
from starlette.requests import Request
from starlette.responses import JSONResponse

from mreg.domain.names import ModelName, Selector, VersionRef
from mreg.errors import BadInput
from mreg.registry.local import LocalRegistry
from mreg.results import Page
from mreg.results.models import ModelVersions
from mreg.results.tokens import Role
from mreg.server.guard import Caller, may_not
from mreg.server.problems import Answer
from mreg.wire import encode

Override = Annotated[
    str, Query(description="Why the policy is overridden, if it allows overrides (audited).", examples=["shop is down"])
]

PAGE_ITEMS = 100
PAGE_LIMIT = 1_000
OFFSET_LIMIT = 100_000
"""Each thing that is left out costs as much as one that is given."""


def decoded(part: str) -> str:
    """A part of a path, decoded once.

    Raises:
        BadInput: It is no UTF-8.
    """
    try:
        return unquote(part, errors="strict")
    except UnicodeDecodeError:
        raise BadInput("the path is no UTF-8") from None


async def _registry(request: Request) -> LocalRegistry:
    """The server's registry in the hands of who asks."""
    registry: LocalRegistry = request.app.state.registry
    caller: Caller = request.scope["mreg.caller"]
    return registry.acting_as(caller.name)


RegistryOf = Annotated[LocalRegistry, Depends(_registry)]


async def _model(
    model: Annotated[str, Path(description="The model's name; a slash in it is written %2F.", examples=["classifier"])],
) -> ModelName:
    return ModelName(decoded(model))


Model = Annotated[ModelName, Depends(_model)]


async def _version(
    model: Model,
    version: Annotated[
        str,
        Path(
            description="A number, latest, best, a stage, an alias or sha256:DIGEST, with ~N for N back.",
            examples=["3"],
        ),
    ],
) -> VersionRef:
    return VersionRef(model, Selector.parse(decoded(version)), exact=True)


Version = Annotated[VersionRef, Depends(_version)]


def whole_model(model: ModelName) -> VersionRef:
    """The reference of a whole model, never of a version of another one."""
    return VersionRef(model, exact=True)


def own_version(model: ModelName, version: str | int) -> VersionRef:
    """The version of this very model that a body names."""
    return VersionRef(model, Selector.parse(str(version)), exact=True)


def other_version(model: ModelName, text: str) -> VersionRef:
    """The version that a query or body names: of the model in the path, or ``other@3``."""
    if "@" in text:
        return VersionRef.parse(text)
    return VersionRef(model, Selector.parse(text), exact=True)


def needs(role: Role) -> Dependency:
    """Lets a route be used by callers of this role or a higher one alone."""

    async def check(request: Request) -> None:
        caller: Caller = request.scope["mreg.caller"]
        if caller.role < role:
            raise may_not(caller, role)

    found: Dependency = Depends(check)
    return found


Limit = Annotated[int, Query(ge=1, le=PAGE_LIMIT, description="At most so many.")]
Offset = Annotated[
    int, Query(ge=0, le=OFFSET_LIMIT, description="How many to leave out first; Link names the next page.")
]


def model_versions(registry: LocalRegistry, model: ModelName, *, limit: int, offset: int = 0) -> ModelVersions:
    """A model with a page of its versions, newest first."""
    found = registry.show(whole_model(model), limit=limit, offset=offset)
    if not isinstance(found, ModelVersions):
        raise TypeError(found)
    return found


def answer(value: object) -> JSONResponse:
    """A value of the registry as JSON."""
    return Answer(encode(value))


def paged(request: Request, found: Page[Any] | ModelVersions, limit: int, offset: int) -> JSONResponse:
    """A page of a list as JSON, with the header that names the next page if there is one."""
    headers = {}
    if found.more and offset + limit <= OFFSET_LIMIT:
        query = [(key, value) for key, value in request.query_params.multi_items() if key not in ("limit", "offset")]
        more = urlencode([*query, ("limit", str(limit)), ("offset", str(offset + limit))])
        headers["Link"] = f'<{request.scope["path"]}?{more}>; rel="next"'
    return Answer(encode(found), headers=headers)
