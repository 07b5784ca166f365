"""Pushes to a server and pulls from it: the use cases of a local registry, with an artifact store over HTTP.

Everything that reads or writes files of this machine is the code of a local registry. The catalog's part of a push, one
transaction, runs on the server.
"""

from __future__ import annotations

import functools
import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, BinaryIO

from mreg.domain.model import ModelStage, ModelVersion
from mreg.domain.names import VersionRef
from mreg.errors import BlobsMissing, NotFound
from mreg.registry.pull_cache import cache_for_pulls, cached_artifacts, pull_records
from mreg.registry.references import as_reference, not_registered
from mreg.registry.registry import Name, Place, Progress, Reference
from mreg.registry.remote_queries import model as find_model
from mreg.registry.remote_queries import version as find_version
from mreg.registry.session import Transfers
from mreg.remote.references import model_path, reference_text, version_path

if TYPE_CHECKING:
    from mreg.artifacts.cache import BlobCache
    from mreg.artifacts.store import ArtifactStore
    from mreg.domain.metadata import VersionMetadata
    from mreg.domain.model import Source
    from mreg.domain.names import ModelName
    from mreg.registry.environments import TrainingEnvironment
    from mreg.registry.outgoing import Outgoing, Sent
    from mreg.registry.remote_session import RemoteSession
    from mreg.remote.blobs import HttpBlobs
    from mreg.results.files import LocalArtifact, Pulled, PushPlan, StoredFile
    from mreg.results.upkeep import CopyVerification

IDEMPOTENCY_KEY = "Idempotency-Key"

UPLOADS = 3
"""Number of times that the blobs of a version are uploaded, if the server removes them before the version has them."""


