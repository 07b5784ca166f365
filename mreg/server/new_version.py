"""The JSON body that creates a version of uploaded blobs."""

from __future__ import annotations

from hashlib import sha256
from typing import Any, Literal

from fastapi.exceptions import RequestValidationError
from pydantic import Field, ValidationError
from starlette.requests import Request

from mreg.documents.metrics import metrics_of
from mreg.documents.parameters import parameters_of
from mreg.domain.digest import Digest
from mreg.domain.metadata import VersionMetadata
from mreg.domain.model import ArtifactKind, Source
from mreg.domain.names import ModelName
from mreg.domain.stored import check_source
from mreg.registry.uploads import UploadedArtifact
from mreg.server.models import Body


class ArtifactOfBlobs(Body):
    """A file or folder whose blobs were uploaded."""

    kind: Literal["file", "folder"] = Field("file", description="file or folder")
    name: str = Field(description="name of the file or folder", examples=["model.pkl"])
    digest: str = Field(
        description="digest of the file, or of the manifest of the folder", examples=[f"sha256:{'0' * 64}"]
    )


class NewMetadata(Body):
    """Metadata of a new version."""

    description: str = ""
    metrics: dict[str, Any] = Field(default_factory=dict, description="numbers by name", examples=[{"accuracy": 0.95}])
    parameters: dict[str, Any] = Field(
        default_factory=dict, description="texts or numbers by name", examples=[{"lr": "0.1"}]
    )
    tags: dict[str, str] = Field(default_factory=dict, examples=[{"team": "mail"}])
    data: dict[str, str] = Field(default_factory=dict, description="training data: addresses by name")
    aliases: list[str] = Field(default_factory=list, description="aliases to set")
    run_id: str = ""
    experiment_id: str = ""
    format: str = Field(default="", description="format of the artifact (default: detected)")


class NewSource(Body):
    """The code and environment of a training, as the client recorded them."""

    git_commit: str | None = None
    git_branch: str | None = None
    git_remote: str | None = None
    git_dirty: bool | None = None
    run_url: str | None = None
    environment: dict[str, str] = Field(default_factory=dict, examples=[{"python": "3.13.1"}])


class NewVersion(Body):
    """A new version of uploaded blobs."""

    artifact: ArtifactOfBlobs
    metadata: NewMetadata = Field(default_factory=NewMetadata)
    stage: str | None = Field(None, description="stage of the new version (default: None)")
    parent: str | None = Field(None, description="parent version", examples=["base@1"])
    source: NewSource = Field(default_factory=NewSource)
    existing: bool = Field(False, description="refuse a model that does not exist, instead of registering it")

    def uploaded(self) -> UploadedArtifact:
        """Return the artifact.

        Raises:
            BadInput: Its name or digest is invalid.
        """
        found = self.artifact
        return UploadedArtifact(kind=ArtifactKind(found.kind), name=found.name, digest=Digest.parse(found.digest))

    def version_metadata(self) -> tuple[VersionMetadata, tuple[str, ...]]:
        """Return the metadata, and notes about metrics that were skipped.

        Raises:
            BadInput: A name or value is invalid.
        """
        found, measured = self.metadata, metrics_of(self.metadata.metrics)
        metadata = VersionMetadata(
            description=found.description,
            metrics=measured.metrics,
            parameters=parameters_of(found.parameters),
            tags=found.tags,
            data=found.data,
            aliases=tuple(found.aliases),
            run_id=found.run_id,
            experiment_id=found.experiment_id,
            format=found.format,
        )
        return metadata, measured.notes

    def recorded_source(self) -> Source:
        """Return the source.

        Raises:
            BadInput: A text is invalid.
        """
        found = self.source
        return check_source(
            Source(
                git_commit=found.git_commit or "",
                git_branch=found.git_branch or "",
                git_remote=found.git_remote or "",
                git_dirty=found.git_dirty,
                run_url=found.run_url or "",
                environment=found.environment,
            )
        )


async def read_new_version(request: Request, model: ModelName) -> tuple[NewVersion, Digest]:
    """Return the body of a request, and the digest of the body and the model.

    Raises:
        RequestValidationError: It has another form.
    """
    try:
        data = await request.body()
        fingerprint = sha256(model.value.encode() + b"\0" + data).hexdigest()
        return NewVersion.model_validate_json(data), Digest.sha256(fingerprint)
    except ValidationError as error:
        found = [{**item, "loc": ("body", *item["loc"])} for item in error.errors(include_url=False)]
        raise RequestValidationError(found) from None


def _inlined(value: Any, shapes: dict[str, Any]) -> Any:
    """Return a JSON schema without references to its own shapes."""
    if isinstance(value, list):
        return [_inlined(item, shapes) for item in value]
    if not isinstance(value, dict):
        return value
    if "$ref" in value:
        return _inlined(shapes[value["$ref"].rpartition("/")[2]], shapes)
    return {key: _inlined(item, shapes) for key, item in value.items() if key != "$defs"}


def _schema() -> Any:
    found = NewVersion.model_json_schema()
    return _inlined(found, found["$defs"])


SCHEMA: dict[str, Any] = _schema()
"""The schema of the body in the OpenAPI document."""
