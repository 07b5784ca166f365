"""Conversion between rows and domain values, and the checks of stored values."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from functools import lru_cache, wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

from mreg.catalog.database import Row, Value
from mreg.domain.digest import Digest
from mreg.domain.events import DETAILS_LIMIT, Event, details_text, time_text
from mreg.domain.metrics import MetricValue, check_metric
from mreg.domain.model import (
    ArtifactKind,
    ModelArtifact,
    ModelStage,
    ModelStatus,
    ModelVersion,
    RegisteredModel,
    Source,
)
from mreg.domain.names import LARGEST_VERSION, ModelName, Selector, VersionRef, check_alias
from mreg.domain.stored import SIZE_LIMIT, check_event, check_model, check_version, check_year
from mreg.domain.text import check_key, check_line, quoted
from mreg.domain.value import FrozenMapping
from mreg.errors import BadInput, Corrupt

RESTORE = "restore a backup: mreg restore FILE (the artifacts are kept)"

EXACT_LIMIT = 400
"""Maximum length of a metric's exact text; a 64-bit float can represent an integer of 309 digits."""

_EXACT = re.compile(r"-?[0-9]+(\.[0-9]+)?(e[+-]?[0-9]+)?")
_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z")

_NOTHING: Mapping[str, str] = FrozenMapping({})
_STAGES = {stage.value: stage for stage in ModelStage}
_STATUSES = {status.value: status for status in ModelStatus}
_KINDS = {kind.value: kind for kind in ArtifactKind}
"""Faster than calling the classes, which are only called for unknown values, to raise the error."""

P = ParamSpec("P")
T = TypeVar("T")


def row_of(table: str, key: str) -> Callable[[Callable[Concatenate[Row, P], T]], Callable[Concatenate[Row, P], T]]:
    """Decorate a function that reads a row, so that invalid values raise `Corrupt` with the table and the key.

    mreg checks values before it stores them, so another program wrote the row.

    Args:
        key: Column that identifies the row.
    """

    def reading(read: Callable[Concatenate[Row, P], T]) -> Callable[Concatenate[Row, P], T]:
        @wraps(read)
        def checked(row: Row, /, *args: P.args, **kwargs: P.kwargs) -> T:
            try:
                return read(row, *args, **kwargs)
            except (ValueError, TypeError, OverflowError, RecursionError, BadInput) as error:
                why = error.message if isinstance(error, BadInput) else quoted(str(error))
                raise unreadable(table, row[key], why) from error

        return checked

    return reading


def unreadable(table: str, key: Value, why: str) -> Corrupt:
    """Return the error for a row with invalid values."""
    shown = key if isinstance(key, int) else _shown(key)
    return Corrupt(
        f"cannot read the row {shown} of the table {table} in the catalog: {why}",
        hint=RESTORE,
        table=table,
        row=shown,
    )


def _shown(value: Value) -> str:
    if isinstance(value, str):
        return quoted(value)
    return f"{len(value)} bytes" if isinstance(value, bytes) else str(value)


def read_time(value: Value) -> datetime:
    """Return the aware UTC time of a stored text in the form of `mreg.domain.events.time_text`.

    Raises:
        ValueError, BadInput: The text has another form, or the time is invalid or out of range.
    """
    if not isinstance(value, str) or not _TIME.fullmatch(value):
        raise BadInput(f"{_shown(value)} is not a time in UTC with microseconds")
    return check_year(datetime.fromisoformat(value))


def number(row: Row, column: str, low: int = 0, high: int = SIZE_LIMIT) -> int:
    """Return the integer in a column, which is between two bounds, both included.

    Raises:
        Corrupt: The value is not such an integer.
    """
    value = row[column]
    if type(value) is not int or not low <= value <= high:
        what = f"an integer from {low} to {high}"
        raise Corrupt(f"invalid value of {column} in the catalog: expected {what}, got {_shown(value)}", hint=RESTORE)
    return value


def version_number(row: Row, column: str = "version") -> int:
    """Return the version number in a column.

    Raises:
        Corrupt: The value is not a valid version number.
    """
    return number(row, column, 1, LARGEST_VERSION)


def last_version(row: Row) -> int:
    """Return the highest version number that was ever used under a name; 0 for none.

    Raises:
        Corrupt: The value is not such a number.
    """
    return number(row, "last_version", 0, LARGEST_VERSION)


def text(row: Row, column: str) -> str:
    """Return the text in a column.

    Raises:
        Corrupt: The value is not a text.
    """
    value = row[column]
    if not isinstance(value, str):
        raise Corrupt(f"invalid value of {column} in the catalog: expected a string, got {_shown(value)}", hint=RESTORE)
    return value


