"""A catalog in a bucket: one object, with the entity tag as its tag."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from hashlib import sha256

from mreg.catalog.database import Abandoned
from mreg.catalog.object_database import ObjectDatabase
from mreg.catalog.packing import LARGEST_OBJECT
from mreg.catalog.versioned import VersionedObject
from mreg.domain.digest import Digest
from mreg.errors import MregError
from mreg.stores.bucket import Bucket
from mreg.stores.failures import refused
from mreg.stores.probing import MARKED, PROBES, ConditionalWritesUnsupported, is_probe, left_probes, probes_of


class BucketDatabase(ObjectDatabase):
    """A catalog in a bucket; `ObjectDatabase` describes the other arguments.

    Args:
        bucket: The bucket of the object.
        key: Key of the object.
    """

    def __init__(
        self,
        bucket: Bucket,
        key: str,
        folder: str,
        orphans: Callable[[], str] = lambda: "",
        notice: Callable[[str], None] = lambda _text: None,
    ) -> None:
        super().__init__(BucketObject(bucket, key), folder, orphans, notice)


class BucketObject(VersionedObject):
    """An object in a bucket."""

    def __init__(self, bucket: Bucket, key: str) -> None:
        self._bucket = bucket
        self._key = key
        self.identity = f"{self.location()} {bucket.address}"

    def location(self, ending: str = "") -> str:
        return f"{self._bucket.url}/{self._key}{ending}"

    def fetch(self, tag: str = "") -> tuple[bytes, str] | None:
        return self._bucket.fetch(self._key, tag, largest=LARGEST_OBJECT)

    def swap(self, data: bytes, tag: str) -> str:
        return self._bucket.swap(self._key, data, _digest(data), tag)

    def move(self, ending: str) -> bool:
        found = self._bucket.fetch(self._key)
        if found is None:
            return False
        self._bucket.put(f"{self._key}{ending}", found[0], _digest(found[0]))
        self._bucket.delete(self._key)
        return True

    def store_copy(self, ending: str, data: bytes) -> bool:
        key = f"{self._key}{ending}"
        if self._bucket.swap(key, data, _digest(data), ""):
            return True
        found = self._bucket.fetch(key)
        return found is not None and found[0] == data  # the answer was lost

    def remove_copy(self, ending: str) -> None:
        self._bucket.delete(f"{self._key}{ending}")

    def require_support(self, *, again: bool = False) -> None:
        try:
            self._bucket.require_conditions(self._key, again=again)
        except ConditionalWritesUnsupported as error:
            versioning = "suspend the versioning of the bucket, or " if error.versioned else ""
            raise ConditionalWritesUnsupported(
                f"cannot use {self.location()} as a catalog: {error.problem}",
                versioned=error.versioned,
                hint=f"{versioning}keep the catalog in PostgreSQL or in a file, and the artifacts there",
            ) from error

    def explain_refusal(self, *, exists: bool) -> None:
        self.require_support(again=True)
        if not exists and not self._bucket.revives:
            raise ConditionalWritesUnsupported(
                f"cannot create the catalog {self.location()}: {MARKED}",
                versioned=True,
                hint="name another place for the catalog, or remove the delete marker: aws s3api delete-object "
                "--help tells how to remove a version",
            )

    def was_refused(self, error: MregError) -> bool:
        return refused(error.__cause__)

    def clock(self) -> datetime | None:
        return self._bucket.clock()

    def abandoned(self) -> Iterator[Abandoned]:
        for start in self._probes():
            for key, found in left_probes(self._bucket, start):
                yield Abandoned(name=key, size=found.size, modified=found.modified)

    def discard(self, abandoned: Abandoned) -> None:
        if any(is_probe(abandoned.name, start) for start in self._probes()):
            self._bucket.delete(abandoned.name)

    def _probes(self) -> tuple[str, str]:
        """Return the prefixes of the probes of its conditional writes, and of how the store verifies uploads."""
        return probes_of(self._key), PROBES


def _digest(data: bytes) -> Digest:
    return Digest.sha256(sha256(data).hexdigest())
