"""Imports from a SQLite database of MLflow: versions of 10 KB, each with a run."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from benchmarks.measure import MREG, Figure, run
from tests.mlflow_source import ODD, seed

WANTED_RATE = 30.0
SIZE = 10_240


def measure(folder: Path, *, quick: bool) -> Iterator[Figure]:
    """The command without the time of its dry run, which loads MLflow and lists the versions."""
    versions = 200 if quick else 1_000
    place = folder / "mlflow"
    place.mkdir()
    uri = f"sqlite:///{place / 'mlflow.db'}"
    # Versions 4 and 11 are deleted.
    seed(uri, place, models=("churn",), versions=versions + 2, size=SIZE // len(ODD), shared=1)
    os.environ.update(MREG_CATALOG=str(folder / "catalog.db"), MREG_ARTIFACTS=str(folder / "artifacts"))
    empty = run([*MREG, "import", f"mlflow:{uri}", "--dry-run", "-q"])
    seconds = run([*MREG, "import", f"mlflow:{uri}", "-q"])
    yield Figure(
        name=f"import of {versions} versions of 10 KB from SQLite",
        value=seconds - empty,
        unit="s",
        limit=versions / WANTED_RATE,
        note=f"{versions / (seconds - empty):.0f}/s, and {empty:.1f} s to load MLflow and list the versions",
    )
    yield Figure(
        name=f"second import of {versions} versions", value=run([*MREG, "import", f"mlflow:{uri}", "-q"]), unit="s"
    )
