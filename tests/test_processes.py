"""Pipes to the programs that mreg starts are closed, even if a process that a program left behind has them open."""

from __future__ import annotations

import gc
import os
import sys
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from mreg import processes
from mreg.domain.events import Event
from mreg.domain.hook import Deployment, DeploymentStatus, Hook
from mreg.hooks import command
from mreg.hooks.command import run_command
from mreg.processes import read_output

LEAVES_A_PROCESS = ("sh", "-c", "cat pipe & echo said")
"""Ends at once; its output stays open until somebody writes to the named pipe."""


def read(words: tuple[str, ...]) -> str:
    return read_output(words, folder="", environ=os.environ, seconds=60, limit=100)[0].decode()


def hook(words: tuple[str, ...]) -> str:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    long = "x" * (1 << 20)  # more than a pipe holds
    event = Event(seq=1, at=now, actor="ada", action="alias.set", details={"text": long}, previous="", hash="")
    run = Deployment(
        deployment_id=1, key="key", hook="h", event=event, status=DeploymentStatus.DEPLOYING, created_at=now
    )
    return run_command(Hook(name="h", command=words), run, dict(os.environ)).output + "\n"


@pytest.mark.parametrize("run", [read, hook])
def test_the_pipes_of_a_program_are_closed_when_the_last_process_ends(
    run: Callable[[tuple[str, ...]], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "READ_SECONDS", 0.1)
    monkeypatch.setattr(command, "READ_SECONDS", 0.1)
    unclosed: list[str] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda failure: unclosed.append(str(failure.exc_value)))
    os.mkfifo("pipe")
    before = threading.enumerate()
    assert run(LEAVES_A_PROCESS) == "said\n"
    reading = [thread for thread in threading.enumerate() if thread not in before]
    Path("pipe").write_text("more")
    for thread in reading:
        thread.join()
    del reading
    gc.collect()
    assert unclosed == []
