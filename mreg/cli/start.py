"""The entry point. Until `mreg.cli.app` handles Ctrl-C, it ends the process without a traceback."""

from __future__ import annotations

import gc
import signal
from typing import NoReturn

USUAL_COLLECTION = gc.get_threshold()
"""Python's thresholds of garbage collection, for long-running processes."""

RARE_COLLECTION = (100_000, 20, 100)
"""Thresholds for a command: it ends soon, and a collection among 100,000 versions would take a second."""


def main() -> NoReturn:
    """Run the command line of this process; see `mreg.cli.app.main`."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    gc.set_threshold(*RARE_COLLECTION)
    from mreg.cli.app import main as run_command_line

    run_command_line()
