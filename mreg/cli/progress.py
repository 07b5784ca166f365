"""Progress of long work on standard error: a bar on a terminal, a line every ten seconds elsewhere."""

from __future__ import annotations

import time
from typing import Any

from mreg import streams
from mreg.domain.text import printable, size_text

QUIET_SECONDS = 1.0
"""Work that takes less time shows no bar and does not import rich."""

LINE_SECONDS = 10.0


class ShownProgress:
    """Progress in bytes, or in items, with the rate and the remaining time.

    Args:
        items: Plural noun of the items; empty for bytes.
        again: Label of each further pass; empty for the same as that of the first.
    """

    def __init__(self, label: str, items: str = "", again: str = "", *, quiet: bool, terminal: bool) -> None:
        self.label = printable(label)
        self.again = again or self.label
        self.items = items
        self.quiet = quiet
        self.terminal = terminal
        self.started = time.monotonic()
        self.next_line = self.started + LINE_SECONDS
        self.done = 0
        self.next_pass = False
        self.bar: Any = None
        self.task: Any = None

    def name_pass(self, label: str) -> None:
        """Begin another pass with the next call, unless the current one has this label."""
        label = printable(label)
        if label != self.label:
            self.again, self.next_pass = label, True

    def __call__(self, done: int, total: int) -> None:
        """Show the bytes or items done and their total; if ``done`` decreases, another pass begins."""
        if self.quiet:
            return
        now = time.monotonic()
        if done < self.done or self.next_pass:
            self.started, self.next_pass = now, False
            self.label = self.again
            if self.bar is not None:
                self.bar.reset(self.task, total=total, description=self.label)
        self.done = done
        if self.terminal:
            if self.bar is None and now - self.started >= QUIET_SECONDS:
                self._begin()
            if self.bar is not None:
                self.bar.update(self.task, completed=done, total=total)
        elif now >= self.next_line:
            self.next_line = now + LINE_SECONDS
            self._line(done, total, now - self.started)

    def _begin(self) -> None:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            DownloadColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
            TransferSpeedColumn,
        )

        counted = (MofNCompleteColumn(), TextColumn(self.items, markup=False))
        self.bar = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            *(counted if self.items else (DownloadColumn(), TransferSpeedColumn())),
            TimeRemainingColumn(),
            console=Console(file=streams.screen(moving=True, error=True)),
            transient=True,
        )
        self.task = self.bar.add_task(self.label, total=None)
        self.bar.start()

    def _line(self, done: int, total: int, seconds: float) -> None:
        rate = done / seconds if seconds else 0.0
        left = f", {(total - done) / rate:.0f} s left" if rate else ""
        share = f"{100 * done // total} %" if total else "0 %"
        if self.items:
            text = f"{self.label}: {share}, {done:,} of {total:,} {self.items}{left}"
        else:
            text = f"{self.label}: {share}, {size_text(done)} of {size_text(total)}, {size_text(int(rate))}/s{left}"
        streams.say(text)

    def close(self) -> None:
        """Remove the bar."""
        if self.bar is not None:
            self.bar.stop()
            self.bar = None
