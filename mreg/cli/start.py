"""The first thing that runs: until the command line can catch Ctrl-C, it ends the process without a traceback."""

from __future__ import annotations

import signal
from typing import NoReturn


def main() -> NoReturn:
    """The entry point ``mreg``: see `mreg.cli.app.main`."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from mreg.cli.app import main as run_command_line

    run_command_line()
