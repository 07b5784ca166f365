"""Hints over HTTP: requests in place of commands."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import mreg
from mreg.domain.policy import parse_policy
from mreg.registry.local import LocalRegistry
from mreg.server.hints import http_hint
from mreg.wire.errors import OPERATOR
from tests.server.conftest import Served


@pytest.mark.parametrize(
    ("hint", "said"),
    [
        ("", ""),
        ("did you mean classifier?", "did you mean classifier?"),
        ("list the models: mreg list", "list the models: GET /models"),
        ("list the versions: mreg show team/m", "list the versions: GET /models/team%2Fm"),
        ("check and try again: mreg show m@3", "check and try again: GET /models/m/versions/3"),
        ("mreg show m@production~1", "GET /models/m/versions/production~1"),
        ("show it: mreg show m; change it: mreg edit m", "show it: GET /models/m; change it: PATCH /models/m"),
        ("mreg history m@3", "GET /models/m/versions/3/history"),
        ("mreg history m --at 2026-03-01", "GET /models/m/stages?at=2026-03-01"),
        ("show the newest events: mreg history --limit 1000", "show the newest events: GET /history?limit=1000"),
        (
            "once it is available, check whether the change was made: mreg history; x",
            "once it is available, check whether the change was made: GET /history; x",
        ),
        ("mreg lineage m@3", "GET /models/m/versions/3/lineage"),
        ("mreg why m@3", "GET /models/m/versions/3/why"),
        (
            "name the new stage: mreg promote m@3 --to staging",
            'name the new stage: POST /models/m/versions/3/transition {"stage": "Staging"}',
        ),
        (
            "mreg promote m@3 --to production --override REASON",
            'POST /models/m/versions/3/transition {"stage": "Production", "override": "REASON"}',
        ),
        ("mreg archive m@3 --yes", 'POST /models/m/versions/3/transition {"stage": "Archived"}'),
        ("ada can approve it: mreg approve m@3", "ada can approve it: POST /models/m/versions/3/approve"),
        ("mreg approve m@latest --to champion", 'POST /models/m/versions/latest/approve {"stage": "champion"}'),
        ("mreg reject m@3 --reason REASON", 'POST /models/m/versions/3/reject {"reason": "REASON"}'),
        (
            "ada can withdraw the rejection: mreg reject m@3 --withdraw",
            "ada can withdraw the rejection: DELETE /models/m/versions/3/decision",
        ),
        ("mreg alias m@3 champion", 'PUT /models/m/aliases/champion {"version": "3"}'),
        ("mreg alias m --remove a/b --override REASON", "DELETE /models/m/aliases/a%2Fb?override=REASON"),
        (
            "mreg archive m@3 && mreg alias m --remove a, or delete with --force",
            'POST /models/m/versions/3/transition {"stage": "Archived"}, then DELETE /models/m/aliases/a, or delete with ?force=true',
        ),
        ("mreg delete m@3 --force --override REASON", "DELETE /models/m/versions/3?force=true&override=REASON"),
        ("mreg rename m team/m --override REASON", 'POST /models/m/rename {"name": "team/m", "override": "REASON"}'),
        ("mreg edit m --primary-metric METRIC", 'PATCH /models/m {"primary_metric": "METRIC"}'),
        ("mreg edit m --direction cost=higher", 'PATCH /models/m {"directions": {"cost": "higher"}}'),
        (
            "push without Production first: mreg push PATH --name m --stage staging",
            "push without Production first: POST /models/m/versions with model_file and stage=Staging",
        ),
        ("mreg policy show --model m", "GET /models/m/policy"),
        ("mreg policy show", "GET /policy"),
        ("mreg policy remove --model m", "DELETE /models/m/policy"),
        ("for one model: mreg verify team/m\nor x", "for one model: POST /models/team%2Fm/verify\nor x"),
        ("change the policy first: mreg policy apply FILE --model m", "change the policy first: PUT /models/m/policy"),
        ("mreg audit verify", "GET /audit"),
        ("use a finite decimal number: --metric f1=0.95", 'use a finite decimal number: metrics: {"f1": 0.95}'),
        ('add --reason "..."', 'add "reason": "..."'),
        ("give it a name: --tag name=value", 'give it a name: tags: {"name": "value"}'),
        ("ask for less with --limit 1000", "ask for less with ?limit=1000"),
        ("mreg rollback m --stage staging --to 2", 'POST /models/m/rollback {"stage": "Staging", "to": "2"}'),
        ("mreg deploy m@3", "POST /models/m/versions/3/deploy"),
        ("mreg approvals", "GET /approvals"),
        ("restore a backup: mreg restore FILE", "operator of the server: restore a backup: mreg restore FILE"),
        ("mreg upgrade --check shows the changes", "operator of the server: mreg upgrade --check shows the changes"),
        ("free some space there: df -h /srv", "operator of the server: free some space there: df -h /srv"),
    ],
)
def test_a_command_becomes_the_request_that_does_the_same(hint: str, said: str) -> None:
    assert http_hint(hint) == said
    assert http_hint(said) == said


def texts(path: Path) -> set[str]:
    """Every text of a module, with a model's name or a version in place of what is filled in."""
    found: set[str] = set()
    tree = ast.parse(path.read_text())
    parts_of_others = {part for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
    for node in ast.walk(tree):
        if node in parts_of_others:
            continue
        if isinstance(node, ast.JoinedStr):
            parts = [
                part.value if isinstance(part, ast.Constant) else "m@3" if "reference" in ast.unparse(part) else "m"
                for part in node.values
            ]
            found.add("".join(map(str, parts)))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and "\n" not in node.value:
            found.add(node.value)
    return found


def test_no_command_that_has_a_request_is_left_in_what_a_client_can_get() -> None:
    package = Path(mreg.__file__).parent
    left: set[str] = set()
    seen = 0
    for part in ("registry", "domain", "catalog", "server"):
        for path in sorted((package / part).rglob("*.py")):
            for text in texts(path):
                seen += "mreg " in text
                if {*re.findall(r"\bmreg ([a-z]+)\b(?= |$)", http_hint(text))} & KNOWN:
                    left.add(text)
    assert seen > 50
    assert left - ELSEWHERE == set()


KNOWN = {
    "alias", "approve", "approvals", "archive", "audit", "compare", "delete", "deploy", "deployments", "edit", "evaluate",
    "history",
    "lineage", "list", "policy", "promote", "pull", "push", "register", "reject", "rename", "rollback", "search", "show",
    "tag", "why",
}  # fmt: skip
"""Commands for which HTTP has a route."""

ELSEWHERE = {
    "Condition in the language of mreg search (default: none). A time without a zone is UTC.",
    "more deployments of the hook m are pending; to run them: mreg deploy --pending",
    "mreg pull m@3",
    "mreg pull m@3 DEST",
    "mreg pull m@3 DEST; or name one file: --include FILE",
    "mreg pull m@3 m",
    "mreg tag m team=fraud, or --remove team",
}
"""Texts that no client of HTTP gets."""


INVALID: tuple[tuple[str, str, Any], ...] = (
    ("POST", "/models", {"name": "classifier"}),
    ("POST", "/models", {"name": "Classifier"}),
    ("POST", "/models", {"name": "no name"}),
    ("POST", "/models", {"name": "x", "directions": {"f1": "up"}}),
    ("POST", "/models", {"name": "x", "tags": {"": "1"}}),
    ("POST", "/models", {"name": "x", "tags": {"a=b": "1"}}),
    ("PATCH", "/models/classifier", {"primary_metric": "nothing"}),
    ("PATCH", "/models/classifier/versions/2", {"parent": "classifier@2"}),
    ("PATCH", "/models/classifier/versions/2", {"parent": "classifier"}),
    ("PUT", "/models/classifier/aliases/latest", {"version": 1}),
    ("PUT", "/models/classifier/aliases/9", {"version": 1}),
    ("PUT", "/models/classifier/aliases/guarded", {"version": 1}),
    ("PUT", "/models/classifier/aliases/guarded", {"version": 1, "override": "now"}),
    ("DELETE", "/models/classifier/aliases/nothing", None),
    ("DELETE", "/models/classifier/tags/nothing", None),
    ("POST", "/models/classifier/rename", {"name": "other"}),
    ("POST", "/models/classifier/rename", {"name": "free", "override": "now"}),
    ("POST", "/models/classifier/rollback", {}),
    ("POST", "/models/classifier/rollback", {"stage": "Staging", "to": 3}),
    ("POST", "/models/classifier/rollback", {"stage": "Nowhere"}),
    ("POST", "/models/classifier/versions/1/transition", {"stage": "Nowhere"}),
    ("POST", "/models/classifier/versions/3/transition", {"stage": "Production", "override": "now"}),
    ("POST", "/models/classifier/versions/3/transition", {"stage": "Production"}),
    ("POST", "/models/classifier/versions/1/transition", {"stage": "Production"}),
    ("POST", "/models/classifier/versions/2/transition", {"stage": "Production"}),
    ("POST", "/models/classifier/versions/2/approve", {"stage": "Nowhere"}),
    ("POST", "/models/classifier/versions/1/approve", {"stage": "Production"}),
    ("POST", "/models/classifier/versions/2/reject", {"reason": " "}),
    ("POST", "/models/classifier/versions/3/deploy", None),
    ("DELETE", "/models/classifier/versions/2/decision?stage=Production", None),
    ("DELETE", "/models/classifier/versions/3", None),
    ("DELETE", "/models/classifier", None),
    ("DELETE", "/models/classifier/versions/1?override=now", None),
    ("PUT", "/policy", {"Production": {"gates": ["accuracy"]}}),
    ("PUT", "/policy", {"Nowhere": {}}),
    ("PUT", "/policy", {"Production": {"approval": 1}}),
    ("PUT", "/policy", {"Production": {"approvals": 2, "approvers": ["ada"]}}),
    ("PUT", "/policy", {"Production": {"approvers": "ada"}}),
    ("GET", "/search?q=metrics.accuracy+%3E", None),
    ("GET", "/compare?version_a=classifier@1&version_b=clasifier@1", None),
    ("GET", "/models/classifier/stages?at=yesterday", None),
    ("GET", "/models/classifier/versions/sha256:00", None),
    ("GET", "/models/classifier/versions/latest~9", None),
    ("GET", "/models/classifier/versions/best~x", None),
    ("GET", "/models/classifier/versions/3/files/nothing", None),
    ("GET", "/models/classifier/%ff", None),
    ("GET", "/models/classifier/versions/%ff", None),
    ("GET", "/healthz?" + "x" * 9000, None),
)
"""Requests that the server of the next test refuses for what they ask, by method, path and JSON."""

UPLOADS: tuple[dict[str, Any], ...] = (
    {"data": {"accuracy": "1"}},
    {"files": {"file": b"x"}},
    {"files": {"model_file": b""}},
    {"files": [("model_file", b"x"), ("model_file", b"y")]},
    {"files": {"model_file": b"x"}, "data": {"acuracy": "1"}},
    {"files": {"model_file": b"x"}, "data": {"accuracy": "one"}},
    {"files": {"model_file": b"x"}, "data": {"accuracy": "nan"}},
    {"files": {"model_file": b"x"}, "data": {"accuracy": "1", "metrics": '{"accuracy": 1}'}},
    {"files": {"model_file": b"x"}, "data": {"metrics": '{"a": "b"}'}},
    {"files": {"model_file": b"x"}, "data": {"metrics": '{"": 1}'}},
    {"files": {"model_file": b"x"}, "data": {"metrics": "{"}},
    {"files": {"model_file": b"x"}, "data": {"parameters": "[]"}},
    {"files": {"model_file": b"x"}, "data": {"tags": '{"": "1"}'}},
    {"files": {"model_file": b"x"}, "data": {"data": '{"train": "https://ada:secret@example.com/"}'}},
    {"files": {"model_file": b"x"}, "data": {"checksum": "sha256:0"}},
    {"files": {"model_file": b"x"}, "data": {"checksum": "0" * 64}},
    {"files": {"model_file": b"x"}, "data": {"stage": "Nowhere"}},
    {"files": {"model_file": b"x"}, "data": {"stage": "Production"}},
    {"files": {"model_file": b"x"}, "data": {"stage": "Staging", "aliases": "guarded"}},
    {"files": {"model_file": b"x"}, "data": {"aliases": "latest"}},
    {"files": {"model_file": b"x"}, "data": {"parent": "nothing@1"}},
    {"data": b"x", "headers": {"Content-Type": "text/plain"}},
    {"data": b"--x\r\n", "headers": {"Content-Type": "multipart/form-data; boundary=x"}},
    {"data": b"nothing", "headers": {"Content-Type": "multipart/form-data; boundary=x"}},
)
"""Uploads that the server refuses."""


def generated(document: dict[str, Any]) -> Iterator[tuple[str, str, Any]]:
    """Yield requests for every operation of the OpenAPI document: missing models and versions, other bodies and queries."""
    for path, operations in document["paths"].items():
        for model, version in (
            ("nobody", "1"),
            ("clasifier", "1"),
            ("classifier", "99"),
            ("classifier", "x@y"),
            ("a b", "1"),
        ):
            filled = re.sub(
                r"\{(key|alias|path)\}", "nothing", path.replace("{model}", model).replace("{version}", version)
            )
            for method in operations:
                for body in (
                    None,
                    {},
                    {"unknown": 1},
                    {"name": "y", "stage": "Staging", "reason": "r", "version": 1, "value": "v"},
                ):
                    if body is None or method != "get":
                        yield method.upper(), filled, body
                yield method.upper(), f"{filled}?limit=0&offset=x&force=x", None
        yield "DELETE" if "delete" not in operations else "TRACE", filled, None


def test_no_hint_of_any_route_speaks_of_the_command_line(
    in_process: Callable[[], Served], registry: LocalRegistry, model_file: Path
) -> None:
    registry.register("other")
    registry.push(model_file, name="classifier", metrics={"accuracy": 0.1})
    registry.push(model_file, name="classifier", metrics={"accuracy": 0.9}, stage="Staging")
    registry.push(model_file, name="classifier", metrics={"accuracy": 0.9}, aliases=["champion"])
    registry.promote("classifier@1", "Staging", keep_existing=True)
    rule = {"from": "Staging", "gates": ["accuracy >= 0.5"], "approvals": 1, "approvers": ["ada"], "override": False}
    registry.apply_policy(parse_policy({"Production": rule, "aliases": {"guarded": {"approvals": 1}}}), "classifier")
    server = in_process()
    asked = [
        *((method, path, {"json": body}) for method, path, body in INVALID),
        *(("POST", "/models/classifier/versions", options) for options in UPLOADS),
        ("GET", "/models", {"headers": {"Host": "elsewhere.example"}}),
        ("GET", "/models", {"headers": {"Origin": "https://elsewhere.example"}}),
        ("GET", "/models/classifier/versions/1/artifact", {"headers": {"If-Match": '"x"'}}),
        ("GET", "/models/classifier/versions/1/artifact", {"headers": {"Range": "bytes=9999999-"}}),
        *((method, path, {"json": body}) for method, path, body in generated(server.get("/openapi.json").json())),
    ]
    problems = [
        (f"{method} {path}", answer.json())
        for method, path, options in asked
        if (answer := server.ask(method, path, **options)).status_code >= 400
    ]
    wrong = {said: problem["hint"] for said, problem in problems if not speaks_http(problem)}
    assert wrong == {}
    codes = {problem["code"] for _, problem in problems}
    assert codes >= {
        "bad_input",
        "bad_request",
        "not_found",
        "already_exists",
        "not_allowed",
        "gate_failed",
        "approval_missing",
    }
    assert not [problem for _, problem in problems if problem["status"] == 500]
    assert {f"{method} {path}" for method, path, _ in INVALID} <= {said for said, _ in problems}


def speaks_http(problem: dict[str, Any]) -> bool:
    """Whether the hint of a problem names no command or option, or is for the operator where only they can help."""
    hint = problem["hint"] or ""
    if hint.startswith(OPERATOR):
        return problem["status"] >= 500 or problem["code"] == "foreign_host" or "profile file" in hint
    return re.search(r"\bmreg |(^|\s)--[a-z]|&&|\b(curl|chmod|mkdir|df) ", hint) is None


def test_hints_of_failures_are_for_the_operator(
    in_process: Callable[[], Served], registry: LocalRegistry, model_file: Path
) -> None:
    version = registry.push(model_file, name="classifier")
    server = in_process()
    blob = Path(version.artifact.path.removeprefix("file:"))
    blob.chmod(0o600)
    blob.write_bytes(b"other bytes")
    damaged = server.get("/models/classifier/versions/1/artifact")
    assert (damaged.status_code, damaged.json()["code"]) == (500, "corrupt")
    blob.unlink()
    missing = server.get("/models/classifier/versions/1/artifact")
    assert missing.status_code == 500
    for problem in (damaged.json(), missing.json()):
        assert problem["hint"] is None or problem["hint"].startswith(OPERATOR)


def test_hints_of_a_server_name_requests_and_they_work(server: Served) -> None:
    server.upload(b"x", aliases="champion")
    server.post("/models/classifier/versions/1/transition", {"stage": "Production"})
    refused = server.ask("DELETE", "/models/classifier/versions/1")
    assert refused.status_code == 409
    assert refused.json()["hint"] == (
        'POST /models/classifier/versions/1/transition {"stage": "Archived"}, then DELETE /models/classifier/aliases/champion, '
        "or delete with ?force=true"
    )
    assert server.ask("DELETE", "/models/classifier/versions/1?dry_run=true").status_code == 409
    assert server.ask("DELETE", "/models/classifier/aliases/champion").status_code == 200
    assert server.post("/models/classifier/versions/1/transition", {"stage": "Archived"}).status_code == 200
    missing = server.get("/models/classifier/versions/7").json()
    assert missing["hint"] == "list the versions: GET /models/classifier"
    assert server.get("/models/nothing-like-it").json()["hint"] == "list the models: GET /models"
