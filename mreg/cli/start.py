"""The first thing that runs: until the command line can catch Ctrl-C, it ends the process without a traceback."""

from __future__ import annotations

import gc
import signal
from typing import NoReturn

USUAL_COLLECTION = gc.get_threshold()
"""How often Python looks for garbage in a process that goes on."""

RARE_COLLECTION = (100_000, 20, 100)
"""In a command, which ends soon: the values that it reads are in use, and a look at 100,000 versions takes a second."""


def main() -> NoReturn:
    """The entry point ``mreg``: see `mreg.cli.app.main`."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    gc.set_threshold(*RARE_COLLECTION)
    from mreg.cli.app import main as run_command_line

    run_command_line()
