"""Waiting for the locks of a SQLite file.

SQLite's own busy handler sleeps in C, where a signal's handler does not run. Here the process waits in short pauses
between tries, so Ctrl-C and SIGTERM end a command that waits at once, and a person is told what it waits for.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable

from mreg import waiting

FIRST_PAUSE, LONGEST_PAUSE = 0.001, 0.025
"""Seconds. The longest pause is short, so a writer that has waited long tries as often as one that has just come."""


class Turn:
    """One statement's wait for its turn.

    Args:
        place: The catalog's, for the note.
        seconds: How long to wait at most.
        notice: Told once, after `mreg.waiting.SAID_AFTER` seconds.
    """

    __slots__ = ("_began", "_notice", "_pause", "_place", "_said", "_seconds")

    def __init__(self, place: str, seconds: float, notice: Callable[[str], None]) -> None:
        self._place, self._seconds, self._notice = place, seconds, notice
        self._began = time.monotonic()
        self._pause = FIRST_PAUSE
        self._said = False

    def wait(self) -> bool:
        """Pause before the next try; False if the time is up."""
        waited = time.monotonic() - self._began
        if waited >= self._seconds:
            return False
        if waited >= waiting.SAID_AFTER and not self._said:
            self._said = True
            self._notice(f"waiting for another process that writes to {self._place}, {waited:.0f} s so far")
        jitter = 0.5 + os.urandom(1)[0] / 510  # so that writers that came together do not try together
        time.sleep(min(self._pause * jitter, self._seconds - waited))
        self._pause = min(2 * self._pause, LONGEST_PAUSE)
        return True


def is_worth_waiting(error: sqlite3.OperationalError) -> bool:
    """Whether a statement failed for a lock that another connection will release."""
    code = getattr(error, "sqlite_errorcode", 0)
    return code & 0xFF == sqlite3.SQLITE_BUSY and code != sqlite3.SQLITE_BUSY_SNAPSHOT
