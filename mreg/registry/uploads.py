"""Uploads of blobs to a server, and versions that are made of uploaded blobs.

A version can have a blob only if its caller has sent the bytes, or may read them: as the artifact of a version, or as a
file of a recent version of the same model. All other blobs count as missing, whether the store has them or not, so that
no caller learns of other blobs or obtains them by their digests.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING

from mreg.artifacts.claims import Uploader
from mreg.artifacts.direct_upload import discard as discard_direct
from mreg.artifacts.hashing import check_received
from mreg.catalog.stored_artifacts import artifacts_of_versions
from mreg.domain.digest import Digest
from mreg.domain.manifest import BYTES_LIMIT, Manifest, sizes_in
from mreg.domain.model import UNKNOWN_FORMAT, ArtifactKind, ModelStage, ModelVersion, Source
from mreg.domain.paths import check_artifact_name
from mreg.domain.text import counted, quoted
from mreg.errors import BadInput, BlobsMissing, Corrupt, MissingBlob, MregError, NotFound, Unavailable
from mreg.registry.outgoing import existing_only
from mreg.registry.push import SAME_SIZE, Found, add_pushed
from mreg.registry.storing import begin_storing
from mreg.results.uploads import NeededBlob, UploadState
from mreg.wire.protocol import DIRECT_BYTES

if TYPE_CHECKING:
    from mreg.artifacts.backend import Chunk
    from mreg.artifacts.partial_upload import PartialUpload
    from mreg.artifacts.stream_upload import StreamUpload
    from mreg.artifacts.upload import Stored
    from mreg.catalog.reader import Reader
    from mreg.catalog.stored_artifacts import StoredArtifact
    from mreg.domain.metadata import VersionMetadata
    from mreg.domain.names import ModelName
    from mreg.registry.idempotency import IdempotentRequest
    from mreg.registry.registry import Reference
    from mreg.registry.session import Session

RECENT = 10
"""Number of versions of a model whose files a new version can have without another upload."""

NAMED = 1_000
"""Maximum number of missing blobs that an error names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadedArtifact:
    """The artifact of a new version whose blobs were uploaded.

    Attributes:
        digest: Digest of the file, or of the folder's manifest.
    """

    kind: ArtifactKind
    name: str
    digest: Digest

    def __post_init__(self) -> None:
        check_artifact_name(self.name)


def uploader_of(session: Session, model: ModelName) -> Uploader:
    """Return the caller as the owner of uploads for a model."""
    return Uploader(session.caller, model, session.counts_as)


def missing_blobs(
    session: Session, model: ModelName, blobs: Mapping[Digest, int], *, direct: bool = False
) -> tuple[NeededBlob, ...]:
    """Return the blobs that the caller must upload before a version of the model can have them.

    Args:
        blobs: Sizes by digest. A blob of another size counts as missing.
        direct: Large blobs can be sent to the store directly, if the store supports it.

    Raises:
        OutsideScope: The model is outside the scope of the caller.
    """
    session.scope.check_name(model, "upload to")
    begin_storing(session)
    usable = _usable(session, model, blobs)
    missing = {digest: size for digest, size in blobs.items() if usable.sizes.get(digest) != size}
    direct = direct and takes_direct(session, max(missing.values(), default=0))
    return tuple(NeededBlob(digest=digest, direct=direct and size >= DIRECT_BYTES) for digest, size in missing.items())


def takes_direct(session: Session, size: int) -> bool:
    """Return whether a blob of a size can be sent to the store directly, if the server permits it."""
    return size >= DIRECT_BYTES and not session.artifacts().direct_refusal()


def store_blob(session: Session, model: ModelName, digest: Digest, data: bytes) -> UploadState:
    """Store a small blob for a version of the model, durable and verified.

    Raises:
        BadInput: The bytes have another digest.
        Unavailable: The store cannot be written.
    """
    begin_upload(session, model)
    session.artifacts().put_blob(digest, data)
    return _claimed(session, model, digest, len(data))


def store_blobs(session: Session, model: ModelName, blobs: Mapping[Digest, bytes]) -> None:
    """Store many small blobs for a version of the model, durable and verified.

    Raises:
        BadInput: The bytes of one have another digest; then none is stored.
        Unavailable: The store cannot be written.
    """
    begin_upload(session, model)
    store = session.artifacts()
    store.put_many(blobs)
    sizes = {digest: len(data) for digest, data in blobs.items()}
    store.claims.add(uploader_of(session, model), sizes, session.now())


