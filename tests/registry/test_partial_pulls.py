"""Pulls of some files of a folder, dry runs, parent folders, and the list of the files of a version."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import mreg
from mreg.artifacts.local import LocalBackend
from mreg.artifacts.records import PullRecords
from tests.conftest import Mreg
from tests.hostile import untouched
from tests.registry.test_forced_pulls import files_in, fill

V1 = {"config.json": "{}", "sub/weights.bin": "one", "sub/notes.txt": "n", "old.txt": "old"}
V2 = {"config.json": '{"v": 2}', "sub/weights.bin": "two", "sub/notes.txt": "n", "new.txt": "new"}


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[mreg.Registry]:
    """A registry with two versions of a folder, ``fo@1`` and ``fo@2``, and a file, ``fi@1``."""
    with mreg.open_registry(catalog=str(tmp_path / "catalog.db")) as opened:
        for number, files in enumerate((V1, V2)):
            fill(tmp_path / f"v{number}" / "net", files)
            (tmp_path / f"v{number}" / "net" / "logs").mkdir()
            opened.push(str(tmp_path / f"v{number}" / "net"), name="fo")
        (tmp_path / "m.pkl").write_text("file")
        opened.push(tmp_path / "m.pkl", name="fi")
        yield opened


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The keys of the blobs that are read, but not of manifests."""
    found: list[str] = []
    open_blob = LocalBackend.open

    def opened(self: LocalBackend, key: str, *more: Any) -> Any:
        stream = open_blob(self, key, *more)
        if not stream.read(1 << 16).startswith(b'{"files"'):
            found.append(key)
        stream.close()
        return open_blob(self, key, *more)

    monkeypatch.setattr(LocalBackend, "open", opened)
    return found


def states(pulled: Any) -> dict[str, str]:
    return {file.path: file.state for file in pulled.files}


# Parent folders, and a slash at the end


@pytest.mark.parametrize("destination", ["models/", "models/churn/", "models/.", "a/b/c/", "./models/../models/"])
def test_a_slash_at_the_end_means_a_folder_which_is_created(registry: mreg.Registry, destination: str) -> None:
    pulled = registry.pull("fi@1", destination)
    assert pulled.destination == Path(os.path.abspath(destination), "m.pkl")
    assert pulled.destination.read_text() == "file"
    assert registry.pull("fi@1", destination).unchanged


def test_missing_parents_of_a_file_and_of_a_folder_are_created(registry: mreg.Registry) -> None:
    assert registry.pull("fi@1", "x/y/z.pkl").destination.read_text() == "file"
    assert files_in(registry.pull("fo@1", "p/q/").destination) == V1
    assert Path("p/q/logs").is_dir()
    assert files_in(registry.pull("fo@1", "r/s").destination) == V1


def test_an_existing_folder_and_a_dot_are_folders_as_before(registry: mreg.Registry) -> None:
    Path("there").mkdir()
    for destination, wanted in (("there", "there/m.pkl"), ("./", "m.pkl")):
        assert registry.pull("fi@1", destination).destination == Path(wanted).absolute()


def test_a_pull_that_fails_removes_the_parents_that_it_created(registry: mreg.Registry, tmp_path: Path) -> None:
    for path in (tmp_path / "artifacts/blobs").rglob("*"):
        if path.is_file():
            path.chmod(0o644)
            path.write_bytes(path.read_bytes()[:-1] + b"?")
    Path("kept").mkdir()
    for reference in ("fi@1", "fo@1"):
        with untouched(os.getcwd()), pytest.raises(mreg.Corrupt):
            registry.pull(reference, "kept/a/b/c")


def test_a_parent_that_is_not_a_folder_is_named(registry: mreg.Registry) -> None:
    Path("file").write_text("mine")
    os.symlink("nowhere", "link")
    for destination in ("file/x/y", "file/", "link/x/y", "link/"):
        with untouched(os.getcwd()), pytest.raises(mreg.BadInput) as caught:
            registry.pull("fi@1", destination)
        first = Path(destination.split("/")[0]).absolute()
        assert caught.value.message == f"'{first}' is not a folder"
        assert caught.value.hint == "name another destination"


# Patterns


def test_one_file_keeps_its_path_and_only_its_bytes_are_read(registry: mreg.Registry, reads: list[str]) -> None:
    pulled = registry.pull("fo@1", include=["config.json"])
    assert pulled.destination == Path("net").absolute()
    assert files_in("net") == {"config.json": "{}"}
    assert not Path("net/logs").exists()
    assert states(pulled) == {"config.json": "new"}
    assert len(reads) == 1
    registry.pull("fo@1", "elsewhere", include=["weights.bin"])
    assert files_in("elsewhere") == {"sub/weights.bin": "one"}


