"""Ctrl-C and SIGTERM: the handler, and the exit codes of a command that was stopped."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from types import FrameType

INTERRUPTED = 130
TERMINATED = 143
PIPE_CLOSED = 141


class Terminated(BaseException):
    """The process received SIGTERM. The stack is unwound as after Ctrl-C, so that cleanup code runs."""


def terminate(_signal: int, _frame: FrameType | None) -> NoReturn:
    """Raise `Terminated`; the handler of SIGTERM."""
    raise Terminated