@contextmanager
def open_blob(session: Session, model: ModelName, digest: Digest, size: int) -> Iterator[IncomingBlob]:
    """Yield the upload of a blob for a version of the model; its bytes are discarded if it does not finish.

    Args:
        size: Expected number of bytes, 0 if unknown.

    Raises:
        Unavailable: The store has too little free space, or cannot be written.
    """
    begin_upload(session, model)
    with session.artifacts().open_upload(size) as upload:
        yield IncomingBlob(session, model, digest, upload)


def upload_state(session: Session, model: ModelName, digest: Digest) -> UploadState:
    """Return how much of a blob the caller has uploaded for the model."""
    return look_at_upload(session, model, digest)[0]


def look_at_upload(session: Session, model: ModelName, digest: Digest) -> tuple[UploadState, bool]:
    """Return `upload_state`, and whether a request in progress, or one that was just interrupted, has more bytes."""
    session.scope.check_name(model, "upload to")
    store, uploader = session.artifacts(), uploader_of(session, model)
    size = store.claims.size(uploader, digest, session.now())
    if size is not None:
        return UploadState(digest=digest, offset=size, complete=True), False
    found = store.arrived(uploader, str(digest))
    return UploadState(digest=digest, offset=found.offset, complete=False), found.busy


@contextmanager
def continue_blob(
    session: Session, model: ModelName, digest: Digest, *, length: int, start: int
) -> Iterator[IncomingPart]:
    """Yield a request of the upload of a blob in several requests; the bytes that arrive stay for the next one.

    Args:
        length: Size of the blob in bytes.
        start: Number of bytes that the client believes to have arrived.

    Raises:
        Conflict: Another number of bytes has arrived; ``details`` has it (``offset``).
        Unavailable: The store has too little free space, or cannot be written.
    """
    with continue_upload(session, model, str(digest), length=length, start=start) as upload:
        yield IncomingPart(session, model, digest, length, upload)


def continue_upload(
    session: Session, model: ModelName, name: str, *, length: int, start: int
) -> AbstractContextManager[PartialUpload]:
    """Return a request of an upload of the caller for the model; see `mreg.artifacts.store.ArtifactStore`."""
    begin_upload(session, model)
    uploader = uploader_of(session, model)
    return session.artifacts().continue_upload(uploader, name, length=length, start=start, now=session.now())


class IncomingPart:
    """Receives a part of a blob; see `continue_blob`."""

    def __init__(self, session: Session, model: ModelName, digest: Digest, length: int, upload: PartialUpload) -> None:
        self._session, self._model, self._digest = session, model, digest
        self._length, self._upload = length, upload

    def write(self, chunk: Chunk) -> None:
        """Receive the next bytes, which the caller must not change afterwards.

        Raises:
            BadInput: There are more bytes than the blob has.
            Unavailable: The bytes cannot be written.
        """
        self._upload.write(chunk)

    def finish(self) -> UploadState:
        """Make the blob durable in the store if it is complete.

        Raises:
            BadInput: The bytes have another digest; they are removed.
            Unavailable: The store cannot be written; the bytes stay.
        """
        if not self._upload.complete:
            return UploadState(digest=self._digest, offset=self._upload.offset(), complete=False)
        self._upload.finish(self._digest)
        return claimed_large(self._session, self._model, self._digest, self._length)


class IncomingBlob:
    """Receives a blob; see `open_blob`."""

    def __init__(self, session: Session, model: ModelName, digest: Digest, upload: StreamUpload) -> None:
        self._session, self._model, self._digest, self._upload = session, model, digest, upload

    def write(self, chunk: Chunk) -> None:
        """Receive the next bytes, which the caller must not change afterwards.

        Raises:
            Unavailable: The bytes cannot be written.
        """
        self._upload.write(chunk)

    def finish(self) -> UploadState:
        """Make the complete blob durable in the store.

        Raises:
            BadInput: The bytes have another digest.
            Unavailable: The store cannot be written.
        """
        check_received(self._digest, self._upload.digest())
        self._upload.store()
        return _claimed(self._session, self._model, self._digest, self._upload.size)


def begin_upload(session: Session, model: ModelName) -> None:
    """Check that the caller may upload to the model, and that the artifact folder is not missing."""
    session.scope.check_name(model, "upload to")
    if session.artifacts().missing:
        begin_storing(session)


def claimed_large(session: Session, model: ModelName, digest: Digest, size: int) -> UploadState:
    """Claim a blob for the caller, and remove its unfinished upload to the store, if there is one."""
    state = _claimed(session, model, digest, size)
    uploads = session.artifacts().direct_uploads
    if uploads is not None and size >= DIRECT_BYTES:
        # A client that cannot reach the bucket has begun one, which counts until it expires.
        with suppress(MregError):
            discard_direct(uploads, uploader_of(session, model), digest, size)
    return state


