"""Calls that may never be answered: a word to a person after a while, and an end where the call itself has none."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

SAID_AFTER = 5.0
"""Seconds after which a person who waits should know for what."""

TICK = 0.25
IDLE_TICKS = 20
"""After so many looks at nothing the thread ends; the next call starts another."""


@dataclass(slots=True)
class Call:
    """A call that is under way.

    Attributes:
        ended: Whether it lasted too long and was ended.
    """

    began: float
    seconds: float
    end: Callable[[], None]
    said: bool = False
    ended: bool = False


class Watch:
    """Looks after calls that block, from a thread of its own that is there only while there are any; safe for threads.

    Args:
        say: Told once of each call that lasts longer than `SAID_AFTER`: how many seconds it has lasted.
    """

    def __init__(self, say: Callable[[float], None]) -> None:
        self._say = say
        self._calls: dict[int, Call] = {}
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    @contextlib.contextmanager
    def over(self, seconds: float = float("inf"), end: Callable[[], None] = lambda: None) -> Iterator[Call]:
        """Look after a call.

        Args:
            seconds: How long it may last.
            end: Makes it fail then; called from another thread.
        """
        call = Call(time.monotonic(), seconds, end)
        with self._lock:
            self._calls[id(call)] = call
            if self._thread is None:
                self._thread = threading.Thread(target=self._look, daemon=True)
                self._thread.start()
        try:
            yield call
        finally:
            with self._lock:
                del self._calls[id(call)]

    def _look(self) -> None:
        idle = 0
        while True:
            time.sleep(TICK)
            with self._lock:
                calls = list(self._calls.values())
                idle = 0 if calls else idle + 1
                if idle > IDLE_TICKS:
                    self._thread = None
                    return
                late = [call for call in calls if not call.ended and time.monotonic() - call.began >= call.seconds]
                for call in late:  # under the lock: not one that has just come to its own end
                    call.ended = True
                    call.end()
            for call in calls:
                waited = time.monotonic() - call.began
                if waited >= SAID_AFTER and not call.said:
                    call.said = True
                    self._say(waited)
