"""The responses of the OpenAPI document: the shapes of `mreg.wire` with examples."""

from __future__ import annotations

from functools import cache, reduce
from operator import or_
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints, is_typeddict

import typing_extensions
from pydantic import BaseModel, Field, TypeAdapter

from mreg.server.examples import EXAMPLES, Problem
from mreg.wire.bundles import Imported
from mreg.wire.changes import Deletion, StageChange
from mreg.wire.comparison import Comparison
from mreg.wire.deployments import Deployment
from mreg.wire.evaluations import Evaluation
from mreg.wire.files import StoredFile
from mreg.wire.history import AuditReport, Event, StagesAt
from mreg.wire.lineage import Lineage
from mreg.wire.models import Model, ModelSummary, ModelVersion, ModelVersions, ProductionVersion
from mreg.wire.policies import DecisionResult, ModelPolicy, PendingApproval, Plan, PolicyCheck
from mreg.wire.protocol import ServerVersion
from mreg.wire.reasons import Why
from mreg.wire.tokens import Identity, NewToken, TokenInfo
from mreg.wire.upkeep import Check, Finding, Garbage, Verification
from mreg.wire.uploads import DirectUpload, NeededBlob, StagedUpload, UploadState

__all__ = [
    "PROBLEMS",
    "AuditReport",
    "Check",
    "Comparison",
    "DecisionResult",
    "Deletion",
    "Deployment",
    "DirectUpload",
    "Evaluation",
    "Event",
    "Finding",
    "Garbage",
    "Identity",
    "Imported",
    "Lineage",
    "Model",
    "ModelPolicy",
    "ModelSummary",
    "ModelVersion",
    "ModelVersions",
    "NeededBlob",
    "NewToken",
    "PendingApproval",
    "Plan",
    "PolicyCheck",
    "Problem",
    "ProductionVersion",
    "ServerVersion",
    "StageChange",
    "StagedUpload",
    "StagesAt",
    "StoredFile",
    "TokenInfo",
    "UploadState",
    "Verification",
    "Why",
    "add_problem",
    "body_schema",
    "long_responses",
    "responses",
    "schema",
    "texts",
]  # fmt: skip

Responses = dict[int | str, dict[str, Any]]


@cache
def schema(shape: Any) -> Any:
    """Return a shape as a type that pydantic accepts, with the descriptions of its keys.

    Before Python 3.12, pydantic rejects the `TypedDict` of `typing`; `mreg.wire` uses it because importing
    `typing_extensions` would slow down every command.
    """
    if is_typeddict(shape):
        keys = {key: schema(hint) for key, hint in get_type_hints(shape, include_extras=True).items()}
        made = typing_extensions.TypedDict(shape.__name__, keys)  # type: ignore[misc]
        made.__doc__ = shape.__doc__
        return made
    origin, within = get_origin(shape), get_args(shape)
    if origin is Annotated:
        return Annotated[schema(within[0]), Field(description=within[1])]
    if origin in (Union, UnionType):
        return reduce(or_, map(schema, within))
    return origin[tuple(map(schema, within))] if origin in (list, dict) else shape


def responses(shape: Any) -> Responses:
    """Return the responses of a route for the OpenAPI document: a shape or a list of it, with an example."""
    within = get_args(shape)
    example = [EXAMPLES[within[0]]] if within else EXAMPLES[shape]
    content = {"application/json": {"example": example}}
    return {200: {"model": schema(shape), "description": "Success.", "content": content}}


def long_responses(shape: Any) -> Responses:
    """Return the responses of a route with a long operation: the result, or events that end with it."""
    found = responses(shape)
    found[200]["content"] = {**found[200]["content"], **EVENTS}
    return found


EVENTS: dict[str, Any] = {
    "text/event-stream": {
        "schema": {
            "type": "string",
            "description": "Events progress, notice, part and file, then result or problem; each has JSON as its data.",
        },
        "example": 'event: progress\ndata: {"done":1048576,"total":4194304}\n\n',
    }
}
"""The content of a stream of events, for the OpenAPI document."""


def texts(description: str, example: list[str]) -> Responses:
    """Return the responses of a route that answers with a list of texts."""
    return {
        200: {"model": list[str], "description": description, "content": {"application/json": {"example": example}}}
    }


def body_schema(body: type[BaseModel]) -> dict[str, Any]:
    """Return the schema of a body that its route reads itself, without references, which FastAPI would not resolve."""
    found = body.model_json_schema()
    schema: dict[str, Any] = _inlined(found, found.get("$defs", {}))
    return schema


def _inlined(value: Any, shapes: dict[str, Any]) -> Any:
    if isinstance(value, list):
        return [_inlined(item, shapes) for item in value]
    if not isinstance(value, dict):
        return value
    if "$ref" in value:
        return _inlined(shapes[value["$ref"].rpartition("/")[2]], shapes)
    return {key: _inlined(item, shapes) for key, item in value.items() if key != "$defs"}


PROBLEMS: Responses = {
    status: {
        "content": {
            "application/problem+json": {
                "schema": {"$ref": "#/components/schemas/Problem"},
                "example": EXAMPLES[Problem],
            }
        },
        "description": text,
    }
    for status, text in {
        400: "Invalid value.",
        401: "Missing, unknown, revoked or expired token.",
        403: "The role is too low, the request is from a page of another origin, or the server is read-only.",
        404: "Model, version or file not found.",
        409: "The object already exists, has changed meanwhile, or the policy or the state forbids the change.",
        408: "The body is too slow.",
        413: "The body is too large.",
        421: "Unknown host name.",
        422: "Invalid body or query.",
        500: "An artifact, the catalog or the audit trail is damaged.",
        503: "The catalog or the artifact store cannot be reached.",
    }.items()
}
"""The error responses of every route, for the OpenAPI document. `add_problem` adds their schema.

As models, each of them would be compiled for each route, which was half of the time to build the application.
"""


def add_problem(document: dict[str, Any]) -> None:
    """Add the schema of the error responses to an OpenAPI document."""
    schemas = document["components"]["schemas"]
    schemas["Problem"] = TypeAdapter(schema(Problem)).json_schema()
    document["components"]["schemas"] = dict(sorted(schemas.items()))
