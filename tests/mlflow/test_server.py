"""MLflow's own server with a registry of mreg, and its remote clients."""

from __future__ import annotations

from typing import Any

import pytest

from tests.mlflow.conftest import Logged

API = "/api/2.0/mlflow"


@pytest.fixture
def http(client: Any, logged: Logged, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A client of the server's routes, without a network."""
    from mlflow.server import app, handlers
    from mlflow.server.constants import ARTIFACT_ROOT_ENV_VAR, BACKEND_STORE_URI_ENV_VAR, REGISTRY_STORE_URI_ENV_VAR

    monkeypatch.setenv(BACKEND_STORE_URI_ENV_VAR, logged.tracking_uri)
    monkeypatch.setenv(REGISTRY_STORE_URI_ENV_VAR, "mreg:")
    monkeypatch.setenv(ARTIFACT_ROOT_ENV_VAR, "mlflow-artifacts:/")
    for store in ("_tracking_store", "_model_registry_store"):
        monkeypatch.setattr(handlers, store, None)
    return app.test_client()


def test_a_remote_client_registers_a_logged_model_and_reads_it(http: Any, logged: Logged) -> None:
    assert http.post(f"{API}/registered-models/create", json={"name": "churn"}).status_code == 200
    answer = http.post(
        f"{API}/model-versions/create",
        json={"name": "churn", "source": f"models:/{logged.model_id}", "model_id": logged.model_id},
    )
    assert answer.status_code == 200, answer.text
    assert answer.json["model_version"]["version"] == "1"
    found = http.get(f"{API}/model-versions/search", query_string={"filter": "name = 'churn'"}).json
    assert [version["version"] for version in found["model_versions"]] == ["1"]
    missing = http.get(f"{API}/registered-models/get", query_string={"name": "ghost"})
    assert (missing.status_code, missing.json["error_code"]) == (404, "RESOURCE_DOES_NOT_EXIST")


@pytest.mark.parametrize(
    "source",
    ["file:///etc/passwd", "/etc/passwd", "file://localhost/etc/passwd", "file:/etc/passwd", "//etc/passwd", "etc/../passwd",
     "FILE:///etc/passwd", "mlflow-artifacts:/../../etc/passwd", "runs:/x/../../etc/passwd", ""],
)  # fmt: skip
def test_a_remote_client_cannot_register_a_file_of_the_server(http: Any, source: str, logged: Logged) -> None:
    assert http.post(f"{API}/registered-models/create", json={"name": "churn"}).status_code == 200
    for extra in ({}, {"run_id": logged.run_id}, {"model_id": logged.model_id}):
        answer = http.post(f"{API}/model-versions/create", json={"name": "churn", "source": source, **extra})
        assert answer.status_code == 400, answer.text
    assert http.get(f"{API}/model-versions/search").json == {}
