"""Conversion of a bundle's parts to JSON-ready dicts and back; reading checks every value like new input."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import TypedDict

from mreg.domain.digest import Digest
from mreg.domain.events import Event, parse_time, time_text
from mreg.domain.metrics import MetricValue, check_metric
from mreg.domain.model import ArtifactKind, ModelArtifact, ModelStage, ModelVersion, Source
from mreg.domain.names import LARGEST_VERSION, ModelName, SelectorKind, VersionRef
from mreg.domain.stored import FILES_LIMIT, SIZE_LIMIT, check_event, check_whole, check_year
from mreg.domain.text import quoted
from mreg.errors import BadInput

_MODEL = ("name", "description", "tags", "directions", "primary_metric")
_VERSION = (
    "number", "stage", "description", "tags", "parameters", "metrics", "aliases", "data", "artifact", "run_id",
    "experiment_id", "parent", "source", "created_at", "created_by",
)  # fmt: skip
_ARTIFACT = ("kind", "name", "digest", "size_bytes", "file_count", "format")
_SOURCE = ("git_commit", "git_branch", "git_remote", "git_dirty", "run_url", "environment")
_EVENT = ("seq", "at", "actor", "action", "model_id", "model", "version", "details", "previous", "hash")
_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z")


class ModelFields(TypedDict):
    """The fields of the model that `read_model` returns."""

    name: ModelName
    description: str
    tags: Mapping[str, str]
    directions: Mapping[str, str]
    primary_metric: str


def entries_of(what: str, value: object, names: tuple[str, ...]) -> Mapping[str, object]:
    """Return the value if it is an object with exactly these keys.

    Raises:
        BadInput: It is not.
    """
    if not isinstance(value, dict) or set(value) != set(names):
        raise BadInput(f"{what} is not an object with the keys {', '.join(names)}")
    return value


def list_of(what: str, value: object) -> list[object]:
    """Return the value if it is a list.

    Raises:
        BadInput: It is not a list.
    """
    if not isinstance(value, list):
        raise BadInput(f"{what} is not a list")
    return value


def _read_text(what: str, value: object) -> str:
    if not isinstance(value, str):
        raise BadInput(f"{what} is not a string")
    return value


def _read_texts(what: str, value: object) -> dict[str, str]:
    if not isinstance(value, dict) or not all(isinstance(text, str) for text in value.values()):
        raise BadInput(f"{what} is not an object of strings")
    return value


def _read_time(what: str, value: object) -> datetime:
    text = _read_text(what, value)
    if not _TIME.fullmatch(text):
        raise BadInput(f"{what} is not a UTC time with microseconds: {quoted(text)}")
    return check_year(datetime.fromisoformat(parse_time(text)))


def read_model(value: object) -> ModelFields:
    """Return the fields of the model in a document.

    Raises:
        BadInput: The value has another form.
    """
    fields = entries_of("the model", value, _MODEL)
    return ModelFields(
        name=ModelName(_read_text("the model's name", fields["name"])),
        description=_read_text("the description", fields["description"]),
        tags=_read_texts("the tags", fields["tags"]),
        directions=_read_texts("the directions", fields["directions"]),
        primary_metric=_read_text("the primary metric", fields["primary_metric"]),
    )


def version_fields(version: ModelVersion, parent_digest: Digest | None) -> dict[str, object]:
    """Return the JSON form of a version."""
    artifact, source = version.artifact, version.source
    parent = {"reference": str(version.parent), "digest": str(parent_digest) if parent_digest else None}
    return {
        "number": version.version,
        "stage": version.stage.value,
        "description": version.description,
        "tags": dict(version.tags),
        "parameters": dict(version.parameters),
        "metrics": dict(version.metrics),
        "aliases": sorted(version.aliases),
        "data": dict(version.data),
        "artifact": {
            "kind": artifact.kind.value,
            "name": artifact.name,
            "digest": str(artifact.digest),
            "size_bytes": artifact.size_bytes,
            "file_count": artifact.file_count,
            "format": artifact.format,
        },
        "run_id": version.run_id,
        "experiment_id": version.experiment_id,
        "parent": parent if version.parent else None,
        "source": {
            "git_commit": source.git_commit,
            "git_branch": source.git_branch,
            "git_remote": source.git_remote,
            "git_dirty": source.git_dirty,
            "run_url": source.run_url,
            "environment": dict(source.environment),
        },
        "created_at": time_text(version.created_at),
        "created_by": version.created_by,
    }


def read_version(model: ModelName, value: object) -> tuple[ModelVersion, Digest | None]:
    """Return the version that `version_fields` encoded, and the digest of its parent.

    Raises:
        BadInput: The value has another form.
    """
    fields = entries_of("a version", value, _VERSION)
    parent, parent_digest = _read_parent(fields["parent"])
    created_at = _read_time("created_at", fields["created_at"])
    version = ModelVersion(
        model_name=model,
        version=check_whole("the number of a version", fields["number"], 1, LARGEST_VERSION),
        stage=_read_stage(fields["stage"]),
        description=_read_text("the description", fields["description"]),
        tags=_read_texts("the tags", fields["tags"]),
        parameters=_read_texts("the parameters", fields["parameters"]),
        metrics=_read_metrics(fields["metrics"]),
        aliases=tuple(_read_text("an alias", alias) for alias in list_of("aliases", fields["aliases"])),
        artifact=_read_artifact(fields["artifact"]),
        run_id=_read_text("the run id", fields["run_id"]),
        experiment_id=_read_text("the experiment id", fields["experiment_id"]),
        parent=parent,
        data=_read_texts("the data", fields["data"]),
        source=_read_source(fields["source"]),
        created_at=created_at,
        updated_at=created_at,
        created_by=_read_text("created_by", fields["created_by"]),
    )
    return version, parent_digest


def _read_stage(value: object) -> ModelStage:
    stage = ModelStage.parse(_read_text("the stage", value))
    if stage.value != value:
        raise BadInput(f"invalid stage {quoted(str(value))}")
    return stage


def _read_metrics(value: object) -> dict[str, MetricValue]:
    if not isinstance(value, dict):
        raise BadInput("metrics is not an object")
    return {name: check_metric(name, number) for name, number in value.items()}


def _read_parent(value: object) -> tuple[VersionRef | None, Digest | None]:
    if value is None:
        return None, None
    fields = entries_of("the parent", value, ("reference", "digest"))
    reference = VersionRef.parse(_read_text("the parent", fields["reference"]))
    selector = reference.selector
    if selector is None or selector.kind is not SelectorKind.NUMBER or selector.back:
        raise BadInput(f"invalid parent {reference}: expected a version number")
    digest = fields["digest"]
    return reference, None if digest is None else Digest.parse(_read_text("the digest", digest))


def _read_artifact(value: object) -> ModelArtifact:
    fields = entries_of("the artifact", value, _ARTIFACT)
    kinds = {kind.value: kind for kind in ArtifactKind}
    kind = kinds.get(_read_text("the kind", fields["kind"]))
    if kind is None:
        raise BadInput(f"invalid kind of artifact {quoted(str(fields['kind']))}")
    return ModelArtifact(
        kind=kind,
        name=_read_text("the artifact's name", fields["name"]),
        path="",
        digest=Digest.parse(_read_text("the digest", fields["digest"])),
        size_bytes=check_whole("the size of an artifact", fields["size_bytes"], 1, SIZE_LIMIT),
        file_count=check_whole("the number of files", fields["file_count"], 1, FILES_LIMIT),
        format=_read_text("the artifact's format", fields["format"]),
    )


def _read_source(value: object) -> Source:
    fields = entries_of("the source", value, _SOURCE)
    dirty = fields["git_dirty"]
    if dirty is not None and not isinstance(dirty, bool):
        raise BadInput("git_dirty must be true, false or null")
    return Source(
        git_commit=_read_text("the commit", fields["git_commit"]),
        git_branch=_read_text("the branch", fields["git_branch"]),
        git_remote=_read_text("the remote", fields["git_remote"]),
        git_dirty=dirty,
        run_url=_read_text("the run's page", fields["run_url"]),
        environment=_read_texts("the environment", fields["environment"]),
    )


def event_fields(event: Event) -> dict[str, object]:
    """Return the JSON form of an event: all its fields."""
    fields: dict[str, object] = {name: getattr(event, name) for name in _EVENT}
    return {**fields, "at": time_text(event.at), "details": dict(event.details)}


def read_event(value: object) -> Event:
    """Return the event that `event_fields` encoded.

    Raises:
        BadInput: The value has another form.
    """
    fields = entries_of("an event", value, _EVENT)
    details = fields["details"]
    if not isinstance(details, dict):
        raise BadInput("the details of an event are not an object")
    version = fields["version"]
    seq, model_id = fields["seq"], fields["model_id"]
    return check_event(
        Event(
            seq=check_whole("the seq of an event", seq, 1, SIZE_LIMIT),
            at=_read_time("the time of an event", fields["at"]),
            actor=_read_text("the actor", fields["actor"]),
            action=_read_text("the action", fields["action"]),
            model_id=check_whole("the model's id", model_id, 0, SIZE_LIMIT),
            model=_read_text("the model", fields["model"]),
            version=None if version is None else check_whole("the version of an event", version, 1, LARGEST_VERSION),
            details=details,
            previous=_read_text("previous", fields["previous"]),
            hash=_read_text("hash", fields["hash"]),
        )
    )


def read_blob(value: object) -> tuple[Digest, int]:
    """Return the digest and size of a blob that a document lists.

    Raises:
        BadInput: The value has another form.
    """
    fields = entries_of("a blob", value, ("digest", "size_bytes"))
    digest = Digest.parse(_read_text("the digest", fields["digest"]))
    return digest, check_whole("the size of a blob", fields["size_bytes"], 0, SIZE_LIMIT)