def push(
    session: RemoteSession,
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
    """See `mreg.Registry.push`."""
    from mreg.registry.outgoing import Choice, Outgoing, existing_only, pushed_metadata, target_model

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
    blobs = functools.cache(lambda: _blobs(session, target))
    transfers = _transfers(session, lambda: _store(blobs()))
    target = target_model(transfers, path, name)
    stage = ModelStage.parse(stage) if isinstance(stage, str) else stage
    made_from = as_reference(parent) if parent is not None else None
    existing = existing_only(transfers, existing)
    # What fails, fails before any upload.
    if existing:
        _registered(session, target)
    choice = Choice(include=tuple(include), exclude=tuple(exclude), follow_links=follow_links)
    outgoing = Outgoing.of(transfers, path, choice=choice, python=python)
    if made_from is not None:
        find_version(session, made_from)
    store = transfers.artifacts()
    with _resumable(blobs()):
        sent = outgoing.send(transfers, store, progress=progress)
    body = _new_version(outgoing, sent, given, stage=stage, parent=made_from, existing=existing)
    return _commit(session, target, body, lambda: outgoing.put(store, progress=progress))


def _new_version(
    outgoing: Outgoing,
    sent: Sent,
    metadata: VersionMetadata,
    *,
    stage: ModelStage | None,
    parent: VersionRef | None,
    existing: bool,
) -> dict[str, object]:
    """Return the body of the request that creates a version."""
    return {
        "artifact": {
            "kind": sent.stored.kind.value,
            "name": outgoing.name,
            "digest": str(sent.stored.digest),
        },
        "metadata": {
            "description": metadata.description,
            "metrics": dict(metadata.metrics),
            "parameters": dict(metadata.parameters),
            "tags": dict(metadata.tags),
            "data": dict(metadata.data),
            "aliases": list(metadata.aliases),
            "run_id": metadata.run_id or sent.run_id,
            "experiment_id": metadata.experiment_id,
            "format": metadata.format or sent.format,
        },
        "source": _source(sent.source),
        "stage": stage.value if stage else None,
        "parent": reference_text(parent) if parent else None,
        "existing": existing,
    }


def _source(source: Source) -> dict[str, object]:
    return {
        "git_commit": source.git_commit or None,
        "git_branch": source.git_branch or None,
        "git_remote": source.git_remote or None,
        "git_dirty": source.git_dirty,
        "run_url": source.run_url or None,
        "environment": dict(source.environment),
    }


def _commit(
    session: RemoteSession, model: ModelName, body: dict[str, object], put_again: Callable[[], object]
) -> ModelVersion:
    """Create the version; a lost answer is asked for again, and gives the same version."""
    headers = {IDEMPOTENCY_KEY: secrets.token_hex(16)}
    path = model_path(model, "versions")
    for left in reversed(range(UPLOADS)):
        try:
            opened = session.call("POST", path, body=body, headers=headers, repeatable=True)
        except BlobsMissing:
            if not left:
                raise
            put_again()
        else:
            return session.result(ModelVersion, opened)
    raise AssertionError("the last attempt returns or raises")


def plan_push(
    session: RemoteSession,
    path: Place,
    *,
    name: Name | None = None,
    include: Iterable[str] = (),
    exclude: Iterable[str] = (),
    follow_links: bool = False,
    existing: bool = False,
) -> PushPlan:
    """See `mreg.Registry.plan_push`."""
    from mreg.registry.outgoing import Choice, existing_only, new_model_note, planned, target_model

    transfers = _transfers(session, lambda: _store(_blobs(session, target)))
    target = target_model(transfers, path, name)
    existing, note = existing_only(transfers, existing), ""
    try:
        _registered(session, target)
    except NotFound as error:
        if existing:
            raise
        similar = error.details.get("similar", ())
        note = new_model_note(target, similar if isinstance(similar, list) else ())
    choice = Choice(include=tuple(include), exclude=tuple(exclude), follow_links=follow_links)
    plan = planned(transfers, target, path, choice)
    transfers.notices(note and f"would register {note}")
    return plan


def _registered(session: RemoteSession, name: ModelName) -> None:
    """Check that a model exists.

    Raises:
        NotFound: It does not; the hint registers it.
    """
    try:
        find_model(session, name)
    except NotFound as error:
        raise not_registered(error, name) from None


def pull(
    session: RemoteSession,
    reference: Reference,
    destination: Place | None = None,
    *,
    include: Iterable[str] = (),
    exclude: Iterable[str] = (),
    force: bool = False,
    dry_run: bool = False,
    progress: Progress = None,
) -> Pulled:
    """See `mreg.Registry.pull`."""
    from mreg.registry.pull import check_address, pull_version

    check_address(destination)
    version = _resolve(session, reference)
    return pull_version(
        _of_version(session, version),
        version,
        destination,
        include=include,
        exclude=exclude,
        force=force,
        dry_run=dry_run,
        progress=progress,
    )


def locate(
    session: RemoteSession, reference: Reference, file: str | None = None, *, progress: Progress = None
) -> LocalArtifact:
    """See `mreg.Registry.locate`."""
    from mreg.registry.local_paths import check_file, locate_version

    wanted = as_reference(reference)
    check_file(file, wanted)
    version = _resolve(session, wanted)
    return locate_version(_of_version(session, version), version, file, progress=progress)


def stream(
    session: RemoteSession,
    reference: Reference,
    to: BinaryIO,
    *,
    include: Iterable[str] = (),
    exclude: Iterable[str] = (),
) -> ModelVersion:
    """See `mreg.Registry.stream`."""
    from mreg.registry.pull import stream_version

    version = find_version(session, reference)
    stream_version(_of_version(session, version), version, to, include=include, exclude=exclude)
    return version


def files(
    session: RemoteSession, reference: Reference, *, include: Iterable[str] = (), exclude: Iterable[str] = ()
) -> tuple[StoredFile, ...]:
    """See `mreg.Registry.files`."""
    from mreg.registry.streaming import files_of_version, select_files

    version = find_version(session, reference)
    found = files_of_version(_of_version(session, version), version)
    return select_files(version, found, include, exclude)


def verify_copy(
    session: RemoteSession,
    path: Place,
    reference: Reference,
    *,
    include: Iterable[str] = (),
    exclude: Iterable[str] = (),
    progress: Progress = None,
) -> CopyVerification:
    """See `mreg.Registry.verify_copy`."""
    from mreg.registry.copies import verify_copy_of

    version = _resolve(session, reference)
    transfers = _of_version(session, version)
    return verify_copy_of(transfers, version, path, include=include, exclude=exclude, progress=progress)


def _resolve(session: RemoteSession, reference: Reference) -> ModelVersion:
    """Return the version that a reference names; the server's notice has its number, unless the reference has it."""
    path = version_path(as_reference(reference))
    return session.result(ModelVersion, session.call("GET", path, query={"resolve": True}))


def _of_version(session: RemoteSession, version: ModelVersion) -> Transfers:
    """Return what moves the bytes of a version to this machine."""
    blobs = functools.cache(lambda: _blobs(session, version.model_name, as_reference(version)))
    return _transfers(session, lambda: _store(blobs(), cache_for_pulls(session.profile, session.notice)))


def _transfers(session: RemoteSession, store: Callable[[], ArtifactStore]) -> Transfers:
    return Transfers(
        profile=session.profile,
        artifacts=functools.cache(store),
        cached_artifacts=lambda: cached_artifacts(session.profile),
        notice=session.notice,
        pull_records=pull_records,
    )


def _store(blobs: HttpBlobs, cache: BlobCache | None = None) -> ArtifactStore:
    from mreg.artifacts.store import ArtifactStore

    return ArtifactStore(blobs, cache)


def _blobs(session: RemoteSession, model: ModelName, version: VersionRef | None = None) -> HttpBlobs:
    from mreg.remote.blobs import HttpBlobs
    from mreg.remote.direct import Direct

    return HttpBlobs(session.connection, model, version, Direct(session.connection, session.notice))


@contextmanager
def _resumable(blobs: HttpBlobs) -> Iterator[None]:
    """Add to the error of an interrupted push that repeating the command resumes, if the server keeps bytes."""
    try:
        yield
    except BaseException as error:
        from mreg.artifacts.partial import KEEP_BYTES, is_interruption, say_resumable

        if is_interruption(error) and blobs.sent_bytes >= KEEP_BYTES:
            say_resumable(error)
        raise
