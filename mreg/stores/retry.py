"""Retries of requests to a store, with notices for the user."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from contextlib import nullcontext
from typing import TypeVar

from mreg.errors import MregError, Unavailable
from mreg.stores.failures import Failure, Kind, Target, damaged, translated
from mreg.waiting import Watch

T = TypeVar("T")

FIRST_SECONDS = 3.0
"""How long requests are retried if the store has never answered: its address can be wrong, and the user is waiting."""

SECONDS = 60.0
"""How long requests are retried if the store has answered before, or throttles requests."""

LONGEST_PAUSE = 5.0
NOTICE_AFTER_SECONDS = 2.0


class RetryPolicy:
    """Retries requests after transient failures with growing pauses, for a limited time; safe for threads.

    The time of a request that times out counts from its start, so the total is at most the limit plus one timeout.
    obstore and boto3 make a single try each: their own retries are silent, and count tries instead of seconds.

    Args:
        target: The store in messages.
        notice: Called with a text for the user, at most once in `SECONDS`, while requests fail or block.
    """

    def __init__(self, target: Target, notice: Callable[[str], None]) -> None:
        self.target = target
        self._notice = notice
        self._answered = False
        self._notified_at = float("-inf")
        self._watch = Watch(self._notify_waiting)

    def run(
        self,
        work: Callable[[], T],
        *,
        expected: Callable[[Failure], bool] = lambda _failure: False,
        watched: bool = True,
    ) -> T:
        """Return the result of a request, with retries.

        Args:
            work: Sends the request; called again after transient failures.
            expected: Returns whether a failure is raised unchanged, without retries.
            watched: Notify the user if a try blocks; not of one that takes long for its size.

        Raises:
            MregError: The request failed, or the time is over.
        """
        began: float | None = None
        pause = 0.2
        while True:
            tried = time.monotonic()
            try:
                with self._watch.over() if watched else nullcontext():
                    result = work()
            except Failure as failure:
                if expected(failure):
                    self._answered = True
                    raise
                now = time.monotonic()
                if began is None:
                    began = tried if failure.kind is Kind.SILENCE else now
                left = began + self._seconds(failure) - now
                if not failure.is_transient or left <= 0:
                    raise self.translated(failure) from failure
                self._notify(failure, left, now - began)
                time.sleep(min(pause * random.uniform(0.5, 1.5), left))  # noqa: S311  clients must not retry in step
                pause = min(2 * pause, LONGEST_PAUSE)
            else:
                self._answered = True
                return result

    def _seconds(self, failure: Failure) -> float:
        return SECONDS if self._answered or failure.is_throttled else FIRST_SECONDS

    def _notify_waiting(self, waited: float) -> None:
        now = time.monotonic()
        if now - self._notified_at > SECONDS:
            self._notified_at = now
            self._notice(f"waiting for {self.target.endpoint} ({waited:.0f} s so far)")

    def _notify(self, failure: Failure, left: float, waited: float) -> None:
        now = time.monotonic()
        if waited >= NOTICE_AFTER_SECONDS and now - self._notified_at > SECONDS:
            self._notified_at = now
            retrying = f"; retrying for {left:.0f} s more" if left >= 1 else ""
            self._notice(f"{self.translated(failure).message}{retrying}")

    def translated(self, failure: Failure) -> MregError:
        """Return the `MregError` for a failure of this store."""
        return translated(failure, self.target)

    def damaged(self) -> Unavailable:
        """Return the error for an upload that arrived damaged."""
        return damaged(self.target.url)
