"""Progress of a transfer."""

from __future__ import annotations

import threading
from collections.abc import Callable

Progress = Callable[[int, int], None]
"""Called from time to time with the number of bytes done and the total."""


def progress_callback(progress: Progress | None, total: int) -> Callable[[int], None]:
    """Return a function that adds a number of bytes and calls `progress` with the sum; safe for threads."""
    if progress is None:
        return lambda _count: None
    done = 0
    lock = threading.Lock()

    def advance(count: int) -> None:
        nonlocal done
        with lock:
            done += count
            progress(done, total)

    return advance


def name_pass(progress: Progress | None, name: str) -> None:
    """Name the pass that begins with the next call, if the progress has a method ``name_pass``."""
    if callable(named := getattr(progress, "name_pass", None)):
        named(name)


class PushProgress:
    """The progress of a push: the bytes that are sent, and after the last one those that a server has verified.

    The second pass begins at 0 again. A `progress` with a method ``name_pass`` gets its name. Safe for threads.

    Args:
        total: Number of bytes to send.
    """

    def __init__(self, progress: Progress | None, total: int) -> None:
        self._progress = progress
        self._total = total
        self._sent = 0
        self._verified: dict[object, tuple[int, int]] = {}
        self._lock = threading.Lock()

    def advance(self, count: int) -> None:
        """Add a number of bytes that were sent; negative if they must be sent again."""
        with self._lock:
            self._sent += count
            if self._progress is not None:
                self._progress(self._sent, self._total)

    def verify(self, blob: object, done: int, size: int) -> None:
        """Set how much of a blob is verified; reported if all bytes of the push are sent."""
        with self._lock:
            self._verified[blob] = done, size
            if self._progress is None or self._sent < self._total:
                return
            name_pass(self._progress, "verify")
            self._progress(*map(sum, zip(*self._verified.values(), strict=True)))
