"""LocalRegistry: a registry whose catalog and artifact store this process opens itself."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Self

from mreg.domain.scope import EVERYTHING, ModelScope
from mreg.registry.operation import operation
from mreg.registry.registry import Name, Place, Progress, Reference, Registry

if TYPE_CHECKING:
    from datetime import datetime

    from mreg.artifacts.folder_upload import FolderUpload
    from mreg.artifacts.stream_upload import StreamUpload
    from mreg.domain.digest import Digest
    from mreg.domain.metadata import VersionMetadata
    from mreg.domain.model import ModelStage, ModelVersion, Source
    from mreg.domain.names import ModelName
    from mreg.registry.environments import TrainingEnvironment
    from mreg.registry.idempotency import IdempotentRequest
    from mreg.registry.prepared import PreparedFile
    from mreg.registry.session import HookLog, Session
    from mreg.registry.staged_uploads import StagedPart
    from mreg.registry.uploads import IncomingBlob, IncomingPart, UploadedArtifact
    from mreg.results.bundles import Exported
    from mreg.results.files import StoredFile
    from mreg.results.profiles import Profile
    from mreg.results.tokens import Token, TokenInfo
    from mreg.results.upkeep import CatalogCopy, Check
    from mreg.results.uploads import DirectUpload, NeededBlob, StagedUpload, UploadState


class LocalRegistry(Registry):
    """A registry with direct access to its catalog and artifact store, with further methods for a server."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def close(self) -> None:
        self._session.catalog.close()

    @property
    def profile(self) -> Profile:
        return self._session.profile

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
        from mreg.registry.outgoing import Choice, pushed_metadata, target_model
        from mreg.registry.push import push

        given = pushed_metadata(
            metadata,
            metrics=metrics,
            parameters=parameters,
            tags=tags,
            data=data,
            aliases=aliases,
            description=description,
            run_id=run_id,
            experiment_id=experiment_id,
            format=format,
        )
        target = target_model(self._session, path, name)
        return push(
            self._session,
            path,
            target,
            given,
            stage=stage,
            parent=parent,
            choice=Choice(include=tuple(include), exclude=tuple(exclude), follow_links=follow_links),
            python=python,
            existing=existing,
            progress=progress,
        )

    if not TYPE_CHECKING:  # the interface declares their types
        register = operation("edit.register")
        pull = operation("pull.pull")
        stream = operation("pull.stream")
        files = operation("streaming.files")
        locate = operation("local_paths.locate")
        models = operation("query.models")
        model = operation("query.model")
        version = operation("query.version")
        show = operation("query.show")
        search = operation("query.search")
        compare = operation("compare.compare")
        plan_push = operation("push.plan_push")
        promote = operation("promote.promote")
        archive = operation("promote.archive")
        rollback = operation("promote.rollback")
        set_alias = operation("edit.set_alias")
        remove_alias = operation("edit.remove_alias")
        tag = operation("edit.tag")
        edit = operation("edit.edit")
        evaluate = operation("evaluate.evaluate")
        rename = operation("edit.rename")
        delete = operation("edit.delete")
        history = operation("query.history")
        stages_at = operation("query.stages_at")
        lineage = operation("lineage.lineage")
        completions = operation("query.completions")
        plan = operation("promote.plan")
        policy = operation("policy.show_policy")
        apply_policy = operation("policy.apply_policy")
        check_policy = operation("policy.check_policy")
        approve = operation("approve.approve")
        reject = operation("approve.reject")
        withdraw_decision = operation("approve.withdraw_decision")
        approvals = operation("approve.approvals")
        verify_audit = operation("audit.verify_audit")
        why = operation("audit.why")
        version_at = operation("audit.version_at")
        deployments = operation("deploy.deployments")
        export = operation("export.export")
        import_bundle = operation("importing.import_bundle")
        import_mlflow = operation("mlflow_import.import_mlflow")
        import_hub = operation("hub_import.import_hub")
        verify = operation("verify.verify")
        verify_copy = operation("copies.verify_copy")
        wait = operation("waiting.wait")
        gc = operation("gc.gc")
        check = operation("check.check")
        examine = operation("doctor.examine")
        backup = operation("backup.backup")
        restore = operation("backup.restore")
        upgrade = operation("upgrade.upgrade")
        deploy = operation("deploy.deploy")
        metric_names = operation("query.metric_names")
        create_token = operation("tokens.create_token")
        tokens = operation("tokens.tokens")
        revoke_token = operation("tokens.revoke_token")

    def copy_catalog(
        self, other: LocalRegistry, *, with_artifacts: bool = False, progress: Progress = None
    ) -> CatalogCopy:
        """Copy the catalog to the empty one of another registry; see `mreg.registry.backup.copy_catalog`."""
        from mreg.registry.backup import copy_catalog

        return copy_catalog(self._session, other._session, with_artifacts=with_artifacts, progress=progress)

    def check_backup(self, file: Place) -> None:
        """Check that a backup exists; see `mreg.registry.backup.check_backup`."""
        from mreg.registry.backup import check_backup

        check_backup(file)

    def check_places(self) -> None:
        """Check the folders of catalog and artifacts; see `mreg.registry.check.check_places`."""
        from mreg.registry.check import check_places

        check_places(self._session)

    def refuse_unfit(self) -> str:
        """Try the conditional writes of a catalog in a bucket; see `mreg.registry.check.refuse_unfit`."""
        from mreg.registry.check import refuse_unfit

        return refuse_unfit(self._session)

    # For a server, whose clients have no paths on this machine

    def resolve(self, reference: Reference) -> ModelVersion:
        """Return a version with a notice of its number; see `mreg.registry.references.resolve`."""
        from mreg.registry.references import resolve

        return resolve(self._session, reference)

    def acting_as(
        self,
        actor: str,
        notice: Callable[[str], None] = lambda _text: None,
        hook_log: HookLog | None = None,
        *,
        scope: ModelScope = EVERYTHING,
        client: Token | None = None,
        hide: Callable[[str], str] | None = None,
    ) -> Self:
        """Return this registry for another actor, limited to a scope; see `mreg.registry.streaming.acting_as`."""
        from mreg.registry.streaming import acting_as

        return type(self)(acting_as(self._session, actor, notice, hook_log, scope=scope, client=client, hide=hide))

    @property
    def caller(self) -> str:
        """Identity of the caller; see `mreg.registry.session.Session.caller`."""
        return self._session.caller

    @property
    def counts_as(self) -> str:
        """Identity with whose limits the caller counts; see `mreg.registry.session.Session.counts_as`."""
        return self._session.counts_as

    @property
    def scope(self) -> ModelScope:
        """The models that exist for the actor."""
        return self._session.scope

    def find_tokens(self, digests: Iterable[Digest]) -> tuple[dict[Digest, tuple[Token, TokenInfo]], bool]:
        """Return tokens, and whether the catalog has any; see `mreg.registry.tokens.find_tokens`."""
        from mreg.registry.tokens import find_tokens

        return find_tokens(self._session, digests)

    def has_active_token(self) -> bool:
        """Return whether the catalog has a token that is neither expired nor revoked."""
        from mreg.registry.tokens import has_active_token

        return has_active_token(self._session)

    def record_token_uses(self, uses: Mapping[Digest, datetime]) -> None:
        """Record when tokens were used; see `mreg.registry.tokens.record_uses`."""
        from mreg.registry.tokens import record_uses

        record_uses(self._session, uses)

    def catalog_state(self) -> object:
        """Return the state of the catalog; see `mreg.catalog.database.Database.state`."""
        return self._session.catalog.state()

    @property
    def actor(self) -> str:
        """The actor of events."""
        return self._session.actor()

    def check_reserve(self) -> None:
        """Check that uploads of clients leave free space; see `mreg.artifacts.store.ArtifactStore.check_reserve`."""
        self._session.artifacts().check_reserve()

    def open_upload(self, size: int = 0) -> AbstractContextManager[StreamUpload]:
        """Open an upload that receives a file from a stream, for `push_upload`; discarded unless it is pushed.

        Args:
            size: Expected number of bytes, 0 if unknown.
        """
        from mreg.registry.storing import begin_storing

        begin_storing(self._session)
        return self._session.artifacts().open_upload(size)

    def open_folder_upload(self, size: int = 0) -> AbstractContextManager[FolderUpload]:
        """Open an upload that receives a folder from a stream, for `push_upload`; discarded unless it is pushed.

        Args:
            size: Expected total number of bytes, 0 if unknown.
        """
        return self._session.artifacts().open_folder_upload(size)

    def push_upload(
        self,
        upload: StreamUpload | FolderUpload,
        artifact_name: str,
        name: Name,
        metadata: VersionMetadata,
        *,
        stage: ModelStage | str | None = None,
        parent: Reference | None = None,
    ) -> ModelVersion:
        """Make a received artifact the next version of a registered model; see `mreg.registry.push.push_upload`."""
        from mreg.registry.push import push_upload
        from mreg.registry.references import as_name

        target = as_name(name)
        return push_upload(self._session, upload, artifact_name, target, metadata, stage=stage, parent=parent)

    def missing_blobs(
        self, model: ModelName, blobs: Mapping[Digest, int], *, direct: bool = False
    ) -> tuple[NeededBlob, ...]:
        """Return the blobs that the caller must upload first; see `mreg.registry.uploads.missing_blobs`."""
        from mreg.registry.uploads import missing_blobs

        return missing_blobs(self._session, model, blobs, direct=direct)

    def direct_refusal(self) -> str:
        """Return why clients of a server cannot upload to the store directly; empty if they can."""
        return self._session.artifacts().direct_refusal()

    def begin_direct(
        self, model: ModelName, digest: Digest, size: int, *, seconds: int, announced: int, permitted: bool
    ) -> DirectUpload:
        """Begin or continue a direct upload; see `mreg.registry.direct_uploads.begin_direct`."""
        from mreg.registry.direct_uploads import begin_direct

        return begin_direct(
            self._session, model, digest, size, seconds=seconds, announced=announced, permitted=permitted
        )

    def finish_direct(
        self, model: ModelName, digest: Digest, size: int, progress: Progress, *, permitted: bool
    ) -> UploadState:
        """Verify a direct upload and store its blob; see `mreg.registry.direct_uploads.finish_direct`."""
        from mreg.registry.direct_uploads import finish_direct

        report = progress or (lambda _done, _total: None)
        return finish_direct(self._session, model, digest, size, report, permitted=permitted)

    def remove_expired_uploads(self) -> None:
        """Remove unfinished direct uploads of more than a day; see `mreg.registry.direct_uploads.remove_expired`."""
        from mreg.registry.direct_uploads import remove_expired

        remove_expired(self._session)

    def store_blob(self, model: ModelName, digest: Digest, data: bytes) -> UploadState:
        """Store a small blob for a version of the model; see `mreg.registry.uploads.store_blob`."""
        from mreg.registry.uploads import store_blob

        return store_blob(self._session, model, digest, data)

    def store_blobs(self, model: ModelName, blobs: Mapping[Digest, bytes]) -> None:
        """Store many small blobs for a version of the model; see `mreg.registry.uploads.store_blobs`."""
        from mreg.registry.uploads import store_blobs

        store_blobs(self._session, model, blobs)

    def open_blob(self, model: ModelName, digest: Digest, size: int = 0) -> AbstractContextManager[IncomingBlob]:
        """Open the upload of a blob for a version of the model; see `mreg.registry.uploads.open_blob`."""
        from mreg.registry.uploads import open_blob

        return open_blob(self._session, model, digest, size)

    def look_at_upload(self, model: ModelName, digest: Digest) -> tuple[UploadState, bool]:
        """Return `upload_state`, and whether it is busy; see `mreg.registry.uploads.look_at_upload`."""
        from mreg.registry.uploads import look_at_upload

        return look_at_upload(self._session, model, digest)

    def upload_state(self, model: ModelName, digest: Digest) -> UploadState:
        """Return how much of a blob the caller has uploaded; see `mreg.registry.uploads.upload_state`."""
        from mreg.registry.uploads import upload_state

        return upload_state(self._session, model, digest)

    def continue_blob(
        self, model: ModelName, digest: Digest, *, length: int, start: int
    ) -> AbstractContextManager[IncomingPart]:
        """Continue the upload of a blob for a version of the model; see `mreg.registry.uploads.continue_blob`."""
        from mreg.registry.uploads import continue_blob

        return continue_blob(self._session, model, digest, length=length, start=start)

    def should_hash_first(self, model: ModelName, upload: str, size: int, *, direct: bool = False) -> bool:
        """Return whether a file should be hashed first; see `mreg.registry.staged_uploads.should_hash_first`."""
        from mreg.registry.staged_uploads import should_hash_first

        return should_hash_first(self._session, model, upload, size, direct=direct)

    def look_at_staged(self, model: ModelName, upload: str) -> tuple[StagedUpload, bool]:
        """Return how much of an upload has arrived; see `mreg.registry.staged_uploads.look_at_staged`."""
        from mreg.registry.staged_uploads import look_at_staged

        return look_at_staged(self._session, model, upload)

    def continue_staged(
        self, model: ModelName, upload: str, *, length: int, start: int
    ) -> AbstractContextManager[StagedPart]:
        """Continue a staged upload; see `mreg.registry.staged_uploads.continue_staged`."""
        from mreg.registry.staged_uploads import continue_staged

        return continue_staged(self._session, model, upload, length=length, start=start)

    def finish_staged(self, model: ModelName, upload: str, digest: Digest, size: int) -> UploadState:
        """Make the bytes of a staged upload a blob; see `mreg.registry.staged_uploads.finish_staged`."""
        from mreg.registry.staged_uploads import finish_staged

        return finish_staged(self._session, model, upload, digest, size)

    def push_uploaded(
        self,
        name: Name,
        artifact: UploadedArtifact,
        metadata: VersionMetadata,
        *,
        stage: ModelStage | str | None = None,
        parent: Reference | None = None,
        source: Source | None = None,
        existing: bool = False,
        request: IdempotentRequest | None = None,
    ) -> ModelVersion:
        """Make uploaded blobs the next version of a model; see `mreg.registry.uploads.push_uploaded`."""
        from mreg.registry.references import as_name
        from mreg.registry.uploads import push_uploaded

        return push_uploaded(
            self._session,
            as_name(name),
            artifact,
            metadata,
            stage=stage,
            parent=parent,
            source=source,
            existing=existing,
            request=request,
        )

    def presign(self, file: StoredFile, seconds: int) -> str:
        """Return a URL of the store from which a file can be read; see `mreg.registry.streaming.presign`."""
        from mreg.registry.streaming import presign

        return presign(self._session, file, seconds)

    def check_presigning(self) -> None:
        """Check that the store has presigned URLs; see `mreg.registry.streaming.check_presigning`."""
        from mreg.registry.streaming import check_presigning

        check_presigning(self._session)

    def manifest_file(self, version: ModelVersion) -> StoredFile:
        """Return the manifest of a folder as a file; see `mreg.registry.streaming.manifest_file`."""
        from mreg.registry.streaming import manifest_file

        return manifest_file(self._session, version)

    def file(self, reference: Reference, path: str | None = None) -> StoredFile:
        """Return a file of a version; see `mreg.registry.streaming.file`."""
        from mreg.registry.streaming import file

        return file(self._session, reference, path)

    def revision(self, name: ModelName, revision: str) -> ModelVersion:
        """Return the version that a revision of a Hugging Face client names; see `mreg.registry.revisions`."""
        from mreg.registry.revisions import find_revision

        return find_revision(self._session, name, revision)

    def files_of(self, version: ModelVersion) -> tuple[StoredFile, ...]:
        """Return the files of a version that was read from the catalog; see `mreg.registry.streaming`."""
        from mreg.registry.streaming import files_of_version

        return files_of_version(self._session, version)

    def read_file(self, file: StoredFile, start: int = 0, length: int | None = None) -> Generator[bytes]:
        """Yield the bytes of a file in chunks; see `mreg.registry.streaming.read_file`."""
        from mreg.registry.streaming import read_file

        return read_file(self._session, file, start, length)

    def prepare_export(self, reference: Reference, progress: Progress = None) -> tuple[Exported, PreparedFile]:
        """Export a version or a model to a file to download; see `mreg.registry.prepared.prepare_export`."""
        from mreg.registry.prepared import prepare_export

        return prepare_export(self._session, reference, progress)

    def prepare_backup(self, progress: Progress = None) -> tuple[CatalogCopy, PreparedFile]:
        """Write a backup to a file to download; see `mreg.registry.prepared.prepare_backup`."""
        from mreg.registry.prepared import prepare_backup

        return prepare_backup(self._session, progress)

    def reachable(self) -> tuple[Check, ...]:
        """Check that catalog and store respond; see `mreg.registry.check.reachable`."""
        from mreg.registry.check import reachable

        return reachable(self._session)
