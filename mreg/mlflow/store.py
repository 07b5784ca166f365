"""MLflow's registry store over the operations of a registry.

MLflow's calls and what they do here are described in ``docs/how-to/mlflow.md``.
"""

from __future__ import annotations

import io
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from mlflow.entities.model_registry import ModelVersion, ModelVersionTag, RegisteredModel, RegisteredModelTag
from mlflow.entities.model_registry.model_version_stages import (
    DEFAULT_STAGES_FOR_GET_LATEST_VERSIONS,
    get_canonical_stage,
)
from mlflow.exceptions import MlflowException
from mlflow.prompt.registry_utils import handle_resource_already_exist_error, has_prompt_tag
from mlflow.protos.databricks_pb2 import NOT_IMPLEMENTED, RESOURCE_ALREADY_EXISTS
from mlflow.store.artifact.utils.models import _parse_model_uri
from mlflow.store.model_registry import (
    SEARCH_MODEL_VERSION_MAX_RESULTS_THRESHOLD,
    SEARCH_REGISTERED_MODEL_MAX_RESULTS_THRESHOLD,
)
from mlflow.store.model_registry.abstract_store import AbstractStore
from mlflow.utils.validation import (
    _validate_model_alias_name,
    _validate_model_alias_name_reserved,
    _validate_model_name,
    _validate_model_renaming,
    _validate_model_version,
    _validate_model_version_tag,
    _validate_registered_model_tag,
    _validate_tag_name,
)

from mreg.domain.mlflow_names import (
    FIELD_TAGS,
    MODEL_ID_TAG,
    PROMPT_TAG,
    PROMPT_TEXT_TAG,
    RUN_LINK_TAG,
    SOURCE_TAG,
    from_mlflow_alias,
    from_mlflow_name,
    prompt_text,
    source_text,
    stored_prompt_tags,
)
from mreg.domain.names import LARGEST_VERSION, ModelName, Selector, SelectorKind, VersionRef
from mreg.domain.text import ENTRIES_LIMIT
from mreg.errors import AlreadyExists, BadInput, Conflict, NotFound
from mreg.mlflow import opened
from mreg.mlflow.address import Address, profile_in
from mreg.mlflow.entities import STAGES, latest_of_each_stage, model_entity, version_entity
from mreg.mlflow.failures import invalid, missing_version, translated
from mreg.mlflow.search import check_max_results, model_search, version_search
from mreg.mlflow.sources import FOLDER, downloaded, run_facts
from mreg.results.models import ModelVersions

if TYPE_CHECKING:
    from mlflow.store.entities.paged_list import PagedList

    from mreg.domain import model as domain
    from mreg.registry.registry import Registry

_EVERY_FILE = ("!*",)
"""Takes back every exclude rule: a model of MLflow is stored with all its files."""

_PROMPT_SOURCES = ("prompt-template", "dummy-source")
"""What MLflow gives as the source of a prompt, which has none."""

_PROMPT_BYTES = 1 << 20
"""Maximum size of the text of a prompt that is read, in bytes."""


