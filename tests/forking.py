"""Processes of mreg that are forked from one that has imported it: most of the time of a start are imports.

Each worker of the tests has one such process, the starter. A forked process has the arguments, variables, working folder and
streams that it would have as a program. What needs the program itself, such as its interpreter's variables or a signal
during its start, starts it: tests/integration/test_served.py and tests/cli/test_processes.py do.
"""

from __future__ import annotations

import atexit
import gc
import marshal
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import IO, Any, NoReturn

ROOT = Path(__file__).parent.parent

LENGTH_BYTES = 4
"""Bytes before a request, which have its length."""

SCRIPT = "TESTS_FORKED_SCRIPT"
"""Variable with a script that a forked program runs instead of the command line."""

COMMAND_LINE = "from mreg.cli.start import main; main()"

PROGRAM = f"""#!{sys.executable} -IS
import _signal, _socket, marshal, posix, sys
channel = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
channel.connect(ADDRESS)
request = marshal.dumps(dict(words=sys.argv[1:], cwd=posix.getcwd(), env=posix.environ, files=0))
request = len(request).to_bytes({LENGTH_BYTES}, "big") + request
streams = b"".join(number.to_bytes(4, sys.byteorder) for number in (0, 1, 2))
sent = channel.sendmsg([request], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, streams)])
channel.sendall(request[sent:])
def read_number():
    line = b""
    while not line.endswith(b"\\n"):
        line += channel.recv(1)
    return int(line)
process = read_number()
for number in (_signal.SIGHUP, _signal.SIGINT, _signal.SIGTERM):
    _signal.signal(number, lambda number, _: posix.kill(process, number))
code = read_number()
if code >= 0:
    posix._exit(code)
if code != -_signal.SIGKILL:
    _signal.signal(-code, _signal.SIG_DFL)
posix.kill(posix.getpid(), -code)
"""
"""Has a process forked with its own arguments, variables, folder and streams, and ends as that does."""


