"""Places that do not exist: a misspelled path, or a drive that is not mounted."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from mreg.errors import Unavailable
from tests.conftest import Mreg, local_registry

ARTIFACTS_GONE = "cannot use the artifact store {}: the folder does not exist, but the catalog has versions"


@pytest.fixture
def drive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A registry at a place that does not exist, by a variable."""
    Path("model.pkl").write_bytes(b"x")
    monkeypatch.setenv("MREG_CATALOG", str(tmp_path / "drive" / "catalog.db"))
    return tmp_path / "drive"


COMMANDS = [
    ["push", "model.pkl"], ["list"], ["show", "m"], ["search", "accuracy > 1"], ["history"], ["register", "m"], ["verify"], ["backup", "copy.db"], ["upgrade"], ["profile", "check"], ["doctor"], ["audit", "verify"],
]  # fmt: skip


@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: words[0])
def test_a_catalog_in_a_missing_folder_is_an_error_that_says_how_to_create_it(
    words: list[str], drive: Path, command: Mreg
) -> None:
    done = command(*words)
    assert done.code == 8
    text = done.out + done.err
    assert f"cannot use the catalog {drive}/catalog.db: the folder {drive} does not exist" in text.replace("\n", " ")
    assert f"mkdir -p {drive}" in done.out + done.err
    assert "MREG_CATALOG" in done.err
    assert not drive.exists()


def test_creating_a_registry_is_said_once(drive: Path, command: Mreg) -> None:
    drive.mkdir()
    assert command("list").err.count("created") == 0
    assert os.listdir(drive) == []  # a command that reads creates nothing
    done = command("push", "model.pkl", "--json")
    assert done.code == 0
    assert f"created the registry {drive}/catalog.db" in done.err
    assert "created the registry" not in command("push", "model.pkl").err
    shutil.rmtree(drive / "artifacts")


def test_the_default_registry_is_created_with_its_folders_and_without_a_word(command: Mreg) -> None:
    Path("model.pkl").write_bytes(b"x")
    done = command("push", "model.pkl")
    assert (done.code, "created" in done.err) == (0, False)


def test_a_project_file_creates_the_folders_below_it(command: Mreg) -> None:
    Path("model.pkl").write_bytes(b"x")
    Path("mreg.yaml").write_text("catalog: deep/er/catalog.db\n")
    assert command("list").code == 0
    assert not Path("deep").exists()
    done = command("push", "model.pkl")
    assert done.code == 0
    assert f"created the registry {Path('deep/er/catalog.db').resolve()}" in done.err
    assert Path("deep/er/artifacts/blobs").is_dir()


def test_artifacts_in_a_missing_folder_are_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: Mreg
) -> None:
    Path("model.pkl").write_bytes(b"x")
    monkeypatch.setenv("MREG_CATALOG", str(tmp_path / "catalog.db"))
    monkeypatch.setenv("MREG_ARTIFACTS", str(tmp_path / "drive" / "artifacts"))
    done = command("push", "model.pkl")
    assert done.code == 8
    folder = tmp_path / "drive"
    message = f"error: cannot create the artifact store {folder}/artifacts: the folder {folder} does not exist"
    assert message in done.err.splitlines()
    assert f"mkdir -p {folder}" in done.err
    assert "MREG_ARTIFACTS" in done.err
    assert list(tmp_path.iterdir()) == []


def test_an_artifact_folder_that_vanished_is_not_created_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: Mreg
) -> None:
    """As on the empty mount point of a drive."""
    Path("model.pkl").write_bytes(b"x")
    Path("other.pkl").write_bytes(b"y")
    monkeypatch.setenv("MREG_CATALOG", str(tmp_path / "catalog.db"))
    monkeypatch.setenv("MREG_ARTIFACTS", str(tmp_path / "artifacts"))
    assert command("push", "model.pkl", "--name", "m").code == 0
    (tmp_path / "artifacts").rename(tmp_path / "elsewhere")
    message = ARTIFACTS_GONE.format(tmp_path / "artifacts")
    for words in (["push", "other.pkl"], ["push", "model.pkl"], ["pull", "m@1", "here.pkl"]):
        done = command(*words)
        assert (done.code, f"error: {message}" in done.err.splitlines()) == (8, True)
        assert not (tmp_path / "artifacts").exists()
    with local_registry() as registry, pytest.raises(Unavailable) as caught, registry.open_upload():
        pass
    assert caught.value.message == message
    (tmp_path / "artifacts").mkdir()
    assert command("push", "other.pkl").code == 0


@pytest.mark.parametrize("key", ["catalog", "artifacts"])
def test_open_registry_refuses_a_missing_folder_when_it_is_used(key: str, tmp_path: Path) -> None:
    Path("model.pkl").write_bytes(b"x")
    places = {"catalog": str(tmp_path / "c.db"), "artifacts": str(tmp_path / "a"), key: str(tmp_path / "none" / "x")}
    with local_registry(**places) as registry, pytest.raises(Unavailable, match="none does not exist"):  # type: ignore[arg-type]
        registry.push("model.pkl", name="m")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("words", [["--catalog", "none/c.db"], ["--catalog", "c.db", "--artifacts", "none/a"]])
def test_a_profile_for_a_missing_folder_is_refused(words: list[str], command: Mreg) -> None:
    done = command("profile", "add", "p", *words)
    assert done.code == 8
    folder = Path("none").resolve()
    assert f"the folder {folder} does not exist" in done.err
    assert f"mkdir -p {folder}" in done.err
    assert command("profile", "show", "p").code == 4
    folder.mkdir()
    assert command("profile", "add", "p", *words).code == 0


def test_a_copy_and_a_restore_go_to_no_missing_folder(command: Mreg, tmp_path: Path) -> None:
    Path("model.pkl").write_bytes(b"x")
    assert command("push", "model.pkl", "--name", "m").code == 0
    assert command("backup", "copy.db").code == 0
    Path("there").mkdir()
    shared = os.path.join(os.environ["HOME"], ".local/share/mreg/artifacts")
    assert command("profile", "add", "p", "--catalog", "there/c.db", "--artifacts", shared).code == 0
    Path("there").rmdir()
    for words in (
        ["catalog", "copy", "--from-profile", "local", "--to-profile", "p"],
        ["restore", "copy.db", "--yes", "--profile", "p"],
    ):
        done = command(*words)
        assert (done.code, f"the folder {Path('there').resolve()} does not exist" in done.err) == (8, True)
    Path("there").mkdir()
    done = command("catalog", "copy", "--from-profile", "local", "--to-profile", "p")
    assert (done.code, f"created the registry {Path('there/c.db').resolve()}" in done.err) == (0, True)


def test_a_server_over_a_missing_folder_does_not_start(drive: Path, command: Mreg) -> None:
    done = command("serve", "--port", "0")
    assert done.code == 8
    assert f"the folder {drive} does not exist" in done.err
