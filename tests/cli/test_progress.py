"""Progress where no terminal is: lines with rate and time left; another pass has its own label and counts."""

from __future__ import annotations

import time

import pytest

from mreg.cli import progress
from mreg.cli.progress import ShownProgress


def test_lines_tell_share_rate_and_time_left(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    bar = ShownProgress("push", again="send", quiet=False, terminal=False)
    for seconds, done in ((1, 10), (10, 500_000), (15, 900_000), (21, 1_000_000), (22, 0), (32, 100_000)):
        now[0] = 100.0 + seconds
        bar(done, 1_000_000)
    bar.close()
    assert capsys.readouterr().err.splitlines() == [
        "push: 50 %, 500 kB of 1 MB, 50 kB/s, 10 s left",
        "push: 100 %, 1 MB of 1 MB, 47.6 kB/s, 0 s left",
        "send: 10 %, 100 kB of 1 MB, 10 kB/s, 90 s left",
    ]


def test_a_bar_begins_again_with_the_next_pass(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "QUIET_SECONDS", 0.0)
    bar = ShownProgress("push", again="send", quiet=False, terminal=True)
    for done in (10, 100, 0, 50, 100):
        bar(done, 100)
    assert (bar.bar.tasks[0].completed, bar.bar.tasks[0].description) == (100, "send")
    bar.close()


def test_a_named_pass_begins_although_it_starts_where_the_last_one_ended(capsys: pytest.CaptureFixture[str]) -> None:
    bar = ShownProgress("import", quiet=False, terminal=False)
    bar.name_pass("send")
    bar(10, 10)
    bar.name_pass("import")
    bar.next_line = 0.0
    bar(10, 10)
    assert bar.label == "import"
    assert capsys.readouterr().err.startswith("import: 100 %")


def test_a_pass_has_the_name_that_the_push_gives_it(capsys: pytest.CaptureFixture[str]) -> None:
    bar = ShownProgress("push", again="send", quiet=False, terminal=False)
    for done in (100, 0, 100):
        bar(done, 100)
    bar.name_pass("verify")
    bar.next_line = 0.0
    bar(0, 200)
    assert capsys.readouterr().err == "verify: 0 %, 0 bytes of 200 bytes, 0 bytes/s\n"
