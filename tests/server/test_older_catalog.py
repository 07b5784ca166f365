"""A server on a catalog of a past release: it answers GET, changes no byte, and refuses to write."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from mreg.catalog.schema import SCHEMA
from tests.hostile import snapshot
from tests.server.conftest import Serve

COMPAT = Path(__file__).parent.parent / "compat"

VERSION = "/models/classifier/versions/2"
ROUTES = (
    "/models", "/models/classifier", "/models/classifier/production", "/models/classifier/compare?version_a=1&version_b=2",
    "/models/classifier/history", "/models/classifier/stages?at=2099-01-01", "/models/classifier/deployments",
    "/models/classifier/policy", VERSION, f"{VERSION}/files", f"{VERSION}/files/a",
    f"{VERSION}/history", f"{VERSION}/lineage", f"{VERSION}/why", f"{VERSION}/plan?stage=Staging", "/search",
    "/compare?version_a=classifier@1&version_b=classifier@2", "/history", "/audit", "/approvals", "/policy", "/healthz",
    "/readyz", "/metrics",
)  # fmt: skip


@pytest.mark.parametrize("schema", range(1, SCHEMA))
def test_every_get_route_answers_and_changes_no_byte(
    schema: int, tmp_path: Path, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = tmp_path / "store"
    shutil.copytree(COMPAT / f"schema-{schema}", store)
    monkeypatch.setenv("MREG_CATALOG", str(store / "catalog.db"))
    before = snapshot(store)
    server = serve()
    answers = {route: server.get(route).status_code for route in ROUTES}
    assert answers == dict.fromkeys(ROUTES, 200)
    assert snapshot(store) == before
    refused = server.post("/models", {"name": "another"})
    assert (refused.status_code, refused.json()["code"]) == (503, "unavailable")
    assert "mreg upgrade" in refused.json()["hint"]
    assert server.upload(b"x").status_code == 503
    assert server.stop() == 0
    assert snapshot(store) == before