@pytest.mark.parametrize(
    ("include", "exclude", "wanted"),
    [
        (["*.txt"], [], {"sub/notes.txt", "old.txt"}),
        (["/*.txt"], [], {"old.txt"}),
        (["sub/"], [], {"sub/weights.bin", "sub/notes.txt"}),
        (["sub/**"], ["*.bin"], {"sub/notes.txt"}),
        ([], ["sub"], {"config.json", "old.txt"}),
        ([], ["*", "!config.json"], {"config.json"}),
        (["*.json", "*.bin"], [], {"config.json", "sub/weights.bin"}),
    ],
)
def test_patterns_have_the_syntax_of_gitignore(
    registry: mreg.Registry, include: list[str], exclude: list[str], wanted: set[str]
) -> None:
    assert {file.path for file in registry.files("fo@1", include=include, exclude=exclude)} == wanted
    registry.pull("fo@1", "out", include=include, exclude=exclude)
    assert files_in("out").keys() == wanted


def test_an_empty_folder_is_selected_like_a_file(registry: mreg.Registry) -> None:
    registry.pull("fo@1", "a", exclude=["sub"])
    assert Path("a/logs").is_dir()
    registry.pull("fo@1", "b", include=["logs/"])
    assert [path.name for path in Path("b").iterdir()] == ["logs"]


def test_patterns_apply_to_a_version_that_is_a_file(registry: mreg.Registry) -> None:
    assert registry.pull("fi@1", include=["*.pkl"]).destination == Path("m.pkl").absolute()
    with pytest.raises(mreg.NotFound, match=r"no file of fi@1 matches '\*.bin'; its files are 'm.pkl'"):
        registry.pull("fi@1", "other", include=["*.bin"])


@pytest.mark.parametrize(
    ("include", "exclude", "message"),
    [
        (["confg.json"], [], "no file of fo@1 matches 'confg.json'; the closest files are 'config.json', ..."),
        (["*.jsn"], [], "no file of fo@1 matches '*.jsn'; the closest files are 'config.json', ..."),
        (["config.json", "weight.bin"], [],
         "no file of fo@1 matches 'weight.bin'; the closest files are 'sub/weights.bin', ..."),
        (["a\x1b"], [], "no file of fo@1 matches 'a\\x1b'; its files are 'config.json', 'old.txt', "
         "'sub/notes.txt', 'sub/weights.bin', 'logs/'"),
        ([], ["*"], "the patterns leave out all files of fo@1; its files are 'config.json', 'old.txt', "
         "'sub/notes.txt', 'sub/weights.bin', 'logs/'"),
    ],
)  # fmt: skip
def test_a_pattern_that_selects_nothing_is_an_error(
    registry: mreg.Registry, include: list[str], exclude: list[str], message: str
) -> None:
    with untouched(os.getcwd()), pytest.raises(mreg.NotFound) as caught:
        registry.pull("fo@1", "a/b", include=include, exclude=exclude)
    assert caught.value.message == message
    assert caught.value.hint == "list the files: mreg files fo@1"


@pytest.mark.parametrize("pattern", ["", "# comment", "!x", "x" * 2000, "[", "a**b/***/c", "\\"])
def test_bad_patterns_are_errors_and_change_nothing(registry: mreg.Registry, pattern: str) -> None:
    with untouched(os.getcwd()), pytest.raises((mreg.BadInput, mreg.NotFound)):
        registry.pull("fo@1", include=[pattern])
    with pytest.raises((mreg.BadInput, mreg.NotFound)):
        registry.files("fo@1", include=[pattern])


# After another pull


def test_a_partial_pull_is_completed_by_further_pulls_without_force(registry: mreg.Registry, reads: list[str]) -> None:
    registry.pull("fo@1", include=["config.json"])
    assert states(registry.pull("fo@1", include=["*.json", "*.bin"])) == {
        "config.json": "unchanged", "sub/weights.bin": "new",
    }  # fmt: skip
    reads.clear()
    pulled = registry.pull("fo@1")
    assert (pulled.unchanged, files_in("net")) == (False, V1)
    assert len(reads) == 2  # the two that were missing
    assert registry.pull("fo@1").unchanged
    assert registry.pull("fo@1", include=["config.json"]).unchanged


def test_a_full_pull_after_partial_ones_replaces_what_they_brought(registry: mreg.Registry) -> None:
    registry.pull("fo@1", include=["config.json", "old.txt"])
    Path("net/mine").write_text("mine")
    with pytest.raises(mreg.AlreadyExists):
        registry.pull("fo@2", "net")
    registry.pull("fo@2", "net", force=True)
    assert files_in("net") == V2 | {"mine": "mine"}


