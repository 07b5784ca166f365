"""The bytes of a source that MLflow registers, and what its run and its logged model say about it."""

from __future__ import annotations

import logging
import math
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

import mlflow
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import RESOURCE_DOES_NOT_EXIST
from mlflow.utils.file_utils import local_file_uri_to_path
from mlflow.utils.uri import is_local_uri

from mreg.domain.mlflow_names import source_text
from mreg.domain.redaction import redacted
from mreg.domain.text import ENTRIES_LIMIT, check_key, check_value, counted
from mreg.errors import BadInput, MregError

V = TypeVar("V")

_logger = logging.getLogger(__name__)

FOLDER = "model"
"""Name of a folder that was downloaded, and so of its artifact."""


@contextmanager
def downloaded(source: str, tracking_uri: str | None) -> Iterator[str]:
    """Yield the path of the file or folder of a source; a download is removed at the end.

    A source on a file system of this machine is not copied: mreg reads it in place.

    Args:
        source: Any URI or path that MLflow can download, except a version of a registry.

    Raises:
        MlflowException: The source does not exist or cannot be downloaded.
    """
    shown = source_text(source)
    if source.startswith("models:"):
        source = _client(tracking_uri).get_logged_model(source.rpartition("/")[2]).artifact_location
    if is_local_uri(source, is_tracking_or_registry_uri=False):
        path = local_file_uri_to_path(source)
        if not os.path.exists(path):
            raise _unreadable(shown, "No such file or directory", RESOURCE_DOES_NOT_EXIST)
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="mreg-") as folder:
        target = os.path.join(folder, FOLDER)
        os.mkdir(target)
        try:
            path = mlflow.artifacts.download_artifacts(artifact_uri=source, dst_path=target, tracking_uri=tracking_uri)
        except MlflowException as error:
            raise MlflowException(
                _message(shown, error.message), error_code=_code(error), **error.json_kwargs
            ) from error
        except (OSError, ValueError, RuntimeError, ImportError) as error:
            raise _unreadable(shown, str(error)) from error
        yield path


def _unreadable(source: str, reason: str, code: int | None = None) -> MlflowException:
    message = _message(source, reason)
    return MlflowException(message) if code is None else MlflowException(message, error_code=code)


def _message(source: str, reason: str) -> str:
    return (
        f"Unable to download model artifacts from source artifact location '{source}' in order to copy them to the "
        f"registry: {redacted(reason)}. Please ensure the source artifact location exists and that you can download "
        "from it via mlflow.artifacts.download_artifacts()"
    )


def _code(error: MlflowException) -> int:
    from mlflow.protos.databricks_pb2 import ErrorCode

    return int(ErrorCode.Value(error.error_code))


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFacts:
    """What MLflow's tracking says about a version.

    Attributes:
        run_id: The run; empty if there is none.
        metrics: The last value of each metric of the run and of the logged model, which wins.
        parameters: The parameters of both.
    """

    run_id: str = ""
    experiment_id: str = ""
    metrics: Mapping[str, float] = field(default_factory=dict)
    parameters: Mapping[str, str] = field(default_factory=dict)


def run_facts(tracking_uri: str | None, run_id: str | None, model_id: str | None) -> RunFacts:
    """Return the facts of a run and of a logged model.

    A run that cannot be read has no metrics, which is logged: the bytes are registered all the same. So are metrics
    without a finite value, and metrics and parameters that mreg cannot store.
    """
    if not run_id and not model_id:
        return RunFacts()  # a client would create a tracking database
    client = _client(tracking_uri)
    metrics: dict[str, float] = {}
    parameters: dict[str, str] = {}
    experiment_id = ""
    logged: Any = _read(f"logged model {model_id}", lambda: client.get_logged_model(model_id)) if model_id else None
    run_id = run_id or (logged.source_run_id if logged is not None else None)
    run: Any = _read(f"run {run_id}", lambda: client.get_run(run_id)) if run_id else None
    if run is not None:
        experiment_id = run.info.experiment_id
        metrics.update(run.data.metrics)
        parameters.update(run.data.params)
    if logged is not None:
        experiment_id = experiment_id or logged.experiment_id or ""
        # MLflow returns 0 for a metric of a logged model that is not a number; that of the run is right.
        wrong = {name for name, value in metrics.items() if not math.isfinite(value)}
        metrics.update({metric.key: metric.value for metric in logged.metrics or () if metric.key not in wrong})
        parameters.update(logged.params or {})
    return RunFacts(
        run_id=run_id or "",
        experiment_id=str(experiment_id),
        metrics=_kept("metric", metrics, lambda name, value: math.isfinite(value) and bool(check_key("metric", name))),
        parameters=_kept(
            "parameter", parameters, lambda name, value: check_value("parameter", check_key("parameter", name), value)
        ),
    )


def _client(tracking_uri: str | None) -> mlflow.MlflowClient:
    return mlflow.MlflowClient(tracking_uri=tracking_uri)


def _read(what: str, read: Callable[[], V]) -> V | None:
    try:
        return read()
    except (MlflowException, MregError, OSError) as error:
        _logger.warning("no metrics were copied: cannot read the %s: %s", what, redacted(str(error)))
        return None


def _kept(kind: str, found: Mapping[str, V], valid: Callable[[str, V], object]) -> dict[str, V]:
    kept: dict[str, V] = {}
    left_out: list[str] = []
    for name, value in sorted(found.items()):
        try:
            good = len(kept) < ENTRIES_LIMIT and valid(name, value) is not False
        except BadInput:
            good = False
        if good:
            kept[name] = value
        else:
            left_out.append(name)
    if left_out:
        _logger.warning("not copied from the run: %s: %s", counted(len(left_out), kind), _listed(left_out))
    return kept


def _listed(names: Iterable[str]) -> str:
    shown = [name for name, _ in zip(names, range(5), strict=False)]
    return redacted(", ".join(shown))
