"""Pushes that are interrupted: what the error says of the bytes that the server keeps."""

# ruff: noqa: F811  (fixtures are imported)

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import mreg
from mreg.artifacts.partial import RESUME
from mreg.cli.app import run
from mreg.cli.failures import report
from mreg.cli.progress import ShownProgress
from mreg.cli.signals import Terminated
from tests.server.conftest import Served, in_process  # noqa: F401

SIZE = 20 << 20


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (KeyboardInterrupt(), 130, "interrupted; nothing was left half done"),
        (Terminated(), 143, "terminated; nothing was left half done"),
        (
            mreg.Unavailable("cannot reach the server", hint="try again"),
            8,
            "error: cannot reach the server\n  try again",
        ),
    ],
)
def test_an_interrupted_push_says_that_it_resumes_if_the_server_keeps_bytes(
    in_process: Callable[..., Served], capsys: pytest.CaptureFixture[str], error: BaseException, code: int, words: str
) -> None:
    Path("large").write_bytes(b"l" * SIZE)
    invocation: Any = SimpleNamespace(
        as_json=False, output_format="", debug=False, opened_profile=None, source_of_model=lambda _error: ""
    )
    url = in_process().url
    for kept in (False, True):

        def interrupt(done: int, _total: int, *, kept: bool = kept) -> None:
            if done or not kept:
                raise error

        with mreg.open_registry(server=url) as remote, pytest.raises(type(error)) as raised:
            remote.push("large", name="m", progress=interrupt)
        assert report(raised.value, invocation) == code
        shown = capsys.readouterr().err
        assert words in shown
        assert (RESUME in shown) is kept
    notices: list[str] = []
    with mreg.open_registry(server=url, notice=notices.append) as remote:
        remote.push("large", name="m")
    assert notices[-1].startswith("resumed: ")


def test_ctrl_c_during_a_push_says_that_the_command_resumes(
    in_process: Callable[..., Served], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("large").write_bytes(b"l" * SIZE)
    monkeypatch.setenv("MREG_SERVER", in_process().url)

    def interrupt(_self: ShownProgress, done: int, _total: int) -> None:
        if done:
            signal.raise_signal(signal.SIGINT)

    with monkeypatch.context() as patched:
        patched.setattr(ShownProgress, "__call__", interrupt)
        assert run(["push", "large", "--name", "m"]) == 130
    assert f"error: interrupted; nothing was left half done\n  {RESUME}\n" in capsys.readouterr().err
    assert run(["push", "large", "--name", "m"]) == 0
    assert "resumed: " in capsys.readouterr().err


def test_an_interrupt_that_left_a_change_does_not_say_that_it_left_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    error = KeyboardInterrupt()
    error.add_note("the server stops the operation, too; the versions of the bundle might have been imported")
    invocation: Any = SimpleNamespace(as_json=False, output_format="")
    assert report(error, invocation) == 130
    assert capsys.readouterr().err == (
        "error: interrupted\n"
        "  the server stops the operation, too; the versions of the bundle might have been imported\n"
    )
