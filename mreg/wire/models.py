"""The JSON of models and versions."""

from __future__ import annotations

from typing import Annotated, Literal, TypedDict, cast

from mreg.domain import model as domain
from mreg.domain.digest import Digest
from mreg.domain.events import time_text
from mreg.domain.names import ModelName, VersionRef
from mreg.results import models as results
from mreg.wire import (
    Direction,
    Form,
    Number,
    Stage,
    decode_optional_time,
    decode_time,
    encode_time,
)


class Model(TypedDict):
    """A model."""

    model_id: Annotated[int, "number in the catalog; does not change when the model is renamed"]
    name: Annotated[str, "present name"]
    description: Annotated[str, "text"]
    tags: Annotated[dict[str, str], "text by key"]
    aliases: Annotated[dict[str, int], "version number by alias"]
    directions: Annotated[dict[str, Direction], "`higher` or `lower` by metric, if set on the model"]
    primary_metric: Annotated[str | None, "primary metric that was set on the model, or null"]
    version_count: Annotated[int, "number of versions that exist now"]
    latest_version: Annotated[int | None, "newest version that is not archived, or null"]
    newest_version: Annotated[int | None, "newest version, archived or not, or null"]
    production_version: Annotated[int | None, "version in Production, or null"]
    staging_version: Annotated[int | None, "version in Staging, or null"]
    created_at: Annotated[str, "time"]
    updated_at: Annotated[str, "time"]
    created_by: Annotated[str, "user"]


class ModelSummary(Model):
    """A model with its primary metric."""

    metric: Annotated[str | None, "primary metric, or null if there is none"]
    latest_metric: Annotated[Number | None, "its value of the latest version, or null"]
    production_metric: Annotated[Number | None, "its value of the version in Production, or null"]


class Artifact(TypedDict):
    """The bytes of a version."""

    artifact_id: Annotated[int, "number in the catalog; 0 for a token that is limited to some models"]
    kind: Annotated[Literal["file", "folder"], "`file` or `folder`"]
    name: Annotated[str, "name of the file or folder"]
    path: Annotated[str, "URL; empty for clients of a server other than admins for all models"]
    size_bytes: Annotated[int, "size of the file, or of all files of the folder"]
    checksum: Annotated[str, "SHA-256 of the file, or of the manifest of the folder"]
    file_count: Annotated[int, "number of files"]
    format: Annotated[str, "`pickle`, `onnx`, ...; `unknown` if it was not detected"]


class Source(TypedDict):
    """The place that a version was pushed from."""

    git_commit: Annotated[str | None, "commit, or null"]
    git_branch: Annotated[str | None, "branch, or null"]
    git_remote: Annotated[str | None, "URL of the remote, or null"]
    git_dirty: Annotated[bool | None, "whether tracked files were changed, or null"]
    run_url: Annotated[str | None, "page of the CI run, or null"]
    environment: Annotated[
        dict[str, str],
        "`source`, `platform`, `python`, and versions of known frameworks by name; `source` is `VIRTUAL_ENV` or "
        "`CONDA_PREFIX` (the active environment), `given` (`--python`), `process` (the caller of the Python API) or "
        "`mreg` (the environment of mreg)",
    ]


class ModelVersion(TypedDict):
    """A version."""

    version_id: Annotated[int, "number in the catalog, not the version"]
    model_name: Annotated[str, "present name of the model"]
    version: Annotated[int, "1, 2, 3 ..."]
    reference: Annotated[str, "`name@version`"]
    stage: Annotated[Stage, "`None`, `Staging`, `Production` or `Archived`"]
    status: Annotated[
        Literal["pending", "ready", "failed", "deploying", "deployed"], "`ready`; another value comes with deployments"
    ]
    description: Annotated[str, "text"]
    tags: Annotated[dict[str, str], "text by key"]
    parameters: Annotated[dict[str, str], "text by key"]
    metrics: Annotated[dict[str, Number], "number by name"]
    aliases: Annotated[list[str], "names, sorted"]
    artifact: Annotated[Artifact, "see Artifact"]
    run_id: Annotated[str | None, "text or null"]
    experiment_id: Annotated[str | None, "text or null"]
    parent_version: Annotated[str | None, "reference or null"]
    data: Annotated[dict[str, str], "training data: address by name, with `@` and a digest if one was given"]
    source: Annotated[Source, "see Source"]
    created_at: Annotated[str, "time"]
    updated_at: Annotated[str, "time"]
    deployed_at: Annotated[str | None, "time at which it last entered Production, or null"]
    created_by: Annotated[str, "user"]


class ModelVersions(Model):
    """A model with its versions."""

    metric: Annotated[str | None, "primary metric, or null if there is none"]
    versions: Annotated[list[ModelVersion], "versions, newest first: see ModelVersion"]


class ProductionVersion(ModelVersion):
    """The version in Production."""

    artifact_path: Annotated[str, "the `path` of the artifact"]


def _encode_model(model: domain.RegisteredModel) -> Model:
    return {
        "model_id": model.model_id,
        "name": str(model.name),
        "description": model.description,
        "tags": dict(model.tags),
        "aliases": dict(model.aliases),
        "directions": cast("dict[str, Direction]", dict(model.directions)),
        "primary_metric": model.primary_metric or None,
        "version_count": model.version_count,
        "latest_version": model.latest_version,
        "newest_version": model.newest_version,
        "production_version": model.production_version,
        "staging_version": model.staging_version,
        "created_at": time_text(model.created_at),
        "updated_at": time_text(model.updated_at),
        "created_by": model.created_by,
    }


