"""Waiting for the locks of a SQLite file.

SQLite's busy handler sleeps in C, where signal handlers do not run. Here, the process retries after short pauses in
Python, so Ctrl-C and SIGTERM end a waiting command at once, and the user sees a message about the wait.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable

from mreg import waiting

FIRST_PAUSE, LONGEST_PAUSE = 0.001, 0.025
"""Seconds. The longest pause is short, so that a writer that waited long retries about as often as a new one."""


class Turn:
    """The wait of a statement for a lock.

    Args:
        place: Location of the catalog, for the message.
        seconds: Maximum wait.
        notice: Called once with a message, after `mreg.waiting.NOTICE_AFTER_SECONDS` seconds.
    """

    __slots__ = ("_began", "_notice", "_noticed", "_pause", "_place", "_seconds")

    def __init__(self, place: str, seconds: float, notice: Callable[[str], None]) -> None:
        self._place, self._seconds, self._notice = place, seconds, notice
        self._began = time.monotonic()
        self._pause = FIRST_PAUSE
        self._noticed = False

    def wait(self) -> bool:
        """Pause before the next attempt; return False if the time is up."""
        waited = time.monotonic() - self._began
        if waited >= self._seconds:
            return False
        if waited >= waiting.NOTICE_AFTER_SECONDS and not self._noticed:
            self._noticed = True
            self._notice(f"waiting for another process that writes to {self._place} ({waited:.0f} s so far)")
        jitter = 0.5 + os.urandom(1)[0] / 510  # so that concurrent writers do not retry at the same time
        time.sleep(min(self._pause * jitter, self._seconds - waited))
        self._pause = min(2 * self._pause, LONGEST_PAUSE)
        return True


def is_worth_waiting(error: sqlite3.OperationalError) -> bool:
    """Return whether a statement failed because of a lock that another connection will release."""
    code = getattr(error, "sqlite_errorcode", 0)
    return code & 0xFF == sqlite3.SQLITE_BUSY and code != sqlite3.SQLITE_BUSY_SNAPSHOT
