"""Row <-> domain value, here and nowhere else."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import wraps
from types import MappingProxyType
from typing import Concatenate, ParamSpec, TypeVar

from mreg.catalog.database import Row, Value
from mreg.domain.digest import Digest
from mreg.domain.events import Event, details_text, time_text
from mreg.domain.metrics import MetricValue
from mreg.domain.model import (
    ArtifactKind,
    ModelArtifact,
    ModelStage,
    ModelStatus,
    ModelVersion,
    RegisteredModel,
    Source,
)
from mreg.domain.names import ModelName, Selector, VersionRef
from mreg.errors import BadInput, Corrupt

P = ParamSpec("P")
T = TypeVar("T")


def row_of(table: str, key: str) -> Callable[[Callable[Concatenate[Row, P], T]], Callable[Concatenate[Row, P], T]]:
    """Makes what reads a value of a row of a table fail as `Corrupt`, with the table and the row, and not otherwise.

    What is stored was checked when it came in; where it can't be read, something else than mreg wrote it.

    Args:
        key: The column by which the row is found.
    """

    def reading(read: Callable[Concatenate[Row, P], T]) -> Callable[Concatenate[Row, P], T]:
        @wraps(read)
        def checked(row: Row, /, *words: P.args, **named: P.kwargs) -> T:
            try:
                return read(row, *words, **named)
            except (ValueError, TypeError, OverflowError, RecursionError, BadInput) as error:
                raise Corrupt(
                    f"the row {row[key]!s} of the table {table} in the catalog can't be read: {error}",
                    hint="mreg restore FILE brings a backup back; the artifacts are kept",
                    table=table,
                    row=row[key],
                ) from error

        return checked

    return reading


def read_time(text: str) -> datetime:
    """The aware UTC time of its stored text."""
    return datetime.fromisoformat(text.removesuffix("Z")).replace(tzinfo=UTC)


def number(row: Row, column: str) -> int:
    """The integer in a column that holds nothing else.

    Raises:
        Corrupt: Something else is there.
    """
    value = row[column]
    if not isinstance(value, int):
        raise Corrupt(
            f"the catalog holds {value!r} where a whole number belongs: {column}",
            hint="mreg restore FILE brings a backup back; the artifacts are kept",
        )
    return value


def read_metric(exact: str) -> MetricValue:
    """The number as it was given: whole ones as exact integers."""
    try:
        return int(exact)
    except ValueError:
        return float(exact)


def metric_values(name: str, value: MetricValue) -> Mapping[str, Value]:
    """What is stored of a metric: a float for comparing and the text that gives the number back."""
    return {"name": name, "value": float(value), "exact": repr(value)}


def parameter_number(value: str) -> float | None:
    """The parameter as a number for comparing, None where it is none."""
    from mreg.domain.metrics import parse_metric
    from mreg.errors import BadInput

    try:
        return float(parse_metric("parameter", value))
    except BadInput:
        return None


def _pairs(rows: Iterable[Row]) -> Mapping[str, str]:
    return MappingProxyType({str(row["name"]): str(row["value"]) for row in rows})


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
    """The model of a row of ``models`` and of the rows that belong to it."""
    return RegisteredModel(
        model_id=number(row, "model_id"),
        name=ModelName(str(row["name"])),
        description=str(row["description"]),
        tags=_pairs(tags),
        aliases=MappingProxyType({str(one["alias"]): number(one, "version") for one in aliases}),
        directions=_pairs(directions),
        primary_metric=str(row["primary_metric"]),
        version_count=number(row, "version_count"),
        latest_version=latest,
        newest_version=newest,
        production_version=production,
        staging_version=staging,
        created_at=read_time(str(row["created_at"])),
        updated_at=read_time(str(row["updated_at"])),
        created_by=str(row["created_by"]),
    )


@row_of("models", "model_id")
def _model_name(row: Row) -> ModelName:
    return ModelName(str(row["model_name"]))


@row_of("artifacts", "artifact_id")
def read_artifact(row: Row) -> tuple[int, ArtifactKind, Digest, int]:
    """Id, kind, digest and size in bytes of a row of ``artifacts``."""
    return (
        number(row, "artifact_id"),
        ArtifactKind(row["kind"]),
        Digest.sha256(str(row["digest"])),
        number(row, "size_bytes"),
    )


@row_of("versions", "version_id")
def read_reference(row: Row) -> VersionRef:
    """The reference of a version that is or was, by its number and its model's name."""
    return VersionRef(_model_name(row), Selector.number(number(row, "version")))


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
    """The version of a row of ``versions`` with its model's name and artifact joined, and of what belongs to it."""
    artifact_id, kind, digest, size_bytes = read_artifact(row)
    deployed = row["deployed_at"]
    dirty = row["git_dirty"]
    return ModelVersion(
        version_id=number(row, "version_id"),
        model_name=_model_name(row),
        version=number(row, "version"),
        stage=ModelStage(row["stage"]),
        status=ModelStatus(row["status"]),
        description=str(row["description"]),
        tags=MappingProxyType(dict(tags)),
        parameters=MappingProxyType(dict(parameters)),
        metrics=MappingProxyType({name: read_metric(exact) for name, exact in metrics.items()}),
        aliases=tuple(aliases),
        artifact=ModelArtifact(
            artifact_id=artifact_id,
            kind=kind,
            name=str(row["artifact_name"]),
            path=locate(digest),
            size_bytes=size_bytes,
            digest=digest,
            file_count=number(row, "file_count"),
            format=str(row["format"]),
        ),
        run_id=str(row["run_id"]),
        experiment_id=str(row["experiment_id"]),
        parent=parent,
        data=MappingProxyType(dict(data)),
        source=Source(
            git_commit=str(row["git_commit"]),
            git_branch=str(row["git_branch"]),
            git_remote=str(row["git_remote"]),
            git_dirty=None if dirty is None else bool(dirty),
            run_url=str(row["run_url"]),
            environment=MappingProxyType(json.loads(str(row["environment"]))),
        ),
        created_at=read_time(str(row["created_at"])),
        updated_at=read_time(str(row["updated_at"])),
        deployed_at=read_time(str(deployed)) if deployed is not None else None,
        created_by=str(row["created_by"]),
    )


def source_values(source: Source) -> Mapping[str, Value]:
    """The columns of a version that say from where it came."""
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
    """The event of a row of ``events``."""
    version = row["version"]
    return Event(
        seq=number(row, "seq"),
        at=read_time(str(row["at"])),
        actor=str(row["actor"]),
        action=str(row["action"]),
        model_id=number(row, "model_id"),
        model=str(row["model"]),
        version=None if version is None else number(row, "version"),
        details=MappingProxyType(json.loads(str(row["details"]))),
        previous=str(row["previous"]),
        hash=str(row["hash"]),
    )


def event_values(event: Event) -> Mapping[str, Value]:
    """The columns of an event."""
    return {
        "seq": event.seq,
        "at": time_text(event.at),
        "actor": event.actor,
        "action": event.action,
        "model_id": event.model_id,
        "model": event.model,
        "version": event.version,
        "details": details_text(event.details),
        "previous": event.previous,
        "hash": event.hash,
    }