def _decode_model(shape: Model) -> domain.RegisteredModel:
    return domain.RegisteredModel(
        model_id=shape["model_id"],
        name=ModelName(shape["name"]),
        description=shape["description"],
        tags=shape["tags"],
        aliases=shape["aliases"],
        directions=dict(shape["directions"]),
        primary_metric=shape["primary_metric"] or "",
        version_count=shape["version_count"],
        latest_version=shape["latest_version"],
        newest_version=shape["newest_version"],
        production_version=shape["production_version"],
        staging_version=shape["staging_version"],
        created_at=decode_time(shape["created_at"]),
        updated_at=decode_time(shape["updated_at"]),
        created_by=shape["created_by"],
    )


def _encode_summary(summary: results.ModelSummary) -> ModelSummary:
    return {
        **_encode_model(summary.model),
        "metric": summary.metric or None,
        "latest_metric": summary.latest_value,
        "production_metric": summary.production_value,
    }


def _decode_summary(shape: ModelSummary) -> results.ModelSummary:
    return results.ModelSummary(
        model=_decode_model(shape),
        metric=shape["metric"] or "",
        latest_value=shape["latest_metric"],
        production_value=shape["production_metric"],
    )


def _encode_artifact(artifact: domain.ModelArtifact) -> Artifact:
    return {
        "artifact_id": artifact.artifact_id,
        "kind": "file" if artifact.kind is domain.ArtifactKind.FILE else "folder",
        "name": artifact.name,
        "path": artifact.path,
        "size_bytes": artifact.size_bytes,
        "checksum": str(artifact.digest),
        "file_count": artifact.file_count,
        "format": artifact.format,
    }


def _decode_artifact(shape: Artifact) -> domain.ModelArtifact:
    return domain.ModelArtifact(
        artifact_id=shape["artifact_id"],
        kind=domain.ArtifactKind(shape["kind"]),
        name=shape["name"],
        path=shape["path"],
        size_bytes=shape["size_bytes"],
        digest=Digest.parse(shape["checksum"]),
        file_count=shape["file_count"],
        format=shape["format"],
    )


def _encode_source(source: domain.Source) -> Source:
    return {
        "git_commit": source.git_commit or None,
        "git_branch": source.git_branch or None,
        "git_remote": source.git_remote or None,
        "git_dirty": source.git_dirty,
        "run_url": source.run_url or None,
        "environment": dict(source.environment),
    }


def _decode_source(shape: Source) -> domain.Source:
    return domain.Source(
        git_commit=shape["git_commit"] or "",
        git_branch=shape["git_branch"] or "",
        git_remote=shape["git_remote"] or "",
        git_dirty=shape["git_dirty"],
        run_url=shape["run_url"] or "",
        environment=shape["environment"],
    )


def encode_version(version: domain.ModelVersion) -> ModelVersion:
    """Return the JSON of a version."""
    return {
        "version_id": version.version_id,
        "model_name": str(version.model_name),
        "version": version.version,
        "reference": str(version.reference),
        "stage": version.stage.value,
        "status": version.status.value,
        "description": version.description,
        "tags": dict(version.tags),
        "parameters": dict(version.parameters),
        "metrics": dict(version.metrics),
        "aliases": list(version.aliases),
        "artifact": _encode_artifact(version.artifact),
        "run_id": version.run_id or None,
        "experiment_id": version.experiment_id or None,
        "parent_version": str(version.parent) if version.parent else None,
        "data": dict(version.data),
        "source": _encode_source(version.source),
        "created_at": time_text(version.created_at),
        "updated_at": time_text(version.updated_at),
        "deployed_at": encode_time(version.deployed_at),
        "created_by": version.created_by,
    }


def decode_version(shape: ModelVersion) -> domain.ModelVersion:
    """Return the version of a JSON form."""
    return domain.ModelVersion(
        version_id=shape["version_id"],
        model_name=ModelName(shape["model_name"]),
        version=shape["version"],
        stage=domain.ModelStage(shape["stage"]),
        status=domain.ModelStatus(shape["status"]),
        description=shape["description"],
        tags=shape["tags"],
        parameters=shape["parameters"],
        metrics=shape["metrics"],
        aliases=tuple(shape["aliases"]),
        artifact=_decode_artifact(shape["artifact"]),
        run_id=shape["run_id"] or "",
        experiment_id=shape["experiment_id"] or "",
        parent=VersionRef.parse(shape["parent_version"]) if shape["parent_version"] else None,
        data=shape["data"],
        source=_decode_source(shape["source"]),
        created_at=decode_time(shape["created_at"]),
        updated_at=decode_time(shape["updated_at"]),
        deployed_at=decode_optional_time(shape["deployed_at"]),
        created_by=shape["created_by"],
    )


def _encode_model_versions(listing: results.ModelVersions) -> ModelVersions:
    return {
        **_encode_model(listing.model),
        "metric": listing.metric or None,
        "versions": [encode_version(version) for version in listing.versions],
    }


def _decode_model_versions(shape: ModelVersions) -> results.ModelVersions:
    return results.ModelVersions(
        model=_decode_model(shape),
        metric=shape["metric"] or "",
        versions=tuple(map(decode_version, shape["versions"])),
    )


def encode_production(version: domain.ModelVersion) -> ProductionVersion:
    """Return the JSON of the version in Production; `decode_version` decodes it."""
    return {**encode_version(version), "artifact_path": version.artifact.path}


FORMS = (
    Form(domain.RegisteredModel, Model, _encode_model, _decode_model),
    Form(results.ModelSummary, ModelSummary, _encode_summary, _decode_summary),
    Form(domain.ModelVersion, ModelVersion, encode_version, decode_version),
    Form(results.ModelVersions, ModelVersions, _encode_model_versions, _decode_model_versions),
)
