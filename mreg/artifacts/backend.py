"""BlobBackend, the contract of a key-value store for bytes, and protocols for abilities that only some stores have.

A backend handles keys and bytes; it has no notion of models, digests or manifests. `mreg.artifacts.store.ArtifactStore`
hashes, verifies, batches and chooses the keys, for all backends.
"""

from __future__ import annotations

import abc
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Protocol, Self, runtime_checkable

from mreg.domain.digest import Digest

if TYPE_CHECKING:
    from mreg.artifacts.hashed_file import HashedFile


@dataclass(frozen=True, slots=True, kw_only=True)
class BlobStat:
    """Metadata of a blob: size in bytes and time of the last put (aware UTC)."""

    size: int
    modified: datetime


Chunk = bytes | memoryview
"""Some bytes; a `memoryview` is valid only until the next chunk is read."""


@dataclass(frozen=True, slots=True)
class BlobRequest:
    """A blob to fetch.

    Attributes:
        size: Size of the complete blob in bytes.
        start: Offset of the first byte to fetch; the caller already has the bytes before it.
    """

    digest: Digest
    size: int
    start: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Unfinished:
    """An unfinished upload, which is not visible under a key.

    Attributes:
        name: Identifier in the backend.
        size: Number of bytes that have arrived.
        modified: Time of the last change that the backend knows of (aware UTC).
    """

    name: str
    size: int
    modified: datetime


class TemporaryFile(abc.ABC):
    """A local file for incoming bytes; a context manager that removes it at the end.

    Attributes:
        path: Path of the file, to read the bytes written so far.
    """

    path: str

    @abc.abstractmethod
    def write(self, chunk: bytes | memoryview) -> None:
        """Append the complete chunk.

        Raises:
            Unavailable: The bytes cannot be written (disk full, permission denied).
        """

    def finish(self) -> None:  # noqa: B027
        """Close the file for writing, so that many finished files do not exceed the limit of open files.

        Raises:
            Unavailable: The bytes cannot be written.
        """

    @abc.abstractmethod
    def discard(self) -> None:
        """Remove the file; idempotent."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.discard()


class StagedBlob(TemporaryFile):
    """Bytes in the store that have no key yet; a crash leaves them as garbage (see `BlobBackend.unfinished`)."""

    @abc.abstractmethod
    def put_if_absent(self, key: str) -> bool:
        """Make the bytes durable under the key, with the guarantees of `BlobBackend.put_if_absent`.

        It can be called again if the blob was removed in the meantime.
        """


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a large blob.

    Attributes:
        number: Part number, from 1.
        start: Offset in the blob.
        digest: Digest at the time of hashing; `BlobParts.put` verifies it, since the local file can change.
    """

    number: int
    start: int
    size: int
    digest: Digest


class BlobParts(abc.ABC):
    """A multipart upload of a large blob, which is not visible under its key until `complete`.

    The upload survives the process: opened again for the same key, it has the parts that arrived before. Several
    threads and processes can put parts at the same time, since equal keys mean equal bytes.
    """

    @abc.abstractmethod
    def has(self, part: Part, data: BinaryIO) -> bool:
        """Return whether exactly this part has arrived.

        Args:
            data: Bytes of the part, which are read only if the backend cannot compare otherwise.
        """

    @abc.abstractmethod
    def put(self, part: Part, data: BinaryIO) -> None:
        """Send a part, replacing an earlier part of the same number.

        Raises:
            Conflict: The bytes no longer match ``part.digest``.
        """

    @abc.abstractmethod
    def complete(self, parts: Sequence[Part]) -> bool:
        """Make the blob of all parts durable under its key; return whether this call created it."""


class ContinuedUpload(abc.ABC):
    """An upload of a large blob from its beginning to its end, which continues where an earlier one broke off.

    Attributes:
        start: Number of bytes that had arrived before.
    """

    start: int

    @abc.abstractmethod
    def send(
        self,
        chunks: Callable[[int], Iterator[bytes]],
        advance: Callable[[int], None],
        verified: Callable[[int], None],
    ) -> bool:
        """Send the missing bytes, and make the blob durable under its key; return whether this call created it.

        Args:
            chunks: Returns an iterator over the bytes from an offset; called again after a failed connection.
            advance: Called with the number of further bytes that have arrived; negative if the store lost some.
            verified: Called with the number of bytes that the receiver has verified, if it reads all again at the end.

        Raises:
            BadInput: The bytes do not have the digest of the key.
            Unavailable: The store cannot be reached or written. The bytes that arrived are kept for the next upload.
        """


