"""What a push notes of its surroundings, from real repositories."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from mreg.domain.model import Source
from mreg.errors import BadInput
from mreg.registry.capture import actor, begin_capture
from mreg.registry.git import without_secrets
from mreg.registry.naming import found_name


def git(*words: str, cwd: Path | None = None) -> str:
    identity = ["-c", "user.name=g", "-c", "user.email=g@example", "-c", "init.defaultBranch=main"]
    return subprocess.run(
        ["git", *identity, *words], check=True, capture_output=True, text=True, cwd=cwd
    ).stdout.strip()


@pytest.fixture
def repository() -> Path:
    here = Path.cwd()
    git("init")
    (here / "train.py").write_text("1")
    git("add", "train.py")
    git("commit", "-m", "first")
    git("remote", "add", "origin", "https://me:ghp_secret@git.example/team/fraud.git?token=x")
    return here


def captured(path: str = "model.pkl") -> Source:
    with begin_capture(path) as capture:
        return capture.result()[0]


def test_commit_branch_remote_and_state_are_noted(repository: Path) -> None:
    source = captured()
    assert source.git_commit == git("rev-parse", "HEAD")
    assert (source.git_branch, source.git_dirty) == ("main", False)
    assert source.git_remote == "https://git.example/team/fraud.git"
    (repository / "untracked").write_text("x")
    assert captured().git_dirty is False
    (repository / "train.py").write_text("2")
    assert captured().git_dirty is True


@pytest.mark.parametrize("state", ["packed", "detached", "worktree", "subfolder", "slashed branch", "reftable-like"])
def test_every_state_of_a_repository_is_read(
    repository: Path, state: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    branch = "main"
    if state == "packed":
        git("pack-refs", "--all")
    elif state == "detached":
        git("checkout", "--detach")
        branch = ""
    elif state == "worktree":
        git("worktree", "add", str(tmp_path / "tree"), "-b", "side")
        monkeypatch.chdir(tmp_path / "tree")
        branch = "side"
    elif state == "subfolder":
        (repository / "a/b").mkdir(parents=True)
        monkeypatch.chdir(repository / "a/b")
    elif state == "slashed branch":
        git("checkout", "-b", "team/x")
        branch = "team/x"
    source = captured()
    assert (source.git_commit, source.git_branch) == (git("rev-parse", "HEAD"), branch)
    assert source.git_remote == "https://git.example/team/fraud.git"
    assert source.git_dirty is False


def test_a_repository_without_a_commit_and_no_repository_are_empty(tmp_path: Path) -> None:
    assert captured().git_commit == ""
    assert captured().git_dirty is None
    git("init")
    source = captured()
    assert (source.git_commit, source.git_branch, source.git_dirty) == ("", "main", None)


def test_a_repository_can_not_make_a_push_run_its_commands(repository: Path) -> None:
    script = repository / "evil.sh"
    script.write_text("#!/bin/sh\ntouch ran\n")
    script.chmod(0o755)
    git("config", "core.fsmonitor", str(script))
    git("config", "core.hooksPath", str(repository))
    (repository / "post-index-change").write_text(script.read_text())
    (repository / "post-index-change").chmod(0o755)
    assert captured().git_dirty is False
    git("config", "filter.evil.clean", str(script))
    (repository / ".gitattributes").write_text("* filter=evil\n")
    (repository / "train.py").write_text("changed")
    assert captured().git_dirty is None
    git("config", "--unset", "filter.evil.clean")
    with (repository / ".git/config").open("a") as stream:
        stream.write(f'[filter "evil"] clean = "{script}"\n')
    assert captured().git_dirty is None
    text = (repository / ".git/config").read_text().rsplit("[filter", 1)[0]
    (repository / ".git/config").write_text(text)
    git("config", "extensions.worktreeConfig", "true")
    git("config", "--worktree", "filter.evil.clean", str(script))
    assert captured().git_dirty is None
    git("config", "--worktree", "--unset", "filter.evil.clean")
    (repository / "more").write_text(f'[filter "evil"]\n clean = {script}\n')
    git("config", "include.path", str(repository / "more"))
    captured()
    assert not (repository / "ran").exists()


def test_a_pipe_in_the_place_of_a_git_file_is_not_waited_for(repository: Path) -> None:
    (repository / ".git/HEAD").unlink()
    os.mkfifo(repository / ".git/HEAD")
    assert captured().git_commit == ""


def test_hostile_git_files_are_empty(repository: Path) -> None:
    for text in ("ref: ../../../../etc/passwd", "x" * 100, "ref: ", "", "\x00", "ref: refs/heads/\x1b[2J"):
        (repository / ".git/HEAD").write_text(text)
        source = captured()
        assert source.git_commit == ""
        assert source.git_branch.isprintable()
    (repository / ".git/HEAD").unlink()
    assert captured().git_commit == ""


@pytest.mark.parametrize(
    ("url", "clean"),
    [
        ("https://me:pw@host/x.git", "https://host/x.git"),
        ("https://token@host/x?t=1#f", "https://host/x"),
        ("git@host:team/x.git", "git@host:team/x.git"),
        ("/srv/x.git", "/srv/x.git"),
        ("me:token@host:x.git", "host:x.git"),
        ("ssh://git@host:22/x", "ssh://host:22/x"),
    ],
)
def test_no_secret_of_a_remote_is_noted(url: str, clean: str) -> None:
    assert without_secrets(url) == clean


def test_who_acts_is_said_chosen_or_found(repository: Path) -> None:
    home = {"HOME": os.environ["HOME"]}
    assert actor("me", {"GITHUB_ACTOR": "ci"}) == "me"
    assert actor("", {"GITHUB_ACTOR": "ci", **home}) == "ci"
    git("config", "--global", "user.name", "Git \x1b[31mName")
    assert actor("", home) == "Git [31mName"
    git("config", "--global", "--unset", "user.name")
    assert actor("", {**home, "LOGNAME": "login"}) == "login"
    assert actor("", home)


@pytest.mark.parametrize(
    ("path", "name", "why"),
    [
        ("fraud.pkl", "fraud", "from the file fraud.pkl"),
        ("fraud.tar.gz", "fraud", "from the file fraud.tar.gz"),
        ("fraud-v1.2.onnx", "fraud-v1.2", "from the file fraud-v1.2.onnx"),
        ("spam filter/best_model.pt", "spam-filter", "from the folder spam filter"),
        ("final_v2.pkl", "folder", "from the folder folder"),
        ("checkpoint-1000", "folder", "from the folder folder"),
        (".hidden.pkl", "hidden", "from the file .hidden.pkl"),
    ],
)
def test_a_name_is_found_from_the_path(path: str, name: str, why: str, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("folder").mkdir()
    monkeypatch.chdir("folder")
    found, reason = found_name(path, "", "")
    assert (str(found), reason) == (name, why)


@pytest.mark.parametrize(
    "name",
    ["model.pkl", "best.pt", "last.ckpt", "latest", "final", "final_v2", "checkpoint-500", "checkpoint_500", "step_1000",
     "global_step500", "epoch=3-step=1000.ckpt", "epoch=03-val_loss=0.25.ckpt", "epoch12.pt", "snapshots", "run-7",
     "version_3", "a1b2c3d4e5f6a7b8c9d0a1b2c3d4e5f6a7b8c9d0", "1a2b3c4", "c0ffee00-1234-4567-89ab-0123456789ab", "42"],
)  # fmt: skip
def test_no_name_is_inferred_from_a_generic_name(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("out").mkdir()
    monkeypatch.chdir("out")
    with pytest.raises(BadInput) as caught:
        found_name(name, "", "")
    assert caught.value.message == f"cannot infer a model name: '{name}' does not identify a model"
    assert caught.value.hint == "add a name: --name NAME"


@pytest.mark.parametrize(
    "name", ["bert", "facade", "decade", "resnet50", "step-counter", "last-mile", "runner", "deed"]
)
def test_a_name_is_inferred_from_a_word_that_resembles_a_generic_one(name: str) -> None:
    assert str(found_name(f"out/{name}", "", "")[0]) == name


@pytest.mark.parametrize(
    ("folder", "name"),
    [("models--google--bert-base", "google/bert-base"), ("models--gpt2", "gpt2"), ("models--a--b--c", "a/b--c")],
)
def test_the_name_of_a_hugging_face_snapshot_is_suggested(folder: str, name: str) -> None:
    for path in (
        f"hub/{folder}/snapshots/a1b2c3d",
        f"hub/{folder}/snapshots/a1b2c3d/model.safetensors",
        f"hub/{folder}",
    ):
        with pytest.raises(BadInput) as caught:
            found_name(path, "", "")
        assert caught.value.hint == f"add a name: --name {name}"


def test_a_name_that_was_chosen_comes_first_and_the_remote_before_the_folder(repository: Path) -> None:
    assert found_name("model.pkl", "mine", "MREG_MODEL") == (found_name("x", "mine", "")[0], "MREG_MODEL")
    found, why = found_name("model.pkl", "", "")
    assert (str(found), why) == ("fraud", "from the git remote")
    with pytest.raises(BadInput):
        found_name("model.pkl", "../x", "MREG_MODEL")
