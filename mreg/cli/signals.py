"""Ctrl-C and SIGTERM: how a command is told to stop, and the exit codes that say it did."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from types import FrameType

INTERRUPTED = 130
TERMINATED = 143
PIPE_CLOSED = 141


class Terminated(BaseException):
    """SIGTERM came; unwinds like Ctrl-C, so that nothing is left half done."""


def terminate(_signal: int, _frame: FrameType | None) -> NoReturn:
    """The handler of SIGTERM."""
    raise Terminated