class RegistryStore(AbstractStore):  # type: ignore[misc]  # MLflow is not type-checked
    """A registry of mreg as MLflow's registry store. Every method raises `MlflowException`.

    Args:
        store_uri: ``mreg:`` for the default profile, or ``mreg://PROFILE``.
        tracking_uri: MLflow's tracking server, for runs and their files.
    """

    def __init__(self, store_uri: str = "mreg:", tracking_uri: str | None = None) -> None:
        super().__init__(store_uri, tracking_uri)
        with translated():
            self._profile = profile_in(store_uri)
        self._tracking_uri = tracking_uri

    @property
    def _registry(self) -> Registry:
        return opened.registry(self._profile)

    # Models

    def create_registered_model(
        self,
        name: str,
        tags: Sequence[RegisteredModelTag] | None = None,
        description: str | None = None,
        deployment_job_id: str | None = None,
    ) -> RegisteredModel:
        """Register a model; a name that was deleted goes on with its version numbers and its history."""
        _refuse_deployment_job(deployment_job_id)
        _validate_model_name(name)
        for tag in tags or ():
            _validate_registered_model_tag(tag.key, tag.value)
        with translated(name):
            try:
                return model_entity(
                    self._registry.register(
                        from_mlflow_name(name),
                        description=description or "",
                        tags={tag.key: str(tag.value) for tag in tags or ()},
                    )
                )
            except AlreadyExists:
                existing = self._registry.model(from_mlflow_name(name))
                handle_resource_already_exist_error(name, PROMPT_TAG in existing.tags, bool(has_prompt_tag(tags)))
                raise

    def update_registered_model(
        self, name: str, description: str | None, deployment_job_id: str | None = None
    ) -> RegisteredModel:
        """Change the description of a model."""
        _refuse_deployment_job(deployment_job_id)
        with translated(name):
            self._registry.edit(_model(name), description=description or "")
        return self.get_registered_model(name)

    def rename_registered_model(self, name: str, new_name: str) -> RegisteredModel:
        """Rename a model; its versions, aliases and history stay."""
        _validate_model_renaming(new_name)
        with translated(name):
            model = _model(name)
            try:
                self._registry.rename(model.name, from_mlflow_name(new_name))
            except AlreadyExists as error:
                if self._found(_model(new_name)) is None:
                    raise  # the name was that of a deleted model, whose numbers are taken
                raise MlflowException(
                    f"Registered Model (name={new_name}) already exists.", error_code=RESOURCE_ALREADY_EXISTS
                ) from error
        return self.get_registered_model(new_name)

    def delete_registered_model(self, name: str) -> None:
        """Delete a model with its versions, also those in a stage and with aliases; the history stays."""
        with translated(name):
            self._registry.delete(_model(name), force=True)

    def get_registered_model(self, name: str) -> RegisteredModel:
        """Return a model with the latest version of each stage."""
        with translated(name):
            found = self._versions_of(_model(name))
            return model_entity(found.model, self._entities(latest_of_each_stage(found.versions)))

    def search_registered_models(
        self,
        filter_string: str | None = None,
        max_results: int | None = None,
        order_by: Sequence[str] | None = None,
        page_token: str | bytes | None = None,
    ) -> PagedList:
        """Return a page of the models that match a filter."""
        limit = check_max_results(max_results, SEARCH_REGISTERED_MODEL_MAX_RESULTS_THRESHOLD)
        search = model_search(filter_string, order_by)
        with translated():
            if search.name is not None:
                names = [ref.name for ref in _known_names(search.name)]
                models = [found.model for name in names if (found := self._found(VersionRef(name, exact=True)))]
            else:
                models = [summary.model for summary in self._registry.models()]
            page = search.page([model_entity(model) for model in models], limit, page_token)
            for entity in page:
                found = self._found(_model(entity.name))
                if found is not None:
                    entity.latest_versions = self._entities(latest_of_each_stage(found.versions))
        return page

    def get_latest_versions(self, name: str, stages: Sequence[str] | None = None) -> list[ModelVersion]:
        """Return the version with the highest number of each stage (default: of all stages)."""
        wanted = {get_canonical_stage(stage) for stage in stages or STAGES}
        with translated(name):
            latest = latest_of_each_stage(self._versions_of(_model(name)).versions)
            return self._entities(version for version in latest if version.stage.value in wanted)

    def set_registered_model_tag(self, name: str, tag: RegisteredModelTag) -> None:
        """Set a tag of a model."""
        _validate_registered_model_tag(tag.key, tag.value)
        with translated(name):
            self._registry.tag(_model(name), add={tag.key: str(tag.value)})

    def delete_registered_model_tag(self, name: str, key: str) -> None:
        """Remove a tag of a model, if it has it."""
        _validate_tag_name(key)
        with translated(name):
            if key in self._registry.model(_model(name).name).tags:
                self._registry.tag(_model(name), remove=[key])

    # Versions

    def create_model_version(
        self,
        name: str,
        source: str,
        run_id: str | None = None,
        tags: Sequence[ModelVersionTag] | None = None,
        run_link: str | None = None,
        description: str | None = None,
        local_model_path: str | None = None,
        model_id: str | None = None,
    ) -> ModelVersion:
        """Store the bytes of a source as the next version of a model; the version is complete or does not exist.

        The version has the metrics, the parameters and the experiment of the run and of the logged model, and keeps the
        source without credentials. A version that is registered again is the parent of the new one, which has its run
        and metrics as well.

        Args:
            local_model_path: The files of the source, if the caller has them.
            model_id: The logged model of the source.

        Raises:
            MlflowException: The model does not exist, the source cannot be read, or a value is invalid.
        """
        for tag in tags or ():
            _validate_model_version_tag(tag.key, tag.value)
            _refuse_field(tag.key)
        texts = {tag.key: str(tag.value) for tag in tags or ()}
        with translated(name):
            model = self._registry.model(_model(name).name).name
            if PROMPT_TAG in texts and source in _PROMPT_SOURCES:
                return self._create_prompt(model, texts, description or "")
            made_from = self._version_of_source(source)
            if made_from is not None:
                run_id = run_id or made_from.run_id
                model_id = model_id or made_from.tags.get(MODEL_ID_TAG)
            fields = {SOURCE_TAG: source_text(source), RUN_LINK_TAG: run_link, MODEL_ID_TAG: model_id}
            facts = run_facts(self._tracking_uri, run_id, model_id or _logged_model(source))
            with self._files(source, made_from, local_model_path) as path:
                pushed = self._registry.push(
                    path,
                    name=model,
                    metrics={**(made_from.metrics if made_from else {}), **facts.metrics},
                    parameters={**(made_from.parameters if made_from else {}), **facts.parameters},
                    tags={**texts, **{key: value for key, value in fields.items() if value}},
                    description=description or "",
                    run_id=facts.run_id,
                    experiment_id=facts.experiment_id or (made_from.experiment_id if made_from else ""),
                    parent=made_from,
                    exclude=_EVERY_FILE if os.path.isdir(path) else (),
                    existing=True,
                )
            return self._entity(pushed)

    def _create_prompt(self, model: ModelName, tags: dict[str, str], description: str) -> ModelVersion:
        with _prompt_file(tags) as path:
            return self._entity(
                self._registry.push(
                    path, name=model, tags=stored_prompt_tags(tags), description=description, existing=True
                )
            )

    def _version_of_source(self, source: str) -> domain.ModelVersion | None:
        """Return the version of this registry that a source names, or None."""
        if not source.startswith("models:/") or _logged_model(source) is not None:
            return None
        parsed = _parse_model_uri(source)
        with translated(parsed.name, parsed.version or ""):
            return self._named(parsed.name, parsed.version, parsed.stage, parsed.alias)

    @contextmanager
    def _files(self, source: str, made_from: domain.ModelVersion | None, local_model_path: str | None) -> Iterator[str]:
        if local_model_path is not None and os.path.isdir(local_model_path):
            yield local_model_path
        elif made_from is not None:
            with tempfile.TemporaryDirectory(prefix="mreg-") as folder:
                yield str(self._registry.pull(made_from, os.path.join(folder, FOLDER)).destination)
        else:
            with downloaded(source, self._tracking_uri) as path:
                yield path

    def _named(self, name: str, version: str | None, stage: str | None, alias: str | None) -> domain.ModelVersion:
        """Return the version of a URI ``models:/NAME/VERSION``, ``/STAGE``, ``/latest`` or ``@ALIAS``."""
        if version is not None:
            return self._version(name, version)
        if alias is not None:
            return self._version_by_alias(name, alias)
        found = latest_of_each_stage(self._versions_of(_model(name)).versions)
        wanted = STAGES if stage is None else (get_canonical_stage(stage),)
        in_stage = [version for version in found if version.stage.value in wanted]
        if not in_stage:
            at = "" if stage is None else f" and stage '{stage}'"
            raise MlflowException(f"No versions of model with name '{name}'{at} found")
        return max(in_stage, key=lambda version: version.version)

    def update_model_version(self, name: str, version: str | int, description: str | None = None) -> ModelVersion:
        """Change the description of a version."""
        with translated(name, version):
            self._registry.edit(_reference(name, version), description=description or "")
            return self._entity(self._version(name, version))

    def transition_model_version_stage(
        self, name: str, version: str | int, stage: str, archive_existing_versions: bool
    ) -> ModelVersion:
        """Move a version to a stage, under the policy of the model.

        Args:
            archive_existing_versions: Archive the other versions in the stage, as mreg does by default.
        """
        target = get_canonical_stage(stage)
        if archive_existing_versions and target not in DEFAULT_STAGES_FOR_GET_LATEST_VERSIONS:
            raise MlflowException(
                "Model version transition cannot archive existing model versions because "
                f"'{stage}' is not an Active stage. Valid stages are {DEFAULT_STAGES_FOR_GET_LATEST_VERSIONS}"
            )
        with translated(name, version):
            self._add_new_metrics(name, version)
            change = self._registry.promote(
                _reference(name, version), target, keep_existing=not archive_existing_versions
            )
            return self._entity(change.version)

    def delete_model_version(self, name: str, version: str | int) -> None:
        """Delete a version, also in a stage and with aliases; its number is not used again."""
        with translated(name, version):
            self._registry.delete(_reference(name, version), force=True)

    def get_model_version(self, name: str, version: str | int) -> ModelVersion:
        """Return a version."""
        with translated(name, version):
            return self._entity(self._version(name, version))

    def get_model_version_stages(self, name: str, version: str | int) -> list[str]:  # noqa: ARG002
        """Return the stages."""
        return list(STAGES)

    def get_model_version_download_uri(self, name: str, version: str | int) -> str:
        """Return the address of the files of a version, which `mreg.mlflow.artifacts` serves."""
        with translated(name, version):
            return str(Address(profile=self._profile, reference=self._version(name, version).reference))

    def search_model_versions(
        self,
        filter_string: str | None = None,
        max_results: int | None = None,
        order_by: Sequence[str] | None = None,
        page_token: str | bytes | None = None,
    ) -> PagedList:
        """Return a page of the versions that match a filter, last changed first by default."""
        limit = check_max_results(max_results, SEARCH_MODEL_VERSION_MAX_RESULTS_THRESHOLD)
        search = version_search(filter_string, order_by)
        versions: Sequence[domain.ModelVersion]
        with translated():
            if search.name is not None:
                found = [self._found(reference) for reference in _known_names(search.name)]
                versions = [version for each in found if each for version in each.versions]
            else:
                versions = self._registry.search()
            return search.page(self._entities(versions), limit, page_token)

    def set_model_version_tag(self, name: str, version: str | int, tag: ModelVersionTag) -> None:
        """Set a tag of a version."""
        _validate_model_version_tag(tag.key, tag.value)
        _refuse_field(tag.key)
        if tag.key == PROMPT_TEXT_TAG:
            raise invalid(f"The tag '{tag.key}' cannot be changed: it is the content of the version.")
        with translated(name, version):
            self._registry.tag(_reference(name, version), add={tag.key: str(tag.value)})

    def delete_model_version_tag(self, name: str, version: str | int, key: str) -> None:
        """Remove a tag of a version, if it has it."""
        _validate_tag_name(key)
        _refuse_field(key)
        with translated(name, version):
            if key in self._version(name, version).tags:
                self._registry.tag(_reference(name, version), remove=[key])

    # Aliases

    def set_registered_model_alias(self, name: str, alias: str, version: str | int) -> None:
        """Point an alias at a version, under the policy of the model."""
        _validate_model_alias_name(alias)
        _validate_model_alias_name_reserved(alias)
        with translated(name, version):
            self._add_new_metrics(name, version)
            reference = _reference(name, version)
            if alias.lower() in (stage.lower() for stage in STAGES):
                raise invalid(
                    f"Invalid alias name: '{alias}'. '@{alias}' is the version in the stage {alias.capitalize()}. "
                    "Use transition_model_version_stage, or another alias."
                )
            self._registry.set_alias(reference, from_mlflow_alias(alias))

    def delete_registered_model_alias(self, name: str, alias: str) -> None:
        """Remove an alias, if the model has it."""
        _validate_model_alias_name(alias)
        with translated(name):
            model = self._registry.model(_model(name).name)
            mapped = _alias(alias)
            if mapped is not None and mapped.lower() in (known.lower() for known in model.aliases):
                self._registry.remove_alias(model.name, mapped)

    def get_model_version_by_alias(self, name: str, alias: str) -> ModelVersion:
        """Return the version with an alias; ``latest``, a stage and ``best`` are selectors, as in mreg."""
        with translated(name):
            return self._entity(self._version_by_alias(name, alias))

    def _version_by_alias(self, name: str, alias: str) -> domain.ModelVersion:
        model = _model(name)
        if alias.lower() == "latest":
            return self._named(name, None, None, None)
        mapped = _alias(alias)
        if mapped is not None:
            selector = Selector(SelectorKind.ALIAS, mapped)
        elif alias.lower() in ("best", *(stage.lower() for stage in STAGES)):
            selector = Selector.parse(alias)
        else:
            raise invalid(f"Registered model alias {alias} not found.")
        try:
            return self._registry.version(VersionRef(model.name, selector))
        except NotFound as error:
            if error.details.get("kind") == "model":
                raise
            raise invalid(f"Registered model alias {alias} not found.") from error

    # What the registry returns

    def _add_new_metrics(self, name: str, version: str | int) -> None:
        """Add the metrics that the run of a version has had since it was registered, which gates can need.

        Scripts and autologging log a model before its metrics. Values that the version has are never replaced.
        """
        known = self._version(name, version)
        if SOURCE_TAG not in known.tags or not (known.run_id or MODEL_ID_TAG in known.tags):
            return
        facts = run_facts(self._tracking_uri, known.run_id, known.tags.get(MODEL_ID_TAG))
        new = {metric: value for metric, value in facts.metrics.items() if metric not in known.metrics}
        if new and len(new) + len(known.metrics) <= ENTRIES_LIMIT:
            with suppress(Conflict):  # another process added them
                self._registry.evaluate(known, new)

    def _version(self, name: str, version: str | int) -> domain.ModelVersion:
        return self._registry.version(_reference(name, version))

    def _versions_of(self, model: VersionRef) -> ModelVersions:
        found = self._registry.show(model)
        if not isinstance(found, ModelVersions):
            raise TypeError(f"expected a model, got {found!r}")
        return found

    def _found(self, model: VersionRef) -> ModelVersions | None:
        try:
            return self._versions_of(model)
        except NotFound:
            return None

    def _entities(self, versions: Iterator[domain.ModelVersion] | Sequence[domain.ModelVersion]) -> list[ModelVersion]:
        return [self._entity(version) for version in versions]

    def _entity(self, version: domain.ModelVersion) -> ModelVersion:
        tags = dict(version.tags)
        if PROMPT_TAG in tags and PROMPT_TEXT_TAG not in tags and version.artifact.size_bytes <= _PROMPT_BYTES:
            text = io.BytesIO()
            self._registry.stream(version, text)
            tags[PROMPT_TEXT_TAG] = text.getvalue().decode(errors="replace")
        return version_entity(version, self._profile, tags)