def truth(row: Row, column: str) -> bool:
    """Return the boolean in a column.

    Raises:
        Corrupt: The value is neither 0 nor 1.
    """
    return number(row, column, 0, 1) == 1


@row_of("metrics", "name")
def read_metric_name(row: Row) -> str:
    """Return the metric name in the column ``name``."""
    return check_key("metric", text(row, "name"))


@row_of("models", "name")
def read_name(row: Row) -> str:
    """Return the model name in the column ``name``."""
    return str(ModelName(text(row, "name")))


def read_metric(name: str, exact: str) -> MetricValue:
    """Return the original value of a metric; whole numbers are exact integers.

    Raises:
        BadInput: The text does not have the form that `metric_values` writes.
    """
    return check_metric(name, _number_of(exact))


def _number_of(exact: str) -> MetricValue:
    found = _EXACT.fullmatch(exact) if len(exact) <= EXACT_LIMIT else None
    if found is None:
        raise BadInput(f"{quoted(exact)} is not a number")
    return int(exact) if found.lastindex is None else float(exact)


def _json(stored: str) -> Mapping[str, Any]:
    """Return the JSON object in a text; it needs about twenty times the memory of the text.

    Raises:
        ValueError, BadInput, RecursionError: The text is not a JSON object, or is too long.
    """
    if len(stored) > DETAILS_LIMIT:
        raise BadInput(f"it has {len(stored)} characters of JSON; the limit is {DETAILS_LIMIT}")
    document = json.loads(stored)
    if not isinstance(document, dict):
        raise BadInput(f"{quoted(stored)} is not a JSON object")
    return FrozenMapping(document)


def details_of(row: Row) -> Mapping[str, Any]:
    """Return the details of an event.

    Raises:
        Corrupt: The details are not a JSON object.
    """
    try:
        return _json(text(row, "details"))
    except (ValueError, BadInput, RecursionError) as error:
        raise Corrupt("invalid event in the catalog: its details are not a JSON object", hint=RESTORE) from error


def _environment(stored: str) -> Mapping[str, str]:
    if stored == "{}":
        return _NOTHING
    found = _json(stored)
    if not all(isinstance(value, str) for value in found.values()):
        raise BadInput(f"{quoted(stored)} is not a JSON object of strings")
    return found


def metric_values(name: str, value: MetricValue) -> Mapping[str, Value]:
    """Return the columns of a metric: a float for comparisons, and a text with the exact number."""
    return {"name": name, "value": float(value), "exact": repr(value)}


def parameter_number(value: str) -> float | None:
    """Return a parameter as a number for comparisons; None if it is not a number."""
    from mreg.domain.metrics import parse_metric
    from mreg.errors import BadInput

    try:
        return float(parse_metric("parameter", value))
    except BadInput:
        return None


def _frozen(entries: Mapping[str, str]) -> Mapping[str, str]:
    return FrozenMapping(entries) if entries else _NOTHING


def _pairs(rows: Iterable[Row]) -> Mapping[str, str]:
    return FrozenMapping({text(row, "name"): text(row, "value") for row in rows})


@row_of("models", "model_id")
def read_model(
    row: Row,
    *,
    tags: Iterable[Row],
    directions: Iterable[Row],
    aliases: Iterable[Row],
    latest: int | None,
    newest: int | None,
    staging: int | None,
    production: int | None,
) -> RegisteredModel:
    """Return the model of a row of ``models`` and its related rows."""
    model = RegisteredModel(
        model_id=number(row, "model_id", 1),
        name=ModelName(text(row, "name")),
        description=text(row, "description"),
        tags=_pairs(tags),
        aliases=FrozenMapping({check_alias(text(alias, "alias")): version_number(alias) for alias in aliases}),
        directions=_pairs(directions),
        primary_metric=text(row, "primary_metric"),
        version_count=number(row, "version_count"),
        latest_version=latest,
        newest_version=newest,
        production_version=production,
        staging_version=staging,
        created_at=read_time(row["created_at"]),
        updated_at=read_time(row["updated_at"]),
        created_by=check_line("created_by", text(row, "created_by")),
    )
    check_model(model.name, model.description, model.tags, model.directions, model.primary_metric)
    return model


@row_of("models", "model_id")
def _model_name(row: Row) -> ModelName:
    return _name(text(row, "model_name"))


