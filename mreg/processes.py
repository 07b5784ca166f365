"""Programs that mreg starts: where they are found, and how they are ended."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Mapping, Sequence
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    import subprocess

READ_SECONDS = 1.0
"""Time to wait for the rest of a program's output once it has ended."""


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


def search_path(environ: Mapping[str, str]) -> list[str]:
    """Return the folders of PATH without relative ones, which would be searched in the current folder."""
    return [folder for folder in environ.get("PATH", os.defpath).split(os.pathsep) if os.path.isabs(folder)]


def find_program(name: str, environ: Mapping[str, str]) -> str:
    """Return the path of a program in a folder of PATH, empty if there is none; see `search_path`."""
    for folder in search_path(environ):
        path = os.path.join(folder, f"{name}.exe" if os.name == "nt" else name)
        if os.path.isfile(path) and os.access(path, os.X_OK):
            return path
    return ""


def run(command: list[str], data: bytes, environ: Mapping[str, str], seconds: float) -> str:
    """Run a program with data on its standard input; return why it failed, empty if it succeeded.

    Args:
        seconds: Time limit, after which the program is killed.
    """
    import subprocess

    env = {**environ, "PATH": os.pathsep.join(search_path(environ))}
    try:
        done = subprocess.run(command, input=data, capture_output=True, check=False, timeout=seconds, env=env)
    except subprocess.TimeoutExpired:
        return f"it took over {seconds:g} s"
    except OSError as error:
        return error.strerror or str(error)
    if not done.returncode:
        return ""
    last = done.stderr.decode("utf-8", "replace").strip().splitlines()[-1:]
    return f"exit code {done.returncode}" + "".join(f": {line[:500]}" for line in last)


def drain(stream: IO[bytes] | None, take: Callable[[bytes], object]) -> None:
    """Pass the output of a program to `take` until its end, then close the stream.

    Runs on a separate thread: a process that the program left behind can hold the stream open for any time, so only
    the thread that reads it knows when to close it.
    """
    if stream is None:
        return
    with stream, contextlib.suppress(OSError):
        while chunk := os.read(stream.fileno(), 65536):
            take(chunk)


def read_output(
    command: Sequence[str], *, folder: str, environ: Mapping[str, str], seconds: float, limit: int
) -> tuple[bytes, str]:
    """Run a program that the user named; return its output, and why it failed (empty if it succeeded).

    The program reads nothing from standard input, writes to this process's standard error, and can ask on the terminal.
    It is killed after the time limit. Processes that it left behind are not waited for, even if they hold its output.

    Args:
        folder: Folder in which the program runs.
        seconds: Time limit.
        limit: Maximum number of bytes that are read.
    """
    import subprocess
    import threading

    env = {**environ, "PATH": os.pathsep.join(search_path(environ))}
    try:
        running = subprocess.Popen(
            list(command), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, cwd=folder or None, env=env
        )
    except (OSError, ValueError) as error:
        return b"", getattr(error, "strerror", None) or str(error)
    kept = bytearray()
    reading = threading.Thread(
        target=drain, args=(running.stdout, lambda chunk: kept.extend(chunk[: limit - len(kept)])), daemon=True
    )
    reading.start()
    try:
        code = running.wait(seconds)
    except subprocess.TimeoutExpired:
        return b"", f"it took over {seconds:g} s"
    finally:
        if running.poll() is None:
            running.kill()
            running.wait()
        reading.join(READ_SECONDS)
    return bytes(kept), f"exit code {code}" if code else ""
