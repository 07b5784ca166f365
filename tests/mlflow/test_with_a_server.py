"""MLflow's client with a registry behind ``mreg serve``, named by variables: the same calls, and the role of the token."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mreg.errors import Unavailable
from tests.conftest import Mreg
from tests.mlflow.conftest import Logged
from tests.mlflow.test_client import refused
from tests.serving import Serving, serving


@pytest.fixture(scope="module")
def served(people: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    folder = tmp_path_factory.mktemp("served")
    with serving(folder, {"MREG_CATALOG": str(folder / "catalog.db")}) as found:
        yield found


@pytest.fixture(autouse=True)
def _with_the_server(served: Serving, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MREG_SERVER", served.url)
    monkeypatch.setenv("MREG_TOKEN", served.secrets["ada"])


def test_a_model_is_registered_moved_loaded_and_deleted(
    client: Any, logged: Logged, command: Mreg, tmp_path: Path
) -> None:
    import mlflow

    client.create_registered_model("churn", tags={"team": "fraud"})
    version = client.create_model_version("churn", f"models:/{logged.model_id}", run_id=logged.run_id)
    assert version.version == 1
    assert client.get_model_version_download_uri("churn", 1) == "mreg://churn@1"
    client.set_registered_model_alias("churn", "champion", 1)
    client.transition_model_version_stage("churn", 1, "Production")
    loaded = mlflow.pyfunc.load_model("models:/churn@champion")
    assert loaded.predict(logged.x).tolist() == logged.y.tolist()
    assert [one.name for one in client.search_registered_models("name LIKE 'ch%'")] == ["churn"]
    assert client.copy_model_version("models:/churn/1", "copy").version == 1
    client.rename_registered_model("copy", "second")
    client.delete_registered_model("second")
    folder = mlflow.artifacts.download_artifacts("models:/churn/1", dst_path=str(tmp_path))
    assert Path(folder, "MLmodel").exists()
    assert refused("RESOURCE_DOES_NOT_EXIST", client.get_registered_model, "none").endswith("name=none not found")
    assert command("show", "churn@champion", "--json").code == 0
    assert not (Path.home() / ".local/share/mreg/catalog.db").exists()


def test_a_refusal_for_the_token_has_a_code_of_its_own(
    client: Any, served: Serving, command: Mreg, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mreg.mlflow import opened

    reader = command("token", "create", "reading", "-q").out.strip()
    limited = command("token", "create", "limited", "--role", "writer", "--models", "team/*", "-q").out.strip()

    def use(secret: str) -> None:
        opened.close_all()
        monkeypatch.setenv("MREG_TOKEN", secret)

    use(reader)
    assert "this needs role writer" in refused("PERMISSION_DENIED", client.create_registered_model, "new")
    use(limited)
    assert "limited to the models team/*" in refused("PERMISSION_DENIED", client.create_registered_model, "new")
    use("mreg_unknown")
    assert "unknown token" in refused("UNAUTHENTICATED", client.get_registered_model, "new")
    opened.close_all()
    monkeypatch.delenv("MREG_SERVER")
    message = refused("INVALID_PARAMETER_VALUE", client.get_registered_model, "new")
    assert message.startswith("MREG_TOKEN is set, and no server is named (hint: name the server: export MREG_SERVER=")


def test_a_registry_that_another_one_replaces_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    from mreg.mlflow import opened

    before = opened.registry(None)
    before.models()
    assert opened.registry(None) is before
    monkeypatch.setenv("MREG_MODEL", "churn")
    opened.registry(None).models()
    with pytest.raises(Unavailable, match="the registry is closed"):
        before.models()
    opened.close_all()
