"""The watch of every test of hostile input: a command's time and memory are bounded, and what it may not touch stays.

Hostile input is a project folder, a catalog, a bucket, a bundle or an upload that another person prepared.
"""

from __future__ import annotations

import hashlib
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SECONDS = 10.0
"""A command on hostile input takes at most this processor time."""

PATIENCE = 6
"""How many times as long it may take by the clock, on a machine that does other work as well."""

PEAK_BYTES = 300 << 20
"""A command on hostile input never holds more memory than this."""

DOCUMENTED = frozenset(range(9))
"""Exit codes of docs/reference/exit-codes.md that hostile input can cause; neither a signal nor an unexpected error."""


def snapshot(root: str | os.PathLike[str]) -> dict[str, tuple[Any, ...]]:
    """Every name below a folder with its kind, mode, size, content and link target; the folder itself as ``.``."""
    found: dict[str, tuple[Any, ...]] = {}
    pending = ["."]
    while pending:
        name = pending.pop()
        path = os.path.join(root, name)
        status = os.lstat(path)
        mode = stat.S_IMODE(status.st_mode)
        if stat.S_ISDIR(status.st_mode):
            found[name] = ("folder", mode)
            pending += [os.path.normpath(os.path.join(name, inner)) for inner in os.listdir(path)]
        elif stat.S_ISREG(status.st_mode):
            found[name] = ("file", mode, status.st_size, hashlib.sha256(Path(path).read_bytes()).hexdigest())
        elif stat.S_ISLNK(status.st_mode):
            found[name] = ("link", os.readlink(path))
        else:
            found[name] = (stat.S_IFMT(status.st_mode), mode)
    return found


def plant(root: str | os.PathLike[str]) -> None:
    """Make a sentinel tree in a folder: files, an executable, a dotfile, folders and a link that must all stay."""
    base = Path(root)
    for name in ("documents/thesis.txt", ".ssh/authorized_keys", "bin/tool", "tmp/0123456789abcdef01234567"):
        path = base / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"this is {name} and must stay\n")
    (base / "bin/tool").chmod(0o755)
    (base / "link").symlink_to("documents/thesis.txt")


@contextmanager
def untouched(*roots: str | os.PathLike[str], but: tuple[str, ...] = ()) -> Iterator[None]:
    """Assert that nothing below the folders is made, changed or removed meanwhile.

    Args:
        but: Names below a root, or beginnings of them, that may change.
    """
    before = [snapshot(root) for root in roots]
    yield
    for root, was in zip(roots, before, strict=True):
        now = snapshot(root)
        changed = {
            name: (was.get(name), now.get(name))
            for name in sorted({*was, *now})
            if was.get(name) != now.get(name) and not any(name == one or name.startswith(f"{one}/") for one in but)
        }
        assert not changed, f"below {root} there changed: {changed}"


@contextmanager
def bounded(shown: object) -> Iterator[None]:
    """Assert that the processor time of work on hostile input is bounded: a thousand times what it takes usually.

    The clock is no measure on a machine that does other work as well; the timeout of the test ends work that waits.

    Args:
        shown: The input, for the message.
    """
    began = time.process_time()
    yield
    assert time.process_time() - began < SECONDS, shown


LAUNCHER = """
import os, sys
child = os.fork()
if child == 0:
    os.close(int(sys.argv[1]))
    os.execv(sys.argv[2], sys.argv[2:])
_, status, usage = os.wait4(child, 0)
report = f"{os.waitstatus_to_exitcode(status)} {usage.ru_utime + usage.ru_stime} {usage.ru_maxrss}"
os.write(int(sys.argv[1]), report.encode())
"""
"""Starts the command from a small process: Linux counts the memory of the process that forks it as its own peak."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a command on hostile input did.

    Attributes:
        code: Its exit code; negative: the signal that ended it.
        seconds: Its processor time.
        peak_bytes: The most memory that it held at a time.
    """

    code: int
    out: bytes
    err: bytes
    seconds: float
    peak_bytes: int

    @property
    def text(self) -> str:
        return self.out.decode(errors="replace") + self.err.decode(errors="replace")


def attack(*words: str, seconds: float = SECONDS, peak_bytes: int = PEAK_BYTES, **options: Any) -> Outcome:
    """Run a command as a process of its own; it ends in time, within memory, and with a documented exit code.

    Args:
        options: For `subprocess.Popen`; ``input`` is given to its standard input as bytes.
    """
    given: bytes = options.pop("input", b"")
    reading, writing = os.pipe()
    child = subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", LAUNCHER, str(writing), sys.executable, "-m", "mreg", *map(str, words)],
        stdin=subprocess.PIPE if given else subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        pass_fds=(writing,),
        start_new_session=True,
        **options,
    )
    os.close(writing)
    shown = f"mreg {' '.join(map(str, words))}"
    try:
        out, err = child.communicate(given or None, timeout=PATIENCE * seconds)
    except subprocess.TimeoutExpired:
        os.killpg(child.pid, signal.SIGKILL)
        out, err = child.communicate()
        raise AssertionError(f"over {PATIENCE * seconds} s: {shown}: {out!r} {err!r}") from None
    finally:
        with os.fdopen(reading) as report:
            usage = report.read()
    code, cpu, peak = usage.split()
    scale = 1 if sys.platform == "darwin" else 1024
    outcome = Outcome(int(code), out, err, float(cpu), int(peak) * scale)
    shown = f"{shown}: {outcome}"
    assert outcome.seconds < seconds, shown
    assert outcome.code in DOCUMENTED, shown
    assert outcome.peak_bytes < peak_bytes, f"{outcome.peak_bytes >> 20} MiB: {shown[:2000]}"
    assert b"Traceback" not in outcome.err, shown
    assert b"report it as a bug" not in outcome.err, shown
    return outcome


def printable_only(data: bytes, *, allowed: str = "\n") -> bool:
    """Whether output is text alone: no control (C0, C1, DEL), bidirectional mark, line separator or invalid UTF-8."""
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return all(char in allowed or char.isprintable() for char in text)


def environment(**changes: str) -> Mapping[str, str]:
    """The variables of this test with changes."""
    return {**os.environ, **changes}