def test_a_partial_pull_with_force_removes_nothing(registry: mreg.Registry) -> None:
    registry.pull("fo@1")
    Path("net/mine").write_text("mine")
    pulled = registry.pull("fo@2", "net", include=["config.json", "new.txt"], force=True)
    assert states(pulled) == {"config.json": "replaced", "new.txt": "new"}
    assert files_in("net") == V1 | {"config.json": V2["config.json"], "new.txt": "new", "mine": "mine"}
    assert Path("net/logs").is_dir()
    registry.pull("fo@2", "net", force=True)  # both pulls are in the record
    assert files_in("net") == V2 | {"mine": "mine"}


def test_a_partial_pull_with_force_of_the_same_version_changes_nothing(registry: mreg.Registry) -> None:
    registry.pull("fo@1")
    with untouched(os.getcwd()):
        assert registry.pull("fo@1", include=["config.json"], force=True).unchanged


def test_a_partial_pull_without_force_replaces_and_mixes_nothing(registry: mreg.Registry) -> None:
    registry.pull("fo@1", include=["config.json"])
    net = Path("net").absolute()
    with untouched(os.getcwd()), pytest.raises(mreg.AlreadyExists) as caught:
        registry.pull("fo@2", include=["*.json"])
    assert caught.value.message == f"files in '{net}' have other content: 'config.json'"
    assert caught.value.hint == "add --force to replace them, or name another destination"
    with untouched(os.getcwd()), pytest.raises(mreg.AlreadyExists) as caught:
        registry.pull("fo@2", include=["*.bin"])
    assert caught.value.message == f"'{net}' has files of another version: 'config.json'"


def test_files_of_the_user_are_never_removed_later(registry: mreg.Registry) -> None:
    fill("net", {"old.txt": "old", "other": "x"})  # the same bytes, but not from a pull
    registry.pull("fo@1", "net", include=["old.txt", "config.json"])
    registry.pull("fo@2", "net", force=True)
    assert files_in("net") == V2 | {"old.txt": "old", "other": "x"}


def test_a_changed_file_of_a_partial_pull_is_kept(registry: mreg.Registry) -> None:
    registry.pull("fo@1", include=["old.txt"])
    Path("net/old.txt").write_text("changed")
    with untouched(os.getcwd()), pytest.raises(mreg.AlreadyExists):
        registry.pull("fo@2", "net", force=True)
    with untouched(os.getcwd()), pytest.raises(mreg.AlreadyExists):
        registry.pull("fo@1", "net")


def test_links_and_folders_in_the_place_of_files_are_refused(registry: mreg.Registry) -> None:
    fill("away", {"weights.bin": "one"})
    Path("net/config.json").mkdir(parents=True)
    os.symlink("../away", "net/sub")
    for include in (["config.json"], ["*.bin"]):
        for force in (True, False):
            with untouched(os.getcwd()), pytest.raises(mreg.AlreadyExists):
                registry.pull("fo@1", "net", include=include, force=force)


@pytest.mark.parametrize("force", [True, False])
def test_a_selection_is_never_added_to_a_folder_of_the_user(registry: mreg.Registry, force: bool) -> None:
    fill(".", {".git/HEAD": "ref", "train.py": "x"})
    kind: type[mreg.MregError] = mreg.BadInput if force else mreg.AlreadyExists
    with untouched(os.getcwd()), pytest.raises(kind, match="is the current folder"):
        registry.pull("fo@1", ".", include=["config.json"], force=force)


