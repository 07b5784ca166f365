"""BlobBackend: the contract that keeps bytes by key.

A backend knows keys and bytes and nothing of models, digests or manifests. What must be right once (hashing, layout,
verifying, batching) is in `mreg.artifacts.store.ArtifactStore` above it.
"""

from __future__ import annotations

import abc
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

from mreg.domain.digest import Digest


@dataclass(frozen=True, slots=True, kw_only=True)
class Abilities:
    """What a backend can do, as data.

    Attributes:
        stages: Bytes can be written before their key is known (`BlobBackend.stage`), so that one reading pass both
            hashes and stores. Where False a caller hashes first, and large blobs go in parts (`BlobBackend.parts`).
        remote: Each call is a round trip over a network: it pays to have several under way, to keep what a cut pull
            has received, and to keep blobs in a cache.
    """

    stages: bool
    remote: bool


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


class StagedBlob(abc.ABC):
    """Bytes on their way in, invisible under any key until `BlobBackend.put_if_absent` takes them.

    A context manager: leaving it drops what was not put. A crash leaves garbage that is listed under no key. It may be
    put more than once, for a blob that was removed meanwhile.

    Attributes:
        path: A local file that holds the bytes, for who must look at them before they have a name.
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
        """Drop the bytes; does nothing after a put or a second time."""

    def __enter__(self) -> StagedBlob:
        return self

    def __exit__(self, *_: object) -> None:
        self.discard()


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
    permission refused), `Corrupt` (a blob's place is taken by something else) or `NotFound`.
    """

    abilities: Abilities

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
    def stage(self) -> StagedBlob:
        """Room for bytes whose key is not known yet; only where ``abilities.stages``."""

    @abc.abstractmethod
    def parts(self, key: str) -> BlobParts:
        """Room for a large blob whose key is known; only where not ``abilities.stages``."""

    @abc.abstractmethod
    def put_if_absent(self, key: str, source: bytes | StagedBlob) -> bool:
        """Make the bytes durable under the key, whole or not at all; True if it was this call that did.

        When it returns, the bytes survive power loss. Of many callers at once one gets True; the others get False
        and the blob is then complete and durable all the same. An existing blob is never overwritten.

        Args:
            key: The blob's key.
            source: Bytes in memory, or what this backend staged.
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
