"""The watch of every test of hostile input: a command's time and memory are bounded, and what it may not touch stays.

Hostile input is a project folder, a catalog, a bucket, a bundle or an upload that another person prepared.
"""

from __future__ import annotations

import hashlib
import os
import select
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
"""A command on hostile input ends within this time."""

PEAK_BYTES = 300 << 20
"""A command on hostile input never holds more memory than this."""

DOCUMENTED = frozenset(range(9))
"""Exit codes of docs/exit-codes.md that hostile input can cause; neither a signal nor an unexpected error."""


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


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a command on hostile input did.

    Attributes:
        code: Its exit code; negative: the signal that ended it.
        seconds: How long it took by the clock.
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
    began = time.monotonic()
    child = subprocess.Popen(
        [sys.executable, "-m", "mreg", *map(str, words)],
        stdin=subprocess.PIPE if given else subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        **options,
    )
    assert child.stdout and child.stderr
    if given and child.stdin:
        child.stdin.write(given)
        child.stdin.close()
    out, err, late = _read(child, began + seconds)
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    scale = 1 if sys.platform == "darwin" else 1024
    outcome = Outcome(child.returncode, out, err, time.monotonic() - began, usage.ru_maxrss * scale)
    shown = f"mreg {' '.join(map(str, words))}: {outcome}"
    assert not late, f"over {seconds} s: {shown}"
    assert outcome.code in DOCUMENTED, shown
    assert outcome.peak_bytes < peak_bytes, f"{outcome.peak_bytes >> 20} MiB: {shown[:2000]}"
    assert b"Traceback" not in outcome.err, shown
    assert b"report it as a bug" not in outcome.err, shown
    return outcome


def _read(child: subprocess.Popen[bytes], deadline: float) -> tuple[bytes, bytes, bool]:
    """Both streams to their ends; True where the deadline came first, the process then killed."""
    assert child.stdout and child.stderr
    texts = {child.stdout.fileno(): b"", child.stderr.fileno(): b""}
    opened = list(texts)
    late = False
    while opened:
        ready, _, _ = select.select(opened, [], [], max(0.0, deadline - time.monotonic()))
        if not ready:
            late = True
            child.send_signal(signal.SIGKILL)
            break
        for descriptor in ready:
            data = os.read(descriptor, 1 << 16)
            texts[descriptor] += data
            if not data:
                opened.remove(descriptor)
    out, err = texts[child.stdout.fileno()], texts[child.stderr.fileno()]
    child.stdout.close()
    child.stderr.close()
    return out, err, late


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