def _claimed(session: Session, model: ModelName, digest: Digest, size: int) -> UploadState:
    session.artifacts().claims.add(uploader_of(session, model), {digest: size}, session.now())
    return UploadState(digest=digest, offset=size, complete=True)


def push_uploaded(
    session: Session,
    name: ModelName,
    artifact: UploadedArtifact,
    metadata: VersionMetadata,
    *,
    stage: ModelStage | str | None = None,
    parent: Reference | None = None,
    source: Source | None = None,
    existing: bool = False,
    request: IdempotentRequest | None = None,
) -> ModelVersion:
    """Add uploaded blobs as the next version of a model; otherwise like `mreg.registry.push.push`.

    Args:
        source: Code and environment of the training, as the client recorded them.
        request: The request of the client; if it has made a version, that one is returned.

    Raises:
        OutsideScope: The model is outside the scope of the caller.
        BlobsMissing: A blob must be uploaded first.
        BadInput: The manifest is invalid, or a size in it is wrong; or the artifact is empty.
        Conflict: Another request was made with the same idempotency key.
    """
    session.scope.check_name(name, "upload to")
    if request is not None and (earlier := session.catalog.read(request.earlier)) is not None:
        return earlier
    stage = ModelStage.parse(stage) if isinstance(stage, str) else stage
    first = _stored(session, name, artifact, again=False)
    found = Found(artifact.name, metadata.format or _format(session, artifact, first), source or Source(), "")
    done = [first]

    def put() -> Stored:
        return done.pop() if done else _stored(session, name, artifact, again=True)

    version = add_pushed(
        session,
        name,
        put,
        metadata,
        found,
        stage=stage,
        parent=parent,
        new_model=not existing_only(session, existing),
        request=request,
    )
    with suppress(MregError):  # a claim that stays expires
        session.artifacts().claims.remove(uploader_of(session, name), first.blobs)
    return version


def _stored(session: Session, model: ModelName, artifact: UploadedArtifact, *, again: bool) -> Stored:
    """Return the artifact in the store, after checking that the caller can use each of its blobs.

    Args:
        again: A gc has removed blobs since the first check: check that the store has each blob.
    """
    from mreg.artifacts.upload import Stored

    usable = _usable(session, model, [artifact.digest])
    size = usable.sizes.get(artifact.digest)
    if size is None:
        raise _missing([artifact.digest])
    if artifact.kind is ArtifactKind.FILE:
        if size == 0:
            raise BadInput("the file is empty (0 bytes)", hint="check the program that sent it")
        sizes, total, count = {artifact.digest: size}, size, 1
    else:
        manifest = _manifest(session, model, artifact.digest, size)
        sizes = _checked(session, model, artifact.digest, manifest, usable)
        sizes[artifact.digest] = size
        total, count = manifest.size, len(manifest.entries)
    if again and (gone := [digest for digest, size in sizes.items() if session.artifacts().size(digest) != size]):
        raise _collected(session, model, gone)
    return Stored(
        kind=artifact.kind,
        digest=artifact.digest,
        size_bytes=total,
        file_count=count,
        blobs=frozenset(sizes),
    )


def _manifest(session: Session, model: ModelName, digest: Digest, size: int) -> Manifest:
    """Return the manifest that a caller uploaded.

    Raises:
        BadInput: It is not the canonical form of a manifest.
    """
    if size > BYTES_LIMIT:
        raise BadInput(f"invalid manifest {digest}: it has {size:,} bytes; the limit is {BYTES_LIMIT:,}")
    try:
        data = session.artifacts().manifest_bytes(digest)
    except MissingBlob:  # a gc has removed it
        raise _collected(session, model, [digest]) from None
    try:
        return Manifest.parse(data)
    except Corrupt as error:
        raise BadInput(f"cannot use {digest} as a manifest: {error.message}", hint="upload a manifest") from None


def _checked(
    session: Session, model: ModelName, digest: Digest, manifest: Manifest, known: _Usable
) -> dict[Digest, int]:
    """Return the sizes of the files of an uploaded folder.

    Raises:
        BlobsMissing: A file must be uploaded first.
        BadInput: The folder is empty, or a file has another size than the manifest says.
    """
    from mreg.artifacts.folder_upload import refuse_empty

    refuse_empty(manifest.entries)
    sizes = {entry.digest: entry.size for entry in manifest.entries}
    if digest in known.folders:
        return sizes
    usable = _usable(session, model, sizes).sizes
    missing = [entry for entry in sizes if entry not in usable]
    if missing:
        raise _missing(missing)
    for entry in manifest.entries:
        if usable[entry.digest] != entry.size:
            raise BadInput(
                f"invalid manifest {digest}: expected {usable[entry.digest]} bytes for {quoted(entry.path)}, "
                f"got {entry.size}"
            )
    return sizes