class StagedUpload(abc.ABC):
    """An upload of a large file whose digest is named at its end, and which continues where an earlier one broke off.

    Attributes:
        start: Number of bytes that had arrived before. They can be those of another file with the same fingerprint.
    """

    start: int

    @abc.abstractmethod
    def send(self, file: HashedFile, advance: Callable[[int], None]) -> Digest:
        """Send the missing bytes, make the blob durable under its digest, and return that.

        Args:
            advance: Called with the number of further bytes that have arrived; negative if the store lost some.

        Raises:
            WrongBytes: The bytes in the store do not have the digest of the file; they are removed.
            Conflict: The file has changed since the start of the push.
            Unavailable: The store cannot be reached or written. The bytes that arrived are kept for the next upload.
        """


class WrongBytes(Exception):
    """The bytes that have arrived at a store do not have the digest of their file.

    Attributes:
        digest: Digest of the file.
    """

    def __init__(self, digest: Digest) -> None:
        super().__init__(str(digest))
        self.digest = digest


class BlobBackend(abc.ABC):
    """A store of immutable blobs by key; safe for threads and processes.

    Keys are relative POSIX paths from `ArtifactStore` (``blobs/sha256/ab/cdef...``). Driver errors are raised as
    `Unavailable` (cannot be reached, full, permission denied), `Corrupt` (something that is not a blob has its key) or
    `NotFound`. Without `SupportsStaging`, `SupportsParts`, `SupportsStreams` or `SupportsContinuing`, files are limited
    to `mreg.artifacts.upload.SMALL_BYTES`.

    Attributes:
        remote: Each call is a network round trip, so callers keep several in flight, keep the bytes of an interrupted
            pull, and cache blobs.
    """

    remote: bool

    @property
    @abc.abstractmethod
    def url(self) -> str:
        """URL of the store, without secrets and without a trailing slash."""

    @property
    def place(self) -> str:
        """The store in messages: its URL, or the path of a folder."""
        return self.url

    @property
    def room(self) -> int | None:
        """Free space in bytes; None if unknown."""
        return None

    @property
    def missing(self) -> str:
        """Path of the folder of this store if it does not exist, otherwise empty."""
        return ""

    @property
    def conditional(self) -> bool:
        """True unless a put so far showed that the store itself does not refuse to replace an existing blob."""
        return True

    @property
    def verification(self) -> tuple[str, str]:
        """How uploads are verified, and what the store lacks for it, as texts; both empty for a folder."""
        return "", ""

    def repair(self, key: str, *, taken: bool = False) -> str:
        """Return the hint for a blob that is damaged or missing.

        Args:
            taken: Whether something that is not a blob is in its place.
        """
        if taken:
            return f"remove {self.place}/{key}, then push the model again"
        there = self.stat(key) is not None
        first = f"remove {self.place}/{key}, then " if there else ""
        if there and self.remote:  # the damage can be in transit
            first = f"repeat the command, since bytes can change in transit; if it fails again, {first}"
        return f"{first}push the model again from its source"

    def forget(self) -> None:  # noqa: B027
        """Forget the remembered traits of the store, so that they are probed again."""

    def overlaps(self, path: Path) -> bool:  # noqa: ARG002  only a folder can
        """Return whether a local path without links is inside this store or contains it."""
        return False

    @abc.abstractmethod
    def put_if_absent(self, key: str, data: bytes) -> bool:
        """Store a blob atomically and durably; return whether this call created it.

        When it returns, the blob is complete and survives power loss, whatever the result. Of concurrent callers, one
        gets True. An existing blob is never overwritten.
        """

    @abc.abstractmethod
    def put_many_if_absent(self, blobs: Iterable[tuple[str, bytes]]) -> int:
        """Store many small blobs like `put_if_absent`, with one flush; return the number of new blobs.

        When it returns, all blobs are durable. When it raises, some blobs can exist, each complete.
        """

    @abc.abstractmethod
    def open(self, key: str, start: int = 0, length: int | None = None) -> BinaryIO:
        """Open a blob for reading; the caller closes the reader.

        Args:
            start: Offset of the first byte.
            length: Maximum number of bytes (default: all). A shorter blob ends early.

        Raises:
            NotFound: The blob does not exist.
        """

    @abc.abstractmethod
    def stat(self, key: str) -> BlobStat | None:
        """Return the metadata of a blob; None if it does not exist."""

    @abc.abstractmethod
    def list(self, prefix: str) -> Iterator[tuple[str, BlobStat]]:
        """Yield every blob whose key begins with the prefix, in any order; other files are skipped."""

    def mark(self, key: str) -> None:
        """Store an empty blob and set its time to now; a power loss can undo it."""
        if not self.put_if_absent(key, b""):
            self.delete(key)
            self.put_if_absent(key, b"")

    def mark_many(self, keys: Iterable[str]) -> None:
        """`mark` several blobs."""
        for key in keys:
            self.mark(key)

    @abc.abstractmethod
    def delete(self, key: str) -> None:
        """Remove a blob; idempotent."""

    def prepare_parts(self) -> None:  # noqa: B027  most backends have nothing to begin
        """Begin what an upload in parts needs first, on another thread; the caller hashes the file meanwhile."""

    @abc.abstractmethod
    def unfinished(self) -> Iterator[Unfinished]:
        """Yield the unfinished uploads, including those of dead processes."""

    @abc.abstractmethod
    def discard(self, unfinished: Unfinished) -> None:
        """Remove an unfinished upload; idempotent."""


