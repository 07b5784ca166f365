"""Run the command of a hook: an argument list, never a shell, with bounded time and output."""

from __future__ import annotations

import contextlib
import subprocess
import threading
from collections.abc import Mapping
from typing import IO

from mreg.domain.hook import Deployment, Hook
from mreg.hooks.message import OUTPUT_BYTES, Outcome, message
from mreg.processes import READ_SECONDS, drain, end

TERMINATION_SECONDS = 5.0
"""Seconds between SIGTERM and SIGKILL."""


def run_command(hook: Hook, deployment: Deployment, environment: Mapping[str, str]) -> Outcome:
    """Run the command in the folder of the file that defines it, with the event as JSON on its standard input.

    The variables ``MREG_EVENT``, ``MREG_HOOK``, ``MREG_DEPLOYMENT``, ``MREG_EVENT_MODEL``, ``MREG_VERSION``,
    ``MREG_REFERENCE`` and ``MREG_STAGE`` summarize the event. After the timeout, the command's process group gets
    SIGTERM and then SIGKILL (on Windows, the command alone is ended, at once). No failure of the command is raised.

    Args:
        environment: All other variables of the command. It inherits none from this process.
    """
    event = deployment.event
    variables = {
        "MREG_EVENT": event.action,
        "MREG_HOOK": hook.name,
        "MREG_DEPLOYMENT": deployment.key,
        "MREG_REFERENCE": event.reference,
        "MREG_VERSION": "" if event.version is None else str(event.version),
        "MREG_STAGE": deployment.stage,
        # Not MREG_MODEL, which would name the model of the hook's own pushes.
        "MREG_EVENT_MODEL": event.model,
    }
    try:
        running = subprocess.Popen(
            hook.command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=hook.folder or None,
            env={**environment, **variables},
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        return Outcome(succeeded=False, code=None, output=f"cannot run {hook.command[0]}: {reason}")
    tail = _Tail(running.stdout)
    feeding = threading.Thread(target=_feed, args=(running, message(deployment)), daemon=True)
    feeding.start()
    try:
        code: int | None = running.wait(hook.timeout)
    except subprocess.TimeoutExpired:
        code = None
    finally:
        _end(running)
    tail.finish()
    if code is None:
        return Outcome(succeeded=False, code=None, output=f"{tail.text()}\ntimed out after {hook.timeout:g} s".lstrip())
    return Outcome(succeeded=code == 0, code=code, output=tail.text())


def _feed(running: subprocess.Popen[bytes], data: bytes) -> None:
    stream = running.stdin
    if stream is not None:
        with contextlib.suppress(OSError), stream:  # a command can end before it has read everything
            stream.write(data)


def _end(running: subprocess.Popen[bytes]) -> None:
    """End the process group of a command that still runs; processes that outlived the command are left alone."""
    if running.poll() is not None:
        return
    for kill, seconds in ((False, TERMINATION_SECONDS), (True, None)):
        end(running, kill=kill)
        with contextlib.suppress(subprocess.TimeoutExpired):
            running.wait(seconds)
            return


class _Tail:
    """The last bytes of a stream, read on a thread so that the writing process never blocks."""

    def __init__(self, stream: IO[bytes] | None) -> None:
        self._kept = b""
        self._thread = threading.Thread(target=drain, args=(stream, self._keep), daemon=True)
        self._thread.start()

    def _keep(self, chunk: bytes) -> None:
        self._kept = (self._kept + chunk)[-OUTPUT_BYTES:]

    def finish(self) -> None:
        """Stop after a second at most: a process that the command left behind can hold the stream open forever."""
        self._thread.join(READ_SECONDS)

    def text(self) -> str:
        return self._kept.decode("utf-8", "replace").strip()
