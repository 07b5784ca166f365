"""Upkeep of direct transfers while the server runs, in one thread."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from mreg.errors import MregError

if TYPE_CHECKING:
    from mreg.registry.local import LocalRegistry

REMOVAL_SECONDS = 3600.0
"""Time between two removals of expired uploads."""


@contextmanager
def upkeep(registry: LocalRegistry, notice: Callable[[str], None]) -> Iterator[None]:
    """Probe the store, and remove expired direct uploads every hour, until the block ends.

    Args:
        notice: Called once if clients cannot upload to the store directly.
    """
    over = threading.Event()

    def work() -> None:
        why = registry.direct_refusal()
        if why:
            notice(f"uploads go through this server, not directly to the bucket: {why}; downloads are direct")
        while True:
            with suppress(MregError):  # the next removal, or gc, removes the rest
                registry.remove_expired_uploads()
            if over.wait(REMOVAL_SECONDS):
                return

    threading.Thread(target=work, daemon=True).start()
    try:
        yield
    finally:
        over.set()