@lru_cache(maxsize=1024)
def _name(checked: str) -> ModelName:
    return ModelName(checked)


@row_of("artifacts", "artifact_id")
def read_artifact(row: Row) -> tuple[int, ArtifactKind, Digest, int]:
    """Return id, kind, digest and size in bytes of a row of ``artifacts``."""
    kind = text(row, "kind")
    return (
        number(row, "artifact_id", 1),
        _KINDS.get(kind) or ArtifactKind(kind),
        Digest.sha256(text(row, "digest")),
        number(row, "size_bytes", 1),
    )


@row_of("artifacts", "digest")
def read_digest(row: Row) -> str:
    """Return the hex digits in the column ``digest``."""
    return Digest.sha256(text(row, "digest")).value


@row_of("versions", "version_id")
def read_reference(row: Row) -> VersionRef:
    """Return the reference of an existing or deleted version."""
    return VersionRef(_model_name(row), Selector.number(version_number(row)))


@row_of("versions", "version_id")
def read_version(
    row: Row,
    *,
    metrics: Mapping[str, str],
    parameters: Mapping[str, str],
    tags: Mapping[str, str],
    aliases: Sequence[str],
    data: Mapping[str, str],
    parent: VersionRef | None,
    locate: Callable[[Digest], str],
) -> ModelVersion:
    """Return the version of a row that is joined with model and artifact, and of its attributes."""
    artifact_id, kind, digest, size_bytes = read_artifact(row)
    deployed, stage, status = row["deployed_at"], text(row, "stage"), text(row, "status")
    version = ModelVersion(
        version_id=number(row, "version_id", 1),
        model_name=_model_name(row),
        version=version_number(row),
        stage=_STAGES.get(stage) or ModelStage(stage),
        status=_STATUSES.get(status) or ModelStatus(status),
        description=text(row, "description"),
        tags=_frozen(tags),
        parameters=_frozen(parameters),
        metrics=FrozenMapping({name: _number_of(exact) for name, exact in metrics.items()}),
        aliases=tuple(aliases),
        artifact=ModelArtifact(
            artifact_id=artifact_id,
            kind=kind,
            name=text(row, "artifact_name"),
            path=locate(digest),
            size_bytes=size_bytes,
            digest=digest,
            file_count=number(row, "file_count"),
            format=text(row, "format"),
        ),
        run_id=text(row, "run_id"),
        experiment_id=text(row, "experiment_id"),
        parent=parent,
        data=_frozen(data),
        source=Source(
            git_commit=text(row, "git_commit"),
            git_branch=text(row, "git_branch"),
            git_remote=text(row, "git_remote"),
            git_dirty=None if row["git_dirty"] is None else truth(row, "git_dirty"),
            run_url=text(row, "run_url"),
            environment=_environment(text(row, "environment")),
        ),
        created_at=read_time(row["created_at"]),
        updated_at=read_time(row["updated_at"]),
        deployed_at=None if deployed is None else read_time(deployed),
        created_by=text(row, "created_by"),
    )
    check_version(version)
    return version


def source_values(source: Source) -> Mapping[str, Value]:
    """Return the columns of a version's source."""
    return {
        "git_commit": source.git_commit,
        "git_branch": source.git_branch,
        "git_remote": source.git_remote,
        "git_dirty": None if source.git_dirty is None else int(source.git_dirty),
        "run_url": source.run_url,
        "environment": details_text(source.environment),
    }


@row_of("events", "seq")
def read_event(row: Row) -> Event:
    """Return the event of a row of ``events``."""
    return check_event(
        Event(
            seq=number(row, "seq"),
            at=read_time(row["at"]),
            actor=text(row, "actor"),
            action=text(row, "action"),
            model_id=number(row, "model_id"),
            model=text(row, "model"),
            version=None if row["version"] is None else version_number(row),
            details=_json(text(row, "details")),
            previous=text(row, "previous"),
            hash=text(row, "hash"),
        )
    )


def event_values(event: Event) -> Mapping[str, Value]:
    """Return the columns of an event.

    Raises:
        BadInput: The details are too long.
    """
    details = details_text(event.details)
    if len(details) > DETAILS_LIMIT:
        raise BadInput(f"the change has {len(details)} characters of JSON; the limit is {DETAILS_LIMIT}")
    return {
        "seq": event.seq,
        "at": time_text(event.at),
        "actor": event.actor,
        "action": event.action,
        "model_id": event.model_id,
        "model": event.model,
        "version": event.version,
        "details": details,
        "previous": event.previous,
        "hash": event.hash,
    }