def test_a_failed_partial_pull_leaves_the_folder_and_its_record(
    registry: mreg.Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mreg.artifacts.replacing import Merge

    registry.pull("fo@1")
    put, count = Merge._put, []

    def failing(self: Merge, path: str, seen: Any) -> None:
        count.append(path)
        if len(count) == 2:
            raise OSError(28, "No space left on device")
        put(self, path, seen)

    monkeypatch.setattr(Merge, "_put", failing)
    inode = os.stat("net").st_ino
    records = PullRecords(str(Path.home() / ".local/share/mreg/pulls"))
    before = records.find(os.path.abspath("net"), inode)
    with untouched("net"), pytest.raises(mreg.Unavailable):
        registry.pull("fo@2", "net", include=["config.json", "new.txt"], force=True)
    assert records.find(os.path.abspath("net"), inode) == before
    assert len(before.files) == len(V1)


def test_a_damaged_file_that_is_not_selected_does_not_matter(registry: mreg.Registry, tmp_path: Path) -> None:
    weights = next(file for file in registry.files("fo@1") if file.path.endswith(".bin"))
    blob = tmp_path / "artifacts/blobs/sha256" / weights.digest.value[:2] / weights.digest.value[2:]
    blob.chmod(0o644)
    blob.write_text("bad")
    registry.pull("fo@1", include=["config.json"])
    with untouched("net"), pytest.raises(mreg.Corrupt):
        registry.pull("fo@1", include=["sub"])


# Dry runs


def test_a_dry_run_writes_nothing_and_names_each_state(registry: mreg.Registry, reads: list[str]) -> None:
    with untouched(os.getcwd(), Path.home()):
        planned = registry.pull("fo@1", "a/b/", dry_run=True)
        assert registry.pull("fi@1", "c/", dry_run=True).destination == Path("c/m.pkl").absolute()
    assert reads == []
    assert (planned.dry_run, planned.unchanged) == (True, False)
    assert states(planned) == dict.fromkeys([*sorted(V1), "logs/"], "new")
    assert [file.size_bytes for file in planned.files] == [2, 3, 1, 3, 0]
    registry.pull("fo@1", "net")
    with untouched(os.getcwd(), Path.home()):
        assert set(states(registry.pull("fo@1", "net", dry_run=True)).values()) == {"unchanged"}
        forced = registry.pull("fo@2", "net", force=True, dry_run=True)
    assert states(forced) == {
        "config.json": "replaced", "new.txt": "new", "sub/notes.txt": "replaced", "sub/weights.bin": "replaced",
        "logs/": "new", "old.txt": "removed",
    }  # fmt: skip


def test_a_dry_run_is_refused_as_the_pull_is(registry: mreg.Registry) -> None:
    registry.pull("fo@1", "net")
    Path("m.pkl").write_text("mine")
    for reference, destination, options in (
        ("fo@2", "net", {}),
        ("fo@2", "net", {"include": ["*.json"]}),
        ("fi@1", None, {}),
        ("fo@1", ".", {"force": True}),
    ):
        errors = []
        for dry_run in (True, False):
            with untouched(os.getcwd()), pytest.raises(mreg.MregError) as caught:
                registry.pull(reference, destination, dry_run=dry_run, **options)
            errors.append((type(caught.value), caught.value.message))
        assert errors[0] == errors[1]


# The list of files, and streams


def test_the_files_of_a_version_are_listed(registry: mreg.Registry) -> None:
    files = registry.files("fo@1")
    assert [(file.path, file.size_bytes) for file in files] == [(path, len(V1[path])) for path in sorted(V1)]
    assert [file.path for file in registry.files("fi")] == ["m.pkl"]
    with pytest.raises(mreg.NotFound):
        registry.files("fo@9")


def test_one_file_of_a_folder_is_streamed(registry: mreg.Registry) -> None:
    stream = io.BytesIO()
    registry.stream("fo@1", stream, include=["*.bin"])
    assert stream.getvalue() == b"one"
    for options in ({}, {"include": ["*.txt"]}, {"exclude": ["sub"]}):
        with pytest.raises(mreg.BadInput, match="cannot stream"):
            registry.stream("fo@1", stream, **options)
    assert stream.getvalue() == b"one"


@pytest.mark.usefixtures("registry")
def test_the_commands_list_and_pull_files(command: Mreg, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MREG_CATALOG", str(tmp_path / "catalog.db"))
    listed = command("files", "fo@1").out
    assert listed == "file\tbytes\nconfig.json\t2\nold.txt\t3\nsub/notes.txt\t1\nsub/weights.bin\t3\n"
    long = command("files", "fo", "1", "--long", "--include", "*.json").out.splitlines()
    assert long[0] == "file\tbytes\tchecksum\texecutable"
    assert long[1].startswith("config.json\t2\tsha256:")
    assert command("files", "fo@1", "--sort", "-size", "-q").out.split()[-1] == "sub/notes.txt"
    found = json.loads(command("files", "fi", "--json").out)
    assert [(file["path"], file["size_bytes"]) for file in found] == [("m.pkl", 4)]
    planned = json.loads(command("pull", "fo@1", "--include", "*.bin", "--dry-run", "--json").out)
    assert planned["files"] == [{"path": "sub/weights.bin", "size_bytes": 3, "state": "new"}]
    assert planned["dry_run"]
    assert command("pull", "fo@1", "x/", "--dry-run").out.splitlines()[0] == "file\tbytes\tstate"
    assert not Path("x").exists()
    assert command("pull", "fo@1", "--include", "config.json", "--stdout").out == "{}"
    missing = command("pull", "fo@1", "--include", "none")
    assert (missing.code, "mreg files fo@1" in missing.err) == (4, True)
    refused = command("pull", "fo@1", "--stdout", "--dry-run")
    assert (refused.code, "exclude each other" in refused.err) == (2, True)