@runtime_checkable
class SupportsStaging(Protocol):
    """A backend that accepts bytes before their key is known, so that one pass over a file hashes and stores it."""

    def stage(self) -> StagedBlob:
        """Return an empty staged blob."""


class ResumableFile(StagedBlob):
    """Bytes in the store that have no key yet, and that a later process can continue; locked while it is open.

    Attributes:
        size: Number of bytes so far.
    """

    size: int

    @property
    @abc.abstractmethod
    def identity(self) -> tuple[int, int, int]:
        """A value that changes when another process writes to the file after `mark`."""

    @abc.abstractmethod
    def mark(self) -> tuple[int, int, int] | None:
        """Return an identity that no other content of the file has; None if the store cannot make one."""

    @abc.abstractmethod
    def chunks(self) -> Iterator[bytes]:
        """Yield the bytes so far."""

    @abc.abstractmethod
    def keep(self) -> None:
        """Close the file, which stays unchanged and is no longer locked; idempotent."""

    @abc.abstractmethod
    def clear(self) -> None:
        """Remove all bytes."""


@runtime_checkable
class SupportsResuming(Protocol):
    """A backend that keeps unfinished files by names, so that they survive a restart."""

    @property
    def room(self) -> int | None:
        """See `BlobBackend.room`."""

    @property
    def reserve(self) -> int:
        """Free space in bytes that uploads of clients leave, so that a catalog next to them can still be written."""

    @property
    def place(self) -> str:
        """See `BlobBackend.place`."""

    def unfinished(self) -> Iterator[Unfinished]:
        """See `BlobBackend.unfinished`."""

    def resume(self, name: str, *, create: bool) -> ResumableFile | None:
        """Open an unfinished file.

        Args:
            name: 24 hex digits.
            create: Create it if it does not exist.

        Returns:
            None if it does not exist, if another thread or process has it open, or if files cannot be locked here.
        """

    def stage(self) -> StagedBlob:
        """Return an empty staged blob, which cannot be continued."""

    def left(self, name: str) -> tuple[int, bool]:
        """Return the size of an unfinished file, 0 if it does not exist, and whether it is being written."""


@runtime_checkable
class SupportsParts(Protocol):
    """A backend that accepts large blobs in parts. It needs the key first, so the file is hashed in a separate pass."""

    def parts(self, key: str) -> BlobParts:
        """Return the multipart upload of a key, with the parts that arrived before."""


@runtime_checkable
class SupportsStreams(Protocol):
    """A backend that accepts a large blob as a stream, in an upload that cannot be continued once it breaks off."""

    def put_stream(self, key: str, size: int, chunks: Callable[[], Iterator[bytes]]) -> bool:
        """Store a large blob, which is visible once it is complete; return whether this call created it.

        Args:
            size: Number of bytes.
            chunks: Returns an iterator over the bytes. Its exceptions are raised, and then nothing is stored.

        Raises:
            Unavailable: The store cannot be written, or the bytes arrived damaged.
            Conflict: Other uploads of the same blob kept this one from being completed, and failed.
        """