class Process:
    """A forked process, with the part of the interface of `subprocess.Popen` that tests of servers use."""

    def __init__(self, words: list[str], channel: socket.socket) -> None:
        self.args = words
        self.returncode: int | None = None
        self._answers = channel.makefile("r")
        channel.close()
        self.pid = int(self._answers.readline())

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
            if not select.select([self._answers], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired(self.args, timeout or 0)
            self.returncode = int(self._answers.readline())
            self._answers.close()
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
    """Start ``python -m mreg`` with these words, both output streams to one file. It is killed with this process.

    Args:
        env: Its variables (default: those of this process).
        files: Its limit of open files (default: that of this process).
    """
    variables = dict(os.environ if env is None else env)
    request = marshal.dumps(
        {
            "words": list(words),
            "cwd": os.fsencode(os.path.abspath(cwd)),
            "env": {os.fsencode(name): os.fsencode(value) for name, value in variables.items()},
            "files": files,
        }
    )
    request = len(request).to_bytes(LENGTH_BYTES, "big") + request
    channel = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    channel.connect(_starter())
    with open(os.devnull, "rb") as nothing:
        sent = socket.send_fds(channel, [request], [nothing.fileno(), stdout.fileno(), stdout.fileno()])
    channel.sendall(request[sent:])
    return Process(["mreg", *words], channel)


def start_function(function: Callable[..., object], *arguments: str | float, log: str) -> Process:
    """Start a process that calls a function, with the variables and the working folder of this one.

    Its output goes to the file ``log``. The function is found by its module, which must be quick to import, and without
    effects on other processes: no module with tests.
    """
    call = f"from {function.__module__} import {function.__name__} as function\nfunction(*{arguments!r})"
    with open(log, "wb") as stream:
        return start_mreg(stdout=stream, env={**os.environ, SCRIPT: call})


@cache
def forked_mreg() -> Path:
    """Return a program ``mreg`` whose process is forked: it starts in a tenth of the time.

    SIGHUP, SIGINT and SIGTERM reach the forked process, and it is killed with the program.
    """
    address = _starter()
    program = Path(address).with_name("mreg")
    program.write_text(PROGRAM.replace("ADDRESS", repr(address)))
    program.chmod(0o755)
    return program


@cache
def _starter() -> str:
    """Start the starter, and return the address of its socket; it ends with this process."""
    address = os.path.join(tempfile.mkdtemp(prefix="mreg-forking-", dir="/tmp"), "starter")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as requests:
        requests.bind(address)
        requests.listen(100)
        process = subprocess.Popen(
            [sys.executable, "-B", "-m", "tests.forking", str(requests.fileno())],
            pass_fds=[requests.fileno()],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            start_new_session=True,
        )
    atexit.register(process.communicate)
    return address


def _serve_requests(requests: socket.socket) -> str:
    """Fork a process for each request, until the standard input ends; return in the forked process the script to run."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the keepers
    while True:
        if sys.stdin in _readable(requests, sys.stdin):
            shutil.rmtree(os.path.dirname(requests.getsockname()))
            os._exit(0)
        channel = requests.accept()[0]
        if os.fork() == 0:
            requests.close()
            return _keep(channel)
        channel.close()


def _keep(channel: socket.socket) -> str:
    """Fork the process, tell its number and its exit code, and kill it if the channel is closed.

    Return in the forked process the script to run.
    """
    request, streams = _received(channel)
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(writing)
    child = os.fork()
    if child == 0:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for one in (reading, writing, channel.detach()):
            os.close(one)
        return _become(request, streams)
    for one in streams:
        os.close(one)
    with suppress(OSError):
        channel.sendall(f"{child}\n".encode())
    if channel in _readable(channel, reading):
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    with suppress(OSError):
        channel.sendall(f"{os.waitstatus_to_exitcode(status)}\n".encode())
    os._exit(0)


def _readable(*streams: Any) -> list[Any]:
    return select.select(streams, [], [])[0]


def _received(channel: socket.socket) -> tuple[dict[str, Any], list[int]]:
    data, streams, _, _ = socket.recv_fds(channel, 1 << 16, 3)
    while len(data) < LENGTH_BYTES or len(data) < LENGTH_BYTES + int.from_bytes(data[:LENGTH_BYTES], "big"):
        if not (more := channel.recv(1 << 16)):
            os._exit(0)
        data += more
    return marshal.loads(data[LENGTH_BYTES:]), streams


def _become(request: dict[str, Any], streams: list[int]) -> str:
    """Take the arguments, variables, folder and streams of a request, and return the script to run."""
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        before = getattr(sys, name)
        mode = "w" if number else "r"
        new = open(number, mode, encoding=before.encoding, errors=before.errors, closefd=False)  # noqa: SIM115
        new.reconfigure(line_buffering=number == 2 or new.isatty())  # type: ignore[attr-defined]
        setattr(sys, name, new)
        setattr(sys, f"__{name}__", new)
    if request["files"]:
        import resource

        resource.setrlimit(resource.RLIMIT_NOFILE, (request["files"], request["files"]))
    os.chdir(request["cwd"])
    os.environb.clear()
    os.environb.update(request["env"])
    time.tzset()
    tempfile.tempdir = None
    sys.argv = ["mreg", *request["words"]]
    return os.environ.pop(SCRIPT, COMMAND_LINE)


def _run(script: str) -> NoReturn:
    """Run a script and end the process as the interpreter would, without the time that it takes to free all modules."""
    code: object = 0
    try:
        exec(script, {"__name__": "__main__"})
    except SystemExit as end:
        code = end.code
    except KeyboardInterrupt:
        raise
    except BaseException:
        sys.excepthook(*sys.exc_info())
        code = 1
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    if isinstance(code, str):
        print(code, file=sys.stderr)
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except OSError:
        code = 120
    os._exit(code if isinstance(code, int) else int(code is not None))


def _import_modules() -> None:
    import pkgutil
    from importlib import import_module

    import mreg.cli
    import mreg.server.run

    for module in pkgutil.iter_modules(mreg.cli.__path__, "mreg.cli."):
        import_module(module.name)
    mreg.server.run._import_modules()
    for name in (*mreg.server.run.BACKEND_MODULES, "mreg.stores.boto"):
        with suppress(ImportError):  # of an optional package
            import_module(name)
    with suppress(ImportError):
        import_module("tests.aws").share_descriptions()


if __name__ == "__main__":
    _import_modules()
    gc.freeze()  # a collection in a forked process would copy all memory
    _run(_serve_requests(socket.socket(fileno=int(sys.argv[1]))))
