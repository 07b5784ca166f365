"""Models of scikit-learn that MLflow logs, registers and loads."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import mreg
from tests.conftest import Mreg
from tests.mlflow.conftest import Logged


def test_a_model_that_is_logged_with_a_name_is_stored_verified_and_loaded_by_version_alias_and_stage(
    client: Any, logged: Logged, command: Mreg
) -> None:
    import mlflow
    from sklearn.linear_model import LogisticRegression

    with mlflow.start_run(experiment_id=logged.experiment_id) as run:
        mlflow.log_metric("accuracy", 0.97)
        mlflow.sklearn.log_model(
            LogisticRegression().fit(logged.x, logged.y),
            name="model", registered_model_name="Churn model", pip_requirements=["scikit-learn"],
        )  # fmt: skip
    client.set_registered_model_alias("Churn model", "champion", 1)
    client.transition_model_version_stage("Churn model", 1, "Production")
    for uri in ("1", "Production", "latest"):
        assert list(mlflow.pyfunc.load_model(f"models:/Churn model/{uri}").predict(logged.x)) == list(logged.y)
    loaded = mlflow.sklearn.load_model("models:/Churn model@champion")
    assert isinstance(loaded, LogisticRegression)
    assert mlflow.pyfunc.load_model("models:/Churn model@champion").metadata.run_id == run.info.run_id
    assert command("verify").code == 0
    with mreg.open_registry() as registry:
        version = registry.version("Churn_x20_model@champion")
        assert (version.metrics["accuracy"], version.run_id) == (0.97, run.info.run_id)
        assert version.experiment_id == logged.experiment_id
        assert version.artifact.name == "model"
        assert {file.path for file in registry.files(version)} >= {"MLmodel", "requirements.txt", "conda.yaml"}


def test_autolog_registers_a_fit_whose_metrics_come_later(client: Any, logged: Logged) -> None:
    import mlflow
    from sklearn.linear_model import LogisticRegression

    mlflow.sklearn.autolog(registered_model_name="auto", extra_tags={"team": "fraud"})
    try:
        with mlflow.start_run(experiment_id=logged.experiment_id):
            LogisticRegression(C=0.5).fit(logged.x, logged.y)
    finally:
        mlflow.sklearn.autolog(disable=True)
    client.set_registered_model_alias("auto", "champion", 1)
    version = client.get_model_version("auto", 1)
    assert {param.key: param.value for param in version.params}["C"] == "0.5"
    assert {metric.key for metric in version.metrics} >= {"training_accuracy_score", "training_log_loss"}
    assert list(mlflow.pyfunc.load_model("models:/auto/1").predict(logged.x)) == list(logged.y)


def test_a_run_a_logged_model_and_a_version_can_be_registered(client: Any, logged: Logged) -> None:
    import mlflow

    from_run = mlflow.register_model(f"runs:/{logged.run_id}/model", "churn")
    from_model = mlflow.register_model(f"models:/{logged.model_id}", "churn", tags={"team": "fraud"})
    from_version = mlflow.register_model("models:/churn/2", "copied")
    from_stage = client.transition_model_version_stage("churn", 2, "Staging") and mlflow.register_model(
        "models:/churn/Staging", "copied"
    )
    copied = client.copy_model_version(f"models:/churn/{from_model.version}", "third")
    for version in (from_run, from_model, from_version, copied):
        assert (version.run_id, version.status, version.current_stage) == (logged.run_id, "READY", "None")
        assert [(metric.key, metric.value) for metric in version.metrics] == [("accuracy", 0.95)]
    assert (from_run.model_id, from_model.model_id) == (logged.model_id, logged.model_id)
    assert from_model.source == f"models:/{logged.model_id}"
    assert (from_version.source, copied.source) == ("models:/churn/2", "models:/churn/2")
    assert from_model.tags == copied.tags == {"team": "fraud"}
    assert (from_version.name, from_stage.version) == ("copied", 2)
    with mreg.open_registry() as registry:
        digests = {registry.version(ref).artifact.digest for ref in ("churn@1", "churn@2", "copied@1", "third@1")}
        assert len(digests) == 1
        assert str(registry.version("third@1").parent) == "churn@2"


def test_the_metrics_and_parameters_of_the_run_are_copied_as_far_as_they_can_be_stored(
    client: Any, logged: Logged, caplog: pytest.LogCaptureFixture
) -> None:
    import mlflow

    version = mlflow.register_model(f"models:/{logged.model_id}", "churn")
    assert [(metric.key, metric.value) for metric in version.metrics] == [("accuracy", 0.95)]
    assert [(param.key, param.value) for param in version.params] == [("lr", "0.01")]
    texts = [record.message for record in caplog.records if record.name.startswith("mreg")]
    assert "not copied from the run: 1 metric: diverged" in texts
    assert "not copied from the run: 1 parameter: note" in texts


def test_a_run_that_does_not_exist_has_no_metrics(client: Any, source: str, caplog: pytest.LogCaptureFixture) -> None:
    client.create_registered_model("churn")
    version = client.create_model_version("churn", source, run_id="0" * 32, run_link="https://mlflow.example/runs/0")
    assert (version.metrics, version.run_id, version.run_link) == ([], "0" * 32, "https://mlflow.example/runs/0")
    assert any("cannot read the run 0000" in record.message for record in caplog.records)


def test_a_model_is_loaded_by_another_process_and_registered_by_both(client: Any, logged: Logged) -> None:
    import mlflow

    mlflow.register_model(f"models:/{logged.model_id}", "churn")
    script = (
        "import sys, mlflow\n"
        "model = mlflow.pyfunc.load_model('models:/churn/1')\n"
        "print(list(model.predict([[0.0], [3.0]])))\n"
        "client = mlflow.MlflowClient()\n"
        "for _ in range(5): client.create_model_version('churn', sys.argv[1])\n"
    )
    other = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", script, f"models:/{logged.model_id}"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    for _ in range(5):
        client.create_model_version("churn", f"models:/{logged.model_id}")
    out, err = other.communicate(timeout=240)
    assert other.returncode == 0, err
    assert out.strip().splitlines()[-1] in ("[0, 1]", "[np.int64(0), np.int64(1)]")
    assert sorted(version.version for version in client.search_model_versions("name = 'churn'")) == [*range(1, 12)]


def test_ordinary_commands_do_not_import_mlflow() -> None:
    code = "import sys\nfrom mreg.cli.app import run\nrun(['list'])\nsys.exit('mlflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, capture_output=True).returncode == 0


def test_the_artifacts_of_a_version_are_listed_and_downloaded(client: Any, source: str, tmp_path: Path) -> None:
    import mlflow

    client.create_registered_model("team model")
    client.create_model_version("team model", source)
    uri = client.get_model_version_download_uri("team model", "1")
    assert uri == "mreg://team_x20_model@1"
    assert [(info.path, info.is_dir) for info in mlflow.artifacts.list_artifacts(uri)] == [
        ("MLmodel", False), ("data", True),
    ]  # fmt: skip
    listed = mlflow.artifacts.list_artifacts("models:/team model/1")
    assert [info.path for info in listed] == ["MLmodel", "data"]
    assert mlflow.artifacts.load_text(f"{uri}/MLmodel") == "artifact_path: model\n"
    target = tmp_path / "out"
    target.mkdir()
    (target / "MLmodel").write_text("older")
    (target / "kept.txt").write_text("kept")
    for address in (f"{uri}/data", f"{uri}/data/weights.bin", uri):
        mlflow.artifacts.download_artifacts(address, dst_path=str(target))
    weights = Path(source, "data", "weights.bin").read_bytes()
    assert (target / "data" / "weights.bin").read_bytes() == weights
    assert (target / "MLmodel").read_text() == "artifact_path: model\n"
    assert (
        target / "weights.bin"
    ).read_bytes() == weights  # a part of a folder has no folders, as everywhere in MLflow
    assert {path.name for path in target.iterdir()} == {"MLmodel", "data", "kept.txt", "weights.bin"}
    one = mlflow.artifacts.download_artifacts("models:/team model/1/data/weights.bin")
    assert Path(one).read_bytes() == weights


def test_another_profile_is_named_by_the_address(client: Any, source: str, tmp_path: Path) -> None:
    import mlflow

    config = tmp_path / "profiles.yaml"
    config.write_text(json.dumps({"profiles": {"team": {"catalog": str(tmp_path / "team.db")}}}))
    os.environ["MREG_CONFIG"] = str(config)
    try:
        team = mlflow.MlflowClient(registry_uri="mreg://team")
        team.create_registered_model("churn")
        version = team.create_model_version("churn", source)
        uri = team.get_model_version_download_uri("churn", version.version)
        assert uri == "mreg://churn@1?profile=team"
        assert Path(mlflow.artifacts.download_artifacts(uri), "MLmodel").is_file()
        assert Path(mlflow.artifacts.download_artifacts("mreg://churn@1/MLmodel?profile=team")).is_file()
        assert client.search_registered_models() == []
    finally:
        del os.environ["MREG_CONFIG"]


def test_the_plugin_is_found_whatever_is_imported_first() -> None:
    """MLflow skips an entry point whose module is not imported to its end, with a warning."""
    program = (
        "import mreg.mlflow.artifacts\n"
        "from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository\n"
        "print(type(get_artifact_repository('mreg://churn@1')).__name__)"
    )
    found = subprocess.run(
        [sys.executable, "-W", "error::UserWarning", "-c", program], check=False, capture_output=True, text=True
    )
    assert (found.stdout, found.returncode) == ("MregArtifactRepository\n", 0), found.stderr
