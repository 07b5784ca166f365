"""The plugin for MLflow: a registry of mreg as MLflow's model registry.

MLflow loads it by its entry points for the scheme ``mreg``::

    mlflow.set_registry_uri("mreg:")         the default profile
    mlflow.set_registry_uri("mreg://team")   the profile team

Only this package imports MLflow, and only MLflow imports this package. It uses the interface `mreg.registry.registry`
alone, so it works with every implementation of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mreg.mlflow.artifacts import MregArtifactRepository


def artifact_repository(
    artifact_uri: str, tracking_uri: str | None = None, registry_uri: str | None = None
) -> MregArtifactRepository:
    """Return MLflow's repository of the files of a version.

    MLflow reads this entry point while its own modules are imported, and the repository's module imports those.
    """
    from mreg.mlflow.artifacts import MregArtifactRepository

    return MregArtifactRepository(artifact_uri, tracking_uri, registry_uri)
