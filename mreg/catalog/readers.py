"""The connections of one process to a SQLite file, so that its threads read side by side."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

from mreg.catalog.guard import GuardedConnection
from mreg.catalog.snapshot import Snapshot

CONNECTIONS = 8
"""Open connections at most. More threads than that take turns."""


class Slot:
    """A connection, or the place for one, that one thread uses at a time.

    Attributes:
        raw: None until it is opened.
        identity: Device and inode of the file when it was opened.
        lasting: Whether it is on the file, has this release's schema and can write.
        snapshot: What it reads, if this user may not write the file.
        generation: Of the connections; those of an earlier one are closed when they are given back.
    """

    __slots__ = ("generation", "identity", "lasting", "raw", "snapshot")

    def __init__(self, generation: int) -> None:
        self.raw: GuardedConnection | None = None
        self.identity: tuple[int, int] | None = None
        self.lasting = False
        self.snapshot: Snapshot | None = None
        self.generation = generation

    def close(self) -> None:
        """Close the connection; does nothing a second time."""
        raw, self.raw = self.raw, None
        snapshot, self.snapshot = self.snapshot, None
        if raw is not None:
            raw.close()
        if snapshot is not None:
            snapshot.remove()


class Connections:
    """Slots for the threads of a process, made when needed, at most `limit`; the one used last is taken first."""

    def __init__(self, limit: int = CONNECTIONS) -> None:
        self._turns = threading.Semaphore(limit)
        self._lock = threading.Lock()
        self._idle: list[Slot] = []
        self._generation = 0

    @contextlib.contextmanager
    def taken(self) -> Iterator[Slot]:
        """A slot for this thread alone; waits for one if all are in use."""
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
        """Close the idle connections now, and those in use when their threads give them back."""
        with self._lock:
            self._generation += 1
            idle, self._idle = self._idle, []
        for slot in idle:
            slot.close()
