"""Record the terminal session of the README: ``python docs/record_session.py`` writes docs/images/session.svg.

The commands really run, in a pseudo-terminal and a temporary home, with the models of examples/models. Rich draws the
picture. Its own template loads a font from another host; the one here uses a monospaced font of the reader's system.
"""

from __future__ import annotations

import os
import pty
import shlex
import shutil
import subprocess
import sys
import tempfile
import termios
from io import StringIO
from pathlib import Path
from typing import NamedTuple

from rich.console import Console
from rich.terminal_theme import TerminalTheme
from rich.text import Text

ROOT = Path(__file__).resolve().parent.parent
PICTURE = ROOT / "docs/images/session.svg"
COLUMNS = 88
HOME = "/home/ada"
"""Stands for the temporary home in the picture."""

BEFORE = (
    "mreg push model.joblib --name digits --metrics-file metrics.json",
    "mreg promote digits@1 --to production",
)
"""Commands that run before the session, with the first model."""

SESSION = (
    "mreg push model.joblib --name digits --metrics-file metrics.json --alias candidate",
    "mreg compare digits@production digits@candidate",
    'mreg promote digits@candidate --to production --reason "more accurate"',
    "mreg pull digits@production deployed.joblib",
    'mreg rollback digits --reason "too slow"',
)
"""Commands of the picture, with the second model."""

THEME = TerminalTheme(
    (27, 31, 40),
    (216, 222, 233),
    [
        (59, 66, 82), (235, 111, 120), (152, 210, 126), (235, 203, 139),
        (120, 170, 240), (200, 150, 220), (120, 205, 215), (216, 222, 233),
    ],
    [
        (130, 140, 160), (250, 130, 140), (170, 225, 145), (245, 215, 150),
        (140, 190, 250), (215, 170, 235), (140, 220, 230), (240, 244, 250),
    ],
)  # fmt: skip

TEMPLATE = """\
<svg class="rich-terminal" viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
<title>A session with mreg</title>
<style>
.{unique_id}-matrix {{
  font-family: ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", "Liberation Mono", monospace;
  font-size: {char_height}px;
  line-height: {line_height}px;
  font-variant-ligatures: none;
}}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal">
<rect x="0" y="0" width="{terminal_width}" height="{terminal_height}" />
</clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""


class Step(NamedTuple):
    """A command, its output as the terminal received it, and its exit code."""

    command: str
    output: str
    code: int


def record() -> list[Step]:
    """Run the commands and return those of the picture."""
    # A short path: mreg wraps its messages at the width of the terminal.
    with tempfile.TemporaryDirectory(prefix="", dir="/tmp") as folder:
        home = os.path.realpath(folder)
        _take("logistic", home)
        steps = [_run(command, home) for command in BEFORE]
        _take("svm", home)
        steps += [_run(command, home) for command in SESSION]
    for step in steps:
        if step.code:
            raise SystemExit(f"{step.command}: exit code {step.code}\n{step.output}")
    return steps[len(BEFORE) :]


def draw(steps: list[Step]) -> str:
    """Return the picture of a session."""
    console = Console(record=True, width=COLUMNS, file=StringIO(), force_terminal=True, color_system="truecolor")
    for number, step in enumerate(steps):
        if number:
            console.print()
        console.print(Text.assemble(("$ ", "bold green"), (step.command, "bold")))
        console.print(Text.from_ansi(step.output.rstrip()))
    return console.export_svg(title="", theme=THEME, code_format=TEMPLATE, unique_id="session")


def _take(kind: str, home: str) -> None:
    for name in ("model.joblib", "metrics.json"):
        shutil.copy(ROOT / "examples/models" / kind / name, home)


def _run(command: str, home: str) -> Step:
    environment = {
        "HOME": home, "LANG": "C.UTF-8", "MREG_USER": "ada", "PATH": os.defpath, "PYTHONPATH": str(ROOT),
        "TERM": "xterm-256color",
    }  # fmt: skip
    terminal, end = pty.openpty()
    termios.tcsetwinsize(end, (40, COLUMNS))
    words = [sys.executable, "-m", *shlex.split(command)]
    with subprocess.Popen(words, cwd=home, env=environment, stdin=end, stdout=end, stderr=end) as process:
        os.close(end)
        output = _read(terminal)
    os.close(terminal)
    return Step(command, output.replace("\r\n", "\n").replace(home, HOME), process.returncode)


def _read(terminal: int) -> str:
    data = b""
    while True:
        try:
            chunk = os.read(terminal, 65536)
        except OSError:  # Linux: the last process closed the terminal
            break
        if not chunk:
            break
        data += chunk
    return data.decode()


if __name__ == "__main__":
    PICTURE.parent.mkdir(parents=True, exist_ok=True)
    PICTURE.write_text(draw(record()), encoding="utf-8")
    print(PICTURE)
