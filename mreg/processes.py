"""Ending a process that mreg has started."""

from __future__ import annotations

import contextlib
import os
import signal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import subprocess


def end(process: subprocess.Popen[bytes], *, kill: bool) -> None:
    """End a process that leads a session, and every process that it started; does not wait for them.

    Windows has neither sessions nor signals: the process itself is ended at once, and the processes that it started
    go on.

    Args:
        kill: Send SIGKILL instead of SIGTERM.
    """
    with contextlib.suppress(OSError):
        if hasattr(os, "killpg") and hasattr(signal, "SIGKILL"):
            os.killpg(process.pid, signal.SIGKILL if kill else signal.SIGTERM)
        else:
            process.terminate()
