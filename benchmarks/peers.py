"""The same work on other registries, where they are installed."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from benchmarks.measure import MREG, Figure, in_turn, run

MLFLOW_PUSH = """
import sys, mlflow
mlflow.set_tracking_uri(sys.argv[1])
with mlflow.start_run() as run:
    mlflow.log_artifact(sys.argv[2], "model")
    mlflow.log_metric("accuracy", 0.95)
client = mlflow.MlflowClient()
try:
    client.create_registered_model("peer")
except mlflow.exceptions.MlflowException:
    pass
client.create_model_version("peer", run.info.artifact_uri + "/model", run.info.run_id)
"""


def measure(folder: Path, *, quick: bool) -> Iterator[Figure]:
    """Start-up and the push of a small model, beside mreg's; a peer that is not installed is said to be missing."""
    rounds = 1 if quick else 3
    model = folder / "peer.bin"
    model.write_bytes(b"m" * 1024)
    start, push = in_turn(
        [lambda: run([*MREG, "--version"]), lambda: run([*MREG, "push", str(model), "--name", "peer"])], rounds
    )
    yield Figure(name="mreg --version", value=start, unit="s")
    yield Figure(name="mreg push of 1 KiB", value=push, unit="s")
    bin_folder = Path(sys.executable).parent
    for peer in ("mlflow", "dvc", "gto"):
        command = str(bin_folder / peer) if (bin_folder / peer).exists() else shutil.which(peer)
        if command is None:
            yield Figure(name=f"{peer} is not installed", value=0, unit="")
            continue
        seconds = in_turn([partial(run, [command, "--version"])], rounds)[0]
        yield Figure(name=f"{peer} --version", value=seconds, unit="s")
        yield from {"mlflow": _mlflow, "dvc": _dvc, "gto": _gto}[peer](folder, command, model, rounds)


def _mlflow(folder: Path, _command: str, model: Path, rounds: int) -> Iterator[Figure]:
    uri = f"sqlite:///{folder}/mlflow.db"
    seconds = in_turn([lambda: run([sys.executable, "-c", MLFLOW_PUSH, uri, str(model)])], rounds)[0]
    yield Figure(name="mlflow: log, register, new version of 1 KiB", value=seconds, unit="s")


def _dvc(folder: Path, command: str, model: Path, rounds: int) -> Iterator[Figure]:
    repository = _repository(folder / "dvc")
    subprocess.run([command, "init", "-q"], cwd=repository, check=True)
    subprocess.run([command, "remote", "add", "-d", "here", str(folder / "dvc-remote")], cwd=repository, check=True)
    numbers = iter(range(1000))

    def push() -> float:
        (repository / "model.bin").write_bytes(model.read_bytes() + str(next(numbers)).encode())
        return run([command, "add", "-q", "model.bin"], cwd=repository) + run([command, "push", "-q"], cwd=repository)

    yield Figure(name="dvc add and push of 1 KiB", value=in_turn([push], rounds)[0], unit="s")


def _gto(folder: Path, command: str, _model: Path, rounds: int) -> Iterator[Figure]:
    repository = _repository(folder / "gto")
    numbers = iter(range(1, 1000))

    def register() -> float:
        subprocess.run(["git", "commit", "-q", "--allow-empty", "-m", "next"], cwd=repository, check=True)
        return run([command, "register", "peer", "--version", f"v0.0.{next(numbers)}"], cwd=repository)

    yield Figure(name="gto register (a tag, no bytes)", value=in_turn([register], rounds)[0], unit="s")


def _repository(folder: Path) -> Path:
    folder.mkdir()
    for words in (
        ["init", "-q"],
        ["config", "user.name", "b"],
        ["config", "user.email", "b@example.com"],
        ["commit", "-q", "--allow-empty", "-m", "first"],
    ):
        subprocess.run(["git", *words], cwd=folder, check=True)
    return folder
