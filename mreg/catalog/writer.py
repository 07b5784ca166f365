"""Writer: changes to the catalog, each with its audit event."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from datetime import datetime
from typing import TYPE_CHECKING

from mreg.catalog.database import Connection
from mreg.catalog.reader import Reader
from mreg.catalog.rows import (
    event_values,
    last_version,
    metric_values,
    number,
    parameter_number,
    read_event,
    source_values,
)
from mreg.domain.digest import Digest
from mreg.domain.events import Event, chained, time_text
from mreg.domain.metadata import VersionMetadata
from mreg.domain.model import ModelArtifact, ModelStage, ModelVersion, RegisteredModel, Source
from mreg.domain.names import LARGEST_VERSION, ModelName, folded, spelled
from mreg.domain.scope import EVERYTHING, ModelScope
from mreg.domain.text import quoted
from mreg.errors import AlreadyExists, Corrupt

if TYPE_CHECKING:
    from mreg.domain.metrics import MetricValue
    from mreg.domain.policy import Decision

Observer = Callable[["Writer", Event], None]
"""Called with each event in its transaction, right after the event is written."""


class Writer(Reader):
    """Changes in one transaction, and queries that see them.

    Each method writes an event of its change in the same transaction.

    Args:
        actor: User name in the events.
        at: Time of the events (aware UTC); ``time`` is its stored text.
        observer: Called with each event; can make further changes.
    """

    def __init__(
        self,
        connection: Connection,
        locate: Callable[[Digest], str],
        scope: ModelScope = EVERYTHING,
        *,
        actor: str,
        at: datetime,
        observer: Observer | None = None,
    ) -> None:
        super().__init__(connection, locate, scope)
        self._observer = observer
        self.actor = actor
        self.at = at
        self.time = time_text(at)
        self._last: Event | None = None

    def record(
        self, action: str, model: RegisteredModel | None, details: Mapping[str, object], version: int | None = None
    ) -> int:
        """Append an event to the audit trail, and return its seq; ``model`` is None for an event without a model."""
        if self._last is None:
            row = self.connection.one("events.last")
            self._last = read_event(row) if row else None
        self._last = chained(
            self._last,
            at=self.at,
            actor=self.actor,
            action=action,
            model_id=model.model_id if model else 0,
            model=str(model.name) if model else "",
            version=version,
            details=details,
        )
        self.connection.run("events.insert", **event_values(self._last))
        if self._observer is not None:
            self._observer(self, self._last)
        return self._last.seq

    def reload_model(self, name: ModelName) -> RegisteredModel:
        """Return the current state of a model, which must exist."""
        model = self.model(name)
        if model is None:
            raise Corrupt(f"the catalog lost the model {quoted(str(name))} while it was changed")
        return model

    def _reload_version(self, version: ModelVersion) -> ModelVersion:
        found = self.version_by_id(version.version_id)
        if found is None:
            raise Corrupt(f"the catalog lost {version.reference} while it was changed")
        return found

    # Models

    def register(
        self,
        *,
        name: ModelName,
        description: str = "",
        tags: Mapping[str, str] | None = None,
        directions: Mapping[str, str] | None = None,
        primary_metric: str = "",
        imported: Mapping[str, object] | None = None,
    ) -> RegisteredModel:
        """Register a model; if an earlier model had the name, version numbers continue after that model's.

        Args:
            imported: Fields of the model in the registry that it comes from, only for the audit trail.

        Raises:
            AlreadyExists: A model with this name exists.
            OutsideScope: The name is outside the scope, whether a model has it or not.
        """
        self.scope.check_name(name, "register")
        if self.connection.one("models.by_name", name=str(name)):
            known = f"show it: mreg show {name}; change it: mreg edit {name}"
            raise AlreadyExists(f"model {quoted(str(name))} already exists", hint=known)
        before = self.connection.one("models.given_up", name=str(name))
        model_id = self.connection.insert(
            "models.insert",
            name=str(name),
            description=description,
            primary_metric=primary_metric,
            last_version=last_version(before) if before else 0,
            at=self.time,
            actor=self.actor,
        )
        self.connection.run("models.take_back", name=str(name))
        for key, value in (tags or {}).items():
            self.connection.run("models.set_tag", model_id=model_id, name=key, value=value)
        for metric, better in (directions or {}).items():
            self.connection.run("models.set_direction", model_id=model_id, name=metric, value=better)
        model = self.reload_model(name)
        fields = {"tags": dict(model.tags), "directions": dict(model.directions), "primary_metric": primary_metric}
        origin = {"imported": dict(imported)} if imported else {}
        self.record("model.registered", model, {"description": description, **fields, **origin})
        return model

    def edit_model(
        self,
        model: RegisteredModel,
        *,
        description: str | None = None,
        set_tags: Mapping[str, str] | None = None,
        remove_tags: Collection[str] = (),
        directions: Mapping[str, str] | None = None,
        primary_metric: str | None = None,
    ) -> RegisteredModel:
        """Edit the fields of a model; None keeps a field, an empty direction removes it."""
        model_id = model.model_id
        self.connection.run(
            "models.update",
            model_id=model_id,
            description=model.description if description is None else description,
            primary_metric=model.primary_metric if primary_metric is None else primary_metric,
            at=self.time,
        )
        for key, value in (set_tags or {}).items():
            self.connection.run("models.set_tag", model_id=model_id, name=key, value=value)
        for key in remove_tags:
            self.connection.run("models.remove_tag", model_id=model_id, name=key)
        for metric, better in (directions or {}).items():
            if better:
                self.connection.run("models.set_direction", model_id=model_id, name=metric, value=better)
            else:
                self.connection.run("models.remove_direction", model_id=model_id, name=metric)
        after = self.reload_model(model.name)
        fields = ("description", "tags", "directions", "primary_metric")
        self.record("model.edited", model, _changes(model, after, fields))
        return after

    def rename(self, model: RegisteredModel, to: ModelName) -> RegisteredModel:
        """Rename a model; its version numbers are not reused under the old name.

        Raises:
            AlreadyExists: The name is taken, or was used by another model for version numbers that this one has too.
            OutsideScope: The name is outside the scope, whether a model has it or not.
        """
        if to == model.name:
            return model
        self.scope.check_name(to, f"rename {model.name} to")
        if self.connection.one("models.by_name", name=str(to)):
            raise AlreadyExists(f"model {quoted(str(to))} already exists", hint="choose another name")
        row = self.connection.one("models.by_id", model_id=model.model_id)
        last = last_version(row) if row else 0
        before = self.connection.one("models.given_up", name=str(to))
        if before and before["model_id"] != model.model_id and last:
            raise AlreadyExists(
                f"cannot rename {model.name} to {to}: another model had that name until version {last_version(before)}",
                hint=f"choose another name; a reference such as {to}@1 must not change its meaning",
            )
        used = max(last, last_version(before) if before else 0)
        self.connection.run("models.rename", model_id=model.model_id, name=str(to), last_version=used, at=self.time)
        self.connection.run("models.give_up", name=str(model.name), model_id=model.model_id, last_version=last)
        self.connection.run("models.take_back", name=str(to))
        after = self.reload_model(to)
        self.record("model.renamed", model, {"to": str(to)})
        return after

    def delete_model(self, model: RegisteredModel) -> None:
        """Delete a model with its versions; its events stay, and its version numbers are not reused under its name."""
        from mreg.catalog.policies import PolicyWriter

        for version in reversed(self.versions(model)):
            self.delete_version(version)
        row = self.connection.one("models.by_id", model_id=model.model_id)
        last = last_version(row) if row else 0
        self.connection.run("models.give_up", name=str(model.name), model_id=model.model_id, last_version=last)
        PolicyWriter(self).set(model, None)
        self.record("model.deleted", model, {"last_version": last})
        self.connection.run("models.delete", model_id=model.model_id)

    # Versions

    def add_version(
        self,
        model: RegisteredModel,
        *,
        artifact: ModelArtifact,
        metadata: VersionMetadata,
        parent: ModelVersion | None = None,
        source: Source | None = None,
        wanted: int = 0,
        unused: int = 0,
        imported: Mapping[str, object] | None = None,
    ) -> ModelVersion:
        """Add the next version of a model; its artifact must be durable already.

        Args:
            metadata: The metadata; aliases are ignored, `set_alias` sets them.
            wanted: Version number, used if all numbers so far are lower.
            unused: Version number that was never used, whether higher numbers exist or not; see `Reader.has_used`.
            imported: Fields of the version in the registry that exported it, only for the audit trail.
        """
        row = self.connection.one("models.by_id", model_id=model.model_id)
        last = last_version(row) if row else 0
        given = unused or max(number(row, "last_version", 0, LARGEST_VERSION - 1) + 1 if row else 1, wanted)
        details = {
            "checksum": str(artifact.digest),
            "kind": artifact.kind.value,
            "size_bytes": artifact.size_bytes,
            "metrics": dict(metadata.metrics),
            "run_id": metadata.run_id,
            "parent": str(parent.reference) if parent else "",
            **({"data": dict(metadata.data)} if metadata.data else {}),
            **({"imported": dict(imported)} if imported else {}),
        }
        seq = self.record("version.pushed", model, details, given)
        version_id = self.connection.insert(
            "versions.insert",
            model_id=model.model_id,
            version=given,
            seq=seq,
            description=metadata.description,
            artifact_id=self._artifact_id(artifact),
            artifact_name=artifact.name,
            format=artifact.format,
            run_id=metadata.run_id,
            experiment_id=metadata.experiment_id,
            parent_id=parent.version_id if parent else None,
            at=self.time,
            actor=self.actor,
            **source_values(source or Source()),
        )
        self._insert_metadata(model.model_id, version_id, metadata)
        self.connection.run("models.add_version", model_id=model.model_id, version=max(given, last), at=self.time)
        version = self.version_by_id(version_id)
        if version is None:
            raise Corrupt(f"the catalog lost version {given} of {model.name} while it was added")
        return version

    def _insert_metadata(self, model_id: int, version_id: int, metadata: VersionMetadata) -> None:
        self.connection.run_many(
            "versions.insert_metric",
            [
                {"version_id": version_id, "model_id": model_id, **metric_values(name, value)}
                for name, value in metadata.metrics.items()
            ],
        )
        self.connection.run_many(
            "versions.insert_parameter",
            [
                {"version_id": version_id, "name": name, "value": value, "number": parameter_number(value)}
                for name, value in metadata.parameters.items()
            ],
        )
        for key, value in metadata.tags.items():
            self.connection.run("versions.set_tag", version_id=version_id, name=key, value=value)
        for key, value in metadata.data.items():
            self.connection.run("versions.set_data", version_id=version_id, name=key, value=value)

    def _artifact_id(self, artifact: ModelArtifact) -> int:
        found = self.connection.one("versions.artifact", digest=artifact.digest.value, kind=artifact.kind.value)
        if found:
            return number(found, "artifact_id")
        return self.connection.insert(
            "versions.insert_artifact",
            kind=artifact.kind.value,
            digest=artifact.digest.value,
            size_bytes=artifact.size_bytes,
            file_count=artifact.file_count,
        )

    def change_stage(
        self,
        version: ModelVersion,
        to: ModelStage,
        *,
        returned: bool = False,
        reason: str = "",
        replaced_by: int | None = None,
        assessment: Mapping[str, object] | None = None,
    ) -> ModelVersion:
        """Move a version to a stage; callers check the policy and move other versions out of the stage.

        Args:
            returned: Whether a rollback moves the version.
            reason: Reason, for the audit trail.
            replaced_by: Number of the version that replaces this one in its stage, for the audit trail.
            assessment: Result of the policy check, for the audit trail.
        """
        model = self.reload_model(version.model_name)
        details = {
            "from": version.stage.value,
            "to": to.value,
            "reason": reason,
            "returned": returned,
            "replaced_by": replaced_by,
            **({"policy": assessment} if assessment else {}),
        }
        self.connection.run("versions.leave_stage", version_id=version.version_id)
        seq = self.record("version.stage_changed", model, details, version.version)
        self.connection.run(
            "versions.change_stage", version_id=version.version_id, stage=to.value, seq=seq, at=self.time
        )
        self.connection.run(
            "versions.insert_stage_change",
            seq=seq,
            model_id=model.model_id,
            version=version.version,
            from_stage=version.stage.value,
            to_stage=to.value,
            returned=int(returned),
        )
        self.connection.run("models.touch", model_id=model.model_id, at=self.time)
        return self._reload_version(version)

    def edit_version(
        self,
        version: ModelVersion,
        *,
        description: str | None = None,
        set_tags: Mapping[str, str] | None = None,
        remove_tags: Collection[str] = (),
        run_id: str | None = None,
        experiment_id: str | None = None,
        parent: ModelVersion | None = None,
        remove_parent: bool = False,
    ) -> ModelVersion:
        """Edit the fields of a version; None keeps a field."""
        before = self.parent_of(version.version_id)
        parent_id = parent.version_id if parent else None if remove_parent else before
        self.connection.run(
            "versions.update",
            version_id=version.version_id,
            description=version.description if description is None else description,
            run_id=version.run_id if run_id is None else run_id,
            experiment_id=version.experiment_id if experiment_id is None else experiment_id,
            parent_id=parent_id,
            at=self.time,
        )
        for key, value in (set_tags or {}).items():
            self.connection.run("versions.set_tag", version_id=version.version_id, name=key, value=value)
        for key in remove_tags:
            self.connection.run("versions.remove_tag", version_id=version.version_id, name=key)
        after = self._reload_version(version)
        changes = _changes(version, after, ("description", "tags", "run_id", "experiment_id"))
        if parent_id != before:
            changes["parent"] = [self._true_name(before), self._true_name(parent_id)]
        model = self.reload_model(version.model_name)
        self.record("version.edited", model, changes, version.version)
        self.connection.run("models.touch", model_id=model.model_id, at=self.time)
        return after

    def _true_name(self, version_id: int | None) -> str:
        """Return the reference of a version for the audit trail, also outside the scope; empty if there is none."""
        if version_id is None:
            return ""
        found = Reader(self.connection, self._locate).references([version_id])
        return str(found.get(version_id, ""))

    def set_metrics(
        self, version: ModelVersion, metrics: Mapping[str, MetricValue], *, dataset: str = "", reason: str = ""
    ) -> tuple[ModelVersion, tuple[Decision, ...]]:
        """Set metrics of a version, and return it with the approvals that are void because a value was replaced.

        Args:
            metrics: New values only; the caller checks the number of metrics.
            dataset: Name of the data set, for the audit trail.
            reason: Reason, for the audit trail.
        """
        replaced = {name: version.metrics[name] for name in metrics if name in version.metrics}
        voided: tuple[Decision, ...] = ()
        if replaced:
            from mreg.catalog.policies import PolicyWriter

            voided = PolicyWriter(self).void_approvals(version)
        model = self.reload_model(version.model_name)
        ids = {"version_id": version.version_id, "model_id": model.model_id}
        rows = [{**ids, **metric_values(name, value)} for name, value in metrics.items()]
        self.connection.run_many("versions.set_metric", rows)
        self.connection.run("versions.touch", version_id=version.version_id, at=self.time)
        self.connection.run("models.touch", model_id=model.model_id, at=self.time)
        details = {
            "metrics": dict(metrics),
            "dataset": dataset,
            "replaced": replaced,
            "reason": reason,
            "voided": [{"person": decision.person, "target": decision.target} for decision in voided],
        }
        given = {key: value for key, value in details.items() if value}
        self.record("version.evaluated", model, given, version.version)
        return self._reload_version(version), voided

    def set_alias(self, version: ModelVersion, alias: str) -> ModelVersion:
        """Point an alias to a version; an existing alias keeps its spelling. No event if nothing changes."""
        model = self.reload_model(version.model_name)
        alias = spelled(alias, model.aliases) or alias
        before = model.aliases.get(alias)
        for other in model.aliases:  # an older release can have stored several spellings
            if other != alias and folded(other) == folded(alias):
                self.remove_alias(model, other)
        if before == version.version:
            return self._reload_version(version)
        self.connection.run("versions.set_alias", model_id=model.model_id, alias=alias, version_id=version.version_id)
        seq = self.record("alias.set", model, {"alias": alias, "before": before}, version.version)
        self._insert_alias_change(model, seq, alias, version.version)
        return self._reload_version(version)

    def remove_alias(self, model: RegisteredModel, alias: str) -> None:
        """Remove an alias, given in its stored spelling."""
        self.connection.run("versions.remove_alias", model_id=model.model_id, alias=alias)
        seq = self.record("alias.removed", model, {"alias": alias}, model.aliases.get(alias))
        self._insert_alias_change(model, seq, alias, None)

    def _insert_alias_change(self, model: RegisteredModel, seq: int, alias: str, version: int | None) -> None:
        model_id = model.model_id
        self.connection.run("versions.insert_alias_change", seq=seq, model_id=model_id, alias=alias, version=version)
        self.connection.run("models.touch", model_id=model_id, at=self.time)

    def delete_version(self, version: ModelVersion) -> None:
        """Delete a version; its events stay, and its number is not reused."""
        model = self.reload_model(version.model_name)
        for alias in version.aliases:
            self.remove_alias(model, alias)
        self.connection.run(
            "versions.bury",
            version_id=version.version_id,
            model_id=model.model_id,
            model_name=str(model.name),
            version=version.version,
            parent_id=self.parent_of(version.version_id),
            digest=version.artifact.digest.value,
            at=self.time,
        )
        artifact_id = self._artifact_id(version.artifact)
        self.connection.run("versions.delete", version_id=version.version_id)
        self.connection.run("versions.delete_unused_artifact", artifact_id=artifact_id)
        self.connection.run("models.lose_version", model_id=model.model_id, at=self.time)
        details = {"checksum": str(version.artifact.digest), "stage": version.stage.value}
        self.record("version.deleted", model, details, version.version)


def _changes(before: object, after: object, fields: Collection[str]) -> dict[str, object]:
    """Return ``{field: [before, after]}`` for the changed fields, JSON-ready."""
    pairs = {field: (getattr(before, field), getattr(after, field)) for field in fields}
    return {field: [_plain(old), _plain(new)] for field, (old, new) in pairs.items() if old != new}


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return dict(value)
    return "" if value is None else str(value)
