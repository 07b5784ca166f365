"""BlobBackend: the contract that keeps bytes by key.

A backend knows keys and bytes and nothing of models, digests or manifests. What must be right once (hashing, layout,
verifying, batching) is in `mreg.artifacts.store.ArtifactStore` above it.
"""

from __future__ import annotations

import abc
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import BinaryIO


@dataclass(frozen=True, slots=True, kw_only=True)
class Abilities:
    """What a backend can do, as data.

    Attributes:
        stages: Bytes can be written before their key is known (`BlobBackend.stage`), so that one reading pass both
            hashes and stores. Where False, a caller hashes first and then calls `put_if_absent`.
    """

    stages: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class BlobStat:
    """What is known of a blob without reading it: its size in bytes, and when it was last put (aware UTC)."""

    size: int
    modified: datetime


class StagedBlob(abc.ABC):
    """Bytes on their way in, invisible under any key until `BlobBackend.put_if_absent` takes them.

    A context manager: leaving it drops what was not put. A crash leaves garbage that is listed under no key.
    """

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

    def overlaps(self, path: Path) -> bool:  # noqa: ARG002  only a folder can
        """Whether a local path lies in what this backend keeps, or holds it; the path has no links in it."""
        return False

    @abc.abstractmethod
    def stage(self) -> StagedBlob:
        """Room for bytes whose key is not known yet; only where ``abilities.stages``."""

    @abc.abstractmethod
    def put_if_absent(self, key: str, source: bytes | Path | StagedBlob) -> bool:
        """Make the bytes durable under the key, whole or not at all; True if it was this call that did.

        When it returns, the bytes survive power loss. Of many callers at once one gets True; the others get False
        and the blob is then complete and durable all the same. An existing blob is never overwritten, but counts as
        put anew (`BlobStat.modified`), so that a collector of garbage knows that somebody has just relied on it.

        Args:
            key: The blob's key.
            source: Bytes in memory, a local file that is streamed, or what this backend staged.
        """

    @abc.abstractmethod
    def put_many_if_absent(self, blobs: Iterable[tuple[str, bytes]]) -> int:
        """`put_if_absent` for many small blobs, made durable together; how many were new.

        When it returns all are durable; when it raises, some may be, each whole.
        """

    @abc.abstractmethod
    def renew(self, key: str) -> bool:
        """Whether the blob is there; if so it counts as put anew, as in `put_if_absent`, and stays."""

    @abc.abstractmethod
    def open(self, key: str, start: int = 0) -> BinaryIO:
        """The blob's bytes from ``start`` on, as an unbuffered or buffered reader to be closed by the caller.

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