def _collected(session: Session, model: ModelName, blobs: Collection[Digest]) -> BlobsMissing:
    """Return the error for blobs that a gc has removed, and remove their claims: otherwise they would count as present.

    A client can claim a blob that a gc is about to remove.
    """
    session.artifacts().claims.remove(uploader_of(session, model), blobs)
    return _missing(blobs)


def _missing(blobs: Collection[Digest]) -> BlobsMissing:
    shown = [str(digest) for digest in sorted(blobs, key=str)[:NAMED]]
    return BlobsMissing(
        f"{counted(len(blobs), 'blob')} must be uploaded first: {shown[0]}{', ...' if len(blobs) > 1 else ''}",
        hint="upload the blobs, then create the version again",
        blobs=shown,
        count=len(blobs),
    )


@dataclass(frozen=True, slots=True)
class _Usable:
    """Blobs that a caller can use in a version of a model.

    Attributes:
        sizes: Their sizes in bytes.
        folders: Manifests of folders that the caller may read completely.
    """

    sizes: dict[Digest, int] = field(default_factory=dict)
    folders: set[Digest] = field(default_factory=set)


def _usable(session: Session, model: ModelName, digests: Collection[Digest]) -> _Usable:
    """Return those of the blobs that the caller can use in a version of the model."""
    store, usable = session.artifacts(), _Usable()
    own = store.claims.of(uploader_of(session, model), session.now())
    usable.sizes.update((digest, own[digest]) for digest in digests if digest in own)

    def read(reader: Reader) -> tuple[list[StoredArtifact], list[Digest]]:
        return list(artifacts_of_versions(reader, digests)), _recent_folders(reader, model)

    artifacts, manifests = session.catalog.read(read)
    for artifact in artifacts:
        if artifact.kind is ArtifactKind.FILE:
            usable.sizes[artifact.digest] = artifact.size_bytes
            continue
        usable.folders.add(artifact.digest)
        if artifact.digest not in usable.sizes and (size := store.size(artifact.digest)) is not None:
            usable.sizes[artifact.digest] = size
    wanted = {digest.value: digest for digest in digests if digest not in usable.sizes}
    for manifest in manifests:
        if not wanted:
            break
        with suppress(Corrupt, Unavailable):  # damage of an earlier version must not block a new one
            for digits, size in sizes_in(store.manifest_bytes(manifest)):
                if digits in wanted:
                    usable.sizes[wanted.pop(digits)] = size
    return usable


def usable_of_size(session: Session, model: ModelName, size: int) -> list[Digest]:
    """Return blobs of a size that the caller can use in a version of the model; of many, the newest."""
    store = session.artifacts()
    own = store.claims.of(uploader_of(session, model), session.now())
    found = dict.fromkeys(digest for digest in own if own[digest] == size)

    def read(reader: Reader) -> tuple[tuple[Digest, ...], list[Digest]]:
        return reader.files_of_size(size, SAME_SIZE), _recent_folders(reader, model)

    files, manifests = session.catalog.read(read)
    found.update(dict.fromkeys(files))
    for manifest in manifests:
        with suppress(Corrupt, Unavailable):  # damage of an earlier version must not block a new one
            alike = {digits: None for digits, one in sizes_in(store.manifest_bytes(manifest)) if one == size}
            found.update(dict.fromkeys(map(Digest.sha256, islice(alike, SAME_SIZE))))
    return list(found)[:SAME_SIZE]


def _recent_folders(reader: Reader, model: ModelName) -> list[Digest]:
    """Return the manifests of the newest versions of a model."""
    found = reader.model(model)
    recent = reader.versions(found, limit=RECENT) if found else ()
    return list(dict.fromkeys(one.artifact.digest for one in recent if one.artifact.kind is ArtifactKind.FOLDER))


def _format(session: Session, artifact: UploadedArtifact, stored: Stored) -> str:
    """Return the detected format of an uploaded artifact, or ``unknown``."""
    from mreg.artifacts.format import FOLDER_FILES, folder_format

    store = session.artifacts()
    with suppress(NotFound, MissingBlob):  # a gc has removed a blob, which is found out when the version is added
        if artifact.kind is ArtifactKind.FILE:
            return store.format_of(artifact.digest, stored.size_bytes, artifact.name)
        manifest = store.manifest(artifact.digest)
        paths = [*(entry.path for entry in manifest.entries), *manifest.folders]
        top = {entry.path: entry for entry in manifest.entries if "/" not in entry.path}
        return folder_format(
            {path.partition("/")[0] for path in paths},
            list(top)[:FOLDER_FILES],
            lambda name: store.format_of(top[name].digest, top[name].size, name),
        )
    return UNKNOWN_FORMAT
