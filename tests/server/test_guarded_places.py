"""Over HTTP a writer cannot take a version out of a stage or from under an alias that the policy guards."""

from __future__ import annotations

import pytest

from tests.server.conftest import Serve, Served, Tokens


@pytest.fixture
def guarded(serve: Serve, tokens: Tokens) -> Served:
    """classifier@1, in Production and champion, under rules that name the approver and allow no overrides."""
    server = serve("--token-file", str(tokens.file), secret=tokens.secrets["admin"])
    server.post("/models", {"name": "classifier"})
    assert server.upload(b"1", accuracy="0.9", aliases="champion").status_code == 200
    assert server.upload(b"2", accuracy="0.8").status_code == 200
    assert server.post("/models/classifier/versions/1/transition", {"stage": "Production"}).status_code == 200
    rule = {"gates": ["accuracy >= production.accuracy"], "approvers": ["approver"]}
    policy = {"Production": rule, "aliases": {"Champion": rule}}
    assert server.ask("PUT", "/policy", json=policy).status_code == 200
    return server


def test_a_writer_and_an_admin_cannot_empty_production(guarded: Served, tokens: Tokens) -> None:
    version, transition = "/models/classifier/versions/1", "/models/classifier/versions/1/transition"
    for role in ("writer", "admin"):
        guarded.secret = tokens.secrets[role]
        for stage in ("Archived", "None", "Staging"):
            answer = guarded.post(transition, {"stage": stage})
            assert (answer.status_code, answer.json()["code"]) == (409, "approval_missing")
            assert "allows this only to approver" in answer.json()["detail"]
            answer = guarded.post(transition, {"stage": stage, "override": "x"})
            assert (answer.status_code, answer.json()["code"]) == (409, "not_allowed")
        for alias in ("champion", "CHAMPION"):
            assert guarded.ask("DELETE", f"/models/classifier/aliases/{alias}").status_code == 409
            moved = guarded.ask("PUT", f"/models/classifier/aliases/{alias}", json={"version": 2})
            assert moved.json()["code"] == "gate_failed"
        plan = guarded.get(f"{version}/plan?stage=Archived").json()
        assert (plan["allowed"], plan["leaving"]["may_take_out"]) == (False, ["approver"])
    for path in (f"{version}?force=true", "/models/classifier?force=true"):
        assert guarded.ask("DELETE", path).json()["code"] == "approval_missing"
    assert guarded.post("/models/classifier/rename", {"name": "other"}).json()["code"] == "approval_missing"
    guarded.secret = tokens.secrets["approver"]
    assert guarded.post(transition, {"stage": "Archived"}).status_code == 200
    guarded.secret = tokens.secrets["writer"]
    answer = guarded.post("/models/classifier/versions/2/transition", {"stage": "Production"})
    assert (answer.status_code, answer.json()["code"]) == (409, "gate_failed")
