"""ArtifactStore: hashing, layout and verification for all backends."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Generator, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from mreg.artifacts.access import missing_folder
from mreg.artifacts.backend import (
    BlobBackend,
    BlobRequest,
    BlobStat,
    Chunk,
    SupportsDirectUploads,
    SupportsPresignedUrls,
    SupportsResuming,
    Unfinished,
)
from mreg.artifacts.checking import check, verified
from mreg.artifacts.hashing import check_received, counted_chunks, damaged, digest_of, missing, stream_chunks
from mreg.domain.digest import Digest, blob_key, digest_of_key
from mreg.domain.manifest import BYTES_LIMIT, Manifest
from mreg.domain.model import ArtifactKind
from mreg.domain.text import quoted, size_text
from mreg.errors import BadInput, Corrupt, MregError, NotFound, Unavailable

if TYPE_CHECKING:
    from datetime import datetime

    from mreg.artifacts.cache import BlobCache
    from mreg.artifacts.claims import Claims, Uploader
    from mreg.artifacts.destination import Received
    from mreg.artifacts.folder_upload import FolderUpload
    from mreg.artifacts.partial_upload import Arrived, PartialUpload
    from mreg.artifacts.probe import Step
    from mreg.artifacts.progress import Progress
    from mreg.artifacts.records import PullRecords
    from mreg.artifacts.source_folder import SourceFolder
    from mreg.artifacts.stream_upload import StreamUpload
    from mreg.artifacts.upload import Stored
    from mreg.domain.bundle import Bundle


NO_BLOBS: Mapping[int, Collection[Digest]] = {}

SAMPLES_AT_ONCE = 32
"""Number of samples of blobs in a bucket that are read in parallel."""


class ArtifactStore:
    """Artifacts in a backend: files are blobs, folders are manifests, and equal bytes are stored once.

    All bytes that it returns are verified, unless a method says otherwise, and all bytes that it stores are durable.

    Args:
        cache: Cache of pulled blobs (default: none).
        spool: Folder for unfinished uploads to a server, if the backend cannot keep them (default: a temporary one).
    """

    def __init__(self, backend: BlobBackend, cache: BlobCache | None = None, spool: str = "") -> None:
        self._backend = backend
        self._cache = cache
        self._spool = spool

    # Writing

    def put(
        self,
        path: str,
        *,
        folder: SourceFolder | None = None,
        known: Mapping[int, Collection[Digest]] = NO_BLOBS,
        progress: Progress | None = None,
    ) -> Stored:
        """Store a file or folder durably, the blobs before the manifest.

        A crash leaves at most unreferenced blobs.

        Args:
            path: File or folder, or a link to one.
            folder: Content of the folder, without the store (default: everything in it; links in it are refused).
            known: Digests, by size, of blobs that the store could already have: a file that looks like one of them is
                hashed first and written only if it is new; other files are hashed while they are written.
            progress: Called with the number of bytes done and the total.

        Raises:
            NotFound: The path does not exist.
            BadInput: The path is not a file or folder, is empty, contains a link or an invalid name, or overlaps the
                store.
            Conflict: A file changed while it was read.
            Unavailable: A file cannot be read, or the store cannot be written.
        """
        from mreg.artifacts.upload import Upload

        if folder is None:
            self.refuse_overlap(Path(path), "push the model from its source")
        with self._explaining():
            return Upload(self._backend, known, progress).put(path, folder)

    def put_blobs(self, folder: str, advance: Callable[[int], None]) -> None:
        """Store the files of a flat folder durably; each is named by the hex digits of its digest.

        Args:
            advance: Called with the number of bytes stored since the last call.

        Raises:
            Corrupt: A file does not match its name.
            Unavailable: A file cannot be read, or the store cannot be written.
        """
        from mreg.artifacts.upload import Upload

        with self._explaining():
            Upload(self._backend, {}, None).put_blobs(folder, advance)

    @contextmanager
    def open_upload(self, size: int = 0) -> Iterator[StreamUpload]:
        """Yield an upload for a file that arrives as a stream; see `mreg.artifacts.stream_upload.StreamUpload`.

        Args:
            size: Expected size in bytes (default: unknown).

        Raises:
            Unavailable: The store has too little free space, or cannot be written.
        """
        from mreg.artifacts.stream_upload import StreamUpload

        with self._explaining(), StreamUpload(self._backend, size) as incoming:
            yield incoming

    @contextmanager
    def open_folder_upload(self, size: int = 0) -> Iterator[FolderUpload]:
        """Yield an upload for a folder that arrives as a stream; see `mreg.artifacts.folder_upload.FolderUpload`.

        Args:
            size: Expected total size in bytes (default: unknown).

        Raises:
            Unavailable: The store has too little free space, or cannot be written.
        """
        from mreg.artifacts.folder_upload import FolderUpload

        with self._explaining(), FolderUpload(self._backend, size) as incoming:
            yield incoming

    def put_blob(self, digest: Digest, data: bytes) -> None:
        """Store a small blob durably.

        Raises:
            BadInput: The bytes have another digest.
            Corrupt: The store has a blob of this digest with another size.
            Unavailable: The store cannot be written.
        """
        check_received(digest, digest_of(data))
        self._backend.put_if_absent(blob_key(digest), data)

    @cached_property
    def _unfinished_files(self) -> SupportsResuming:
        """Where unfinished uploads to a server are kept: in the store if it can, or in a folder of this machine."""
        if isinstance(self._backend, SupportsResuming):
            return self._backend
        from mreg.artifacts.local import LocalBackend
        from mreg.artifacts.stream_upload import temporary_folder

        folder = self._spool or temporary_folder()
        own = digest_of(self._backend.url.encode()).value[:16]
        return LocalBackend(Path(folder, own), private=folder)

    def check_reserve(self) -> None:
        """Check that uploads of clients leave free space; see `mreg.artifacts.backend.SupportsResuming.reserve`.

        Raises:
            Unavailable: They do not.
        """
        files = self._unfinished_files
        room, reserve = files.room, files.reserve
        if room is not None and room < reserve:
            raise Unavailable(
                f"not enough space in {files.place}: {size_text(room)} free, and uploads leave {size_text(reserve)}",
                hint="free some space there",
            )

    @contextmanager
    def continue_upload(
        self, uploader: Uploader, name: str, *, length: int, start: int, now: datetime
    ) -> Iterator[PartialUpload]:
        """Yield a request of an upload in several requests; see `mreg.artifacts.partial_upload.PartialUpload`."""
        from mreg.artifacts.partial_upload import PartialUpload

        files = self._unfinished_files
        with (
            self._explaining(),
            PartialUpload(self._backend, files, uploader, name, length=length, start=start, now=now) as upload,
        ):
            yield upload

    def arrived(self, uploader: Uploader, name: str) -> Arrived:
        """Return how much of an upload has arrived; see `mreg.artifacts.partial_upload.PartialUpload`."""
        from mreg.artifacts.partial_upload import arrived

        return arrived(self._unfinished_files, uploader, name)

    def has_fingerprint(self, digests: Collection[Digest], size: int, wanted: str) -> bool:
        """Return whether one of the blobs, all of one size, has a fingerprint; a blob that cannot be read has none.

        Args:
            wanted: See `mreg.artifacts.source.fingerprint`.
        """
        from mreg.artifacts.parallel import in_order
        from mreg.artifacts.source import MIDDLE, SAMPLE_BYTES, fingerprint, sample_digits, sample_starts

        def sample(digest: Digest, start: int) -> bytes:
            with (
                suppress(NotFound, Corrupt, Unavailable),
                closing(self._backend.open(blob_key(digest), start, SAMPLE_BYTES)) as stream,
            ):
                return stream.read(SAMPLE_BYTES)
            return b""

        starts, at_once = sample_starts(size), SAMPLES_AT_ONCE if self.remote else 1
        with closing(in_order(lambda digest: sample(digest, starts[MIDDLE]), digests, at_once=at_once)) as middles:
            alike = [one for one, data in zip(digests, middles, strict=True) if wanted.startswith(sample_digits(data))]
        return any(fingerprint(size, [sample(digest, start) for start in starts]) == wanted for digest in alike)

    def put_many(self, blobs: Mapping[Digest, bytes]) -> None:
        """Store small blobs durably.

        Raises:
            BadInput: The bytes of one have another digest; then none is stored.
            Unavailable: The store cannot be written.
        """
        for digest, data in blobs.items():
            check_received(digest, digest_of(data))
        self._backend.put_many_if_absent((blob_key(digest), data) for digest, data in blobs.items())

    def presign(self, digest: Digest, seconds: int) -> str:
        """Return a URL of the store from which a blob can be read without credentials, unverified.

        Args:
            seconds: How long the URL is valid.

        Raises:
            BadInput: The store has no such URLs.
            Unavailable: The store has no credentials to sign with.
        """
        if not isinstance(self._backend, SupportsPresignedUrls):
            raise BadInput(
                f"the artifact store {self._backend.place} has no presigned URLs: it is not a bucket",
                hint="serve without --direct, or keep the artifacts in a bucket",
            )
        return self._backend.presign(blob_key(digest), seconds)

    @property
    def direct_uploads(self) -> SupportsDirectUploads | None:
        """The uploads by presigned URLs, None if the store has none; see `mreg.artifacts.direct_upload`."""
        return self._backend if isinstance(self._backend, SupportsDirectUploads) else None

    def direct_refusal(self) -> str:
        """Return why clients of a server cannot upload to the store by presigned URLs; empty if they can."""
        uploads = self.direct_uploads
        return "only S3 stores have presigned URLs for parts" if uploads is None else uploads.direct_refusal()

    def format_of(self, digest: Digest, size: int, name: str) -> str:
        """Return the detected format of a blob, or ``unknown``; of a large blob in a bucket, by the name alone.

        Args:
            name: Name of the artifact or file.
        """
        from io import BytesIO

        from mreg.artifacts.format import detect_stream
        from mreg.artifacts.upload import SMALL_BYTES

        if self.remote and size > SMALL_BYTES:
            return detect_stream(BytesIO(), name)
        with closing(self._backend.open(blob_key(digest))) as stream:
            return detect_stream(BytesIO(stream.read()) if self.remote else stream, name)

    @property
    def claims(self) -> Claims:
        """The blobs that callers of a server have uploaded; see `mreg.artifacts.claims`."""
        from mreg.artifacts.claims import Claims

        return Claims(self._backend)

    def probing(self) -> Iterator[Step]:
        """Yield tests of the store; see `mreg.artifacts.probe.probing`."""
        from mreg.artifacts.probe import probing

        return probing(self._backend)

    def latency(self) -> float:
        """Return the median duration of a small request in seconds; writes nothing."""
        from mreg.artifacts.speed import latency

        key = blob_key(Digest.sha256("0" * 64))
        return latency(lambda: self._backend.stat(key))

    def throughput(self) -> tuple[float, float]:
        """Return the bytes per second of a small upload and download; see `mreg.artifacts.speed.throughput`."""
        from mreg.artifacts.speed import throughput

        return throughput(self._backend)

    def unfinished(self) -> Iterator[Unfinished]:
        """Yield the unfinished uploads, including those of dead processes, and the claims of uploaded blobs."""
        yield from self._backend.unfinished()
        for key, found, _ in self.claims.all():
            yield Unfinished(name=key, size=found.size, modified=found.modified)

    def discard(self, unfinished: Unfinished) -> None:
        """Remove an unfinished upload; if its push is still running, the push fails and creates no version."""
        from mreg.artifacts.claims import is_claim

        if is_claim(unfinished.name):
            self._backend.delete(unfinished.name)
        else:
            self._backend.discard(unfinished)

    def blobs(self) -> Iterator[tuple[Digest, BlobStat]]:
        """Yield all blobs, referenced or not; other files are skipped."""
        for key, found in self._backend.list("blobs/"):
            digest = digest_of_key(key)
            if digest is not None:
                yield digest, found

    def has(self, digest: Digest) -> bool:
        """Return whether the store has a blob."""
        return self._backend.stat(blob_key(digest)) is not None

    def size(self, digest: Digest) -> int | None:
        """Return the size of a blob in bytes; None if the store does not have it."""
        found = self._backend.stat(blob_key(digest))
        return None if found is None else found.size

    def remove(self, digest: Digest) -> None:
        """Remove an unreferenced blob; idempotent."""
        self._backend.delete(blob_key(digest))

    # Reading

    def _fetch(self, requests: Sequence[BlobRequest], advance: Callable[[int], None]) -> Generator[Iterator[Chunk]]:
        """Yield the unverified chunks of each blob in order; a blob that is too long has at least one extra byte.

        The chunks of a blob can be read until the next blob is requested. Close the generator: it closes the blob.

        Raises:
            Corrupt: A blob is missing.
        """
        if self._backend.remote:
            from mreg.artifacts.download import fetched

            yield from fetched(self._backend, requests, advance)
            return
        for blob in requests:
            with self._opened(blob) as stream:
                yield counted_chunks(stream, advance)

    def _fetch_or_find(
        self, requests: Sequence[BlobRequest], advance: Callable[[int], None]
    ) -> Generator[Iterator[Chunk]]:
        """Yield the chunks of each blob like `_fetch`, from the cache if possible."""
        cache = self._cache
        if cache is None:
            return self._fetch(requests, advance)

        def found() -> Generator[Iterator[Chunk]]:
            absent = [blob for blob in requests if blob.digest not in cache]
            with closing(self._fetch(tuple(absent), advance)) as fetched:
                for blob in requests:
                    if absent and blob is absent[0]:
                        absent.pop(0)
                        yield next(fetched)
                    elif (stream := cache.open(blob.digest)) is not None:
                        with closing(stream):
                            stream.seek(blob.start)
                            yield counted_chunks(stream, advance)
                    else:  # removed, or found damaged, in the meantime
                        with closing(self._fetch([blob], advance)) as again:
                            yield next(again)

        return found()

    @contextmanager
    def _opened(self, request: BlobRequest, length: int | None = None) -> Iterator[BinaryIO]:
        """Open a blob in the store; the block closes it, whatever becomes of the generator that reads it.

        Raises:
            Corrupt: The blob is missing, or is not a file.
            Unavailable: The blob cannot be read.
        """
        try:
            stream = self._backend.open(blob_key(request.digest), request.start, length)
        except NotFound as error:
            if self.missing:
                raise missing_folder(self.missing) from error
            raise missing(request.digest, self._backend.place) from error
        except Corrupt as error:  # the path is taken, so that pushing again is not enough
            error.hint = error.hint or self._backend.repair(blob_key(request.digest), taken=True)
            raise
        with closing(stream):
            yield stream

    @contextmanager
    def _opened_or_found(self, request: BlobRequest, length: int | None = None) -> Iterator[BinaryIO]:
        """Open a blob like `_opened`, from the cache if possible."""
        cached = self._cache.open(request.digest) if self._cache is not None else None
        if cached is None:
            with self._opened(request, length) as stream:
                yield stream
            return
        with closing(cached):
            cached.seek(request.start)
            yield cached

    def manifest(self, digest: Digest) -> Manifest:
        """Return the manifest of a folder, verified.

        Raises:
            Corrupt: The manifest is missing, damaged or invalid.
        """
        with self._explaining():
            return Manifest.parse(self.manifest_bytes(digest))

    def manifest_bytes(self, digest: Digest) -> bytes:
        """Return the bytes of a manifest, verified but not parsed.

        Raises:
            Corrupt: The manifest is missing or damaged, or has more bytes than a manifest can have.
        """
        with self._explaining():
            received = bytearray()
            with self._opened_or_found(BlobRequest(digest, 0)) as stream:
                for chunk in stream_chunks(stream):
                    received += chunk
                    if len(received) > BYTES_LIMIT:
                        raise damaged(digest, f"a manifest has at most {BYTES_LIMIT} bytes")
            data = bytes(received)
            if digest_of(data) != digest:
                raise damaged(digest)
            if self._cache is not None:
                self._cache.keep(digest, data)
            return data

    def verify(self, digest: Digest, kind: ArtifactKind, size: int) -> None:
        """Verify all bytes of an artifact.

        Raises:
            Corrupt: A blob is missing or damaged; the message names it.
            Unavailable: A blob cannot be read.
        """
        sizes = {digest: size}
        if kind is ArtifactKind.FOLDER:
            sizes = {entry.digest: entry.size for entry in self.manifest(digest).entries}
        with self._explaining():
            requests = [BlobRequest(digest, size) for digest, size in sizes.items()]
            with closing(self._fetch(requests, ignore_progress)) as blobs:
                for blob, chunks in zip(requests, blobs, strict=True):
                    check(blob, chunks)

    def check_blob(self, digest: Digest, size: int, advance: Callable[[int], None] = lambda _count: None) -> None:
        """Verify all bytes of a blob, read from the store and not from the cache.

        Raises:
            Corrupt: The blob is missing or damaged.
            Unavailable: The blob cannot be read.
        """
        request = BlobRequest(digest, size)
        with self._explaining(), closing(self._fetch([request], advance)) as blobs:
            for chunks in blobs:
                check(request, chunks)

    def read(self, digest: Digest, size: int, start: int = 0, length: int | None = None) -> Generator[bytes]:
        """Yield the bytes of a blob or of a range of it; close the generator to stop early.

        The last chunk of a complete blob follows only after the SHA-256 is verified, so that a client that expects its
        size never receives a damaged blob completely. Of a range, only the size is verified.

        Args:
            length: Number of bytes from `start` (default: all).

        Raises:
            Corrupt: The blob is missing or damaged.
            Unavailable: The blob cannot be read.
        """
        request = BlobRequest(digest, size, start)
        whole = start == 0 and (length is None or length == size)
        with self._explaining():
            if whole:
                with closing(self._fetch_or_find([request], ignore_progress)) as blobs:
                    yield from verified(request, next(blobs))
            else:
                yield from self._range(request, size - start if length is None else length)

    def _range(self, request: BlobRequest, length: int) -> Iterator[bytes]:
        if length <= 0:
            return
        with self._opened_or_found(request, length) as stream:
            for chunk in stream_chunks(stream):
                yield chunk[:length]
                length -= len(chunk)
                if length <= 0:
                    return
        raise damaged(request.digest, f"expected {request.size:,} bytes, got {length:,} fewer")

    @property
    def missing(self) -> str:
        """Path of the folder of this store if it does not exist, otherwise empty; the first put creates it."""
        return self._backend.missing

    @property
    def remote(self) -> bool:
        """True if each access to a blob is a network round trip."""
        return self._backend.remote

    @contextmanager
    def _explaining(self) -> Iterator[None]:
        """Add a hint to `Corrupt` errors of blobs: another push alone would keep the existing damaged blob."""
        try:
            yield
        except Corrupt as error:
            if "digest" in error.details and not error.hint:
                with suppress(MregError):
                    error.hint = self._backend.repair(blob_key(Digest.parse(str(error.details["digest"]))))
            raise

    def pull(
        self,
        digest: Digest,
        kind: ArtifactKind,
        size: int,
        destination: Path,
        *,
        force: bool = False,
        select: Callable[[Manifest], Manifest] | None = None,
        dry_run: bool = False,
        progress: Progress | None = None,
        records: PullRecords | None = None,
        protected: Callable[[], BadInput | None] = lambda: None,
        keep: bool = True,
    ) -> Received:
        """Write an artifact to a destination, verified; see `Destination` for the arguments and for `force`.

        Args:
            select: Returns the part of a folder to write (default: all of it).
            dry_run: Write nothing, and return the files of the pull.
            keep: Add copies of the blobs to the cache.

        Raises:
            AlreadyExists: The destination has other content, or files in it conflict with those of the artifact.
            NotFound: The folder of the destination does not exist.
            BadInput: The destination is below a file, overlaps the store, or must not be replaced.
            Conflict: The folder at the destination was changed during the pull.
            Corrupt: A blob is missing or damaged.
            Unavailable: The store cannot be read, or the destination cannot be written.
        """
        from mreg.artifacts.destination import Destination
        from mreg.artifacts.progress import progress_callback

        self.refuse_overlap(destination)
        manifest = whole = None
        if kind is ArtifactKind.FOLDER:
            manifest = self.manifest(digest)
            if select is not None:
                whole, manifest = manifest, select(manifest)
                size, digest = manifest.size, digest_of(manifest.canonical())
        advance = progress_callback(progress, size)
        target = Destination(
            destination,
            lambda requests: self._fetch_or_find(requests, advance),
            resumable=self._backend.remote,
            keep=self._cache.keep if keep and self._cache is not None else lambda _digest, _path: None,
            advance=advance,
            records=records,
            protected=protected,
            make_parents=True,
            parallel=self._backend.remote,
        )
        with self._explaining():
            if manifest is None:
                received = target.receive_file(digest, size, force=force, dry_run=dry_run)
            else:
                received = target.receive_folder(digest, manifest, whole=whole, force=force, dry_run=dry_run)
        if self._cache is not None:
            self._cache.trim()
        return received

    def write_bundle(self, bundle: Bundle, destination: Path, *, force: bool, progress: Progress | None = None) -> int:
        """Write a bundle to a file atomically, with all bytes verified; return its size in bytes.

        Raises:
            AlreadyExists: The destination exists, and `force` is False.
            NotFound: The parent folder of the destination does not exist.
            BadInput: The destination overlaps the store.
            Corrupt: A blob is missing or damaged.
            Unavailable: The store cannot be read, or the destination cannot be written.
        """
        from mreg.artifacts.bundle_file import bundle_size, write_bundle
        from mreg.artifacts.destination import Destination
        from mreg.artifacts.progress import progress_callback

        self.refuse_overlap(destination)
        document = bundle.canonical()
        size = bundle_size(bundle, document)
        advance = progress_callback(progress, sum(bundle.blobs.values()))

        def read(
            blobs: list[tuple[Digest, int]], begin: Callable[[Digest, int], None], take: Callable[[Chunk], None]
        ) -> None:
            requests = [BlobRequest(digest, size) for digest, size in blobs]
            with closing(self._fetch_or_find(requests, advance)) as found:
                for blob, chunks in zip(requests, found, strict=True):
                    begin(blob.digest, blob.size)
                    check(blob, chunks, take)

        target = Destination(destination, lambda requests: self._fetch(requests, advance))
        with self._explaining():
            target.receive_made(
                digest_of(document), size, lambda write: write_bundle(bundle, document, write, read), force=force
            )
        return size

    def copy_blobs(self, sizes: dict[Digest, int], other: ArtifactStore, progress: Progress | None = None) -> None:
        """Copy blobs to another store, verified and durable; see `mreg.artifacts.copying.copy_blobs`.

        Args:
            sizes: Size of each blob.
            progress: Called with the number of bytes done and the total.
        """
        from mreg.artifacts.copying import copy_blobs
        from mreg.artifacts.progress import progress_callback

        with self._explaining():
            copy_blobs(
                sizes,
                lambda requests: self._fetch(requests, ignore_progress),
                other._backend,
                progress_callback(progress, sum(sizes.values())),
            )

    def refuse_overlap(self, path: Path, hint: str = "name another destination") -> None:
        """Refuse a source or destination that overlaps the store.

        Raises:
            BadInput: The path is inside the store or contains it.
        """
        if self._backend.overlaps(Path(os.path.realpath(path))):
            raise BadInput(f"{quoted(str(path))} overlaps the artifact store {self._backend.place}", hint=hint)

    def write_to(self, digest: Digest, size: int, stream: BinaryIO) -> None:
        """Verify all bytes of a file, then write them to a stream.

        Raises:
            Corrupt: The file is damaged, and nothing was written; or it changed after it was verified.
        """
        from tempfile import TemporaryFile

        request = BlobRequest(digest, size)
        with self._explaining(), TemporaryFile() as copy:
            if self._backend.remote:  # fetch only once
                with closing(self._fetch_or_find([request], ignore_progress)) as blobs:
                    check(request, next(blobs), copy.write)
                copy.seek(0)
                stream.writelines(stream_chunks(copy))
            else:
                with self._opened(request) as blob:
                    check(request, stream_chunks(blob))
                with self._opened(request) as blob:
                    check(request, stream_chunks(blob), stream.write)
            stream.flush()


def ignore_progress(_count: int) -> None:
    """Discard progress."""