@runtime_checkable
class SupportsContinuing(Protocol):
    """A backend that accepts a large blob as a stream, which it can continue."""

    def begin_staged(self, name: str, size: int) -> StagedUpload | None:
        """Return the upload of a file that is hashed while it is sent; None if the file must be hashed first.

        Args:
            name: See `mreg.artifacts.source.fingerprint`.
            size: Size of the file in bytes.
        """

    def continue_upload(self, key: str, size: int) -> ContinuedUpload | None:
        """Return the upload of a blob; None if the store has the blob.

        Args:
            size: Size of the blob in bytes.
        """


@runtime_checkable
class SupportsPresignedUrls(Protocol):
    """A backend with URLs that permit one request without credentials."""

    def presign(self, key: str, seconds: int) -> str:
        """Return a URL from which a blob can be read.

        Args:
            seconds: How long the URL is valid.
        """


class DirectUpload(abc.ABC):
    """The upload of a large blob by presigned URLs: parts that are joined to a temporary object.

    A URL permits sending one part of one size. After `join`, no URL can change the bytes.

    Attributes:
        joined: Whether the parts are joined.
    """

    joined: bool

    @abc.abstractmethod
    def sizes(self) -> dict[int, int]:
        """Return the sizes of the parts that have arrived, by part number from 1."""

    @abc.abstractmethod
    def presign(self, number: int, size: int, seconds: int) -> str:
        """Return the URL for the PUT of a part.

        Args:
            size: Number of bytes, which the URL permits alone if the store checks it.
            seconds: How long the URL is valid.
        """

    @abc.abstractmethod
    def join(self) -> None:
        """Join the parts that have arrived; idempotent.

        Raises:
            Conflict: The upload was discarded.
        """

    @abc.abstractmethod
    def open(self) -> BinaryIO:
        """Open the joined bytes.

        Raises:
            NotFound: They were moved or discarded.
        """

    @abc.abstractmethod
    def move(self, key: str, size: int, progress: Callable[[int], None]) -> None:
        """Copy the joined bytes to the key of a blob, durably; an existing blob of this size is kept.

        Args:
            progress: Called with the number of bytes that are copied.

        Raises:
            NotFound: They were moved or discarded.
        """

    @abc.abstractmethod
    def discard(self) -> None:
        """Remove everything of this upload; idempotent."""


@runtime_checkable
class SupportsDirectUploads(Protocol):
    """A backend to which clients of a server can upload large blobs by presigned URLs."""

    def direct_refusal(self) -> str:
        """Return why the store takes no direct uploads; empty if it does.

        It does if a presigned URL permits nothing but its part, whatever the client adds to the request.
        """

    def find_direct(self, name: str) -> DirectUpload | None:
        """Return the unfinished upload of a name; None if there is none.

        Args:
            name: Relative path, below which nothing else is stored.
        """

    def begin_direct(self, name: str) -> DirectUpload:
        """Begin an upload; another one of the same name that begins at the same time is independent of it."""

    def direct_uploads(self, beginning: str) -> Iterator[Unfinished]:
        """Yield the unfinished uploads whose names begin with a text: the sizes of their blobs, and when they began."""

    def last_part(self, unfinished: Unfinished) -> datetime:
        """Return when the last part of an upload arrived, or when it began."""

    def discard(self, unfinished: Unfinished) -> None:
        """See `BlobBackend.discard`."""


@runtime_checkable
class SupportsBatches(Protocol):
    """A backend that reads many small blobs in one request.

    Attributes:
        batch_blobs: Maximum number of blobs in a request.
        batch_bytes: Maximum number of bytes in a request.
        batched_bytes: Maximum size of a blob that is read with others.
    """

    batch_blobs: int
    batch_bytes: int
    batched_bytes: int

    def open_many(self, requests: Sequence[BlobRequest]) -> Iterator[bytes]:
        """Yield the bytes of complete blobs in order, of each at most its size.

        Raises:
            MregError: A blob cannot be read; which one is unknown.
        """
