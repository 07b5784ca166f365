"""Claims: the blobs that a caller of a server has uploaded for a model, and can use in a new version of it.

A claim is an empty blob of the store with a separate name, so that it survives a restart of the server, and all
servers of a store share it::

    uploads/<caller>/<model>/<64 hex digits of the blob>-<its size>

Caller and model are digests of an identity and of a name. A blob is durable before it is claimed; the claim alone need
not survive a power loss, since its blob can be uploaded again.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from mreg.artifacts.backend import BlobBackend, BlobStat
from mreg.artifacts.hashing import digest_of
from mreg.artifacts.parallel import in_order
from mreg.domain.digest import Digest
from mreg.domain.names import ModelName
from mreg.errors import Unavailable

VALID = timedelta(hours=24)
"""Time for which a claim can be used."""

ROOT = "uploads/"

AT_ONCE = 32
"""Number of claims in a bucket that are removed in parallel."""

_KEY = re.compile(r"uploads/[0-9a-f]{32}/[0-9a-f]{32}/([0-9a-f]{64})-(0|[1-9][0-9]{0,18})")


@dataclass(frozen=True, slots=True)
class Uploader:
    """A caller who uploads blobs for a model; no other caller can use or continue these uploads.

    Attributes:
        caller: Identity of the caller, which a token with the same name does not share.
        counts_as: Identity with whose limits the unfinished uploads count (default: the caller).
    """

    caller: str
    model: ModelName
    counts_as: str = ""

    def unfinished(self, upload: str, number: int) -> str:
        """Return the name of an unfinished upload, of which several can be in progress.

        Args:
            upload: Digest of its blob, or the id of a staged upload, which has another form.
        """
        own = "\0".join((self.caller, self.model.value, upload, str(number)))
        return f"{self.beginning}{_named(own)[:16]}"

    @property
    def beginning(self) -> str:
        """Beginning of the names of the unfinished uploads that count together."""
        return _named(self.counts_as or self.caller)[:8]

    def direct(self, digest: Digest, size: int) -> str:
        """Return the name of the direct upload of a blob."""
        own = _named("\0".join((self.caller, self.model.value)))
        return f"{self.direct_beginning}{own}/{digest.value}-{size}"

    @property
    def direct_beginning(self) -> str:
        """Beginning of the names of the direct uploads that count together."""
        return f"{_named(self.counts_as or self.caller)}/"

    @property
    def prefix(self) -> str:
        """Beginning of the keys of the claims."""
        return f"{ROOT}{_named(self.caller)}/{_named(self.model.value)}/"


class Claims:
    """The claims in a backend."""

    def __init__(self, backend: BlobBackend) -> None:
        self._backend = backend

    def add(self, uploader: Uploader, sizes: Mapping[Digest, int], now: datetime) -> None:
        """Claim blobs that are in the store; existing claims are renewed.

        Raises:
            Unavailable: The claims cannot be written, or have expired already: a clock is wrong.
        """
        keys = [_key(uploader, digest, size) for digest, size in sizes.items()]
        self._backend.mark_many(keys)
        if not self._backend.remote and keys:  # a bucket refuses the requests of a wrong clock
            self._check_clock(keys[-1], now)

    def _check_clock(self, key: str, now: datetime) -> None:
        made = self._backend.stat(key)
        if made is not None and made.modified < now - VALID:
            ahead = (now - made.modified) // timedelta(hours=1)
            raise Unavailable(
                f"the clock of the server is {ahead} hours ahead of the clock of its artifact store",
                hint="set its clock: timedatectl set-ntp true",
            )

    def of(self, uploader: Uploader, now: datetime) -> dict[Digest, int]:
        """Return the sizes of the claimed blobs by digest."""
        return {
            digest: size
            for key, found in self._backend.list(uploader.prefix)
            if found.modified >= now - VALID
            for digest, size in _read(key)
        }

    def size(self, uploader: Uploader, digest: Digest, now: datetime) -> int | None:
        """Return the size of a blob if it is claimed."""
        for key, found in self._backend.list(f"{uploader.prefix}{digest.value}-"):
            for _, size in _read(key):
                if found.modified >= now - VALID:
                    return size
        return None

    def remove(self, uploader: Uploader, digests: Collection[Digest]) -> None:
        """Remove the claims of blobs that a version has now; idempotent."""
        keys = (
            key for key, _ in self._backend.list(uploader.prefix) if any(digest in digests for digest, _ in _read(key))
        )
        for _ in in_order(self._backend.delete, list(keys), at_once=AT_ONCE if self._backend.remote else 1):
            pass

    def all(self) -> Iterator[tuple[str, BlobStat, Digest]]:
        """Yield every claim with its key and its blob, valid or not; other files are skipped."""
        for key, found in self._backend.list(ROOT):
            for digest, _ in _read(key):
                yield key, found, digest


def is_claim(key: str) -> bool:
    """Return whether a key is that of a claim."""
    return _KEY.fullmatch(key) is not None


def _key(uploader: Uploader, digest: Digest, size: int) -> str:
    return f"{uploader.prefix}{digest.value}-{size}"


def _read(key: str) -> Iterator[tuple[Digest, int]]:
    match = _KEY.fullmatch(key)
    if match is not None:
        yield Digest.sha256(match[1]), int(match[2])


def _named(name: str) -> str:
    return digest_of(name.encode("utf-8", "surrogatepass")).value[:32]
