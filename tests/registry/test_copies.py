"""Verification of pulled copies, and pulls that say whether anything changed."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

import mreg
from mreg.registry.local import LocalRegistry
from tests.conftest import Mreg, local_registry
from tests.hostile import untouched
from tests.registry.test_forced_pulls import fill

NET = {"config.json": "{}", "sub/weights.bin": "one", "run.sh": "#!/bin/sh"}


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[LocalRegistry]:
    """A file as ``churn@1``, and a folder as ``net@1`` and ``net@2``."""
    with local_registry(catalog=str(tmp_path / "catalog.db")) as opened:
        (tmp_path / "model.pkl").write_text("model")
        opened.push(tmp_path / "model.pkl", name="churn")
        for number in (1, 2):
            fill(tmp_path / "net", {**NET, "number": str(number)})
            (tmp_path / "net/run.sh").chmod(0o755)
            (tmp_path / "net/logs").mkdir(exist_ok=True)
            opened.push(tmp_path / "net", name="net")
        opened.pull("net@2", "copy")
        opened.pull("churn@1", "model.pkl")
        yield opened


def states(found: mreg.CopyVerification) -> dict[str, str]:
    return {problem.path: problem.state for problem in found.problems}


def test_an_intact_copy_has_no_problems_and_is_not_changed(registry: LocalRegistry) -> None:
    with untouched(Path.cwd()):
        found = registry.verify_copy("copy", "net@2")
        assert (found.problems, found.files, found.path) == ((), 4, os.path.abspath("copy"))
        assert registry.verify_copy("model.pkl", "churn").problems == ()
        assert registry.verify_copy(".", "churn@1").problems == ()
        assert registry.verify_copy(registry.path("net@2"), "net@2").problems == ()


@pytest.mark.parametrize(
    ("damage", "wanted"),
    [
        (lambda copy: (copy / "config.json").unlink(), {"config.json": "missing"}),
        (lambda copy: (copy / "config.json").write_text("{{"), {"config.json": "changed"}),
        (lambda copy: (copy / "config.json").write_text("longer"), {"config.json": "changed"}),
        (lambda copy: (copy / "run.sh").chmod(0o644), {"run.sh": "changed"}),
        (lambda copy: (copy / "config.json").chmod(0o755), {"config.json": "changed"}),
        (lambda copy: (copy / "sub/more.txt").write_text("x"), {"sub/more.txt": "extra"}),
        (lambda copy: (copy / "empty").mkdir(), {"empty/": "extra"}),
        (lambda copy: fill(copy / "new", {"a": "1"}), {"new/a": "extra"}),
        (lambda copy: (copy / "logs").rmdir(), {"logs/": "missing"}),
        (lambda copy: ((copy / "logs").rmdir(), (copy / "logs").write_text("")), {"logs": "extra", "logs/": "changed"}),
        (lambda copy: ((copy / "config.json").unlink(), (copy / "config.json").symlink_to("number")), {"config.json": "changed"}),
        (lambda copy: ((copy / "config.json").unlink(), os.mkfifo(copy / "config.json")), {"config.json": "changed"}),
        (lambda copy: ((copy / "config.json").unlink(), (copy / "config.json").mkdir()), {"config.json": "changed", "config.json/": "extra"}),
        (lambda copy: os.mkfifo(copy / "pipe"), {"pipe": "extra"}),
        (lambda copy: (copy / "link").symlink_to("/"), {"link": "extra"}),
        (lambda copy: ((copy / "sub").rename(copy / "other"), (copy / "sub").symlink_to("other")), {"sub/weights.bin": "missing", "sub": "extra", "other/weights.bin": "extra"}),
    ],
)  # fmt: skip
def test_what_differs_is_named(registry: LocalRegistry, damage: object, wanted: dict[str, str]) -> None:
    damage(Path("copy"))  # type: ignore[operator]
    assert states(registry.verify_copy("copy", "net@2")) == wanted


def test_another_version_differs(registry: LocalRegistry) -> None:
    (problem,) = registry.verify_copy("copy", "net@1").problems
    assert (problem.path, problem.state, problem.reason) == ("number", "changed", "its SHA-256 differs")


def test_patterns_leave_files_out(registry: LocalRegistry) -> None:
    Path("copy/more.log").write_text("x")
    Path("copy/config.json").unlink()
    assert states(registry.verify_copy("copy", "net@2", exclude=["*.log"])) == {"config.json": "missing"}
    assert registry.verify_copy("copy", "net@2", include=["number", "run.sh"]).files == 2
    assert states(registry.verify_copy("copy", "net@2", include=["number", "run.sh"])) == {}
    with pytest.raises(mreg.NotFound):
        registry.verify_copy("copy", "net@2", include=["nothing"])


@pytest.mark.parametrize(
    ("damage", "state"),
    [
        (lambda: Path("model.pkl").write_text("other"), "changed"),
        (lambda: (Path("model.pkl").unlink(), os.mkfifo("model.pkl")), "changed"),
        (lambda: (Path("model.pkl").unlink(), Path("model.pkl").symlink_to("copy/number")), "changed"),
        (lambda: Path("model.pkl").unlink(), "missing"),
    ],
)
def test_a_file_in_a_folder_is_compared_alone(registry: LocalRegistry, damage: object, state: str) -> None:
    damage()  # type: ignore[operator]
    assert states(registry.verify_copy(".", "churn@1")) == {"model.pkl": state}


@pytest.mark.parametrize(
    ("path", "reference", "error"),
    [
        ("nowhere", "net@1", mreg.NotFound), ("model.pkl/x", "net@1", mreg.NotFound), ("copy", "nobody", mreg.NotFound),
        ("copy", "net@9", mreg.NotFound), ("model.pkl", "net@2", mreg.BadInput), ("link", "net@2", mreg.BadInput),
        ("file-link", "churn@1", mreg.BadInput), ("dangling", "net@2", mreg.BadInput), ("a\0b", "net@2", mreg.NotFound),
        ("pipe", "net@2", mreg.BadInput),
    ],
)  # fmt: skip
def test_a_path_that_is_missing_or_a_link_is_refused(
    registry: LocalRegistry, path: str, reference: str, error: type[mreg.MregError]
) -> None:
    for name, target in (("link", "copy"), ("file-link", "model.pkl"), ("dangling", "nowhere")):
        Path(name).symlink_to(target)
    os.mkfifo("pipe")
    with pytest.raises(error):
        registry.verify_copy(path, reference)


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["net@2", "--path", "copy"], 0), (["--path", "copy", "net", "2"], 0), (["--path", "copy", "net@1"], 6),
        (["--path", "copy", "net@2", "--exclude", "*.log"], 0), (["--path", "nowhere", "net@2"], 4),
        (["--path", "copy", "net@2", "--all"], 2), (["--path", "copy", "net@2", "--sample", "5%"], 2),
        (["net@2", "--exclude", "x"], 2), (["--path", "copy"], 2), (["--path", "copy", "net@9"], 4),
    ],
)  # fmt: skip
@pytest.mark.parametrize("form", ["plain", "json", "table", "md", "csv"])
def test_the_command_has_exit_codes(
    registry: LocalRegistry,
    command: Mreg,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    words: list[str],
    code: int,
    form: str,
) -> None:
    monkeypatch.setenv("MREG_CATALOG", str(tmp_path / "catalog.db"))
    done = command("verify", *words, "--format", form)
    assert done.code == code, done.err
    if code == 6:
        assert "differs from net@1: 1 changed ('number')" in done.err
        assert "number" in done.out
        if form == "json":
            assert json.loads(done.err)["details"] == {"files": ["number"]}


def test_names_of_the_copy_reach_the_terminal_as_text(
    registry: LocalRegistry, command: Mreg, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MREG_CATALOG", str(tmp_path / "catalog.db"))
    Path("copy/\x1b[31mred\n").write_text("x")
    for form in ("table", "plain", "md", "json", "csv"):
        done = command("verify", "--path", "copy", "net@2", "--format", form)
        assert done.code == 6
        assert "\x1b" not in done.out + done.err


# Pulls that say whether anything changed


def pulls(command: Mreg, *words: str) -> int:
    return command("pull", *words, "--if-changed").code


def test_a_pull_of_what_is_there_exits_with_9(
    registry: LocalRegistry, command: Mreg, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MREG_CATALOG", str(tmp_path / "catalog.db"))
    assert [pulls(command, "churn@1", "new.pkl"), pulls(command, "churn@1", "new.pkl")] == [0, 9]
    assert [pulls(command, "churn@1", "models/"), pulls(command, "churn@1", "models/")] == [0, 9]
    assert [pulls(command, "net@1", "new"), pulls(command, "net@1", "new")] == [0, 9]
    assert pulls(command, "net@2", "new") == 7
    assert pulls(command, "net@2", "new", "--force") == 0
    assert [pulls(command, "net@2", "new", "--force"), pulls(command, "net@2", "new")] == [9, 9]


def test_the_content_decides_and_not_the_last_pull(
    registry: LocalRegistry, command: Mreg, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MREG_CATALOG", str(tmp_path / "catalog.db"))
    Path("copy/number").write_text("changed")
    assert pulls(command, "net@2", "copy", "--force") == 0
    Path("model.pkl").write_text("changed")
    assert pulls(command, "churn@1", "model.pkl", "--force") == 0
    assert pulls(command, "churn@1", "model.pkl", "--force") == 9


def test_other_files_in_the_folder_are_no_change(
    registry: LocalRegistry, command: Mreg, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MREG_CATALOG", str(tmp_path / "catalog.db"))
    Path("copy/mine.log").write_text("x")
    done = command("pull", "net@2", "copy", "--force", "--if-changed", "--json")
    assert done.code == 9
    parsed = json.loads(done.out)
    assert (parsed["unchanged"], parsed["other_files"]) == (True, True)
    assert Path("copy/mine.log").exists()


def test_a_file_of_an_earlier_pull_that_must_go_is_a_change(registry: LocalRegistry, tmp_path: Path) -> None:
    fill(tmp_path / "net", {"old.txt": "old"})
    registry.push(tmp_path / "net", name="net")
    registry.pull("net@3", "copy", force=True)
    assert not registry.pull("net@2", "copy", force=True).unchanged
    assert not Path("copy/old.txt").exists()


def test_patterns_and_dry_runs_combine_with_it(
    registry: LocalRegistry, command: Mreg, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MREG_CATALOG", str(tmp_path / "catalog.db"))
    with untouched(Path.cwd()):
        assert pulls(command, "net@2", "copy", "--dry-run") == 9
        assert pulls(command, "net@1", "copy", "--dry-run", "--force") == 0
        assert pulls(command, "net@1", "copy", "--dry-run", "--force", "--include", "config.json") == 9
        assert pulls(command, "net@2", "new", "--dry-run") == 0
        assert pulls(command, "net@1", "copy", "--include", "config.json") == 9
        assert pulls(command, "churn@1", "--stdout") == 2
    assert pulls(command, "net@2", "part", "--include", "config.json") == 0
    assert pulls(command, "net@2", "part", "--include", "config.json") == 9
    assert pulls(command, "net@2", "part") == 0
