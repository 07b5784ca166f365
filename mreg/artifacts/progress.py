"""Telling how far a transfer is."""

from __future__ import annotations

import threading
from collections.abc import Callable

Progress = Callable[[int, int], None]
"""Told now and then how many bytes of how many are done."""


def told(progress: Progress | None, total: int) -> Callable[[int], None]:
    """Something to tell of each move, from any thread, that tells the progress how far all is."""
    if progress is None:
        return lambda _count: None
    done = 0
    one_at_a_time = threading.Lock()

    def moved(count: int) -> None:
        nonlocal done
        with one_at_a_time:
            done += count
            progress(done, total)

    return moved
