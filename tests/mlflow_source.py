"""A registry of MLflow to import from: a SQLite database, a file store, and a real tracking server over it."""

from __future__ import annotations

import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.request
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

MODELS = ("churn", "Fraud model (v2)", "prévision")
VERSIONS = 20
GAPS = (4, 11)
"""Versions that were deleted."""

ODD = ("MLmodel", "a b/ü ñ.txt", "100% +1.bin", "deep/er/model.pkl")
"""Files of each version."""

ESCAPED = "100%2e%2e.bin"
"""A further file of the first model's last version; a tracking server and its client decode names too often to serve it."""


def seed(
    uri: str,
    root: Path,
    *,
    models: tuple[str, ...] = MODELS,
    versions: int = VERSIONS,
    size: int = 100,
    shared: int = 5,
) -> None:
    """Fill a registry with models whose versions have runs, artifacts, tags, stages and aliases.

    Args:
        size: Size of each of the four files of a version.
        shared: Number of versions of each run.
    """
    with settings():
        from mlflow.tracking import MlflowClient

        client = MlflowClient(tracking_uri=uri, registry_uri=uri)
        experiment = client.create_experiment("training", artifact_location=(root / "artifacts").as_uri())
        run = None
        for model in models:
            client.create_registered_model(model, tags={"team": "risk"}, description=f"{model}: tells things apart\n")
            for number in range(1, versions + 1):
                if run is None or number % shared == 1 % shared:
                    run = client.create_run(experiment)
                    client.log_metric(run.info.run_id, "accuracy", 0.5 + number / 100)
                    client.log_param(run.info.run_id, "lr", "0.1")
                place = Path(run.info.artifact_uri.removeprefix("file://")) / f"model-{number}"
                for name in (*ODD, ESCAPED) if (model, number) == (MODELS[0], VERSIONS) else ODD:
                    (place / name).parent.mkdir(parents=True, exist_ok=True)
                    (place / name).write_bytes(f"{model} {number} {name}".encode().ljust(size, b"."))
                tags = {"stamp": f"{number}", "mlflow.user": "ada"}
                client.create_model_version(
                    model,
                    place.as_uri(),
                    run.info.run_id,
                    tags=tags,
                    description=f"version {number}",
                    await_creation_for=0,
                )
            for number in GAPS:
                if number <= versions:
                    client.delete_model_version(model, str(number))
            for stage, number in (("Production", 3), ("Staging", 5), ("Archived", 1)):
                if number <= versions:
                    client.transition_model_version_stage(model, str(number), stage)
            client.set_registered_model_alias(model, "champion", "3")
            client.set_registered_model_alias(model, "2nd", str(min(versions, 6)))


@contextmanager
def settings() -> Iterator[None]:
    """What MLflow needs to be silent, to send nothing, and to write a file store."""
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in ("MLFLOW_DISABLE_TELEMETRY", "MLFLOW_ALLOW_FILE_STORE"):
            patch.setenv(name, "true")
        patch.setenv("MLFLOW_CONFIGURE_LOGGING", "false")
        yield


class Source:
    """A seeded registry.

    Attributes:
        place: The folder of the database and the artifacts.
    """

    def __init__(self, place: Path) -> None:
        self.place = place

    @property
    def database(self) -> Path:
        return self.place / "mlflow.db"

    @property
    def uri(self) -> str:
        return f"sqlite:///{self.database}"

    def copy(self, to: Path) -> Source:
        """Copy the database; the artifacts are shared."""
        to.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(self.database, to / "mlflow.db")
        return Source(to)

    def execute(self, sql: str, *values: object) -> list[Any]:
        with sqlite3.connect(self.database) as connection:
            found = connection.execute(sql, values).fetchall()
        connection.close()
        return found


class Server:
    """A real tracking server over a copy of a source, which serves its artifacts."""

    def __init__(self, source: Source, place: Path) -> None:
        self.source = source.copy(place)
        root = (source.place / "artifacts").as_uri()
        for table, column in (
            ("model_versions", "source"),
            ("model_versions", "storage_location"),
            ("runs", "artifact_uri"),
            ("experiments", "artifact_location"),
        ):
            self.source.execute(f"UPDATE {table} SET {column} = replace({column}, ?, 'mlflow-artifacts:')", root)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(self.port)]
        command += ["--backend-store-uri", self.source.uri, "--artifacts-destination", str(source.place / "artifacts")]
        command += ["--workers", "1"]
        environment = {**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
        self.log = open(place / "server.log", "wb")  # noqa: SIM115  closed by `stop`
        self.process = subprocess.Popen(
            command, stdout=self.log, stderr=self.log, env=environment, cwd=place, start_new_session=True
        )
        self._wait()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def _wait(self) -> None:
        for _attempt in range(600):
            try:
                with urllib.request.urlopen(f"{self.url}/health", timeout=5):
                    return
            except OSError:
                assert self.process.poll() is None, Path(self.log.name).read_text()
                time.sleep(0.1)
        raise AssertionError("the tracking server did not start")

    def stop(self) -> None:
        os.killpg(self.process.pid, 15)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, 9)
            self.process.wait()
        self.log.close()
