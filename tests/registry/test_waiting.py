"""Waiting until a reference names another version."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import mreg
from mreg.cli.arguments import seconds
from mreg.registry.local import LocalRegistry
from tests.conftest import Mreg, local_registry
from tests.places import NewCatalog, new_catalog
from tests.proxy import Proxy

__all__ = ["new_catalog"]

FAST = 0.001


@pytest.fixture
def notes() -> list[str]:
    return []


@pytest.fixture
def registry(tmp_path: Path, notes: list[str]) -> Iterator[LocalRegistry]:
    """``churn@1`` in Production and ``churn@2``."""
    with local_registry(catalog=str(tmp_path / "catalog.db"), notice=notes.append) as opened:
        fill(opened, tmp_path)
        notes.clear()
        yield opened


def fill(opened: mreg.Registry, folder: Path) -> None:
    for number in (1, 2):
        (folder / "model.pkl").write_text(f"model {number}")
        opened.push(folder / "model.pkl", name="churn")
    opened.promote("churn@1", to="production")


def acting(act: Callable[[], object], notes: list[str]) -> Callable[[str], None]:
    """A receiver of notices that acts at the first one: the wait has read the catalog by then."""

    def notice(text: str) -> None:
        notes.append(text)
        if len(notes) == 1:
            act()

    return notice


def test_a_promotion_ends_the_wait_on_every_catalog(new_catalog: NewCatalog, tmp_path: Path) -> None:
    place, notes = new_catalog(), list[str]()
    with local_registry(catalog=place, artifacts=str(tmp_path / "artifacts")) as writer:
        fill(writer, tmp_path)
        act = acting(lambda: writer.promote("churn@2", to="production"), notes)
        with local_registry(catalog=place, artifacts=str(tmp_path / "artifacts"), notice=act) as waiter:
            found = waiter.wait("churn@production", changed_from=1, timeout=60, interval=FAST)
    assert (found.version, found.stage.value) == (2, "Production")
    assert notes == ["waiting: churn@production is churn@1"]


@pytest.mark.parametrize(
    ("reference", "before"), [("churn@production", None), ("churn@production", 2), ("churn", 1), ("churn@2", None)]
)
def test_another_version_ends_the_wait_at_once(
    registry: LocalRegistry, reference: str, before: int | None, notes: list[str]
) -> None:
    assert registry.wait(reference, changed_from=before).reference == registry.version(reference).reference
    assert notes == []


@pytest.mark.parametrize("reference", ["churn@staging", "churn@champion", "churn@9", "churn@production~1"])
def test_a_stage_without_a_version_is_waited_for(registry: LocalRegistry, reference: str, notes: list[str]) -> None:
    with pytest.raises(mreg.Unchanged, match=r"^nothing changed in 0.01 seconds: "):
        registry.wait(reference, timeout=0.01, interval=FAST)
    assert len(notes) == 1
    assert notes[0].startswith("waiting: ")


def test_an_alias_that_is_set_later_ends_the_wait(registry: LocalRegistry, tmp_path: Path) -> None:
    notes: list[str] = []
    act = acting(lambda: registry.set_alias("churn@2", "champion"), notes)
    with local_registry(catalog=str(tmp_path / "catalog.db"), notice=act) as waiter:
        assert waiter.wait("churn@champion", timeout=60, interval=FAST).version == 2


def test_an_unknown_or_deleted_model_is_not_waited_for(registry: LocalRegistry, tmp_path: Path) -> None:
    with pytest.raises(mreg.NotFound):
        registry.wait("nobody@production")
    notes: list[str] = []
    act = acting(lambda: registry.delete("churn", force=True), notes)
    with local_registry(catalog=str(tmp_path / "catalog.db"), notice=act) as waiter, pytest.raises(mreg.NotFound):
        waiter.wait("churn@production", changed_from=1, timeout=60, interval=FAST)


def test_a_catalog_that_is_gone_for_a_while_is_read_again(
    registry: LocalRegistry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The folder is renamed while the wait runs, and comes back with the new version."""
    registry.close()
    with local_registry(catalog=str(tmp_path / "catalog.db")) as other:
        folder, away, notes = tmp_path / "here", tmp_path / "away", list[str]()
        folder.mkdir()
        other.backup(folder / "catalog.db")

    def notice(text: str) -> None:
        notes.append(text)
        if text.startswith("waiting:"):
            waiter.close()
            folder.rename(away)
        elif "retrying" in text:
            away.rename(folder)
            with local_registry(catalog=str(folder / "catalog.db")) as changed:
                changed.set_alias("churn@2", "champion")

    with local_registry(catalog=str(folder / "catalog.db"), notice=notice) as waiter:
        assert waiter.wait("churn@champion", timeout=60, interval=FAST).version == 2
    assert [note.partition(":")[0] for note in notes] == [
        "waiting",
        notes[1].partition(":")[0],
        "the catalog can be read again",
    ]
    assert notes[1].endswith("; retrying every 0.001 seconds")


