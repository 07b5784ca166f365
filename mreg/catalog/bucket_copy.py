"""This machine's copy of a catalog in a bucket, shared by its processes."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import file_digest, sha256
from shlex import quote as shell_quote
from urllib.parse import quote, unquote

from mreg.durability import sync
from mreg.errors import Unavailable
from mreg.files import CREATE, UPDATE, close, has_locks, lock, open_file, replace, unlink
from mreg.folders import make_folders

YOUNG_SECONDS = 2.0
"""A copy that was the bucket's so lately is written to at once; that it is old after all costs one put in vain."""

KEPT_SECONDS = 30.0
"""How long a copy that is not the last one stays, for a process that is about to open it."""

TURN_SECONDS = 10.0
"""How long the others of this machine are waited for. Turns save work; nothing depends on them."""


COPIES = (".db", ".tmp")
"""How files that are ours to remove end."""

IN_MEMORY = 64 << 20
"""Bytes of the largest catalog that is read without a copy on disk."""

HEX = 64
"""Digits of a SHA-256."""


@dataclass(frozen=True, slots=True)
class Copy:
    """The SQLite file of one entity tag, empty for one that is not in the bucket yet.

    Attributes:
        path: Of the file here; empty where the copy is in memory alone.
        data: The file's bytes, where they are in memory.
    """

    etag: str
    path: str
    data: bytes | None = None

    def whole(self, *, loaded: bool) -> Copy | None:
        """The copy, if it is what was kept; None where it was changed, cut or removed since.

        Args:
            loaded: With its bytes in memory, where nobody can change them any more.
        """
        if self.data is not None:
            return self
        wanted = os.path.basename(self.path).removesuffix(".db")[-HEX:]
        try:
            with open(self.path, "rb") as stream:
                if loaded:
                    data = stream.read()
                    return Copy(self.etag, self.path, data) if sha256(data).hexdigest() == wanted else None
                return self if file_digest(stream, "sha256").hexdigest() == wanted else None
        except OSError:
            return None


class LocalCopy:
    """The last copies of one catalog in a folder of its own; where that can't be written there are none.

    A file is whole and on the disk before it has its name, which is its entity tag and its SHA-256: a copy can be
    changed or cut by whatever else there is on this machine, and must never go from there into the bucket.

    Args:
        folder: Of the copies of all catalogs, below the user's cache folder, which is made for its owner alone.
        place: By which this one is told from the others.
    """

    def __init__(self, folder: str, place: str) -> None:
        self.folder = os.path.join(folder, sha256(place.encode()).hexdigest()[:24])
        self._private = os.path.dirname(folder)

    def last(self) -> Copy | None:
        """The copy that was the bucket's last, as far as is known here."""
        with contextlib.suppress(OSError), os.scandir(self.folder) as entries:
            copies = [(entry.stat().st_mtime, entry.path) for entry in entries if entry.name.endswith(".db")]
            for _, path in sorted(copies, reverse=True):
                etag, _, digest = os.path.basename(path).removesuffix(".db").rpartition(".")
                if etag and len(digest) == HEX:
                    return Copy(unquote(etag), path)
        return None

    def young(self, seconds: float = YOUNG_SECONDS) -> Copy | None:
        """The last copy, if it was the bucket's a moment ago; whether it is whole is not known."""
        copy = self.last()
        with contextlib.suppress(OSError):
            if copy is not None and 0 <= time.time() - os.stat(copy.path).st_mtime < seconds:
                return copy
        return None

    def confirm(self, copy: Copy) -> None:
        """It is still the bucket's."""
        with contextlib.suppress(OSError):
            os.utime(copy.path)

    def keep(self, etag: str, data: bytes) -> Copy:
        """Make it the last copy; in memory alone where it can't be kept."""
        try:
            return Copy(etag, self._written(etag, iter([data])), data)
        except OSError:
            return Copy(etag, "", data)

    def receive(self, etag: str, pieces: Callable[[], Iterator[bytes]]) -> Copy:
        """Make the last copy of pieces, without holding them; in memory, if it is small, where it can't be kept.

        Args:
            pieces: Gives them from the first one; what it raises leaves no file behind.

        Raises:
            Unavailable: It can't be kept, and is too large for memory.
        """
        try:
            return Copy(etag, self._written(etag, pieces()))
        except OSError as error:
            data = bytearray()
            for piece in pieces():
                data += piece
                if len(data) > IN_MEMORY:
                    raise Unavailable(
                        f"the copy of the catalog cannot be written to {self.folder}: {error.strerror or error}",
                        hint=f"free some space there: df -h {shell_quote(os.path.dirname(self.folder))}",
                    ) from error
            return Copy(etag, "", bytes(data))

    def _written(self, etag: str, pieces: Iterator[bytes]) -> str:
        """The path of a new last copy."""
        partial = os.path.join(self.folder, f"{os.urandom(8).hex()}.tmp")
        make_folders(self.folder, self._private)
        digest = sha256()
        try:
            descriptor = open_file(partial, CREATE, 0o600, follow=False)
            with os.fdopen(descriptor, "wb") as stream:
                for piece in pieces:
                    digest.update(piece)
                    if piece.count(0) < len(piece):
                        stream.write(piece)
                    else:
                        stream.seek(
                            len(piece), os.SEEK_CUR
                        )  # a hole: padding of zeros takes no room and counts for none
                stream.truncate()
                stream.flush()
                sync(descriptor)
            path = os.path.join(self.folder, f"{quote(etag, safe='')}.{digest.hexdigest()}.db")
            replace(partial, path)
        finally:
            with contextlib.suppress(OSError):
                unlink(partial)
        with contextlib.suppress(OSError):
            self._forget_old(path)
        return path

    def forget(self) -> None:
        """Remove every copy."""
        with contextlib.suppress(OSError), os.scandir(self.folder) as entries:
            for entry in entries:
                if entry.name.endswith(COPIES):
                    with contextlib.suppress(OSError):
                        unlink(entry.path)

    def set_aside(self) -> str:
        """Keep the last copy under a name by which it is never used; where it is now, empty where there is none."""
        last = self.last()
        # With microseconds: an earlier one is never replaced.
        aside = os.path.join(self.folder, f"last-of-a-lost-catalog-{datetime.now(UTC):%Y%m%dT%H%M%S%f}.sqlite")
        try:
            if last is not None:
                os.rename(last.path, aside)
        except OSError:
            return ""
        return aside if last is not None else ""

    def _forget_old(self, kept: str) -> None:
        before = time.time() - KEPT_SECONDS
        with os.scandir(self.folder) as entries:
            for entry in entries:
                with contextlib.suppress(OSError):
                    if entry.path != kept and entry.name.endswith(COPIES) and entry.stat().st_mtime < before:
                        unlink(entry.path)

    @contextlib.contextmanager
    def turn(self) -> Iterator[None]:
        """The turn of one writer of this machine; it ends with its process, and is not waited for without end."""
        descriptor = -1
        with contextlib.suppress(OSError):
            if has_locks():
                make_folders(self.folder, self._private)
                descriptor = open_file(os.path.join(self.folder, "lock"), UPDATE, 0o600, follow=False)
        if descriptor < 0:
            yield
            return
        try:
            # On a thread, since the kernel's queue is fair and has no end of its own.
            waiting = threading.Thread(target=lock, args=(descriptor,), daemon=True)
            waiting.start()
            waiting.join(TURN_SECONDS)
            yield
        finally:
            close(descriptor)
