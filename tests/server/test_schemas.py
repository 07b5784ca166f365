"""The OpenAPI document, what is answered, and docs/json.md say the same."""

from __future__ import annotations

from pathlib import Path
from types import GenericAlias
from typing import Any, get_type_hints

import pytest
from pydantic import ConfigDict, TypeAdapter, with_config

from mreg.server import schemas
from mreg.server.examples import EXAMPLES
from tests.conftest import Mreg
from tests.server.conftest import Serve, Served
from tests.test_json import ASSESSED, MORE, SECTIONS

SHAPES = {
    name: shape for name, shape in vars(schemas).items() if isinstance(shape, type) and hasattr(shape, "__total__")
}


def strict(shape: Any, *, many: bool = False) -> TypeAdapter[Any]:
    """Takes exactly the keys and types of a shape, or of each one in a list."""
    for one in SHAPES.values():
        with_config(ConfigDict(extra="forbid", strict=True))(one)
    wanted: Any = GenericAlias(list, shape) if many else shape
    return TypeAdapter(wanted)


@pytest.mark.parametrize("name", [name for name in SECTIONS if SECTIONS[name] and name in SHAPES])
def test_a_shape_has_the_keys_that_the_documents_name(name: str) -> None:
    last = SECTIONS["Assessment"] if name in ASSESSED else []
    named = [*SECTIONS.get(MORE.get(name, ""), []), *SECTIONS[name], *last]
    assert set(get_type_hints(SHAPES[name])) == set(named)


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_has_its_shape(name: str) -> None:
    strict(SHAPES[name]).validate_python(EXAMPLES[name])


def test_every_answer_has_the_shape_that_the_openapi_document_gives_it(serve: Serve, command: Mreg) -> None:
    Path("config.yaml").write_text("profiles: {local: {hooks: [{name: h, stage: Production, command: ['true']}]}}")
    server = serve("--config", "config.yaml")
    fill(server)
    document = server.get("/openapi.json").json()
    answered: set[str] = set()
    for path, operations in document["paths"].items():
        shape = (
            operations.get("get", {}).get("responses", {}).get("200", {}).get("content", {}).get("application/json", {})
        )
        if not shape.get("schema"):
            continue
        url = path.replace("{model}", "classifier").replace("{version}", "2")
        query = {
            "compare": "?version_a=classifier@1&version_b=classifier@2"
            if path == "/compare"
            else "?version_a=1&version_b=2",
            "stages": "?at=2099-01-01",
        }.get(path.rpartition("/")[2], "")
        found = server.get(url + query)
        assert found.status_code == 200, f"{path}: {found.text}"
        reference = shape["schema"]
        many = reference.get("type") == "array"
        name = (reference["items"] if many else reference)["$ref"].rpartition("/")[2]
        assert found.json() or path == "/approvals", path
        strict(SHAPES[name], many=many).validate_json(found.content)
        answered.add(name)
    posted = {
        "Deletion": server.ask("DELETE", "/models/classifier/versions/1?dry_run=true&force=true"),
        "Decided": server.post("/models/classifier/versions/3/approve", {}),
        "StageChange": server.post("/models/classifier/versions/1/transition", {"stage": "Archived"}),
        "Model": server.ask("PATCH", "/models/classifier", json={"description": "x"}),
        "Problem": server.get("/models/none"),
    }
    for name, found in posted.items():
        strict(SHAPES[name]).validate_json(found.content)
        answered.add(name)
    for found, name in (
        (server.get("/approvals"), "Waiting"),
        (server.post("/policy/check", {"Production": {"gates": ["accuracy > 0.5"]}}), "Standing"),
    ):
        strict(SHAPES[name], many=True).validate_json(found.content)
        answered.add(name)
    inner = {
        "Artifact",
        "Source",
        "MetricDifference",
        "Change",
        "LineageNode",
        "Gate",
        "Decision",
        "Assessment",
        "Departure",
    }
    assert answered | inner == set(SHAPES)


def fill(server: Served) -> None:
    """A life with something of everything."""
    server.post("/models", {"name": "classifier", "tags": {"a": "b"}, "directions": {"cost": "lower"}})
    server.ask(
        "PUT", "/policy", json={"Production": {"gates": ["accuracy > 0.5"], "approvals": 1, "own_approval": True}}
    )
    for number in (1, 2, 3):
        server.upload(
            b"%d" % number,
            accuracy=f"0.{5 + number}",
            parameters='{"lr": 1}',
            tags='{"t": "u"}',
            data='{"d": "s3://x"}',
            aliases=f"a{number}",
            **({"parent": f"classifier@{number - 1}"} if number > 1 else {}),
        )
    for number in (1, 2):
        server.post(f"/models/classifier/versions/{number}/transition", {"stage": "Staging"})
        server.post(f"/models/classifier/versions/{number}/approve", {"comment": "fine"})
        server.post(f"/models/classifier/versions/{number}/transition", {"stage": "Production"})
    server.post("/models/classifier/versions/3/transition", {"stage": "Staging"})
