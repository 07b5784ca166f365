"""Registry: the interface of a model registry."""

from __future__ import annotations

import abc
import os
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import TYPE_CHECKING, BinaryIO, NoReturn, Self, TypeAlias

from mreg.domain.names import ModelName, VersionRef

if TYPE_CHECKING:
    from datetime import datetime, timedelta
    from pathlib import Path

    from mreg.domain.events import Event
    from mreg.domain.metadata import VersionMetadata
    from mreg.domain.metrics import Direction
    from mreg.domain.model import ModelStage, ModelVersion, RegisteredModel
    from mreg.domain.policy import Policy
    from mreg.registry.environments import TrainingEnvironment
    from mreg.results import Page
    from mreg.results.bundles import Exported, Imported
    from mreg.results.changes import Deletion, StageChange
    from mreg.results.comparison import Comparison
    from mreg.results.deployments import DeploymentReport
    from mreg.results.evaluations import Evaluation
    from mreg.results.files import LocalArtifact, Pulled, PushPlan, StoredFile
    from mreg.results.history import AuditReport, StagesAt
    from mreg.results.imports import ImportReport
    from mreg.results.lineage import Lineage
    from mreg.results.models import ModelSummary, ModelVersions
    from mreg.results.policies import DecisionResult, ModelPolicy, PendingApproval, Plan, PolicyCheck
    from mreg.results.profiles import Profile
    from mreg.results.reasons import Why
    from mreg.results.tokens import NewToken, Role, TokenInfo
    from mreg.results.upkeep import CatalogCopy, Check, CopyVerification, Finding, Garbage, Upgrade, Verification

Reference: TypeAlias = "ModelVersion | RegisteredModel | VersionRef | ModelName | str"
Name: TypeAlias = "RegisteredModel | ModelVersion | ModelName | str"
Place = str | os.PathLike[str]
Progress = Callable[[int, int], None] | None


