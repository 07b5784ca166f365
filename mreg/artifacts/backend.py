"""BlobBackend: the contract of a store of bytes by key, and the protocols of what only some stores can do.

A backend knows keys and bytes, and nothing of models, digests or manifests. `mreg.artifacts.store.ArtifactStore` above
it hashes, verifies, batches and lays out the keys, once for all backends.
"""

from __future__ import annotations

import abc
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import BinaryIO, Protocol, Self, runtime_checkable

from mreg.domain.digest import Digest


@dataclass(frozen=True, slots=True, kw_only=True)
class BlobStat:
    """What is known of a blob without reading it: its size in bytes, and when it was last put (aware UTC)."""

    size: int
    modified: datetime


Chunk = bytes | memoryview
"""Some bytes; those of a view are good only until the next chunk is taken."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A blob that is wanted, from some byte on.

    Attributes:
        size: Of the whole blob.
        start: Where to begin: what is before is there already.
    """

    digest: Digest
    size: int
    start: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Unfinished:
    """Bytes on their way in under no key.

    Attributes:
        name: By which the backend knows them.
        size: In bytes, as far as they arrived.
        modified: When something of it last arrived, as far as the backend can tell (aware UTC).
    """

    name: str
    size: int
    modified: datetime


class TemporaryFile(abc.ABC):
    """A local file that receives bytes; a context manager that removes it at the end.

    Attributes:
        path: The file's path, for readers of the bytes written so far.
    """

    path: str

    @abc.abstractmethod
    def write(self, chunk: bytes | memoryview) -> None:
        """Append the chunk whole.

        Raises:
            Unavailable: The bytes can't be kept (full disk, permission).
        """

    @abc.abstractmethod
    def discard(self) -> None:
        """Remove the file; does nothing the second time."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.discard()


class StagedBlob(TemporaryFile):
    """Bytes in the store that have no key yet.

    A crash leaves garbage that is listed under no key.
    """

    @abc.abstractmethod
    def put_if_absent(self, key: str) -> bool:
        """Make the bytes durable under the key, with the guarantees of `BlobBackend.put_if_absent`.

        It may be called again if the blob was removed meanwhile.
        """


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a large blob: its bytes in a local file, and what they were when they were hashed.

    Attributes:
        number: From 1 on.
        start: Where it begins in the blob.
        digest: What `BlobParts.put` holds the bytes against, since the file may have changed meanwhile.
    """

    number: int
    start: int
    size: int
    digest: Digest


class BlobParts(abc.ABC):
    """A large blob on its way in, part by part, invisible under its key until `complete`.

    It survives the process: opened again for the same key, it still has the parts that arrived. Parts may be put from
    several threads at once, and by several processes, since equal keys mean equal bytes.
    """

    @abc.abstractmethod
    def has(self, part: Part, data: BinaryIO) -> bool:
        """Whether exactly this part arrived earlier.

        Args:
            data: The part's bytes, read where the backend has no better way to compare.
        """

    @abc.abstractmethod
    def put(self, part: Part, data: BinaryIO) -> None:
        """Send a part, read from its beginning; what another part of this number held is replaced.

        Raises:
            Conflict: The bytes are not those of ``part.digest`` any more.
        """

    @abc.abstractmethod
    def complete(self, parts: Sequence[Part]) -> bool:
        """Make the blob of all its parts durable under its key; True if it was this call that did."""


class BlobBackend(abc.ABC):
    """Keeps blobs by key, written once and never changed.

    Keys are relative POSIX paths made by `ArtifactStore` (``blobs/sha256/ab/cdef...``). Every method may be called
    from several threads and processes at once. Driver errors come out as `Unavailable` (can't be reached, full,
    permission refused), `Corrupt` (a blob's place is taken by something else) or `NotFound`. A backend also implements
    `SupportsStaging` or `SupportsParts`; one with neither takes only files of up to 8 MiB.

    Attributes:
        remote: Each call is a network round trip, so callers keep several in flight, keep the bytes of an interrupted
            pull, and cache blobs.
    """

    remote: bool

    @property
    @abc.abstractmethod
    def url(self) -> str:
        """Where the keys live, as a URL without secrets and without a slash at the end."""

    @property
    def room(self) -> int | None:
        """Bytes that can still be put, None where that is not known."""
        return None

    @property
    def conditional(self) -> bool:
        """Whether a put of what is there is refused by the store itself, as far as is known from what was put."""
        return True

    @property
    def verification(self) -> tuple[str, str]:
        """What checks that an upload arrives as it was sent, and what the store lacks for it; empty for a folder."""
        return "", ""

    def forget(self) -> None:  # noqa: B027
        """Try again what is remembered of the store."""

    def overlaps(self, path: Path) -> bool:  # noqa: ARG002  only a folder can
        """Whether a local path lies in what this backend keeps, or holds it; the path has no links in it."""
        return False

    @abc.abstractmethod
    def put_if_absent(self, key: str, data: bytes) -> bool:
        """Make the bytes durable under the key, whole or not at all; True if it was this call that did.

        When it returns, the bytes survive power loss. Of many callers at once one gets True; the others get False
        and the blob is then complete and durable all the same. An existing blob is never overwritten.
        """

    @abc.abstractmethod
    def put_many_if_absent(self, blobs: Iterable[tuple[str, bytes]]) -> int:
        """`put_if_absent` for many small blobs, made durable together; how many were new.

        When it returns all are durable; when it raises, some may be, each whole.
        """

    @abc.abstractmethod
    def open(self, key: str, start: int = 0, length: int | None = None) -> BinaryIO:
        """The blob's bytes from ``start`` on, as a reader to be closed by the caller.

        Args:
            length: How many bytes are wanted; where they are fewer the reader ends early, and None is all.

        Raises:
            NotFound: There is no such blob.
        """

    @abc.abstractmethod
    def stat(self, key: str) -> BlobStat | None:
        """What is known of the blob, or None where there is none."""

    @abc.abstractmethod
    def list(self, prefix: str) -> Iterator[tuple[str, BlobStat]]:
        """Every blob whose key begins with the prefix, in no order; foreign files are passed over."""

    @abc.abstractmethod
    def delete(self, key: str) -> None:
        """Remove the blob; does nothing where there is none."""

    @abc.abstractmethod
    def unfinished(self) -> Iterator[Unfinished]:
        """What is on its way in, or was when its process died."""

    @abc.abstractmethod
    def discard(self, unfinished: Unfinished) -> None:
        """Remove what is on its way in; does nothing where it is gone."""


@runtime_checkable
class SupportsStaging(Protocol):
    """A backend that takes bytes before their key is known, so that one pass over a file both hashes and stores it."""

    def stage(self) -> StagedBlob:
        """Return an empty staged blob."""


@runtime_checkable
class SupportsParts(Protocol):
    """A backend that takes a large blob in parts, once its key is known: the file is hashed in a pass before."""

    def parts(self, key: str) -> BlobParts:
        """Return the upload of the key, with the parts that arrived earlier."""
