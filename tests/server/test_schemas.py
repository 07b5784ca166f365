"""The answers of the server have the shapes of the OpenAPI document."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from types import GenericAlias
from typing import Any, get_args, get_type_hints, is_typeddict

import pytest
from pydantic import ConfigDict, TypeAdapter, with_config

from mreg.server.examples import EXAMPLES, RESULTS
from mreg.server.schemas import schema
from mreg.wire import decode, encode
from tests.conftest import Mreg
from tests.server.conftest import Serve, Served

DIGEST = f"sha256:{sha256(b'x').hexdigest()}"

SHAPES = {shape.__name__: shape for shape in EXAMPLES}


def strict(shape: Any, *, many: bool = False) -> TypeAdapter[Any]:
    """Takes exactly the keys and types of a shape, or of each one in a list."""
    found = schema(shape)
    for one in _within(found):
        with_config(ConfigDict(extra="forbid", strict=True))(one)
    wanted: Any = GenericAlias(list, found) if many else found
    return TypeAdapter(wanted)


def _within(hint: Any) -> Iterator[Any]:
    """A typed dict and those within it."""
    if is_typeddict(hint):
        yield hint
        for inner in get_type_hints(hint).values():
            yield from _within(inner)
    for inner in get_args(hint):
        yield from _within(inner)


@pytest.mark.parametrize("shape", EXAMPLES)
def test_an_example_has_its_shape(shape: Any) -> None:
    strict(shape).validate_python(EXAMPLES[shape])


@pytest.mark.parametrize("result", RESULTS, ids=lambda result: type(result).__name__)
def test_an_example_is_decoded_to_the_result_that_it_was_made_from(result: Any) -> None:
    assert decode(type(result), encode(result)) == result


def test_the_openapi_document_has_the_meaning_of_each_key() -> None:
    found = TypeAdapter(schema(SHAPES["ModelVersion"])).json_schema()
    assert found["properties"]["aliases"]["description"] == "names, sorted"
    assert found["$defs"]["Artifact"]["description"] == "The bytes of a version."


def test_every_answer_has_the_shape_that_the_openapi_document_gives_it(serve: Serve, command: Mreg) -> None:
    Path("config.yaml").write_text("profiles: {local: {hooks: [{name: h, stage: Production, command: ['true']}]}}")
    server = serve("--config", "config.yaml")
    fill(server)
    digest = f"sha256:{sha256(b'x').hexdigest()}"
    uploaded = server.ask("PUT", f"/models/classifier/blobs/{digest}", data=b"x")
    document = server.get("/openapi.json").json()
    answered: set[str] = set()
    for path, operations in document["paths"].items():
        shape = (
            operations.get("get", {}).get("responses", {}).get("200", {}).get("content", {}).get("application/json", {})
        )
        if not shape.get("schema"):
            continue
        url = path.replace("{model}", "classifier").replace("{version}", "production" if path.endswith("/at") else "2")
        url = url.replace("{digest}", digest).replace("{upload}", "0" * 32)
        query = {
            "compare": "?version_a=classifier@1&version_b=classifier@2"
            if path == "/compare"
            else "?version_a=1&version_b=2",
            "stages": "?at=2099-01-01",
            "at": "?at=2099-01-01",
        }.get(path.rpartition("/")[2], "")
        found = server.get(url + query)
        assert found.status_code == 200, f"{path}: {found.text}"
        reference = shape["schema"]
        many = reference.get("type") == "array"
        if many and reference["items"] == {"type": "string"}:
            assert all(isinstance(text, str) for text in found.json()), path
            continue
        name = (reference["items"] if many else reference)["$ref"].rpartition("/")[2]
        assert found.json() or path in ("/approvals", "/tokens"), path
        strict(SHAPES[name], many=many).validate_json(found.content)
        answered.add(name)
    posted = {
        "Deletion": server.ask("DELETE", "/models/classifier/versions/1?dry_run=true&force=true"),
        "DecisionResult": server.post("/models/classifier/versions/3/approve", {}),
        "Evaluation": server.post(
            "/models/classifier/versions/3/evaluations",
            {"metrics": {"accuracy": 0.9, "auc": 1}, "replace": True, "reason": "r"},
        ),
        "StageChange": server.post("/models/classifier/versions/1/transition", {"stage": "Archived"}),
        "Model": server.ask("PATCH", "/models/classifier", json={"description": "x"}),
        "Verification": server.post("/verify"),
        "Imported": server.ask("POST", "/import", data=server.get("/models/classifier/export").content),
        "UploadState": uploaded,
        "Problem": server.get("/models/none"),
    }
    for name, found in posted.items():
        strict(SHAPES[name]).validate_json(found.content)
        answered.add(name)
    for found, name in (
        (server.get("/approvals"), "PendingApproval"),
        (
            server.post("/models/classifier/blobs/missing", {"blobs": [{"digest": f"sha256:{'0' * 64}", "size": 1}]}),
            "NeededBlob",
        ),
        (server.post("/gc", {"grace_seconds": 0}), "Garbage"),
        (server.post("/policy/check", {"Production": {"gates": ["accuracy > 0.5"]}}), "PolicyCheck"),
    ):
        strict(SHAPES[name], many=True).validate_json(found.content)
        answered.add(name)
    strict(SHAPES["NewToken"]).validate_json(server.post("/tokens", {"name": "ci", "role": "reader"}).content)
    # DirectUpload is answered by servers over a bucket only: tests/faults/test_direct_transfers.py.
    assert answered | {"NewToken", "DirectUpload"} == set(SHAPES)  # from then on, requests need a token


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
