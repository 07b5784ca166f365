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