def test_an_unreachable_catalog_at_the_end_is_the_error(registry: LocalRegistry, tmp_path: Path) -> None:
    registry.close()

    def notice(text: str) -> None:
        if text.startswith("waiting:"):
            waiter.close()
            (tmp_path / "catalog.db").unlink()
            tmp_path.joinpath("catalog.db").mkdir()

    with (
        local_registry(catalog=str(tmp_path / "catalog.db"), notice=notice) as waiter,
        pytest.raises((mreg.Unavailable, mreg.Corrupt)),
    ):
        waiter.wait("churn@staging", timeout=0.05, interval=FAST)


def test_a_catalog_that_is_unreachable_from_the_start_is_an_error(tmp_path: Path) -> None:
    with local_registry(catalog=str(tmp_path / "nowhere/catalog.db")) as opened, pytest.raises(mreg.Unavailable):
        opened.wait("churn@production")


def test_a_bucket_is_polled_by_conditional_requests_without_a_body(
    proxy: Proxy, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("MREG_CATALOG", os.environ["MREG_ARTIFACTS"] + "/catalog.db")
    with local_registry() as opened:
        fill(opened, tmp_path)
        opened.version("churn@1")
        proxy.requests.clear()
        with pytest.raises(mreg.Unchanged):
            opened.wait("churn@production", changed_from=1, timeout=0.2, interval=0.05)
    assert proxy.requests
    assert {request.split()[0] for request in map(str, proxy.requests)} <= {"GET", "HEAD"}


# Bad input


@pytest.mark.parametrize("value", [0, -1, 0.0, -0.5, math.nan, math.inf, 1e12])
@pytest.mark.parametrize("name", ["timeout", "interval"])
def test_a_time_that_is_none_is_refused(registry: LocalRegistry, name: str, value: float) -> None:
    with pytest.raises(mreg.BadInput, match=f"invalid {name}"):
        registry.wait("churn@production", changed_from=1, **{name: value})


@given(st.text(max_size=12) | st.floats().map(str) | st.integers().map(str))
def test_a_time_on_the_command_line_is_above_0_or_refused(word: str) -> None:
    try:
        found = seconds("--timeout", word)
    except mreg.BadInput:
        return
    assert 0 < found < 1e12


@pytest.mark.parametrize(
    ("words", "code", "err"),
    [
        (["churn@production", "--changed-from", "1", "--timeout", "0.01", "--interval", "0.001"], 9, "nothing changed in 0.01 seconds: churn@production is churn@1"),
        (["churn@production", "--changed-from", "churn@1", "--timeout", "0.01"], 9, "nothing changed"),
        (["churn@production", "--changed-from", "v1", "--timeout", "0.01"], 9, "nothing changed"),
        (["nobody@production"], 4, "not found"),
        (["churn@production", "--timeout", "0"], 2, "above 0"),
        (["churn@production", "--timeout", "-1"], 2, "above 0"),
        (["churn@production", "--timeout", "nan"], 2, "above 0"),
        (["churn@production", "--interval", "0"], 2, "above 0"),
        (["churn@production", "--changed-from", "production"], 2, "invalid version number"),
        (["churn@production", "--changed-from", "0"], 2, ""),
        (["churn@1", "--changed-from", "1"], 2, "always names"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)  # fmt: skip
def test_a_mistake_and_the_timeout_have_their_exit_codes(command: Mreg, words: list[str], code: int, err: str) -> None:
    Path("model.pkl").write_text("one")
    command("push", "model.pkl", "-n", "churn")
    command("promote", "churn@1", "--to", "production")
    done = command("wait", *words)
    assert (done.code, done.out) == (code, "")
    assert "error: " in done.err
    assert err in done.err


def test_the_command_prints_the_new_version(command: Mreg) -> None:
    Path("model.pkl").write_text("one")
    command("push", "model.pkl", "-n", "churn")
    assert command("wait", "churn").out == "churn@1\n"
    assert command("wait", "churn", "-q").out == "churn@1\n"
    assert json.loads(command("wait", "churn", "--json").out)["version"] == 1
    assert command("wait", "churn", "--format", "md").code == 0


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_the_wait(command: Mreg, number: int, code: int) -> None:
    Path("model.pkl").write_text("one")
    command("push", "model.pkl", "-n", "churn")
    process = subprocess.Popen(
        [sys.executable, "-m", "mreg", "wait", "churn", "--changed-from", "1"], stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    assert process.stderr.readline() == "waiting: churn is churn@1\n"
    process.send_signal(number)
    rest = process.communicate(timeout=30)[1]
    assert process.returncode == code
    assert "nothing was left half done" in rest
