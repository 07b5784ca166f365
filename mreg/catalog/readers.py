"""A connection pool for a SQLite file, so that the threads of a process read concurrently."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

from mreg.catalog.guard import GuardedConnection
from mreg.catalog.snapshot import Snapshot

CONNECTIONS = 8
"""Maximum number of open connections; further threads wait."""


class Slot:
    """A connection, or a free place for one, used by one thread at a time.

    Attributes:
        raw: The connection; None before it is opened.
        identity: Device and inode of the file when it was opened.
        lasting: Whether the connection is on the file itself, with this release's schema, and can write.
        snapshot: The snapshot that is read, if this user cannot write the file.
        generation: Generation of the pool; connections of an earlier one are closed when they are returned.
    """

    __slots__ = ("generation", "identity", "lasting", "raw", "snapshot")

    def __init__(self, generation: int) -> None:
        self.raw: GuardedConnection | None = None
        self.identity: tuple[int, int] | None = None
        self.lasting = False
        self.snapshot: Snapshot | None = None
        self.generation = generation

    def close(self) -> None:
        """Close the connection; idempotent."""
        raw, self.raw = self.raw, None
        snapshot, self.snapshot = self.snapshot, None
        if raw is not None:
            raw.close()
        if snapshot is not None:
            snapshot.remove()


class Connections:
    """A pool of at most ``limit`` slots, created when needed; the last used slot is taken first."""

    def __init__(self, limit: int = CONNECTIONS) -> None:
        self._turns = threading.Semaphore(limit)
        self._lock = threading.Lock()
        self._idle: list[Slot] = []
        self._generation = 0

    @contextlib.contextmanager
    def taken(self) -> Iterator[Slot]:
        """Lend a slot to this thread; wait if all are in use."""
        with self._turns:
            with self._lock:
                slot = self._idle.pop() if self._idle else Slot(self._generation)
            try:
                yield slot
            finally:
                with self._lock:
                    kept = slot.generation == self._generation
                    if kept:
                        self._idle.append(slot)
                if not kept:
                    slot.close()

    def close(self) -> None:
        """Close the idle connections now, and those in use when they are returned."""
        with self._lock:
            self._generation += 1
            idle, self._idle = self._idle, []
        for slot in idle:
            slot.close()
