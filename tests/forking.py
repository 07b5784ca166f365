"""Processes of `mreg serve` that are forked from one that has imported it: most of the two seconds of a start are imports.

Each worker of the tests has one such process, the starter. A forked server has the arguments, variables, working folder and
streams that it would have as a program. What needs the program itself, such as its interpreter's variables, starts it:
tests/integration/test_served.py does.
"""

from __future__ import annotations

import gc
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import IO, Any

ROOT = Path(__file__).parent.parent

MESSAGE_BYTES = 1 << 20
"""Limit of a request to the starter."""


class Process:
    """A forked process, with the part of the interface of `subprocess.Popen` that tests of servers use."""

    def __init__(self, words: list[str], channel: socket.socket) -> None:
        self.args = words
        self.returncode: int | None = None
        self._channel = channel
        self.pid = int(self._line())

    def _line(self) -> str:
        return self._channel.recv(64, socket.MSG_WAITALL).decode()

    def poll(self) -> int | None:
        """Return the exit code, negative for a signal; None while the process runs."""
        with suppress(subprocess.TimeoutExpired):
            return self.wait(0)
        return None

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end of the process, and return its exit code.

        Raises:
            subprocess.TimeoutExpired: It still runs.
        """
        if self.returncode is None:
            with selectors.DefaultSelector() as selector:
                selector.register(self._channel, selectors.EVENT_READ)
                if not selector.select(timeout):
                    raise subprocess.TimeoutExpired(self.args, timeout or 0)
            self.returncode = int(self._line())
            self._channel.close()
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Send a signal to the process if it runs."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        """Ask the process to end."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End the process at once."""
        self.send_signal(signal.SIGKILL)


def start_mreg(
    *words: str,
    stdout: IO[bytes],
    cwd: str | os.PathLike[str] = ".",
    env: Mapping[str, str] | None = None,
    files: int = 0,
) -> Process:
    """Start ``python -m mreg`` with these words, both output streams to one file.

    Args:
        env: Its variables (default: those of this process).
        files: Its limit of open files (default: that of this process).
    """
    channel, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    request = {
        "words": words,
        "cwd": os.path.abspath(cwd),
        "env": dict(os.environ if env is None else env),
        "files": files,
    }
    with other:
        socket.send_fds(_starter()[0], [json.dumps(request).encode()], [stdout.fileno(), other.fileno()])
    return Process(["mreg", *words], channel)


@cache
def _starter() -> tuple[socket.socket, subprocess.Popen[bytes]]:
    """Start the starter, and return it with the socket to it; it ends when the socket is closed, with this process."""
    channel, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    channel.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, MESSAGE_BYTES)
    with other:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.forking", str(other.fileno())],
            pass_fds=[other.fileno()],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
    return channel, process


def _serve_requests(requests: socket.socket) -> None:
    """Fork a process for each request; return in the forked process, ready to run the command."""
    while True:
        data, descriptors, _, _ = socket.recv_fds(requests, MESSAGE_BYTES, 2)
        if not data:
            os._exit(0)
        request = json.loads(data)
        output, answers = descriptors
        if (keeper := os.fork()) == 0:
            _keep(request, output, answers, requests)
            return
        os.close(output)
        os.close(answers)
        os.waitpid(keeper, 0)


def _keep(request: dict[str, Any], output: int, answers: int, requests: socket.socket) -> None:
    """Fork the process, and tell its number and its exit code; return in the forked process."""
    if os.fork():
        os._exit(0)  # nobody waits for the keeper, which has no parent now
    requests.close()
    child = os.fork()
    if child == 0:
        os.close(answers)
        _become(request, output)
        return
    os.close(output)
    with socket.socket(fileno=answers) as channel:
        channel.send(str(child).encode())
        _, status = os.waitpid(child, 0)
        with suppress(OSError):
            channel.send(str(os.waitstatus_to_exitcode(status)).encode())
    os._exit(0)


def _become(request: dict[str, Any], output: int) -> None:
    """Take the arguments, variables, folder and streams of a request."""
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.close(output)
    if request["files"]:
        import resource

        resource.setrlimit(resource.RLIMIT_NOFILE, (request["files"], request["files"]))
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["env"])
    tempfile.tempdir = None
    sys.argv = ["mreg", *request["words"]]


if __name__ == "__main__":
    import mreg.server.app
    import mreg.server.run
    from mreg.cli.start import main

    mreg.server.run._import_modules()
    gc.freeze()  # a collection in a forked process would copy all memory
    _serve_requests(socket.socket(fileno=int(sys.argv[1])))
    main()
