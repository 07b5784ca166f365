"""Termination of processes that mreg started."""

from __future__ import annotations

import contextlib
import os
import signal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import subprocess


def end(process: subprocess.Popen[bytes], *, kill: bool) -> None:
    """Send SIGTERM to the process group of a session leader, without waiting for its end.

    Windows has neither process groups nor signals: only the process itself is ended, at once.

    Args:
        kill: Send SIGKILL instead.
    """
    with contextlib.suppress(OSError):
        if hasattr(os, "killpg") and hasattr(signal, "SIGKILL"):
            os.killpg(process.pid, signal.SIGKILL if kill else signal.SIGTERM)
        else:
            process.terminate()
