"""Start-up: what a command costs beside an empty app of the same Typer."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from benchmarks.measure import MREG, Figure, against, in_turn, run

EMPTY_APP = "import typer\napp = typer.Typer()\n@app.command()\ndef main() -> None: ...\napp()\n"


def measure(folder: Path, *, quick: bool) -> Iterator[Figure]:
    """``--version``, ``show --json`` and the push of 1 KiB, each in turn with the empty app."""
    empty = folder / "empty.py"
    empty.write_text(EMPTY_APP)
    (folder / "model.pkl").write_bytes(b"\x80\x04" + b"m" * 1021 + b".")
    run([*MREG, "push", "model.pkl", "--name", "started", "--accuracy", "0.9"])
    pushed = iter(range(10_000))

    def push() -> float:
        (folder / "model.pkl").write_bytes(b"\x80\x04" + f"{next(pushed):01021d}".encode() + b".")
        return run([*MREG, "push", "model.pkl", "--name", "started", "--accuracy", "0.9"])

    rounds = 2 if quick else 25
    base, version, show, pushing, python = in_turn(
        [
            lambda: run([sys.executable, str(empty)]),
            lambda: run([*MREG, "--version"]),
            lambda: run([*MREG, "show", "started@1", "--json"]),
            push,
            lambda: run([sys.executable, "-c", ""]),
        ],
        rounds,
    )
    yield Figure(name="python -c ''", value=python, unit="s")
    yield Figure(name="an empty Typer app", value=base, unit="s")
    yield against("mreg --version", version, base, 1.3)
    yield against("mreg show NAME@1 --json", show, base, 1.8)
    yield against("mreg push of 1 KiB", pushing, base, 2.5)
