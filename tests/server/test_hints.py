"""Hints over HTTP: requests in place of commands."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import mreg
from mreg.server.hints import OPERATORS, http_hint
from tests.server.conftest import Served


@pytest.mark.parametrize(
    ("hint", "said"),
    [
        ("", ""),
        ("did you mean classifier?", "did you mean classifier?"),
        ("mreg list shows the models there are", "GET /models shows the models there are"),
        ("mreg show team/m lists its versions", "GET /models/team%2Fm lists its versions"),
        ("look and try again: mreg show m@3", "look and try again: GET /models/m/versions/3"),
        ("mreg show m@production~1", "GET /models/m/versions/production~1"),
        ("mreg show m, or mreg edit m", "GET /models/m, or PATCH /models/m"),
        ("mreg history m@3", "GET /models/m/versions/3/history"),
        ("mreg history m --at 2026-03-01", "GET /models/m/stages?at=2026-03-01"),
        ("mreg history --limit 1000 shows the newest ones", "GET /history?limit=1000 shows the newest ones"),
        ("when it answers again, see mreg history; x", "when it answers again, see GET /history; x"),
        ("mreg lineage m@3", "GET /models/m/versions/3/lineage"),
        ("mreg why m@3", "GET /models/m/versions/3/why"),
        (
            "name the stage to bring it back: mreg promote m@3 --to staging",
            'name the stage to bring it back: POST /models/m/versions/3/transition {"stage": "Staging"}',
        ),
        (
            "mreg promote m@3 --to production --override REASON",
            'POST /models/m/versions/3/transition {"stage": "Production", "override": "REASON"}',
        ),
        ("mreg archive m@3 --yes", 'POST /models/m/versions/3/transition {"stage": "Archived"}'),
        ("ada may give it: mreg approve m@3", "ada may give it: POST /models/m/versions/3/approve"),
        ("mreg approve m@latest --to champion", 'POST /models/m/versions/latest/approve {"stage": "champion"}'),
        ("mreg reject m@3 --reason REASON", 'POST /models/m/versions/3/reject {"reason": "REASON"}'),
        (
            "ada can take that back: mreg reject m@3 --withdraw",
            "ada can take that back: DELETE /models/m/versions/3/decision",
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
        ("change the policy first: mreg policy apply FILE --model m", "change the policy first: PUT /models/m/policy"),
        ("mreg audit verify", "GET /audit"),
        ("give a finite decimal number: --metric f1=0.95", 'give a finite decimal number: metrics: {"f1": 0.95}'),
        ('add --reason "..."', 'add "reason": "..."'),
        ("mreg restore FILE brings a backup back", "mreg restore FILE brings a backup back"),
        ("mreg upgrade --check shows the changes", "mreg upgrade --check shows the changes"),
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
    names = "|".join(sorted({*OPERATORS, "list", "show", "push", "pull", "promote", "archive", "rollback", "delete"}))
    left: dict[str, str] = {}
    seen = 0
    for part in ("registry", "domain", "catalog", "server"):
        for path in sorted((package / part).rglob("*.py")):
            for text in texts(path):
                seen += "mreg " in text
                for word in re.findall(rf"\bmreg ({names}|[a-z]+)\b(?= |$)", http_hint(text)):
                    if word not in OPERATORS and word in KNOWN:
                        left[text] = word
    assert seen > 50
    assert {text for text in left if text not in ELSEWHERE} == set()


KNOWN = {
    "alias", "approve", "approvals", "archive", "audit", "compare", "delete", "deploy", "deployments", "edit", "evaluate",
    "history",
    "lineage", "list", "policy", "promote", "pull", "push", "register", "reject", "rename", "rollback", "search", "show",
    "tag", "why",
}  # fmt: skip
"""Commands for which HTTP has a route."""

ELSEWHERE = {
    "Condition in the language of mreg search (default: none). A time without a zone is UTC.",
    "more deployments of the hook m wait; to run them: mreg deploy --pending",
    "mreg pull m@3",
    "mreg pull m@3 DEST",
    "mreg pull m@3 m",
    "mreg tag m team=fraud, or --remove team",
}
"""Texts that no client of HTTP gets."""


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
    assert missing["hint"] == "GET /models/classifier lists its versions"
    assert server.get("/models/nothing-like-it").json()["hint"] == "GET /models shows the models there are"
