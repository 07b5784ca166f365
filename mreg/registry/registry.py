"""Registry: every operation by name, each in its own module behind."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import TYPE_CHECKING, BinaryIO

from mreg.domain.names import ModelName, VersionRef
from mreg.registry.upkeep import Upkeep

if TYPE_CHECKING:
    from mreg.domain.events import Event
    from mreg.domain.metrics import Direction, MetricValue
    from mreg.domain.model import ModelStage, ModelVersion, RegisteredModel
    from mreg.domain.policy import Policy
    from mreg.results import Page
    from mreg.results.bundles import Exported, Imported
    from mreg.results.changes import Deletion, StageChange
    from mreg.results.comparison import Comparison
    from mreg.results.deployments import DeploymentReport
    from mreg.results.files import Pulled
    from mreg.results.history import AuditReport, StagesAt, Why
    from mreg.results.lineage import Lineage
    from mreg.results.models import ModelSummary, ModelVersions
    from mreg.results.policies import Decided, ModelPolicy, Plan, Standing, Waiting
    from mreg.results.profiles import Profile

Reference = VersionRef | str
Name = ModelName | str
Place = str | os.PathLike[str]
Progress = Callable[[int, int], None] | None


class Registry(Upkeep):
    """A model registry: what the commands do, as methods that give frozen domain values.

    Get one from `mreg.open_registry`. Methods raise `mreg.MregError` subclasses and change nothing when they do; each
    change is one transaction with its audit event. References are texts such as ``classifier@production`` or
    `VersionRef` values. A registry may be used from several threads, and is a context manager that closes itself.
    """

    def __enter__(self) -> Registry:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the catalog; does nothing a second time."""
        self._session.catalog.close()

    @property
    def profile(self) -> Profile:
        """Where this registry keeps its catalog and artifacts, and who said so."""
        return self._session.profile

    def register(
        self,
        name: Name,
        *,
        description: str = "",
        tags: Mapping[str, str] | None = None,
        directions: Mapping[str, Direction | str] | None = None,
        primary_metric: str = "",
    ) -> RegisteredModel:
        """Register a model; see `mreg.registry.edit.register`."""
        from mreg.registry.edit import register

        return register(
            self._session,
            name,
            description=description,
            tags=tags,
            directions=directions,
            primary_metric=primary_metric,
        )

    def push(
        self,
        path: Place,
        *,
        name: Name | None = None,
        metrics: Mapping[str, MetricValue] | None = None,
        parameters: Mapping[str, object] | None = None,
        tags: Mapping[str, str] | None = None,
        aliases: Iterable[str] = (),
        stage: ModelStage | str | None = None,
        description: str = "",
        run_id: str = "",
        experiment_id: str = "",
        parent: Reference | None = None,
        data: Mapping[str, str] | None = None,
        format: str = "",
        progress: Progress = None,
    ) -> ModelVersion:
        """Store a file or folder as the next version of a model; see `mreg.registry.push.push`.

        Without a name one is found as the command finds it (`mreg.registry.naming`), with a notice.
        """
        from mreg.registry.push import Attachments, push, target_model

        attachments = Attachments(
            description=description, metrics=metrics or {}, tags=tags or {}, data=data or {}, aliases=tuple(aliases),
            parameters={key: str(value) for key, value in (parameters or {}).items()},
            run_id=run_id, experiment_id=experiment_id, format=format,
        )  # fmt: skip
        target = target_model(self._session, path, name)
        return push(self._session, path, target, attachments, stage=stage, parent=parent, progress=progress)

    def pull(
        self, reference: Reference, destination: Place | None = None, *, force: bool = False, progress: Progress = None
    ) -> Pulled:
        """Write a version's verified bytes to a destination, all or nothing; see `mreg.registry.pull.pull`."""
        from mreg.registry.pull import pull

        return pull(self._session, reference, destination, force=force, progress=progress)

    def stream(self, reference: Reference, to: BinaryIO) -> ModelVersion:
        """Write a version that is one file to a stream; see `mreg.registry.pull.stream`."""
        from mreg.registry.pull import stream

        return stream(self._session, reference, to)

    def models(self, *, limit: int | None = None, offset: int = 0) -> Page[ModelSummary]:
        """Every model, the one that changed last first."""
        from mreg.registry.query import models

        return models(self._session, limit=limit, offset=offset)

    def model(self, name: Name) -> RegisteredModel:
        """The model of that name; see `mreg.registry.query.model`."""
        from mreg.registry.query import model

        return model(self._session, name)

    def version(self, reference: Reference) -> ModelVersion:
        """The version that a reference means, the latest for a bare name; see `mreg.registry.query.version`."""
        from mreg.registry.query import version

        return version(self._session, reference)

    def show(self, reference: Reference, *, limit: int | None = None, offset: int = 0) -> ModelVersions | ModelVersion:
        """A model with its versions, or one version; see `mreg.registry.query.show`."""
        from mreg.registry.query import show

        return show(self._session, reference, limit=limit, offset=offset)

    def search(
        self, expression: str = "", *, sort: str | None = None, limit: int | None = None, offset: int = 0
    ) -> Page[ModelVersion]:
        """Versions for which an expression holds; see `mreg.registry.query.search`."""
        from mreg.registry.query import search

        return search(self._session, expression, sort=sort, limit=limit, offset=offset)

    def compare(self, first: Reference, second: Reference | None = None) -> Comparison:
        """The difference of two versions; see `mreg.registry.compare.compare`."""
        from mreg.registry.compare import compare

        return compare(self._session, first, second)

    def promote(
        self,
        reference: Reference,
        to: ModelStage | str | None = None,
        *,
        keep_existing: bool = False,
        leave_production: bool | None = None,
        seen: ModelStage | None = None,
        reason: str = "",
        override: str = "",
    ) -> StageChange:
        """Move a version to a stage, or a step up the road; see `mreg.registry.promote.promote`."""
        from mreg.registry.promote import promote

        return promote(
            self._session, reference, to, keep_existing=keep_existing, leave_production=leave_production, seen=seen,
            reason=reason, override=override,
        )  # fmt: skip

    def archive(
        self, reference: Reference, *, leave_production: bool = True, seen: ModelStage | None = None,
        reason: str = "", override: str = "",
    ) -> StageChange:  # fmt: skip
        """Move a version to Archived; see `mreg.registry.promote.archive`."""
        from mreg.registry.promote import archive

        return archive(
            self._session, reference, leave_production=leave_production, seen=seen, reason=reason, override=override
        )

    def rollback(
        self, name: Name, *, stage: ModelStage | str = "Production", to: Reference | None = None,
        leave_production: bool = False, seen: ModelStage | None = None, reason: str = "",
    ) -> StageChange:  # fmt: skip
        """Bring back what was in a stage before; see `mreg.registry.promote.rollback`."""
        from mreg.registry.promote import rollback

        return rollback(
            self._session, name, stage=stage, to=to, leave_production=leave_production, seen=seen, reason=reason
        )

    def set_alias(self, reference: Reference, alias: str, *, override: str = "") -> ModelVersion:
        """Make an alias point to a version; see `mreg.registry.edit.set_alias`."""
        from mreg.registry.edit import set_alias

        return set_alias(self._session, reference, alias, override=override)

    def remove_alias(self, name: Name, alias: str, *, override: str = "") -> RegisteredModel:
        """Take an alias away; see `mreg.registry.edit.remove_alias`."""
        from mreg.registry.edit import remove_alias

        return remove_alias(self._session, name, alias, override=override)

    def tag(
        self, reference: Reference, *, add: Mapping[str, str] | None = None, remove: Collection[str] = ()
    ) -> RegisteredModel | ModelVersion:
        """Set and remove tags; see `mreg.registry.edit.tag`."""
        from mreg.registry.edit import tag

        return tag(self._session, reference, add=add, remove=remove)

    def edit(
        self,
        reference: Reference,
        *,
        description: str | None = None,
        directions: Mapping[str, Direction | str] | None = None,
        primary_metric: str | None = None,
        parent: Reference | None = None,
        run_id: str | None = None,
        experiment_id: str | None = None,
    ) -> RegisteredModel | ModelVersion:
        """Change what is said of a model or version; see `mreg.registry.edit.edit`."""
        from mreg.registry.edit import edit

        return edit(
            self._session, reference, description=description, directions=directions, primary_metric=primary_metric,
            parent=parent, run_id=run_id, experiment_id=experiment_id,
        )  # fmt: skip

    def rename(self, name: Name, to: Name, *, override: str = "") -> RegisteredModel:
        """Give a model another name; see `mreg.registry.edit.rename`."""
        from mreg.registry.edit import rename

        return rename(self._session, name, to, override=override)

    def delete(
        self, reference: Reference, *, force: bool = False, dry_run: bool = False, seen: Deletion | None = None,
        override: str = "",
    ) -> Deletion:  # fmt: skip
        """Delete a version, or a model with all its versions; see `mreg.registry.edit.delete`."""
        from mreg.registry.edit import delete

        return delete(self._session, reference, force=force, dry_run=dry_run, seen=seen, override=override)

    def history(self, reference: Reference | None = None, *, limit: int | None = None, offset: int = 0) -> Page[Event]:
        """What happened to a model or version, newest first; see `mreg.registry.query.history`."""
        from mreg.registry.query import history

        return history(self._session, reference, limit=limit, offset=offset)

    def stages_at(self, name: Name, at: str) -> StagesAt:
        """Which versions were in which stage at a time; see `mreg.registry.query.stages_at`."""
        from mreg.registry.query import stages_at

        return stages_at(self._session, name, at)

    def lineage(self, reference: Reference) -> Lineage:
        """What a version was made from and what came of it; see `mreg.registry.lineage.lineage`."""
        from mreg.registry.lineage import lineage

        return lineage(self._session, reference)

    def completions(self, prefix: str) -> tuple[str, ...]:
        """Model names, or references of one model, that begin with a text; see `mreg.registry.query.completions`."""
        from mreg.registry.query import completions

        return completions(self._session, prefix)

    def plan(self, reference: Reference, to: ModelStage | str | None = None, *, keep_existing: bool = False) -> Plan:
        """What `promote` would do, and what stands in its way; see `mreg.registry.promote.plan`."""
        from mreg.registry.promote import plan

        return plan(self._session, reference, to, keep_existing=keep_existing)

    def policy(self, name: Name | None = None) -> ModelPolicy:
        """The policy that holds for a model, or the default; see `mreg.registry.policy.show_policy`."""
        from mreg.registry.policy import show_policy

        return show_policy(self._session, name)

    def apply_policy(
        self, policy: Policy | None, name: Name | None = None, *, seen: ModelPolicy | None = None
    ) -> ModelPolicy:
        """Make a policy a model's own, or the default; see `mreg.registry.policy.apply_policy`."""
        from mreg.registry.policy import apply_policy

        return apply_policy(self._session, policy, name, seen=seen)

    def check_policy(self, policy: Policy, name: Name | None = None) -> tuple[Standing, ...]:
        """How versions in use stand to a policy; see `mreg.registry.policy.check_policy`."""
        from mreg.registry.policy import check_policy

        return check_policy(self._session, policy, name)

    def approve(self, reference: Reference, *, to: str = "Production", comment: str = "") -> Decided:
        """Approve a version; see `mreg.registry.approve.approve`."""
        from mreg.registry.approve import approve

        return approve(self._session, reference, to=to, comment=comment)

    def reject(
        self, reference: Reference, *, reason: str, to: str = "Production", leave_production: bool = True,
        seen: ModelStage | None = None,
    ) -> Decided:  # fmt: skip
        """Reject a version; see `mreg.registry.approve.reject`."""
        from mreg.registry.approve import reject

        return reject(self._session, reference, to=to, reason=reason, leave_production=leave_production, seen=seen)

    def withdraw_decision(self, reference: Reference, *, to: str = "Production") -> Decided:
        """Take one's decision back; see `mreg.registry.approve.withdraw_decision`."""
        from mreg.registry.approve import withdraw_decision

        return withdraw_decision(self._session, reference, to=to)

    def approvals(self) -> tuple[Waiting, ...]:
        """What waits for decisions; see `mreg.registry.approve.approvals`."""
        from mreg.registry.approve import approvals

        return approvals(self._session)

    def verify_audit(self) -> AuditReport:
        """Walk the hash chain; see `mreg.registry.audit.verify_audit`."""
        from mreg.registry.audit import verify_audit

        return verify_audit(self._session)

    def why(self, reference: Reference) -> Why:
        """Why a version is where it is; see `mreg.registry.audit.why`."""
        from mreg.registry.audit import why

        return why(self._session, reference)

    def version_at(self, reference: Reference, at: str) -> ModelVersion:
        """What a stage or an alias meant at a time; see `mreg.registry.audit.version_at`."""
        from mreg.registry.audit import version_at

        return version_at(self._session, reference, at)

    def deploy(self, reference: Reference | None = None) -> tuple[DeploymentReport, ...]:
        """Run the hooks of a version's stage again, or those that wait; see `mreg.registry.deploy`."""
        from mreg.registry.deploy import deliver_pending, deploy

        return deliver_pending(self._session) if reference is None else deploy(self._session, reference)

    def deployments(self, name: Name, *, limit: int = 100, offset: int = 0) -> Page[DeploymentReport]:
        """What changes of a model set off; see `mreg.registry.deploy.deployments`."""
        from mreg.registry.deploy import deployments

        return deployments(self._session, name, limit=limit, offset=offset)

    @property
    def undone(self) -> tuple[StageChange, ...]:
        """The rollbacks that this registry made because a hook failed."""
        return tuple(self._session.undone)

    @property
    def delivered(self) -> tuple[DeploymentReport, ...]:
        """The hooks that this registry has run so far."""
        if not self._session.delivered:
            return ()
        from mreg.registry.deploy import report

        return tuple(map(report, self._session.delivered))

    def export(
        self, reference: Reference, destination: Place | None = None, *, force: bool = False, progress: Progress = None
    ) -> Exported:
        """Write a version or a whole model to one file; see `mreg.registry.export.export`."""
        from mreg.registry.export import export

        return export(self._session, reference, destination, force=force, progress=progress)

    def import_bundle(self, path: Place, name: Name | None = None, *, progress: Progress = None) -> Imported:
        """Add the versions of a bundle; see `mreg.registry.importing.import_bundle`."""
        from mreg.registry.importing import import_bundle

        return import_bundle(self._session, path, name, progress=progress)

    def metric_names(self, prefix: str = "") -> tuple[str, ...]:
        """Names of metrics that any version has, sorted."""
        return self._session.catalog.read(lambda reader: reader.metric_names(prefix))