def _model(name: str) -> VersionRef:
    """Return the reference of a model by its name in MLflow."""
    _validate_model_name(name)
    return VersionRef(from_mlflow_name(name), exact=True)


def _known_names(name: str) -> list[VersionRef]:
    """Return the reference of a model by a name in a filter; none for a name that no model can have."""
    try:
        return [VersionRef(from_mlflow_name(name), exact=True)]
    except BadInput:
        return []


def _reference(name: str, version: str | int) -> VersionRef:
    """Return the reference of a version by the name of its model in MLflow and its number."""
    model: ModelName = _model(name).name
    number: int = _validate_model_version(version)
    if not 0 < number <= LARGEST_VERSION:
        raise missing_version(name, version)
    return VersionRef(model, Selector.number(number))


def _alias(alias: str) -> str | None:
    """Return an alias in mreg; None if it has another meaning there or cannot exist."""
    try:
        return from_mlflow_alias(alias)
    except BadInput:
        return None


def _logged_model(source: str) -> str | None:
    """Return the id of the logged model that a source names, or None."""
    if not source.startswith("models:/"):
        return None
    model_id: str | None = _parse_model_uri(source).model_id
    return model_id


@contextmanager
def _prompt_file(tags: dict[str, str]) -> Iterator[str]:
    name, text = prompt_text(tags)
    if not text:
        raise invalid(f"The prompt has no text: the tag '{PROMPT_TEXT_TAG}' is missing or empty.")
    with tempfile.TemporaryDirectory(prefix="mreg-") as folder:
        path = os.path.join(folder, name)
        with open(path, "w", encoding="utf-8", newline="") as file:
            file.write(text)
        yield path


def _refuse_field(key: str) -> None:
    if key in FIELD_TAGS:
        raise invalid(f"Invalid tag name: '{key}'. The name is reserved for a field of the version.")


def _refuse_deployment_job(deployment_job_id: str | None) -> None:
    if deployment_job_id:
        raise MlflowException("The mreg registry has no deployment jobs.", error_code=NOT_IMPLEMENTED)
