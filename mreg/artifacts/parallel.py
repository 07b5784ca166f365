"""Concurrent requests with ordered results."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


class Stopped(BaseException):
    """Another thread failed or was interrupted, so the result of this thread is not needed."""


class Stoppable:
    """A progress callback for many threads; once stopped, it raises `Stopped` in each thread that calls it.

    `Stopped` is not an `Exception`, because a sender would treat that as a network failure and retry.
    """

    def __init__(self, advance: Callable[[int], None]) -> None:
        self._advance = advance
        self._stopped = threading.Event()

    def __call__(self, count: int) -> None:
        if self._stopped.is_set():
            raise Stopped
        self._advance(count)

    def __enter__(self) -> Stoppable:
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()


def in_order(
    work: Callable[[Item], Result],
    items: Iterable[Item],
    *,
    at_once: int,
    size: Callable[[Item], int] = lambda _item: 0,
    budget: int = 0,
    awaited: bool = False,
) -> Generator[Result]:
    """Call `work` for each item on several threads, and yield the results in the order of the items.

    Items are read only while the number and the bytes of pending results are within the limits. After a failure, or
    when the iterator is closed, no further item is started. Calls in progress are not awaited (see `Stoppable`) unless
    `awaited` is set: a user who interrupts must not wait for a network that does not answer.

    Args:
        at_once: Number of threads; at most twice as many results are pending.
        size: Returns the number of bytes that the result of an item holds.
        budget: Maximum number of bytes of pending results (default: no limit); a single item can exceed it.
        awaited: Finish the calls of all items that were read, since what they use is closed then.
    """
    pool = ThreadPoolExecutor(at_once)
    waiting: deque[tuple[Future[Result], int]] = deque()
    held = 0
    try:
        for item in items:
            cost = size(item)
            while waiting and (len(waiting) >= 2 * at_once or (budget and held + cost > budget)):
                future, freed = waiting.popleft()
                yield future.result()
                held -= freed
            waiting.append((pool.submit(work, item), cost))
            held += cost
        while waiting:
            yield waiting.popleft()[0].result()
    finally:
        pool.shutdown(wait=awaited, cancel_futures=not awaited)
