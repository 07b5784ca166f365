"""MLflow, imported once in each process, with one run and one model for all tests."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest


@dataclass(frozen=True)
class Logged:
    """A run with a logged model: a classifier of scikit-learn.

    Attributes:
        x: Data that it classifies as ``y``.
    """

    tracking_uri: str
    run_id: str
    experiment_id: str
    model_id: str
    x: Any
    y: Any


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """MLflow and its dependencies warn in tests of their own; only what mreg causes is an error here."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.filterwarnings("error:::mreg"), append=False)
            item.add_marker(pytest.mark.filterwarnings("ignore"), append=False)


@pytest.fixture(scope="session")
def logged(people: Path) -> Logged:
    """A tracking database with a run and its model, made once."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import mlflow
        import numpy
        from sklearn.linear_model import LogisticRegression

        folder = people / "tracking"
        folder.mkdir()
        x, y = numpy.array([[0.0], [1.0], [2.0], [3.0]]), numpy.array([0, 0, 1, 1])
        with pytest.MonkeyPatch.context() as monkeypatch:
            _use(monkeypatch, f"sqlite:///{folder}/mlflow.db")
            experiment = mlflow.create_experiment("all", artifact_location=(folder / "artifacts").as_uri())
            with mlflow.start_run(experiment_id=experiment) as run:
                mlflow.log_metrics({"accuracy": 0.95, "diverged": float("nan")})
                mlflow.log_params({"lr": "0.01", "note": "a" * 5_500})
                model = LogisticRegression().fit(x, y)
                info = mlflow.sklearn.log_model(model, name="model", pip_requirements=["scikit-learn"])
            return Logged(
                tracking_uri=mlflow.get_tracking_uri(), run_id=run.info.run_id, experiment_id=experiment,
                model_id=info.model_id, x=x, y=y,
            )  # fmt: skip


def _use(monkeypatch: pytest.MonkeyPatch, tracking_uri: str, registry_uri: str | None = None) -> None:
    import mlflow.tracking._model_registry.utils as registry
    import mlflow.tracking._tracking_service.utils as tracking

    monkeypatch.setattr(tracking, "_tracking_uri", tracking_uri)
    monkeypatch.setattr(registry, "_registry_uri", registry_uri)


@pytest.fixture
def client(logged: Logged, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """MLflow's client with the default profile of mreg as its registry; both belong to this test alone."""
    import mlflow

    from mreg.mlflow import opened

    _use(monkeypatch, logged.tracking_uri, "mreg:")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", logged.tracking_uri)
    monkeypatch.setenv("MLFLOW_REGISTRY_URI", "mreg:")
    monkeypatch.setenv("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    yield mlflow.MlflowClient()
    opened.close_all()


@pytest.fixture
def source(tmp_path: Path) -> str:
    """A folder that has the form of a model of MLflow, and is never loaded."""
    folder = tmp_path / "model"
    (folder / "data").mkdir(parents=True)
    (folder / "MLmodel").write_text("artifact_path: model\n")
    (folder / "data" / "weights.bin").write_bytes(os.urandom(64))
    return str(folder)
