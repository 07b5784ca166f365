"""Runs the shell lines of a page, and compares or writes the output that the page shows.

Fences of a page run in their order, in one shell, in one temporary home with a working folder:

- ``sh``: each line must succeed.
- ``console``: the lines after ``$`` run on a terminal of 100 columns. The lines below are their output. A command may fail
  if ``echo $?`` is next. A line ``…`` stands for any lines. Digests, times and durations are not compared.
- ``python``: runs as a script.
- Any fence with ``title="FILE"`` is written to this file before the next command.

Comments before a fence change that::

    <!-- not run: needs an account at GitHub -->
    <!-- background -->          the last command goes on until the end of the page, once it has printed a line

A comment that starts with ``<!-- setup`` has lines that run and that readers do not see. ``<!-- needs: bucket -->`` starts
a server: ``bucket`` is an S3 server with an empty bucket ``ml-models``, ``azure`` a storage account with an empty container
of that name, ``postgresql`` a server with an empty database, ``redis`` one with an empty key. ``weed`` gives the SeaweedFS
that a page starts free ports. ``huggingface`` adds the command ``hf``.

``python -m tests.docs FILE...`` writes the output of today into the pages.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import secrets
import select
import shutil
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import groupby
from pathlib import Path

from tests.forking import forked_mreg

ROOT = Path(__file__).parent.parent.parent
COLUMNS = 100
SHOWN_HOME = "/home/ada"
ELLIPSIS = "…"

_PARTS = re.compile(
    r"^ *<!-- (?P<comment>setup|needs: |not run: |background)(?P<text>.*?)-->$"
    r"|^(?P<indent> *)```(?P<language>\w+)(?P<info>[^\n]*)\n(?P<body>.*?)^(?P=indent)```$",
    re.MULTILINE | re.DOTALL,
)
_VOLATILE = (
    (r"[\s─]", ""),
    (r"\d{4}-\d\d-\d\dT?\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[A-Z]{3,4}|[+-]\d\d:?\d\d)?", "TIME"),
    (r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "UUID"),
    (r"[0-9a-f]{12,}", "HEX"),
    (r"\d+(\.\d+)?(e\+\d+)?(ms|s\b)", "DURATION"),
    (r"\d+(\.\d+)?[kMGT]?B/s(?=up|down)", "SPEED"),
    (r"\d+\.\d+\.\d+", "VERSION"),
    (r"pid\d+", "PID"),
    (r"mreg_[\w-]{20,}", "TOKEN"),
)
"""What differs from run to run, in text without white space."""


@dataclass
class Command:
    """One command of a page, or a file to write.

    Attributes:
        output: Lines that the page shows, or None if it shows none.
        span: Place of these lines in the text of the page.
    """

    text: str
    output: list[str] | None = None
    span: tuple[int, int] = (0, 0)
    indent: str = ""
    background: bool = False
    shown: bool = True


@dataclass
class Page:
    """A page with its commands."""

    path: Path
    text: str = ""
    needs: set[str] = field(default_factory=set)
    commands: list[Command] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.text = self.text or self.path.read_text()
        mode = ""
        for part in _PARTS.finditer(self.text):
            comment, said = part["comment"], (part["text"] or "").strip()
            if comment == "setup":
                self.commands.append(Command(said, shown=False))
            elif comment == "needs: ":
                self.needs |= set(said.split())
            elif comment:
                assert said or comment == "background", f"{self.path.name}: give the reason why the lines are not run"
                mode = comment
            else:
                if mode != "not run: ":
                    self._add(part, background=mode == "background")
                mode = ""

    def _add(self, part: re.Match[str], background: bool) -> None:
        lines = [line.removeprefix(part["indent"]) for line in part["body"].splitlines()]
        body = "\n".join(lines)
        if title := re.search(r'title="([^"]+)"', part["info"]):
            folder = os.path.dirname(title[1])
            made = f'mkdir -p "{_home(folder)}"\n' if folder else ""
            self.commands.append(Command(f"{made}cat > \"{_home(title[1])}\" <<'END_OF_FILE'\n{body}\nEND_OF_FILE"))
        elif part["language"] == "sh":
            self.commands += [Command(text) for text in _joined(lines)]
        elif part["language"] == "python":
            self.commands.append(Command(f"\"{sys.executable}\" - <<'END_OF_FILE'\n{body}\nEND_OF_FILE"))
        elif part["language"] == "console":
            self.commands += _console(part["body"], part.start("body"), part["indent"])
        if background:
            self.commands[-1].background = True


def _home(path: str) -> str:
    return re.sub("^~/", "$HOME/", path)


def _joined(lines: Sequence[str]) -> Iterator[str]:
    """Yield commands: lines that end in a backslash, and here-documents, belong together."""
    text, end = "", ""
    for line in lines:
        text = f"{text}\n{line}" if text else line
        if found := re.search(r"<<'?(\w+)'?", line):
            end = found[1]
        if line == end:
            end = ""
        if not end and not line.endswith("\\"):
            if text.strip() and not text.lstrip().startswith("# "):
                yield text
            text = ""
    if text.strip():
        yield text


def _console(body: str, start: int, indent: str) -> Iterator[Command]:
    command: Command | None = None
    more = False
    for line in body.splitlines(keepends=True):
        text = line.removeprefix(indent).rstrip("\n")
        end = start + len(line)
        if text.startswith("$ "):
            if command:
                yield command
            command = Command(text[2:], output=[], span=(end, end), indent=indent)
            more = text.endswith("\\")
        elif command and more:
            command.text += "\n" + text.removeprefix("> ")
            command.span = (end, end)
            more = text.endswith("\\")
        elif command and command.output is not None:
            command.output.append(text)
            command.span = (command.span[0], end)
        start = end
    if command:
        yield command


def _normalized(lines: Iterable[str]) -> str:
    """Return the text of lines without what differs from run to run; a home with a longer name wraps other lines."""
    text = "".join(lines)
    for pattern, instead in _VOLATILE:
        text = re.sub(pattern, instead, text)
    return text


def equal(shown: Sequence[str], printed: Sequence[str]) -> bool:
    """Tell whether a command printed the lines that a page shows."""
    pattern = ""
    for any_lines, part in groupby(shown, lambda line: line.strip() == ELLIPSIS):
        pattern += ".*" if any_lines else re.escape(_normalized(part))
    return re.fullmatch(pattern, _normalized(printed)) is not None


@contextlib.contextmanager
def short_home() -> Iterator[Path]:
    """Yield the path of a home that does not exist yet, as long as the one that pages show: longer ones wrap elsewhere."""
    letters = len(SHOWN_HOME) - len("/tmp/")
    while os.path.lexists(path := Path("/tmp") / secrets.token_hex(letters)[:letters]):
        pass
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


@dataclass(frozen=True)
class Printed:
    """What one command printed, with its exit code."""

    code: int
    lines: list[str]


def run(page: Page, home: Path, replaced: Sequence[tuple[str, str]] = (), seconds: float = 120) -> list[Printed]:
    """Run the commands of a page until one fails.

    Args:
        home: The home, which does not exist yet. The working folder is made in it.
        replaced: Texts of the page with those that a test uses instead, such as the address of a server.
    """
    (home / "work").mkdir(parents=True)
    steps = [f'cd "{home}/work"; exec 2>&1']
    for number, command in enumerate(page.commands):
        text = command.text
        for old, new in replaced:
            text = text.replace(old, new)
        following = page.commands[number + 1].text if number + 1 < len(page.commands) else ""
        if command.background:
            text = (
                f'{{ {text}\n}} > $HOME/.background-{number} 2>&1 & jobs="$jobs $!"; '
                f"while kill -0 $! && [ ! -s $HOME/.background-{number} ]; do sleep 0.05; done; cat $HOME/.background-{number}"
            )
        # Text between the markers is the command's. The next command sees its exit code in $?.
        steps.append(f"printf '\\001{number}\\n'; (exit ${{_code:-0}})\n{text}\n_code=$?; printf '\\002%s\\n' $_code")
        if "$?" not in following:
            steps.append("[ $_code = 0 ] || exit 1")
    variables = {
        **os.environ,
        "HOME": str(home),
        "MREG_USER": "ada",
        "DOCS": str(ROOT / "docs"),
        "EXAMPLES": str(ROOT / "examples"),
        "PATH": os.pathsep.join(map(str, (forked_mreg().parent, Path(sys.executable).parent, os.environ["PATH"]))),
        "PYTHONPATH": str(ROOT),
        "TZ": "UTC",
        "TERM": "xterm",
        "NO_COLOR": "1",
        "GIT_CEILING_DIRECTORIES": str(home),
    }
    script = home / ".script"
    script.write_text("\n".join(steps))
    text = _on_a_terminal(["sh", str(script)], variables, seconds)
    for shown, used in [(SHOWN_HOME, str(home)), *replaced]:
        text = re.sub(re.escape(used) + "( {2,})?", partial(_shown, shown, used), text)
    printed = re.findall(r"\x01\d+\n(.*?)(?:\x02(\d+)\n|\Z)", text, re.DOTALL)
    return [Printed(int(code or -1), lines.splitlines()) for lines, code in printed]


def _shown(shown: str, used: str, found: re.Match[str]) -> str:
    """Return the text of the page for a text of the test; a column keeps its width."""
    return shown + (found[1] or "").ljust(len(found[0]) - len(shown) if found[1] else 0)


def _on_a_terminal(words: list[str], variables: dict[str, str], seconds: float) -> str:
    """Run a command whose output is a terminal; return its output, and end the processes that it leaves behind."""
    ours, its = pty.openpty()
    fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", 50, COLUMNS, 0, 0))
    process = subprocess.Popen(
        words, env=variables, stdin=subprocess.DEVNULL, stdout=its, stderr=its, start_new_session=True
    )
    data = b""
    deadline = time.monotonic() + seconds
    while True:
        ended = process.poll() is not None or time.monotonic() > deadline
        if select.select([ours], [], [], 0 if ended else 0.05)[0]:
            data += os.read(ours, 65536)
        elif ended:
            break
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    os.close(ours)
    os.close(its)
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", data.decode(errors="replace").replace("\r\n", "\n"))
    return re.sub(r"(?:.*━.*\n)+\n?", "", text)  # progress bars, which only slow commands show


def problem(page: Page, printed: Sequence[Printed]) -> str:
    """Return what is wrong with the first command that failed or printed other lines than the page shows, or nothing."""
    for number, command in enumerate(page.commands):
        if number >= len(printed):
            return f"not run: {command.text}"
        done = printed[number]
        following = page.commands[number + 1].text if number + 1 < len(page.commands) else ""
        if done.code and "$?" not in following:
            return "\n".join([f"exit {done.code}: {command.text}", *done.lines])
        if command.output is not None and not equal(command.output, done.lines):
            return "\n".join([f"$ {command.text}", "--- shown", *command.output, "--- printed", *done.lines])
    return ""


def written(page: Page, printed: Sequence[Printed]) -> str:
    """Return the text of the page with the output of today where it differs by more than times and digests."""
    text = page.text
    for command, done in reversed(list(zip(page.commands, printed, strict=False))):
        if command.output is None or (ELLIPSIS in command.output and equal(command.output, done.lines)):
            continue
        lines = re.sub(
            r"(?:environment\..*\n)+", f"{ELLIPSIS}\n", "".join(f"{line}\n" for line in done.lines)
        ).splitlines()
        while lines and not lines[-1]:
            lines.pop()
        if [_normalized([line]) for line in lines] == [_normalized([line]) for line in command.output]:
            continue
        start, end = command.span
        block = "".join(f"{command.indent}{line}".rstrip() + "\n" for line in lines)
        text = text[:start] + block + text[end:]
    return text
