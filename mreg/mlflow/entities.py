"""Models and versions of mreg as entities of MLflow."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING

from mlflow.entities import LoggedModelParameter, Metric
from mlflow.entities.model_registry import (
    ModelVersion,
    ModelVersionTag,
    RegisteredModel,
    RegisteredModelAlias,
    RegisteredModelTag,
)

from mreg.domain.mlflow_names import (
    FIELD_TAGS,
    MODEL_ID_TAG,
    RUN_LINK_TAG,
    SOURCE_TAG,
    to_mlflow_alias,
    to_mlflow_name,
)
from mreg.mlflow.address import Address

if TYPE_CHECKING:
    from mreg.domain import model as domain

STAGES = ("None", "Staging", "Production", "Archived")


def version_entity(version: domain.ModelVersion, profile: str | None, tags: Mapping[str, str]) -> ModelVersion:
    """Return a version as MLflow shows it.

    The source is the one that was registered; for a version that mreg pushed, it is the address of its files.

    Args:
        tags: The tags to show, those of MLflow's fields included.
    """
    created = milliseconds(version.created_at)
    return ModelVersion(
        name=to_mlflow_name(version.model_name),
        version=version.version,
        creation_timestamp=created,
        last_updated_timestamp=milliseconds(version.updated_at),
        description=version.description or None,
        user_id=version.created_by,
        current_stage=version.stage.value,
        source=tags.get(SOURCE_TAG) or str(Address(profile=profile, reference=version.reference)),
        run_id=version.run_id or None,
        run_link=tags.get(RUN_LINK_TAG),
        tags=[ModelVersionTag(key, value) for key, value in tags.items() if key not in FIELD_TAGS],
        aliases=[to_mlflow_alias(alias) for alias in version.aliases],
        model_id=tags.get(MODEL_ID_TAG),
        params=[LoggedModelParameter(key, value) for key, value in version.parameters.items()],
        metrics=[Metric(key, float(value), created, 0) for key, value in version.metrics.items()],
    )


def model_entity(model: domain.RegisteredModel, latest: Iterable[ModelVersion] = ()) -> RegisteredModel:
    """Return a model as MLflow shows it.

    Args:
        latest: The latest version of each stage.
    """
    return RegisteredModel(
        name=to_mlflow_name(model.name),
        creation_timestamp=milliseconds(model.created_at),
        last_updated_timestamp=milliseconds(model.updated_at),
        description=model.description or None,
        latest_versions=list(latest),
        tags=[RegisteredModelTag(key, value) for key, value in model.tags.items()],
        aliases=[RegisteredModelAlias(to_mlflow_alias(alias), number) for alias, number in model.aliases.items()],
    )


def latest_of_each_stage(versions: Iterable[domain.ModelVersion]) -> list[domain.ModelVersion]:
    """Return the version with the highest number of each stage, in the order of the stages."""
    latest: dict[str, domain.ModelVersion] = {}
    for version in sorted(versions, key=lambda version: version.version):
        latest[version.stage.value] = version
    return [latest[stage] for stage in STAGES if stage in latest]


def milliseconds(at: datetime) -> int:
    """Return a time as milliseconds since 1970."""
    return round(at.timestamp() * 1000)
