"""What a store does, found out by probes and remembered on this machine for a day."""

from __future__ import annotations

import contextlib
import json
import os
import time
from dataclasses import asdict, dataclass
from hashlib import sha256

from mreg.files import replace, unlink
from mreg.folders import make_folders
from mreg.s3.integrity import Way

REMEMBERED_SECONDS = 24 * 3600.0
"""How long a result is used. Another store or another version of it can be at the same address later."""

QUOTED, BARE = "quoted", "bare"

LONGEST_FILE = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Traits:
    """The traits of one bucket of a store; each is None or empty before it was tried.

    Attributes:
        way: What finds damage of an upload on its way.
        tags: How the store wants an entity tag in If-Match, with its quotes or bare. Set only where a right tag
            succeeds, a wrong one is refused, and If-None-Match is applied.
        revives: Whether a put with If-None-Match succeeds where the object was deleted.
        versioned: Whether the answer to a put had the id of a version.
        opaque: Whether entity tags are not the MD5 sums of objects, as where the store encrypts them.
    """

    way: Way | None = None
    tags: str = ""
    revives: bool | None = None
    versioned: bool = False
    opaque: bool = False


class Memory:
    """The traits of one bucket in a file; where that cannot be read or written nothing is remembered.

    Args:
        folder: Of the traits of all stores, below the user's cache folder; empty for none.
        bucket: The address of the store and the name of the bucket.
    """

    def __init__(self, folder: str, bucket: str) -> None:
        self._folder = folder
        self._path = os.path.join(folder, f"{sha256(bucket.encode()).hexdigest()[:24]}.json") if folder else ""

    def load(self) -> tuple[Traits, float]:
        """The traits that were found out within the last day, and when the oldest was (Unix seconds)."""
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
                way=None if traits.way is None else Way(traits.way),
                tags=traits.tags,
                revives=None if traits.revives is None else bool(traits.revives),
                versioned=bool(traits.versioned),
                opaque=bool(traits.opaque),
            )
            return checked, at
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            return nothing

    def keep(self, traits: Traits, at: float) -> None:
        """Remember traits, of which the oldest was found out at a time (Unix seconds)."""
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
