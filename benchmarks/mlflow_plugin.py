"""``load_model`` of MLflow from a registry of mreg, beside MLflow's own from a folder."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from benchmarks.measure import Figure
from tests.servers import WRITER, S3Server, new_place

ALLOWED_SECONDS = 0.1

LOADS = """
import json, statistics, sys, time
import mlflow
from sklearn.linear_model import LogisticRegression

tracking, folder, rounds = sys.argv[1], sys.argv[2], int(sys.argv[3])
mlflow.set_tracking_uri(tracking)
mlflow.set_registry_uri("mreg:")
client = mlflow.MlflowClient()
mlflow.sklearn.save_model(LogisticRegression().fit([[0.0], [1.0]], [0, 1]), folder, pip_requirements=["scikit-learn"])
client.create_registered_model("churn")
client.create_model_version("churn", folder)
client.set_registered_model_alias("churn", "champion", 1)
times = {uri: [] for uri in (folder, "models:/churn@champion")}
for _ in range(rounds + 1):
    for uri, seconds in times.items():
        began = time.perf_counter()
        mlflow.pyfunc.load_model(uri)
        seconds.append(time.perf_counter() - began)
print(json.dumps([statistics.median(seconds[1:]) for seconds in times.values()]))
"""


def measure(folder: Path, *, quick: bool) -> Iterator[Figure]:
    """The second and later loads in one process, with the artifacts in a folder and in a bucket."""
    rounds = 3 if quick else 15
    yield _figure(folder / "mlflow-file", "a folder", {}, rounds)
    server = S3Server()
    server.start()
    try:
        bucket = {
            "MREG_ARTIFACTS": new_place(server).url, "MREG_ENDPOINT_URL": server.endpoint,
            "AWS_ACCESS_KEY_ID": WRITER[0], "AWS_SECRET_ACCESS_KEY": WRITER[1], "AWS_EC2_METADATA_DISABLED": "true",
        }  # fmt: skip
        yield _figure(folder / "mlflow-bucket", "a bucket and the pull cache", bucket, rounds)
    finally:
        server.stop()


def _figure(folder: Path, place: str, variables: dict[str, str], rounds: int) -> Figure:
    folder.mkdir()
    words = (f"sqlite:///{folder}/mlflow.db", str(folder / "model"), str(rounds))
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", LOADS, *words],
        env={**os.environ, "MREG_CATALOG": str(folder / "catalog.db"), "MLFLOW_DISABLE_TELEMETRY": "true", **variables},
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    plain, loaded = json.loads(done.stdout.splitlines()[-1])
    return Figure(
        name=f"load_model again, from {place}", value=loaded, unit="s", limit=plain + ALLOWED_SECONDS,
        note=f"MLflow from a folder: {plain:.3f} s",
    )  # fmt: skip