class Registry(abc.ABC):
    """A model registry: the operations of the commands, as methods that return frozen values.

    Get one from `mreg.open_registry`. Methods raise subclasses of `mreg.MregError`, and have then changed nothing; each
    change is one transaction with its audit event. Several threads can share a registry. As a context manager it closes
    itself.

    A reference is a text such as ``classifier@production``, a `VersionRef`, or a value that an operation returned. A
    `ModelVersion` means exactly that version, also after its model was renamed; if it was deleted, or if the registry
    has other bytes under its number, the operation raises `NotFound`. A `RegisteredModel` or `ModelName` is a bare
    name. Where a name is expected, a `RegisteredModel` or `ModelVersion` stands for its model.
    """

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __reduce__(self) -> NoReturn:
        raise TypeError("a registry cannot be pickled: call mreg.open_registry in each process")

    @abc.abstractmethod
    def close(self) -> None:
        """Release the catalog; does nothing the second time."""

    @property
    @abc.abstractmethod
    def profile(self) -> Profile:
        """The locations of the catalog and the artifacts, and the origin of each setting."""

    @abc.abstractmethod
    def register(
        self,
        name: Name,
        *,
        description: str = "",
        tags: Mapping[str, str] | None = None,
        directions: Mapping[str, Direction | str] | None = None,
        primary_metric: str = "",
    ) -> RegisteredModel:
        """Register a model under an unused name.

        Args:
            directions: ``higher`` or ``lower`` by metric name.
            primary_metric: Metric that lists, plots and comparisons show first.

        Raises:
            AlreadyExists: The model exists; it is not changed.
            BadInput: A name or text is invalid.
        """

    @abc.abstractmethod
    def push(
        self,
        path: Place,
        *,
        name: Name | None = None,
        metadata: VersionMetadata | None = None,
        metrics: Mapping[str, object] | None = None,
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
        include: Iterable[str] = (),
        exclude: Iterable[str] = (),
        follow_links: bool = False,
        python: TrainingEnvironment | Place | None = None,
        existing: bool = False,
        progress: Progress = None,
    ) -> ModelVersion:
        """Store a file or folder as the next version of a model; a new model is registered.

        The version becomes visible when all its bytes are durable, with its aliases and stage in the same transaction.
        The store keeps equal bytes once. A push that fails makes no version; a push that is killed leaves at most
        garbage, which `gc` removes.

        Args:
            path: The file or folder.
            name: Model name (default: MREG_MODEL, the project file, the profile, or the path; a notice says which).
            metadata: All metadata as one object, instead of the arguments of the same names.
            metrics: Number by name. Keys of nested mappings are joined by dots. Values that are not finite numbers are
                skipped with a `UserWarning` that names them.
            parameters: Value by name, stored as text. Keys of nested mappings are joined by dots; None, True and False
                are stored as ``null``, ``true`` and ``false``, and lists as JSON.
            stage: Stage to enter in the same transaction.
            parent: Version that this version was made from.
            data: URI of each data set by name, optionally with ``@digest``.
            format: Artifact format (default: detected from the content).
            include: Patterns in the syntax of ``.gitignore``: of a folder, only files that match one are pushed.
            exclude: Patterns of files of a folder that are left out, after the defaults and ``.mregignore`` in it. A
                pattern with ``!`` in front takes back what an earlier one leaves out.
            follow_links: Push what the links in a folder point to, anywhere, instead of refusing links.
            python: Interpreter or environment folder of the training, whose package versions are recorded (default: the
                calling process). Its folders are read; it is not run.
            existing: Refuse to register a new model.
            progress: Called with the bytes stored so far and the total. If the first number decreases, another pass
                begins: a large file for a bucket or server is hashed, then sent, and after a direct upload verified by
                the server.

        Raises:
            NotFound: The file, folder, parent or Python interpreter does not exist; with ``existing``, or the
                model.
            BadInput: The path is empty or is not a file or folder, a value is invalid, no name can be inferred,
                metadata is given both ways, or ``python`` is not a Python environment.
            Conflict: The file or folder changed while it was read.
            GateFailed, ApprovalMissing, NotAllowed: The policy does not let a new version into the stage or alias.
            Unavailable: The file cannot be read, or the store cannot be written.
        """

    @abc.abstractmethod
    def plan_push(
        self,
        path: Place,
        *,
        name: Name | None = None,
        include: Iterable[str] = (),
        exclude: Iterable[str] = (),
        follow_links: bool = False,
        existing: bool = False,
    ) -> PushPlan:
        """Return the files that `push` with the same arguments would take, without storing anything.

        Raises:
            MregError: As `push`, as far as the path, the name and the patterns cause it.
        """

    @abc.abstractmethod
    def pull(
        self,
        reference: Reference,
        destination: Place | None = None,
        *,
        include: Iterable[str] = (),
        exclude: Iterable[str] = (),
        force: bool = False,
        dry_run: bool = False,
        progress: Progress = None,
    ) -> Pulled:
        """Write the bytes of a version to a destination, verified by SHA-256.

        If the destination is an existing folder or ends in ``/``, and the version is a file, the file is written into
        the folder under its own name. Missing parent folders are created, and removed again if the pull fails. A pull
        that fails leaves the destination unchanged. So does a pull that is killed, unless the destination is a folder
        with other files: there each file is either old or new, and repeating the pull completes it.

        With ``force``, a file replaces a file or link, and a folder never replaces anything. In a folder, files of the
        same name are replaced, and files that earlier pulls wrote are removed (a record in the user's data folder lists
        them by path and SHA-256); all other files stay. Nothing is replaced in the current folder, the home folder or a
        folder above them, in a folder with ``.git`` or inside one, or in a folder that holds a registry.

        With patterns, only the selected files of a folder are fetched, and written at their paths in the destination.
        They are added to an existing folder: no file is removed, and files with the same bytes stay. Without ``force``
        such a pull replaces no file, and refuses a folder with files of another version. A whole folder is added to a
        folder with some of its files in the same way.

        Args:
            reference: The version; a bare name means the latest.
            include: Patterns in the syntax of gitignore; only files that match one are pulled (default: all).
            exclude: Patterns of files to leave out.
            dry_run: Write nothing, and return the files that would be written; a pull that would be refused raises the
                same error.
            destination: File or folder to write (default: the artifact's name in the current folder). A name that
                begins with ``-`` or ``.``, and ``mreg.yaml``, is not taken from the catalog: name the destination then.
            force: Replace files of the same name.
            progress: Called with the bytes written so far and the total.

        Raises:
            NotFound: The model or the version does not exist, or a pattern selects no file.
            AlreadyExists: The destination exists. With ``force``: a file of an earlier pull was changed since, or a
                folder, link or device is in the place of a file, or the reverse; the message lists them.
            BadInput: The destination is inside the registry, is a device or pipe, is below a file, is a folder whose
                files are never replaced, or would be named by the catalog with one of the names above.
            Conflict: Another process changed the destination during the pull.
            Corrupt: The stored bytes are damaged.
            Unavailable: The store cannot be read, or the destination cannot be written.
        """

    @abc.abstractmethod
    def locate(self, reference: Reference, file: str | None = None, *, progress: Progress = None) -> LocalArtifact:
        """Return a version with the path of its verified files in the pull cache of this machine.

        The first call writes the files to the cache, once for all processes. Later calls read the catalog and no blob;
        a file whose size or modification time changed since is hashed again, and the files are replaced if they are
        damaged. The files are read-only and shared by all processes: copy them to change them. A path stays valid for
        an hour after it was last returned, also if another process makes room in the cache. A file that is open stays
        readable.

        The cache is that of the profile, or the one in the user's cache folder.

        Args:
            reference: The version; a bare name means the latest.
            file: Path of a file in a folder; only this file is fetched (default: the whole artifact).
            progress: Called with the bytes written so far and the total.

        Raises:
            NotFound: The model, version or file does not exist.
            BadInput: The path of the file is invalid, or the cache overlaps the artifact store.
            Corrupt: The stored bytes are damaged.
            Unavailable: The store cannot be read, or the cache cannot be written.
        """

    def path(self, reference: Reference, file: str | None = None) -> Path:
        """Return the path of the verified files of a version in the pull cache; see `locate`."""
        return self.locate(reference, file).path

    @abc.abstractmethod
    def stream(
        self,
        reference: Reference,
        to: BinaryIO,
        *,
        include: Iterable[str] = (),
        exclude: Iterable[str] = (),
    ) -> ModelVersion:
        """Write the bytes of one file of a version to a stream, verified first.

        Args:
            include: Patterns in the syntax of gitignore that select the file of a folder.
            exclude: Patterns of files to leave out.

        Raises:
            NotFound: The model or version does not exist, or a pattern selects no file.
            BadInput: The version is a folder, and the patterns do not select exactly one file.
            Corrupt: The stored bytes are damaged. Nothing was written, unless they changed between verification and
                writing.
        """

    @abc.abstractmethod
    def files(
        self, reference: Reference, *, include: Iterable[str] = (), exclude: Iterable[str] = ()
    ) -> tuple[StoredFile, ...]:
        """Return the files of a version, sorted by path; a version that is a file has one. No blob is read.

        Args:
            include: Patterns in the syntax of gitignore; only files that match one are returned (default: all).
            exclude: Patterns of files to leave out.

        Raises:
            NotFound: The model or version does not exist, or a pattern selects no file.
            BadInput: A pattern is invalid.
            Corrupt: The manifest of the folder is missing or damaged.
        """

    @abc.abstractmethod
    def models(self, *, limit: int | None = None, offset: int = 0) -> Page[ModelSummary]:
        """Return the models with the values that a list shows, most recently changed first.

        Args:
            limit: Maximum number of models (default: all).
            offset: Number of models to skip; a skipped model costs as much as a returned one.
        """

    @abc.abstractmethod
    def model(self, name: Name) -> RegisteredModel:
        """Return a model by its name.

        Raises:
            NotFound: The model does not exist.
        """

    @abc.abstractmethod
    def version(self, reference: Reference) -> ModelVersion:
        """Return the version that a reference names; a bare name means the latest.

        Raises:
            NotFound: The model or version does not exist.
        """

    @abc.abstractmethod
    def show(self, reference: Reference, *, limit: int | None = None, offset: int = 0) -> ModelVersions | ModelVersion:
        """Return a model with its versions (a bare name), or one version.

        Args:
            limit: Maximum number of versions (default: all).
            offset: Number of versions to skip.

        Raises:
            NotFound: The model or version does not exist.
        """

    @abc.abstractmethod
    def wait(
        self,
        reference: Reference,
        *,
        changed_from: ModelVersion | int | None = None,
        timeout: float | None = None,
        interval: float = 5.0,
    ) -> ModelVersion:
        """Wait until a reference names another version, and return that version.

        The catalog is polled with one small read; in a bucket, with a conditional request. If a read fails later, such
        as while the network is down, it is repeated after a notice.

        Args:
            reference: The version, usually by a stage or an alias; a bare name means the latest.
            changed_from: Version that the caller has (default: any version ends the wait).
            timeout: Maximum time in seconds (default: none). A read that is under way is completed.
            interval: Seconds between two reads.

        Raises:
            NotFound: The model does not exist, or was deleted.
            BadInput: A time is not positive, or the reference always names the same version.
            Unchanged: The time is over.
            Unavailable: The catalog cannot be read at first, or at the end of the time.
        """

    @abc.abstractmethod
    def search(
        self, expression: str = "", *, sort: str | None = None, limit: int | None = None, offset: int = 0
    ) -> Page[ModelVersion]:
        """Return the versions of all models that match an expression, newest first by default.

        Args:
            expression: An expression of `mreg.domain.expression`; empty matches every version.
            sort: Field to sort by, ascending; ``-`` before it sorts in descending order.
            limit: Maximum number of versions (default: all).
            offset: Number of versions to skip.

        Raises:
            BadInput: The expression or the field is invalid; the hint points at the character.
        """

    @abc.abstractmethod
    def compare(self, first: Reference, second: Reference | None = None) -> Comparison:
        """Compare two versions of one model or of two models, both read in one transaction.

        Args:
            first: A version; a bare name means the latest.
            second: A version (default: the first is compared with the version in Production).

        Raises:
            NotFound: The model or a version does not exist.
            Corrupt: The manifest of a folder is damaged.
        """

    @abc.abstractmethod
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
        """Move a version to a stage, and archive the version that it replaces in the same transaction.

        Without a target the version takes the next step of None, Staging, Production, Archived. A version that is in
        the stage already stays there, which is not an error, so a repeated CI step is harmless; other versions in the
        stage are archived then, too. The result is the state after the hooks.

        Args:
            reference: The version; a bare name means the latest.
            to: Target stage (default: the next stage).
            keep_existing: Keep the other versions in the stage.
            leave_production: Whether the version may leave Production empty (default: only if ``to`` is given).
            seen: Stage of the version at the caller's decision (default: any).
            reason: Reason, for the audit trail.
            override: Reason to override the policy, if it allows overrides (audited).

        Raises:
            NotFound: The model or version does not exist.
            NotAllowed: The version is in the last stage, or the policy requires another previous stage or allows no
                overrides.
            LeavesProduction: Production would be empty, and ``leave_production`` does not allow it.
            Conflict: The version is not in the stage that was seen.
            GateFailed: A gate of the policy failed; ``details["gates"]`` lists each gate.
            ApprovalMissing: Approvals are missing, a person rejected the version, or the policy reserves moving it to
                others.
            BadInput: The reference, stage or reason is invalid.
        """

    @abc.abstractmethod
    def archive(
        self,
        reference: Reference,
        *,
        leave_production: bool = True,
        seen: ModelStage | None = None,
        reason: str = "",
        override: str = "",
    ) -> StageChange:
        """Move a version to Archived; it keeps its bytes and can be promoted again.

        Archiving an archived version changes nothing. A bare name is refused, because it would archive the latest
        version by accident.

        Args:
            leave_production: Whether the version may leave Production empty.
            seen: Stage of the version at the caller's decision (default: any).
            reason: Reason, for the audit trail.
            override: Reason to override the policy, if it allows overrides (audited).

        Raises:
            NotFound: The model or version does not exist.
            BadInput: The reference names no version.
            NotAllowed: The policy allows no overrides.
            LeavesProduction: Production would be empty, and ``leave_production`` does not allow it.
            Conflict: The version is not in the stage that was seen.
            ApprovalMissing: The policy guards the stage of the version, and reserves moving it to others.
        """

    @abc.abstractmethod
    def rollback(
        self,
        name: Name,
        *,
        stage: ModelStage | str = "Production",
        to: Reference | None = None,
        leave_production: bool = False,
        seen: ModelStage | None = None,
        reason: str = "",
    ) -> StageChange:
        """Return the previous version to a stage, and archive the version that is there.

        The bytes of the version that returns are verified first. A second rollback goes one version further back, and
        does not undo the first.

        Args:
            name: The model.
            stage: Stage to roll back.
            to: Version to return to the stage (default: the previous one).
            leave_production: Whether a rollback of another stage may leave Production empty.
            seen: Stage of the version that returns at the caller's decision (default: any).
            reason: Reason, for the audit trail.

        Raises:
            NotFound: The model does not exist, or no version was in the stage before.
            NotAllowed: The version was never in the stage.
            Corrupt: The bytes of the version are damaged; nothing was changed.
            LeavesProduction: Production would be empty, and ``leave_production`` does not allow it.
            Conflict: The stage changed while the bytes were verified, or the version is not in the stage that was seen.
            ApprovalMissing: A rejection blocks the version.
        """

    @abc.abstractmethod
    def set_alias(self, reference: Reference, alias: str, *, override: str = "") -> ModelVersion:
        """Point an alias at a version; if another version of the model has the alias, it moves.

        Aliases are compared without regard to case, and keep the spelling of their first use until they are removed.

        Args:
            override: Reason to override the policy, if it allows overrides (audited).

        Raises:
            NotFound: The model or version does not exist.
            BadInput: The alias is invalid, or there is nothing to override.
            GateFailed, ApprovalMissing, NotAllowed: The policy has a rule for the alias, and the version fails it.
        """

    @abc.abstractmethod
    def remove_alias(self, name: Name, alias: str, *, override: str = "") -> RegisteredModel:
        """Remove an alias from the version that has it.

        Args:
            override: Reason to override the policy, if it allows overrides (audited).

        Raises:
            NotFound: The model or alias does not exist.
            BadInput: Nothing needs an override.
            ApprovalMissing, NotAllowed: The policy guards the alias, and reserves its removal to others.
        """

    @abc.abstractmethod
    def tag(
        self, reference: Reference, *, add: Mapping[str, str] | None = None, remove: Collection[str] = ()
    ) -> RegisteredModel | ModelVersion:
        """Set and remove tags of a model (a bare name) or of a version.

        Raises:
            NotFound: The model, the version or a tag to remove does not exist.
            BadInput: A key or value is invalid, or there is nothing to do.
        """

    @abc.abstractmethod
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
        """Edit the description and other editable fields of a model (a bare name) or of a version.

        The bytes of a version never change; `evaluate` changes its metrics. None leaves a field unchanged.

        Args:
            directions: Of a model: ``higher`` or ``lower`` by metric name; an empty text removes the direction.
            primary_metric: Of a model; an empty text removes it.
            parent: Of a version: the version that it was made from; an empty text removes it.

        Raises:
            NotFound: The model, version or parent does not exist.
            BadInput: A text is invalid, or the field does not belong to a model or to a version.
            NotAllowed: The parent is a descendant of the version.
        """

    @abc.abstractmethod
    def evaluate(
        self,
        reference: Reference,
        metrics: Mapping[str, object],
        *,
        dataset: str = "",
        replace: bool = False,
        reason: str = "",
    ) -> Evaluation:
        """Add metrics to a version after its push, in one transaction with its audit event.

        A metric that the version has with an equal value stays unchanged; if nothing changes, no event is written.
        Replacing a value voids all approvals of the version; rejections stay.

        Args:
            metrics: Number by name, read like the metrics of `push`.
            dataset: Name of the data set of the evaluation, for the audit trail.
            replace: Replace existing values; needs a reason.
            reason: Reason, for the audit trail.

        Raises:
            NotFound: The model or version does not exist.
            BadInput: The reference does not name one version.
            Conflict: The version has another value of a metric, and ``replace`` is not set; nothing was changed.
            BadInput: A name or text is invalid, ``metrics`` is empty or too large, or ``replace`` lacks a reason.
        """

    @abc.abstractmethod
    def rename(self, name: Name, to: Name, *, override: str = "") -> RegisteredModel:
        """Rename a model; its versions, history and version numbers stay.

        Args:
            override: Reason to override the policy, if it allows overrides (audited).

        Raises:
            NotFound: The model does not exist.
            BadInput: Nothing needs an override.
            AlreadyExists: The new name is in use, or another model used its version numbers.
            ApprovalMissing, NotAllowed: The policy guards a stage or alias of the model, and reserves the change to
                others.
        """

    @abc.abstractmethod
    def delete(
        self,
        reference: Reference,
        *,
        force: bool = False,
        dry_run: bool = False,
        seen: Deletion | None = None,
        override: str = "",
    ) -> Deletion:
        """Delete a version, or a model (a bare name) with all its versions.

        The audit trail stays, and no version number is reused. The bytes stay in the store until garbage collection.

        Args:
            force: Delete versions in Staging or Production and versions with aliases, too.
            dry_run: Return what would be deleted, and change nothing.
            seen: Result of a dry run; if the deletion would differ from it, nothing is deleted.
            override: Reason to override the policy, if it allows overrides (audited).

        Raises:
            NotFound: The model or version does not exist.
            NotAllowed: A version is in Staging or Production or has an alias, and ``force`` is not set; or the policy
                allows no overrides.
            Conflict: The deletion differs from ``seen``, or a version was moved or got an alias meanwhile.
            BadInput: Nothing needs an override.
            ApprovalMissing: The policy guards the stage or an alias of a version, and reserves deleting it to others.
        """

    @abc.abstractmethod
    def history(self, reference: Reference | None = None, *, limit: int | None = None, offset: int = 0) -> Page[Event]:
        """Return the events of a model, of a version (also a deleted one) or of the whole catalog, newest first.

        Args:
            limit: Maximum number of events (default: all, if there are at most `MOST_EVENTS`).
            offset: Number of events to skip.

        Raises:
            NotFound: The model or version never existed.
            BadInput: There are more than `MOST_EVENTS`, and no limit is given.
        """

    @abc.abstractmethod
    def stages_at(self, name: Name, at: str) -> StagesAt:
        """Return the versions of a model by their stage at a time, replayed from the audit trail.

        Args:
            at: ISO 8601 time; UTC if it has no zone.

        Raises:
            NotFound: The model does not exist.
            BadInput: The time is invalid.
        """

    @abc.abstractmethod
    def lineage(self, reference: Reference) -> Lineage:
        """Return the ancestors and descendants of a version, across models; deleted versions are marked.

        Raises:
            NotFound: The model or version does not exist.
        """

    @abc.abstractmethod
    def completions(self, prefix: str) -> tuple[str, ...]:
        """Return the model names that begin with a text; after an ``@``, the references of that model."""

    @abc.abstractmethod
    def plan(
        self,
        reference: Reference,
        to: ModelStage | str | None = None,
        *,
        keep_existing: bool = False,
        override: str = "",
    ) -> Plan:
        """Return what `promote` would do, and what the policy says; changes nothing.

        Args:
            override: Reason to override the policy; `Plan.refusal` tells whether it would succeed.

        Raises:
            NotFound: The model or version does not exist.
            NotAllowed: The version is in the last stage.
        """

    @abc.abstractmethod
    def policy(self, name: Name | None = None) -> ModelPolicy:
        """Return the policy of a model, or the default policy.

        Raises:
            NotFound: The model does not exist.
        """

    @abc.abstractmethod
    def apply_policy(
        self, policy: Policy | None, name: Name | None = None, *, seen: ModelPolicy | None = None
    ) -> ModelPolicy:
        """Set the policy of a model, or the default policy; None removes it.

        The policy applies to later stage changes. Versions that are in a stage stay there.

        Args:
            seen: Policy at the caller's decision (default: any).

        Raises:
            NotFound: The model does not exist.
            Conflict: The current policy is not the one that was seen.
        """

    @abc.abstractmethod
    def check_policy(self, policy: Policy, name: Name | None = None) -> tuple[PolicyCheck, ...]:
        """Check the versions that are now in a stage or have an alias against a policy that is not applied.

        Raises:
            NotFound: The model does not exist.
        """

    @abc.abstractmethod
    def approve(self, reference: Reference, *, to: str = "Production", comment: str = "") -> DecisionResult:
        """Approve a version for a stage or alias; replaces an earlier decision of the same person.

        An approval belongs to the version and its bytes. It moves nothing: `promote` does, once the policy is
        satisfied.

        Raises:
            NotFound: The version or target does not exist.
            BadInput: The reference names no version.
            ApprovalMissing: The approval would not count: the policy names other approvers, or the person pushed the
                version.
            NotAllowed: The version is archived, or is in the target already.
        """

    @abc.abstractmethod
    def reject(
        self,
        reference: Reference,
        *,
        reason: str,
        to: str = "Production",
        leave_production: bool = True,
        seen: ModelStage | None = None,
    ) -> DecisionResult:
        """Reject a version for a stage or alias; a version in Production returns to Staging.

        A version that was rolled back can be rejected, too; gates then no longer compare with it. The rejection stands
        until the same person approves the version or withdraws the decision.

        Args:
            reason: Reason, for the audit trail (required).
            leave_production: Whether the version may leave Production empty.
            seen: Stage of the version at the caller's decision (default: any).

        Raises:
            NotFound: The version or target does not exist.
            BadInput: The reason is empty, or the reference names no version.
            ApprovalMissing: The policy names other approvers.
            NotAllowed: The version is archived, and never was in the stage or had the alias.
            LeavesProduction: Production would be empty, and ``leave_production`` does not allow it.
            Conflict: The version is not in the stage that was seen.
        """

    @abc.abstractmethod
    def withdraw_decision(self, reference: Reference, *, to: str = "Production") -> DecisionResult:
        """Withdraw your decision on a version.

        Raises:
            NotFound: The version, the target or the decision does not exist.
            BadInput: The reference names no version.
        """

    @abc.abstractmethod
    def approvals(self) -> tuple[PendingApproval, ...]:
        """Return the versions that wait for approvals.

        A version waits for a stage while it is in the stage that the rule requires (default: the stage before), and for
        an alias while it is the latest version and in use.
        """

    @abc.abstractmethod
    def verify_audit(self) -> AuditReport:
        """Verify the hash chain of the audit trail, and the stage of every version against it.

        Raises:
            Corrupt: An event was edited, removed or moved (the message names the first), or a version is not in the
                stage that the trail gives.
        """

    @abc.abstractmethod
    def why(self, reference: Reference) -> Why:
        """Explain the stage of a version: who moved it, the policy's answer, and a comparison with its predecessor.

        Raises:
            NotFound: The model or version does not exist.
        """

    @abc.abstractmethod
    def version_at(self, reference: Reference, at: str) -> ModelVersion:
        """Return the version that had a stage or alias at a time, in its current state.

        Args:
            reference: ``name@stage`` or ``name@alias``.
            at: ISO 8601 time; UTC if it has no zone.

        Raises:
            NotFound: The model does not exist, no version had the stage or alias then, or the version was deleted
                since.
            BadInput: The time is invalid, or the reference names no stage or alias.
        """

    @abc.abstractmethod
    def deploy(self, reference: Reference | None = None) -> tuple[DeploymentReport, ...]:
        """Run the hooks of a version's stage again (default: the hooks that are pending).

        Raises:
            NotFound: The model or version does not exist.
            NotAllowed: The version is in no stage, the profile has no hook for it, or the event was changed in the
                catalog.
        """

    @abc.abstractmethod
    def deployments(self, name: Name, *, limit: int = 100, offset: int = 0) -> Page[DeploymentReport]:
        """Return the hook runs of a model, newest first.

        Args:
            limit: Maximum number of hook runs.
            offset: Number of hook runs to skip.

        Raises:
            NotFound: The model does not exist.
        """

    @abc.abstractmethod
    def export(
        self, reference: Reference, destination: Place | None = None, *, force: bool = False, progress: Progress = None
    ) -> Exported:
        """Write a version, or a model with all its versions, to one file: bytes, metadata and history.

        Equal content gives equal files. Every byte is verified. The file appears complete or not at all.

        Args:
            reference: A version, or a bare name for the model.
            destination: File to write, or the folder for it (default: ``NAME-VERSION.mreg`` in the current folder).
            force: Replace an existing file.
            progress: Called with the bytes written so far and the total.

        Raises:
            NotFound: The model, the version or the destination's folder does not exist.
            AlreadyExists: The destination exists.
            BadInput: The destination is inside the registry, is a device or pipe, or is below a file; or the bundle
                would be too large.
            Corrupt: Stored bytes or events are damaged.
            Unavailable: The store cannot be read, or the destination cannot be written.
        """

    @abc.abstractmethod
    def import_bundle(
        self, path: Place, name: Name | None = None, *, aliases: bool = False, progress: Progress = None
    ) -> Imported:
        """Add the versions of a bundle to its model, all of them or none; a new model is registered.

        A version keeps its number if every number in use is lower, and otherwise gets the next one. A version that is
        in the registry already is not changed. An import that fails changes nothing but can leave garbage in the store;
        a bundle that is refused leaves none.

        Args:
            name: Model name (default: the name in the bundle).
            aliases: Set the aliases of the bundle, too, if the policy permits it.
            progress: Called with the bytes read so far and the total.

        Raises:
            NotFound: The file does not exist.
            BadInput: The file is not a bundle of mreg, or the name is invalid.
            AlreadyExists: An alias of the bundle names another version here.
            GateFailed, ApprovalMissing: A version fails the policy's rule for an alias.
            DamagedBundle: The bundle is damaged or truncated.
            Unavailable: The file cannot be read, or the store or the temporary folder cannot be written.
        """

    @abc.abstractmethod
    def import_mlflow(
        self, place: str, *, models: Iterable[str] = (), dry_run: bool = False, progress: Progress = None
    ) -> ImportReport:
        """Add the registered models of MLflow with their versions, which keep their numbers.

        Versions come with bytes, metrics, parameters, tags, descriptions and stages; the audit trail has their times
        and their origin. An alias is set if this registry does not have it. A version that is here already is not
        changed, so that a second import adds only what is new. A version that cannot be imported is part of the result.
        An import that is interrupted keeps what it added.

        Args:
            place: URL of a tracking server, ``sqlite:///FILE``, or the folder of a file store.
            models: Patterns of names in MLflow, such as ``churn*`` (default: all models).
            dry_run: Return what would be added, and change nothing. The policy is not checked.
            progress: Called with the number of versions done and their total.

        Raises:
            BadInput: The place is of another kind, or MLflow is not installed.
            NotFound: The database or folder does not exist or is not MLflow's, or no model matches a pattern.
            Unavailable: MLflow, the store or the catalog cannot be reached.
        """

    @abc.abstractmethod
    def import_hub(
        self,
        repository: str,
        name: Name | None = None,
        *,
        revision: str = "",
        dry_run: bool = False,
        progress: Progress = None,
    ) -> ImportReport:
        """Add a model of the Hugging Face Hub as the next version of a model, unless the revision was imported before.

        The files are verified against the sizes and digests that the endpoint states. The revision is recorded as data,
        and the model card is the description.

        Args:
            name: Model name (default: the name of the repository).
            revision: Branch, tag or commit (default: the main branch).
            dry_run: Return what would be added, and change nothing.
            progress: Called with the bytes done and the total: of the download first, and then of the push.

        Raises:
            BadInput: A name is invalid, ``huggingface_hub`` is not installed, or the endpoint's answer is invalid.
            NotFound: The repository or revision does not exist.
            Corrupt: A file does not match the digest that the endpoint states.
            Unavailable: The endpoint, the store or the catalog cannot be reached.
        """

    @abc.abstractmethod
    def verify(
        self,
        reference: Reference | None = None,
        *,
        sample: float = 1.0,
        progress: Callable[[int, int], None] | None = None,
    ) -> Verification:
        """Verify the stored bytes of a version, of a model, or of all models against their digests; changes nothing.

        A complete run also counts the blobs that no version needs.

        Args:
            sample: Fraction of the artifacts to verify, chosen at random, from above 0 to 1.
            progress: Called with the bytes read so far and the total.

        Raises:
            NotFound: The model or version does not exist.
            BadInput: The fraction is out of range.
        """

    @abc.abstractmethod
    def verify_copy(
        self,
        path: Place,
        reference: Reference,
        *,
        include: Iterable[str] = (),
        exclude: Iterable[str] = (),
        progress: Progress = None,
    ) -> CopyVerification:
        """Compare a pulled copy with its version: every file by its SHA-256; changes nothing.

        Links in the copy are not followed. If the version is a file and the path a folder, the file of its name in the
        folder is compared, and other files do not count.

        Args:
            path: File or folder.
            reference: The version; a bare name means the latest.
            include: Patterns in the syntax of gitignore; only files that match one are compared (default: all).
            exclude: Patterns of files to leave out.

        Raises:
            NotFound: The path, model or version does not exist, or a pattern selects no file of the version.
            BadInput: The path is a link, or the version is a folder and the path is not.
            Corrupt: The manifest of the folder is missing or damaged.
            Unavailable: The store or the folder cannot be read.
        """

    @abc.abstractmethod
    def gc(
        self,
        *,
        grace: timedelta | None = None,
        remove: bool = False,
        seen: Collection[Garbage] | None = None,
        progress: Progress = None,
    ) -> tuple[Garbage, ...]:
        """Return the garbage of the store: leftovers of killed pushes, and blobs that no version needs.

        No version and no running push loses bytes: a push that relies on a removed blob uploads it again. A run that is
        killed leaves the rest for the next run.

        Args:
            grace: Age below which garbage is kept (default: one day); an upload in progress is kept for at least an
                hour.
            remove: Remove the garbage.
            seen: Result of a run without ``remove``; nothing else is removed (default: all that is found now).
            progress: Called with the number of blobs removed so far and the number to remove; before, with 0 and the
                number of blobs found in the store so far.

        Raises:
            BadInput: The grace period is negative.
            Corrupt: The manifest of a folder is damaged, so the blobs that it needs are unknown; nothing was removed.
            Unavailable: The store or catalog cannot be read or written.
        """

    @abc.abstractmethod
    def check(self) -> tuple[Check, ...]:
        """Check that the catalog can be read and written, and the store listed, read, written and deleted from.

        The checks write only probes. A check that depends on a failed one is left out.
        """

    @abc.abstractmethod
    def examine(self) -> tuple[Finding, ...]:
        """Examine the catalog, audit trail, store, clocks and leftovers; changes nothing.

        A check that depends on a failed one is left out.
        """

    @abc.abstractmethod
    def backup(self, file: str | os.PathLike[str], *, force: bool = False) -> CatalogCopy:
        """Write a consistent copy of the catalog to a SQLite file, also while other processes write.

        The file appears complete or not at all, and can be opened as a catalog.

        Args:
            force: Replace an existing file.

        Raises:
            AlreadyExists: The file exists, and ``force`` is not set; or it was created meanwhile.
            BadInput: The file is the registry's own, is not a regular file, or is the log of another database.
            NotFound: The folder of the file does not exist.
            Corrupt: The catalog is damaged.
            Unavailable: The file cannot be written.
        """

    @abc.abstractmethod
    def restore(self, file: str | os.PathLike[str], *, with_tokens: bool = False) -> CatalogCopy:
        """Replace the catalog by a backup, in one transaction that the audit trail records.

        A damaged catalog is set aside. Changes since the backup are lost: version numbers given since can be given
        again, and bytes that `gc` removed since are missing. The file is only read. The tokens of the catalog stay as
        they are, so that no token that was revoked after the backup is valid again.

        Args:
            with_tokens: Restore also the tokens of the backup that the catalog does not know, for a catalog that was
                lost. A token that was revoked after the backup is valid again then.

        Raises:
            NotFound: The file does not exist.
            BadInput: The file is a folder, device or pipe.
            Corrupt: The file is damaged or not a catalog, or its audit trail is broken; nothing was changed.
        """

    @abc.abstractmethod
    def upgrade(self, *, dry_run: bool = False) -> Upgrade:
        """Upgrade the catalog to the schema of this release in one transaction, after a backup next to it.

        Args:
            dry_run: Return what would be done, and change nothing.

        Raises:
            Conflict: An active client can be older; nothing was changed.
            Unavailable: The catalog cannot be reached or written, or has a newer schema.
        """

    @abc.abstractmethod
    def metric_names(self, prefix: str = "") -> tuple[str, ...]:
        """Return the names of all metrics that begin with a text, sorted."""

    @abc.abstractmethod
    def create_token(
        self,
        name: str,
        *,
        role: Role | str = "reader",
        models: Iterable[str] = (),
        expires: datetime | timedelta | str | None = None,
    ) -> NewToken:
        """Create a token for a client of a server of this registry; its secret is in the result alone.

        The catalog has the SHA-256 of the secret. A server accepts the token with the next request.

        Args:
            name: Name of the client: the user in the audit trail. An expired token with the name is replaced.
            role: What the token permits.
            models: Patterns of the names of the models that it may see and change, such as ``team-a/*`` (default: all).
            expires: Time, or period such as ``90d`` from now, after which it is refused (default: never). A text
                without a zone is UTC.

        Raises:
            AlreadyExists: An active token has the name.
            BadInput: A value is invalid, or the time is in the past.
            NotAllowed: The client's own token is limited to fewer models, expires earlier, or was revoked meanwhile.
        """

    @abc.abstractmethod
    def tokens(self) -> tuple[TokenInfo, ...]:
        """Return the tokens of the catalog that are not revoked, including expired ones, oldest first."""

    @abc.abstractmethod
    def revoke_token(self, name: str, *, with_created: bool = False) -> TokenInfo:
        """Revoke a token of the catalog; a server refuses it from the next request on.

        A notice names the valid tokens that its client created, and that these created in turn.

        Args:
            with_created: Revoke these, too, except the client's own token; the named one can be revoked already.

        Raises:
            NotFound: No token has the name, or it is revoked already.
            NotAllowed: The client's own token was revoked meanwhile.
        """
