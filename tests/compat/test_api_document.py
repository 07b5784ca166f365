"""The compatibility rule of the HTTP API, against the document that was recorded for each API version."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable
from typing import Any

import pytest

import mreg
from mreg.domain.model import ModelStage
from mreg.domain.names import VersionRef
from mreg.domain.policy import Policy
from mreg.registry.remote import RemoteRegistry
from mreg.remote.connection import Connection
from mreg.results.changes import Deletion
from mreg.results.policies import ModelPolicy
from mreg.results.profiles import Profile
from mreg.testing.registry import MISSING
from mreg.wire.protocol import API, OLDEST_API
from tests.api_document import Document, breaks, compared, current, recorded


@pytest.fixture(scope="module")
def document() -> Document:
    """The document of this release."""
    return compared(current())


@pytest.mark.parametrize("api", range(OLDEST_API, API + 1))
def test_a_client_of_each_supported_api_version_can_use_this_server(document: Document, api: int) -> None:
    """If this fails, the change breaks clients; see docs/contributing/route.md."""
    assert list(breaks(recorded(api), document)) == []


def test_every_reference_of_the_document_resolves(document: Document) -> None:
    found = set(re.findall(r'"\$ref": "([^"]+)"', json.dumps(document)))
    assert found <= {f"#/components/schemas/{name}" for name in document["components"]["schemas"]}


REGISTER = ("paths", "/models", "post")
QUERY = ("paths", "/search", "get", "parameters")
MODEL = ("components", "schemas", "Model", "properties")
NEW_MODEL = ("components", "schemas", "NewModel")


def at(document: Any, place: tuple[str, ...]) -> Any:
    for key in place:
        document = document[key]
    return document


def require(document: Any) -> None:
    next(item for item in at(document, QUERY) if item["name"] == "q")["required"] = True


CHANGES: dict[str, tuple[Callable[[Any], object], str]] = {
    "a path is removed": (lambda new: new["paths"].pop("/search"), "GET /search: removed"),
    "a method is removed": (lambda new: new["paths"]["/models"].pop("post"), "POST /models: removed"),
    "a parameter is removed": (lambda new: at(new, QUERY).pop(0), "GET /search: parameter q removed"),
    "a parameter becomes required": (require, "GET /search: parameter q required"),
    "a required parameter is added": (
        lambda new: at(new, QUERY).append({"in": "query", "name": "x", "required": True, "schema": {"type": "string"}}),
        "GET /search: parameter x required",
    ),
    "a parameter has another type": (
        lambda new: at(new, QUERY)[0].update(schema={"type": "integer"}),
        "GET /search: parameter q: type string not taken",
    ),
    "a key of a body is removed": (
        lambda new: at(new, NEW_MODEL)["properties"].pop("tags"), "POST /models: body.tags: removed",
    ),
    "a key of a body becomes required": (
        lambda new: at(new, NEW_MODEL)["required"].append("tags"), "POST /models: body.tags: required",
    ),
    "a key of a response is removed": (
        lambda new: (at(new, MODEL).pop("tags"), new["components"]["schemas"]["Model"]["required"].remove("tags")),
        "POST /models: response.tags: removed or optional",
    ),
    "a key of a response has another type": (
        lambda new: at(new, MODEL).update(version_count={"type": "string"}),
        "POST /models: response.version_count: type string not taken",
    ),
    "a key of a response can be null": (
        lambda new: at(new, MODEL).update(version_count={"anyOf": [{"type": "integer"}, {"type": "null"}]}),
        "POST /models: response.version_count: type null not taken",
    ),
    "a response has a value that clients do not know": (
        lambda new: at(new, ("components", "schemas", "ModelVersion", "properties", "stage", "enum")).append("Shadow"),
        "values ['Shadow'] not taken",
    ),
}  # fmt: skip


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_that_breaks_clients_is_found(document: Document, change: str) -> None:
    make, expected = CHANGES[change]
    new = copy.deepcopy(document)
    make(new)
    assert any(expected in found for found in breaks(document, new)), list(breaks(document, new))


ADDITIONS: dict[str, Callable[[Any], object]] = {
    "a path": lambda new: new["paths"].update({"/new": {"get": {"responses": {}}}}),
    "an optional parameter": lambda new: at(new, QUERY).append(
        {"in": "query", "name": "x", "required": False, "schema": {"type": "string"}}
    ),
    "an optional key of a body": lambda new: at(new, NEW_MODEL)["properties"].update(x={"type": "string"}),
    "a key of a response": lambda new: at(new, MODEL).update(x={"type": "string"}),
    "a type of a parameter": lambda new: at(new, QUERY)[0].update(
        schema={"anyOf": [{"type": "string"}, {"type": "integer"}]}
    ),
}


@pytest.mark.parametrize("addition", ADDITIONS)
def test_an_addition_breaks_nothing(document: Document, addition: str) -> None:
    new = copy.deepcopy(document)
    ADDITIONS[addition](new)
    assert list(breaks(document, new)) == []


# The other direction: this client and a server that has only the recorded API


class Stopped(Exception):
    """A request was recorded, and is not sent."""


class Recording(Connection):
    """Records the requests of a client that name no later API version than the recorded one."""

    def __init__(self) -> None:
        super().__init__("http://127.0.0.1:1")
        self.requests: list[tuple[str, str, set[str], Any]] = []

    def request(self, method: str, path: str, **options: Any) -> Any:
        body = options.get("body")
        document = json.loads(body) if isinstance(body, bytes) and body.startswith(b"{") else None
        self.requests.append(
            (method, path, {k for k, v in (options.get("query") or {}).items() if v is not None}, document)
        )
        raise Stopped


OTHERS: dict[str, Callable[[mreg.Registry, str], object]] = {
    "models": lambda registry, _: registry.models(),
    "search": lambda registry, _: registry.search("accuracy > 1", sort="-accuracy", limit=3, offset=1),
    "register": lambda registry, name: registry.register(name, tags={"a": "b"}),
    "edit a version": lambda registry, name: registry.edit(
        f"{name}@1", description="", parent=f"{name}@2", run_id="r", experiment_id="e"
    ),
    "edit a model": lambda registry, name: registry.edit(name, directions={"a": "lower"}, primary_metric="a"),
    "tag a version": lambda registry, name: registry.tag(f"{name}@1", add={"a": "b"}, remove=["c"]),
    "delete a version": lambda registry, name: registry.delete(
        f"{name}@1",
        force=True,
        dry_run=True,
        seen=Deletion(reference=VersionRef.parse(name), versions=()),
        override="x",
    ),
    "compare with production": lambda registry, name: registry.compare(name),
    "history of a version": lambda registry, name: registry.history(f"{name}@1", limit=3, offset=2),
    "history": lambda registry, _: registry.history(limit=3),
    "completions": lambda registry, name: registry.completions(name),
    "metric_names": lambda registry, name: registry.metric_names(name),
    "approvals": lambda registry, _: registry.approvals(),
    "deploy the pending": lambda registry, _: registry.deploy(),
    "default policy": lambda registry, _: registry.policy(),
    "apply a default policy": lambda registry, _: registry.apply_policy(
        Policy(), seen=ModelPolicy(model="", own=False, policy=Policy())
    ),
    "check a default policy": lambda registry, _: registry.check_policy(Policy()),
    "promote with everything": lambda registry, name: registry.promote(
        f"{name}@1",
        "staging",
        keep_existing=True,
        leave_production=True,
        seen=ModelStage.NONE,
        reason="r",
        override="o",
    ),
    "plan with everything": lambda registry, name: registry.plan(
        f"{name}@1", "staging", keep_existing=True, override="o"
    ),
    "rollback with everything": lambda registry, name: registry.rollback(
        name, stage="staging", to=f"{name}@1", leave_production=True, seen=ModelStage.NONE, reason="r"
    ),
    "reject with everything": lambda registry, name: registry.reject(
        f"{name}@1", to="champion", reason="r", leave_production=False, seen=ModelStage.NONE
    ),
    "tokens": lambda registry, _: registry.tokens(),
    "create_token": lambda registry, name: registry.create_token(name, models=["a/*"], expires="90d"),
    "revoke_token": lambda registry, name: registry.revoke_token(name),
}


@pytest.mark.parametrize("operation", [*MISSING, *OTHERS])
def test_a_request_of_this_client_is_in_the_recorded_document(operation: str) -> None:
    """A request that needs a later API version must say so: ``call(..., api=2)``."""
    known = recorded(OLDEST_API)
    connection = Recording()
    registry = RemoteRegistry(connection, Profile(name="team", catalog="", artifacts=""))  # type: ignore[abstract]
    with pytest.raises(Stopped):
        {**MISSING, **OTHERS}[operation](registry, "team/m")
    ((method, path, query, body),) = connection.requests
    template = next(
        found
        for found in sorted(known["paths"], key=lambda found: found.count("{"))
        if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", found), path)
    )
    described = known["paths"][template][method.lower()]
    assert query <= {item["name"] for item in described.get("parameters", ()) if item["in"] == "query"}
    if body is not None:
        schema = described["requestBody"]["content"]["application/json"]["schema"]
        for part in [schema, *schema.get("anyOf", [])]:
            if "$ref" in part:
                schema = known["components"]["schemas"][part["$ref"].rpartition("/")[2]]
        assert "properties" not in schema or set(body) <= set(schema["properties"])
