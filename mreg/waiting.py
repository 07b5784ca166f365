"""Calls that can block forever: a notice after some seconds, and a timeout for calls that have none themselves."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

NOTICE_AFTER_SECONDS = 5.0
"""Seconds after which the user is notified of a call that blocks."""

TICK = 0.25
IDLE_TICKS = 20
"""Number of checks without any call after which the thread ends; the next call starts a new one."""


@dataclass(slots=True)
class Call:
    """A call in progress.

    Attributes:
        ended: The call timed out and was ended.
    """

    began: float
    seconds: float
    end: Callable[[], None]
    notified: bool = False
    ended: bool = False


class Watch:
    """Watches calls that block, from a thread that runs only while there are any; safe for threads.

    Args:
        notify: Called once for each call that lasts longer than `NOTICE_AFTER_SECONDS`, with its seconds so far.
    """

    def __init__(self, notify: Callable[[float], None]) -> None:
        self._notify = notify
        self._calls: dict[int, Call] = {}
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    @contextlib.contextmanager
    def over(self, seconds: float = float("inf"), end: Callable[[], None] = lambda: None) -> Iterator[Call]:
        """Watch the call in the body.

        Args:
            seconds: Timeout (default: none).
            end: Called from another thread at the timeout; it must make the call fail.
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
                for call in late:  # under the lock, so that no call which has just returned is ended
                    call.ended = True
                    call.end()
            for call in calls:
                waited = time.monotonic() - call.began
                if waited >= NOTICE_AFTER_SECONDS and not call.notified:
                    call.notified = True
                    self._notify(waited)
