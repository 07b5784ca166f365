"""This machine's copy of a catalog in a store, shared by all processes of a user."""

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
"""Age up to which a copy is assumed to be current for a write; if it is not, one put is refused."""

KEPT_SECONDS = 30.0
"""Time for which an old copy is kept, for processes that are about to open it."""

TURN_SECONDS = 10.0
"""Maximum wait for other writers on this machine. Turns save work; correctness does not depend on them."""

COPIES = (".db", ".tmp")
"""Endings of the files that mreg can remove."""

IN_MEMORY = 64 << 20
"""Maximum size in bytes of a catalog that is read without a copy on disk."""

HEX = 64
"""Number of hex digits of a SHA-256."""


@dataclass(frozen=True, slots=True)
class Copy:
    """The SQLite file of a tag, which is empty for a catalog that is not in the store yet.

    Attributes:
        path: Path of the local file; empty if the copy is in memory only.
        data: Content of the file, if it is in memory.
    """

    tag: str
    path: str
    data: bytes | None = None

    def whole(self, *, loaded: bool) -> Copy | None:
        """Return the copy if it is intact; None if the file was changed, truncated or removed.

        Args:
            loaded: Whether to load the file into memory, where it cannot change after the check.
        """
        if self.data is not None:
            return self
        wanted = os.path.basename(self.path).removesuffix(".db")[-HEX:]
        try:
            with open(self.path, "rb") as stream:
                if loaded:
                    data = stream.read()
                    return Copy(self.tag, self.path, data) if sha256(data).hexdigest() == wanted else None
                return self if file_digest(stream, "sha256").hexdigest() == wanted else None
        except OSError:
            return None


class LocalCopy:
    """The latest copies of a catalog, in a separate folder; there are none if the folder cannot be written.

    A file is complete and durable before it gets its name, which has its tag and its SHA-256. The SHA-256 keeps
    a copy that another program changed or truncated from being uploaded to the store.

    Args:
        folder: Folder for the copies of all catalogs, in the user's cache folder, which is made private to the user;
            empty for none.
        place: Text that identifies the catalog.
    """

    def __init__(self, folder: str, place: str) -> None:
        folder = folder or os.path.join(os.devnull, "catalogs")  # a folder in which nothing can be read or written
        self.folder = os.path.join(folder, sha256(place.encode()).hexdigest()[:24])
        self._private = os.path.dirname(folder)

    def last(self) -> Copy | None:
        """Return the copy of the latest tag that this machine knows."""
        with contextlib.suppress(OSError), os.scandir(self.folder) as entries:
            copies = [(entry.stat().st_mtime, entry.path) for entry in entries if entry.name.endswith(".db")]
            for _, path in sorted(copies, reverse=True):
                tag, _, digest = os.path.basename(path).removesuffix(".db").rpartition(".")
                if tag and len(digest) == HEX:
                    return Copy(unquote(tag), path)
        return None

    def young(self, seconds: float = YOUNG_SECONDS) -> Copy | None:
        """Return the last copy if it was current less than ``seconds`` ago; it is not verified."""
        copy = self.last()
        with contextlib.suppress(OSError):
            if copy is not None and 0 <= time.time() - os.stat(copy.path).st_mtime < seconds:
                return copy
        return None

    def confirm(self, copy: Copy) -> None:
        """Record that a copy is still current."""
        with contextlib.suppress(OSError):
            os.utime(copy.path)

    def keep(self, tag: str, data: bytes) -> Copy:
        """Store the last copy; return it in memory if the folder cannot be written."""
        try:
            return Copy(tag, self._write(tag, iter([data])), data)
        except OSError:
            return Copy(tag, "", data)

    def receive(self, tag: str, pieces: Callable[[], Iterator[bytes]]) -> Copy:
        """Store the last copy piece by piece; return it in memory if the folder cannot be written and it is small.

        Args:
            pieces: Returns an iterator from the first piece; an error of it leaves no file behind.

        Raises:
            Unavailable: The copy cannot be stored, and is too large for memory.
        """
        try:
            return Copy(tag, self._write(tag, pieces()))
        except OSError as error:
            data = bytearray()
            for piece in pieces():
                data += piece
                if len(data) > IN_MEMORY:
                    raise Unavailable(
                        f"cannot write the copy of the catalog to {self.folder}: {error.strerror or error}",
                        hint=f"free some space there: df -h {shell_quote(os.path.dirname(self.folder))}",
                    ) from error
            return Copy(tag, "", bytes(data))

    def _write(self, tag: str, pieces: Iterator[bytes]) -> str:
        """Write a new last copy, and return its path."""
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
                        stream.seek(len(piece), os.SEEK_CUR)  # a hole takes no disk space; see `stored_size`
                stream.truncate()
                stream.flush()
                sync(descriptor)
            path = os.path.join(self.folder, f"{quote(tag, safe='')}.{digest.hexdigest()}.db")
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
        """Rename the last copy so that it is not used again; return its new path, or an empty text without a copy."""
        last = self.last()
        # The microseconds keep an earlier copy from being replaced.
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
        """Hold the lock of this machine's writers; without locks, or after `TURN_SECONDS`, continue without it."""
        descriptor = -1
        with contextlib.suppress(OSError):
            if has_locks():
                make_folders(self.folder, self._private)
                descriptor = open_file(os.path.join(self.folder, "lock"), UPDATE, 0o600, follow=False)
        if descriptor < 0:
            yield
            return
        try:
            # In a thread: the blocking lock is fair but has no timeout.
            waiting = threading.Thread(target=lock, args=(descriptor,), daemon=True)
            waiting.start()
            waiting.join(TURN_SECONDS)
            yield
        finally:
            close(descriptor)
