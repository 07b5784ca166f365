"""Timing whole commands fairly: in turn with what they are compared to, the median of several runs."""

from __future__ import annotations

import mmap
import os
import re
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

MREG = (sys.executable, "-m", "mreg")

COLD_SECONDS = 5.0
"""Time after which the pages of a removed file are cold again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One measured thing beside its limit.

    Attributes:
        value: What was measured, in the unit.
        limit: What it may be, measured in the same run; None where there is none.
        ratio: To the base of the limit, and allowed: the largest such ratio; None where there is none.
    """

    name: str
    value: float
    unit: str
    limit: float | None = None
    ratio: float | None = None
    allowed: float | None = None
    note: str = ""

    def __str__(self) -> str:
        text = f"{self.name:<58} {self.value:>10.4g} {self.unit:<4}"
        if self.limit is not None:
            verdict = "ok" if self.value <= self.limit else "OVER"
            text += f" limit {self.limit:>8.4g}  {verdict:<4}"
        if self.ratio is not None:
            text += f" ratio {self.ratio:.2f}" + (f" of {self.allowed:g}" if self.allowed else "")
        return f"{text}  {self.note}".rstrip()

    def as_dict(self) -> dict[str, object]:
        """The fields, JSON-ready."""
        return asdict(self)


def against(name: str, value: float, base: float, allowed: float, *, unit: str = "s", note: str = "") -> Figure:
    """The figure whose limit is ``allowed`` times a base measured in the same run."""
    return Figure(
        name=name, value=value, unit=unit, limit=allowed * base, ratio=value / base, allowed=allowed, note=note
    )


@contextmanager
def workspace() -> Iterator[Path]:
    """A folder that is gone afterwards, with everything mreg knows of the user pointed into it."""
    folder = Path(tempfile.mkdtemp(prefix="mreg-bench-", dir=os.environ.get("MREG_BENCH_DIR")))
    kept = dict(os.environ)
    for name in [name for name in os.environ if name.startswith("MREG_")]:
        del os.environ[name]
    os.environ.update(HOME=str(folder), XDG_CONFIG_HOME=str(folder / "config"), XDG_DATA_HOME=str(folder / "data"))
    os.environ["PYTHONPATH"] = str(Path(__file__).parent.parent)
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    here = Path.cwd()
    os.chdir(folder)
    try:
        yield folder
    finally:
        os.chdir(here)
        os.environ.clear()
        os.environ.update(kept)
        shutil.rmtree(folder, ignore_errors=True)


def run(command: Sequence[str], *, cwd: Path | None = None, env: Mapping[str, str] | None = None) -> float:
    """Seconds that a command takes from start to end; it must succeed."""
    began = time.perf_counter()
    quiet = subprocess.DEVNULL
    subprocess.run(list(command), check=True, stdout=quiet, stderr=quiet, cwd=cwd, env=env)
    return time.perf_counter() - began


def in_turn(works: Sequence[Callable[[], float]], rounds: int, *, settle: bool = False) -> list[float]:
    """The median seconds of each work, all of them run in turn so that a slow moment hits each alike; one warm-up.

    Args:
        settle: Each begins with a quiet disk: what one left to be written must not be paid by the next one's fsync.
    """
    times: list[list[float]] = [[] for _ in works]
    for number in range(rounds + 1):
        for place, work in enumerate(works):
            if settle:
                os.sync()
            seconds = work()
            if number:
                times[place].append(seconds)
    return [statistics.median(one) for one in times]


@contextmanager
def running_server(command: list[str], folder: Path) -> Iterator[tuple[int, int]]:
    """A server's port and process id, as long as it is needed; it prints its URL once it answers."""
    log = folder / f"log-{os.urandom(4).hex()}"
    with log.open("wb") as stream:
        process = subprocess.Popen(command, stdout=stream, stderr=stream)
    try:
        while not (found := re.search(r"at http://127\.0\.0\.1:(\d+),", log.read_text())):
            if process.poll() is not None:
                raise RuntimeError(log.read_text()[-2000:])
            time.sleep(0.05)
        yield int(found[1]), process.pid
    finally:
        process.terminate()
        process.wait()


def change_pages(path: Path, number: int) -> None:
    """Change every page of a file, as another training changes every weight."""
    with path.open("r+b") as stream, mmap.mmap(stream.fileno(), 0) as pages:
        for start in range(0, len(pages), mmap.PAGESIZE):
            pages[start : start + 8] = number.to_bytes(8, "big")


def remove_cold(path: Path, seconds: float = COLD_SECONDS) -> None:
    """Remove a copy of the file, and wait until its pages are as cold as any others.

    A virtual machine gives free memory back to its host after about two seconds. Until then, a process that starts
    quickly writes to warm pages, several times faster than the next.
    """
    shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    os.sync()
    time.sleep(seconds)


def peak_memory(command: Sequence[str]) -> float:
    """MiB of resident memory that a command needed at most."""
    code = (
        "import resource,subprocess,sys;"
        "subprocess.run(sys.argv[1:],check=True,stdout=subprocess.DEVNULL,stderr=subprocess.DEVNULL);"
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    )
    done = subprocess.run([sys.executable, "-c", code, *command], check=True, capture_output=True, text=True)
    unit = 1024 if sys.platform != "darwin" else 1024 * 1024
    return int(done.stdout) / unit


def cpu_seconds() -> float:
    """Processor seconds of this process and the children it waited for."""
    own, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime
