"""Traits of a store, found by probes and remembered on this machine for a day."""

from __future__ import annotations

import contextlib
import json
import os
import time
from dataclasses import asdict, dataclass
from hashlib import sha256

from mreg.files import replace, unlink
from mreg.folders import make_folders
from mreg.stores.integrity import IntegrityCheck

REMEMBERED_SECONDS = 24 * 3600.0
"""How long a trait is used. Later another store, or another version, can be at the same address."""

QUOTED, BARE = "quoted", "bare"

LONGEST_FILE = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Traits:
    """The traits of one bucket of a store; each is None or empty until it is probed.

    Attributes:
        integrity: How damage of uploads in transit is detected.
        tags: The form of entity tags that the store accepts in If-Match, quoted or bare. Set only if a matching tag
            succeeds, another tag is refused, and If-None-Match works.
        revives: A put with If-None-Match succeeds after the object was deleted.
        versioned: The response to a put had a version ID.
        strict: A request by a presigned URL is refused if it has headers of S3 that were not signed.
        opaque: Entity tags are not the MD5 sums of objects, for example because the store encrypts the objects.
    """

    integrity: IntegrityCheck | None = None
    tags: str = ""
    revives: bool | None = None
    versioned: bool = False
    strict: bool | None = None
    opaque: bool = False


class Memory:
    """The traits of one bucket in a file; nothing is remembered if the file cannot be read or written.

    Args:
        folder: Folder of these files, below the user's cache folder; empty for none.
        bucket: Address of the store and name of the bucket.
    """

    def __init__(self, folder: str, bucket: str) -> None:
        self._folder = folder
        self._path = os.path.join(folder, f"{sha256(bucket.encode()).hexdigest()[:24]}.json") if folder else ""

    def load(self) -> tuple[Traits, float]:
        """Return the traits found within the last day, and the time of the oldest (Unix seconds)."""
        now = time.time()
        nothing = Traits(), now
        if not self._path:
            return nothing
        try:
            with open(self._path, "rb") as stream:
                known = json.loads(stream.read(LONGEST_FILE))
            at = float(known.pop("at"))
            if not 0 <= now - at < REMEMBERED_SECONDS:
                return nothing
            traits = Traits(**known)
            if traits.tags not in ("", QUOTED, BARE):
                return nothing
            checked = Traits(
                integrity=None if traits.integrity is None else IntegrityCheck(traits.integrity),
                tags=traits.tags,
                revives=None if traits.revives is None else bool(traits.revives),
                versioned=bool(traits.versioned),
                strict=None if traits.strict is None else bool(traits.strict),
                opaque=bool(traits.opaque),
            )
            return checked, at
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            return nothing

    def keep(self, traits: Traits, at: float) -> None:
        """Remember traits.

        Args:
            at: Time when the oldest of them was found (Unix seconds).
        """
        if not self._path:
            return
        partial = f"{self._path}.{os.urandom(8).hex()}.tmp"
        with contextlib.suppress(OSError):
            make_folders(self._folder, os.path.dirname(self._folder))
            try:
                with open(partial, "x", encoding="utf-8") as stream:
                    json.dump({"at": at, **asdict(traits)}, stream)
                replace(partial, self._path)
            finally:
                with contextlib.suppress(OSError):
                    unlink(partial)
