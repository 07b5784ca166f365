"""Whole commands as processes: terminals, signals, pipes, disks."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import Mreg

MREG = [sys.executable, "-m", "mreg"]


def on_a_terminal(
    *words: str, answer: str = "", meanwhile: Callable[[], object] | None = None, **variables: str
) -> tuple[int, str]:
    """Run a command with a terminal for everything; its exit code and the screen's text.

    Args:
        meanwhile: Called after the question, before the answer.
    """
    child, terminal = pty.fork()
    if child == 0:
        os.environ.update({"COLUMNS": "120", **variables})
        os.execv(sys.executable, [*MREG, *words])
    text = b""
    sent = False
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        ready, _, _ = select.select([terminal], [], [], 1)
        if not ready:
            continue
        try:
            data = os.read(terminal, 65536)
        except OSError:
            break
        if not data:
            break
        text += data
        if answer and not sent and b"[y/N]" in text:
            if meanwhile is not None:
                meanwhile()
            os.write(terminal, answer.encode())
            sent = True
    _, status = os.waitpid(child, 0)
    os.close(terminal)
    return os.waitstatus_to_exitcode(status), text.decode()


pytestmark = pytest.mark.filterwarnings("ignore:This process.*fork:DeprecationWarning")


@pytest.fixture(autouse=True)
def _story(process: Mreg) -> None:
    Path("model.pkl").write_bytes(b"one")
    process("push", "model.pkl", "-n", "classifier", "--accuracy", "0.9", "--stage", "production")
    Path("model.pkl").write_bytes(b"two")
    process("push", "model.pkl", "-n", "classifier", "--accuracy", "0.95")


def test_a_terminal_gets_tables_in_colour() -> None:
    code, text = on_a_terminal("show", "classifier")
    assert code == 0
    assert "\x1b[32m" in text
    assert "trend" in text
    code, text = on_a_terminal("show", "classifier", NO_COLOR="1")
    assert "\x1b[3" not in text
    code, text = on_a_terminal("show", "classifier", TERM="dumb")
    assert (code, "\x1b[3" in text) == (0, False)
    assert on_a_terminal("show", "classifier", COLUMNS="20")[0] == 0


def test_colour_can_be_forced_into_a_pipe(process: Mreg, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLICOLOR_FORCE", "1")
    assert "\x1b[32m" in process("show", "classifier", "--format", "table").out
    assert "\x1b" not in process("show", "classifier").out


def test_a_command_that_destroys_asks_on_a_terminal(process: Mreg) -> None:
    code, text = on_a_terminal("delete", "classifier@2", answer="n\n")
    assert code == 2
    assert "delete classifier@2 for good? [y/N]" in text
    assert "cancelled: nothing changed" in text
    assert "error:" not in text
    assert process("show", "classifier", "-q").out == "classifier@2\nclassifier@1\n"
    code, text = on_a_terminal("delete", "classifier@2", answer="y\n")
    assert code == 0
    assert process("show", "classifier", "-q").out == "classifier@1\n"
    code, text = on_a_terminal("promote", "classifier@1", answer="y\n")
    assert code == 0
    assert "archive classifier@1 and take it out of Production? [y/N]" in text
    assert "classifier@1 is in Archived (was Production)" in text


def test_what_another_process_changed_after_the_question_stays(process: Mreg) -> None:
    code, text = on_a_terminal(
        "promote",
        "classifier@1",
        "--to",
        "none",
        answer="y\n",
        meanwhile=lambda: process("promote", "classifier@2", "--to", "production"),
    )
    assert (code, "move classifier@1 to None and leave Production of classifier empty? [y/N]" in text) == (7, True)
    assert process("show", "classifier@production", "-q").out == "classifier@2\n"
    code, text = on_a_terminal(
        "delete",
        "classifier@2",
        "--force",
        answer="y\n",
        meanwhile=lambda: process("alias", "classifier@2", "champion"),
    )
    assert (code, "delete classifier@2, in use (classifier@2: Production), for good? [y/N]" in text) == (7, True)
    assert process("show", "classifier@champion", "-q").out == "classifier@2\n"


def test_the_bytes_of_a_model_are_not_for_a_terminal() -> None:
    code, text = on_a_terminal("pull", "classifier@1", "--stdout")
    assert code == 2
    assert "the bytes of a model are not for a terminal" in text


def test_a_closed_pipe_ends_it_quietly() -> None:
    for _ in range(5):
        done = subprocess.run(
            ["sh", "-c", '"$0" -m mreg history classifier --json | head -c 1 >/dev/null; exit ${PIPESTATUS:-0}', sys.executable],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert "Traceback" not in done.stderr
        assert "error" not in done.stderr


def test_a_reader_that_went_away_exits_141() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run([*MREG, "list"], stdout=writing, stderr=subprocess.PIPE, check=False)
    os.close(writing)
    assert (done.returncode, done.stderr) == (141, b"")


def test_a_full_or_closed_output_is_told() -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run([*MREG, "list"], stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("error: the result can't be written: No space left on device")
    for redirection in (">&-", ">&- 2>&-", "2>&-", "<&-"):
        words = ["sh", "-c", f'"$0" -m mreg list {redirection}', sys.executable]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        assert "Traceback" not in done.stderr
        assert done.returncode == (1 if ">&-" in redirection.replace("2>&-", "") else 0)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_push_leaves_nothing(number: signal.Signals, code: int, process: Mreg, tmp_path: Path) -> None:
    big = tmp_path / "big.bin"
    with big.open("wb") as stream:
        stream.truncate(3 << 30)
    running = subprocess.Popen([*MREG, "push", str(big), "-n", "classifier"], stderr=subprocess.PIPE, text=True)
    store = Path(os.environ["HOME"]) / ".local/share/mreg/artifacts/tmp"
    deadline = time.monotonic() + 20
    while not list(store.glob("*")) and time.monotonic() < deadline:
        time.sleep(0.01)
    running.send_signal(number)
    assert running.wait(30) == code
    assert running.stderr is not None
    assert "nothing was left half done" in running.stderr.read()
    running.stderr.close()
    assert list(store.iterdir()) == []
    assert process("show", "classifier", "-q").out == "classifier@2\nclassifier@1\n"


def test_a_store_on_a_full_disk_is_told(process: Mreg) -> None:
    script = "import resource, sys, os; resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000)); import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); os.execv(sys.executable, [sys.executable, '-m', 'mreg', *sys.argv[1:]])"
    for size in (1 << 20, 9 << 20):
        Path("big.bin").write_bytes(os.urandom(size))
        done = subprocess.run(
            [sys.executable, "-c", script, "push", "big.bin", "-n", "big"], capture_output=True, text=True, check=False
        )
        assert done.returncode == 8, done.stderr
        assert ": File too large\n  free some space there" in done.stderr
    store = Path(os.environ["HOME"]) / ".local/share/mreg/artifacts"
    assert list((store / "tmp").iterdir()) == []
    assert process("show", "big").code == 4
    Path("big.bin").write_bytes(os.urandom(1 << 20))
    process("push", "big.bin", "-n", "big")
    done = subprocess.run(
        [sys.executable, "-c", script, "pull", "big", "out.bin"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 8
    assert not Path("out.bin").exists()
    assert not list(Path().glob(".out*"))


def test_few_open_files_are_enough(process: Mreg) -> None:
    for number in range(300):
        path = Path(f"folder/{number % 20}/{number}")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(str(number))
    script = 'ulimit -n 64; exec "$0" -m mreg push folder -n many'
    done = subprocess.run(["sh", "-c", script, sys.executable], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert process("pull", "many", "back").code == 0


def test_a_working_folder_that_was_deleted_does_no_harm(tmp_path: Path) -> None:
    script = 'mkdir gone && cd gone && rmdir ../gone && exec "$0" -m mreg list'
    done = subprocess.run(
        ["sh", "-c", script, sys.executable], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr


def test_without_a_home_it_is_told() -> None:
    environment = {key: value for key, value in os.environ.items() if key not in ("HOME", "MREG_USER")}
    environment["HOME"] = ""
    done = subprocess.run([*MREG, "list"], capture_output=True, text=True, check=False, env=environment)
    assert "Traceback" not in done.stderr
    assert done.returncode in (0, 8)


def test_long_work_is_told_line_by_line_where_there_is_no_terminal(capfd: pytest.CaptureFixture[str]) -> None:
    from mreg.cli import progress

    bar = progress.ShownProgress("push", quiet=False, terminal=False)
    bar.started -= 20
    bar.next_line -= 20
    bar(50_000_000, 200_000_000)
    assert re.fullmatch(r"push: 25 %, 50 MB of 200 MB, [\d.]+ MB/s, \d+ s left\n", capfd.readouterr().err)
    bar(60_000_000, 200_000_000)
    assert capfd.readouterr().err == ""


def test_a_bar_appears_on_a_terminal_for_long_work(tmp_path: Path) -> None:
    script = (
        "import sys, time\nfrom mreg.cli.output import Output\n"
        "with Output('plain').progress('push') as told:\n"
        "    told(1, 4); time.sleep(1.1); told(2_000_000, 4_000_000); time.sleep(0.3); told(3_000_000, 4_000_000)\n"
    )
    child, terminal = pty.fork()
    if child == 0:
        os.execv(sys.executable, [sys.executable, "-c", script])
    text = b""
    while True:
        try:
            data = os.read(terminal, 65536)
        except OSError:
            break
        if not data:
            break
        text += data
    os.waitpid(child, 0)
    os.close(terminal)
    assert "push" in text.decode()
    assert "MB" in text.decode()
