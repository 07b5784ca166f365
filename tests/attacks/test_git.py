"""A repository that another person prepared: a push runs none of its commands and reads nothing outside it."""

from __future__ import annotations

import hashlib
import json
import os
import resource
import select
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from mreg.domain.model import Source
from mreg.files import user_text
from mreg.registry import git_changes
from mreg.registry.capture import actor, begin_capture
from mreg.registry.environments import TrainingEnvironment, versions
from mreg.registry.git import find_repository
from tests.hostile import attack, plant, printable_only, untouched

SECRET = "5ec2e7" + "0" * 34
"""A secret that looks like a commit."""


def git(*words: str, cwd: Path | str | None = None, check: bool = True) -> str:
    done = subprocess.run(["git", *words], check=check, capture_output=True, text=True, cwd=cwd)
    return done.stdout.strip()


@pytest.fixture
def repository() -> Path:
    """A repository with a commit whose one tracked file git must read again, and a model to push."""
    here = Path.cwd()
    git("init")
    (here / "train.py").write_text("1")
    git("add", "train.py")
    git("commit", "-m", "first")
    (here / "train.py").write_text("2")
    (here / "model.pkl").write_bytes(b"\x80\x04K\x01.")
    return here


@pytest.fixture
def marker(tmp_path: Path) -> Path:
    """The file that each hostile command makes."""
    return tmp_path / "PWNED"


def pushed() -> dict[str, object]:
    """Push in a process and return the source that the version records."""
    done = attack("push", "model.pkl", "--name", "m", "--json")
    assert done.code == 0, done
    assert printable_only(done.err), done
    source = json.loads(done.out)["source"]
    assert isinstance(source, dict)
    return {**source, "notes": done.err.decode()}


def captured(path: str = "model.pkl") -> Source:
    with begin_capture(path) as capture:
        return capture.result()[0]


def notes() -> list[str]:
    with begin_capture("model.pkl") as capture:
        capture.result()
        return list(capture.notes)


def lazy_fetch(repository: Path, run: str) -> None:
    tree = git("rev-parse", "HEAD^{tree}")
    (repository / f".git/objects/{tree[:2]}/{tree[2:]}").unlink()
    with (repository / ".git/config").open("a") as config:
        config.write('[core]\nrepositoryformatversion = 1\n[extensions]\npartialClone = o\n[remote "o"]\n')
        config.write(f"url = .\npromisor = true\nuploadpack = {run}; false\n")


def lazy_fetch_by_ssh(repository: Path, run: str) -> None:
    lazy_fetch(repository, "x")
    git("config", "remote.o.url", "ssh://host/x")
    git("config", "core.sshCommand", f"{run};")


def lazy_fetch_by_a_helper(repository: Path, run: str) -> None:
    lazy_fetch(repository, "x")
    git("config", "remote.o.url", f"ext::sh -c {run.replace(' ', '% ')}")
    git("config", "protocol.ext.allow", "always")


def lazy_fetch_by_a_proxy(repository: Path, run: str) -> None:
    script = repository / "proxy.sh"
    script.write_text(f"#!/bin/sh\n{run}\n")
    script.chmod(0o755)
    lazy_fetch(repository, "x")
    git("config", "remote.o.url", "git://127.0.0.1/x")
    git("config", "core.gitProxy", str(script))


def with_filter(repository: Path, run: str, file: str = ".git/config") -> None:
    (repository / ".gitattributes").write_text("* filter=evil\n")
    with (repository / file).open("a") as config:
        config.write(f'[filter "evil"]\n\tclean = {run}\n')


def commondir(repository: Path, run: str) -> None:
    elsewhere = repository / "data"
    shutil.copytree(repository / ".git", elsewhere)
    with_filter(repository, run, "data/config")
    (repository / ".git/commondir").write_text("../data\n")


def long_comment(repository: Path, run: str) -> None:
    with (repository / ".git/config").open("a") as config:
        config.write(f"# {'x' * 1000}\n" * 1100)
    with_filter(repository, run)


def trailing_space(repository: Path, run: str) -> None:
    shutil.move(repository / ".git", repository / "g")
    shutil.copytree(repository / "g", repository / "g ")
    with_filter(repository, run, "g /config")
    (repository / ".git").write_text("gitdir: g ")


def filter_in_other_case(repository: Path, run: str) -> None:
    with_filter(repository, run)
    config = repository / ".git/config"
    config.write_text(config.read_text().replace('[filter "evil"]', '\ufeff[core] x = "\\\n" [FILTER\t"evil"]'))


def filter_in_a_continued_line(repository: Path, run: str) -> None:
    with (repository / ".git/config").open("a") as config:
        config.write('[core]\n\tx = a\\\n#\\\n\t"quoted"\r\n[FiLtEr "evil"]clean=\\\n' + run + "\n")
    (repository / ".gitattributes").write_text("* filter=evil\n")


def filter_in_the_worktree_config(repository: Path, run: str) -> None:
    git("config", "extensions.worktreeConfig", "true")
    (repository / ".git/config.worktree").touch()
    with_filter(repository, run, ".git/config.worktree")


def included_filter(repository: Path, run: str) -> None:
    (repository / "more").touch()
    with_filter(repository, run, "more")
    git("config", "include.path", "../more")


def included_filter_by_condition(repository: Path, run: str) -> None:
    (repository / "more").touch()
    with_filter(repository, run, "more")
    git("config", "includeIf.gitdir:**.path", "../more")


def filter_by_info_attributes(repository: Path, run: str) -> None:
    with_filter(repository, run)
    (repository / ".gitattributes").unlink()
    (repository / ".git/info/attributes").write_text("* filter=evil\n")


def filter_by_an_attributes_file(repository: Path, run: str) -> None:
    with_filter(repository, run)
    os.rename(".gitattributes", "attributes")
    git("config", "core.attributesFile", str(repository / "attributes"))


def filter_process(repository: Path, run: str) -> None:
    (repository / ".gitattributes").write_text("* filter=evil\n")
    git("config", "filter.evil.process", run)
    git("config", "filter.evil.required", "true")


def file_system_monitor(repository: Path, run: str) -> None:
    git("config", "core.fsmonitor", run)
    git("config", "core.untrackedCache", "true")


def monitor_of_a_submodule(repository: Path, run: str) -> None:
    inner = repository / "inner"
    inner.mkdir()
    git("init", cwd=inner)
    git("commit", "--allow-empty", "-m", "x", cwd=inner)
    git("add", "inner")
    git("commit", "-m", "a submodule", "inner")
    (inner / "file").write_text("x")
    git("config", "core.fsmonitor", run, cwd=inner)
    git("config", "diff.ignoreSubmodules", "none")
    git("config", "submodule.inner.ignore", "none")


def other_programs(repository: Path, run: str) -> None:
    for key in (
        "core.pager", "core.editor", "core.askPass", "core.alternateRefsCommand", "diff.external", "diff.evil.textconv",
        "diff.evil.command", "credential.helper", "gpg.program", "pager.status", "alias.status", "sequence.editor",
        "interactive.diffFilter", "merge.evil.driver", "trace2.eventTarget", "uploadpack.packObjectsHook",
    ):  # fmt: skip
        git("config", key, f"!{run}" if "alias" in key else run)
    (repository / ".gitattributes").write_text("* diff=evil merge=evil\n")


def hooks(repository: Path, run: str) -> None:
    for folder in (".git/hooks", "hooks"):
        for name in (
            "post-index-change",
            "fsmonitor-watchman",
            "query-watchman",
            "post-checkout",
            "reference-transaction",
        ):
            script = repository / folder / name
            script.parent.mkdir(exist_ok=True)
            script.write_text(f"#!/bin/sh\n{run}\n")
            script.chmod(0o755)
    git("config", "core.hooksPath", str(repository / "hooks"))


def lfs_extension(repository: Path, run: str) -> None:
    # git-lfs itself reads the repository's configuration; stand in for it as the user's own filter.
    Path.home().joinpath(".gitconfig").write_text(
        '[filter "lfs"]\n\tclean = eval \\"$(git config lfs.extension.x.clean)\\"\n'
    )
    (repository / ".gitattributes").write_text("* filter=lfs\n")
    git("config", "lfs.extension.x.clean", run)


ATTACKS = (
    lazy_fetch, lazy_fetch_by_ssh, lazy_fetch_by_a_helper, lazy_fetch_by_a_proxy, with_filter, commondir, long_comment,
    trailing_space, filter_in_other_case, filter_in_a_continued_line, filter_in_the_worktree_config, included_filter,
    included_filter_by_condition, filter_by_info_attributes, filter_by_an_attributes_file, filter_process,
    file_system_monitor, monitor_of_a_submodule, other_programs, hooks, lfs_extension,
)  # fmt: skip


@pytest.mark.parametrize("prepare", ATTACKS, ids=lambda prepare: prepare.__name__)
def test_a_push_runs_no_command_of_the_repository(
    prepare: Callable[[Path, str], None], repository: Path, marker: Path, tmp_path: Path
) -> None:
    plant(tmp_path / "sentinels")
    commit = git("rev-parse", "HEAD")
    prepare(repository, f"touch {marker}")
    with untouched(tmp_path, but=("here", "home", "tmp")), untouched(repository):
        source = pushed()
    assert not marker.exists()
    if prepare is not monitor_of_a_submodule:
        assert source["git_commit"] in (commit, None)


@pytest.mark.parametrize(
    "prepare",
    [with_filter, long_comment, lazy_fetch, filter_process, filter_in_a_continued_line, included_filter],
    ids=lambda prepare: prepare.__name__,
)
def test_the_commit_is_recorded_and_a_note_says_why_changes_are_unknown(
    prepare: Callable[[Path, str], None], repository: Path
) -> None:
    commit = git("rev-parse", "HEAD")
    prepare(repository, "true")
    source = pushed()
    assert (source["git_commit"], source["git_branch"], source["git_dirty"]) == (commit, "main", None)
    assert "unknown whether tracked files are changed: " in str(source["notes"])


def test_a_filter_of_the_user_still_decides(repository: Path) -> None:
    """As git-lfs does: the attribute is the repository's, the command is the user's."""
    (repository / ".gitattributes").write_text("*.py filter=lower\n")
    Path.home().joinpath(".gitconfig").write_text('[filter "lower"]\n\tclean = tr 2 1\n')
    git("add", ".gitattributes")
    git("commit", "-m", "attributes", ".gitattributes")
    assert captured().git_dirty is False
    (repository / "train.py").write_text("3")
    assert captured().git_dirty is True
    assert notes() == []


def test_settings_that_change_the_answer_reach_git(repository: Path) -> None:
    git("checkout", "train.py")
    (repository / "train.py").chmod(0o755)
    assert captured().git_dirty is True
    git("config", "core.fileMode", "no")
    assert captured().git_dirty is False
    (repository / ".git/info/attributes").write_text("*.txt eol=crlf\n")
    (repository / "a.txt").write_bytes(b"x\r\n")
    git("add", "a.txt")
    git("commit", "-m", "text")
    os.utime("a.txt", (1, 1))
    assert captured().git_dirty is False
    assert notes() == []


@pytest.mark.parametrize(
    "settings",
    [
        ("http.https://github.com/.extraheader=AUTHORIZATION: basic x", "gc.auto=0", "remote.origin.url=https://x/y"),
        ("branch.main.remote=origin", "branch.main.merge=refs/heads/main", "branch.main.vscode-merge-base=origin/main"),
        ("user.name=Me", "user.email=me@example", "pull.rebase=true", "core.editor=vi", "core.logAllRefUpdates=true"),
        ("core.hooksPath=.husky", "commit.gpgSign=false", "alias.st=status", "lfs.repositoryformatversion=0"),
        ("core.sparseCheckout=false", "extensions.worktreeConfig=true", "submodule.active=.", "core.fsmonitor=false"),
    ],
    ids=["ci", "editor", "user", "hooks", "others"],
)
def test_an_ordinary_configuration_gives_an_answer_without_a_note(settings: tuple[str, ...], repository: Path) -> None:
    for setting in settings:
        git("config", *setting.split("=", 1))
    assert captured().git_dirty is True
    git("checkout", "train.py")
    assert captured().git_dirty is False
    assert notes() == []


@pytest.mark.parametrize(
    "form", ["sha256", "sparse", "submodule", "submodule with a worktree config", "linked", "partial", "shared"]
)
def test_every_ordinary_form_of_a_repository_is_asked(
    form: str, repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    git("checkout", "train.py")
    place = tmp_path / "place"
    (repository / "folder").mkdir()
    (repository / "folder/file").write_text("x")
    git("add", "folder")
    git("commit", "-m", "folder")
    local = ("-c", "protocol.file.allow=always")
    if form == "sha256":
        git("init", "--object-format=sha256", str(place))
        (place / "train.py").write_text("1")
        git("add", ".", cwd=place)
        git("commit", "-m", "x", cwd=place)
    elif form == "sparse":
        git("clone", "--sparse", str(repository), str(place))
        git("sparse-checkout", "set", "--cone", "--sparse-index", "other", cwd=place)
        assert not (place / "folder").exists()
    elif form.startswith("submodule"):
        git("init", str(tmp_path / "outer"))
        git(*local, "submodule", "add", str(repository), "inner", cwd=tmp_path / "outer")
        place = tmp_path / "outer/inner"
        if form != "submodule":
            git("sparse-checkout", "set", "folder", cwd=place)
            git("sparse-checkout", "disable", cwd=place)
            assert (tmp_path / "outer/.git/modules/inner/config.worktree").exists()
    elif form == "linked":
        git("worktree", "add", str(place))
    elif form == "partial":
        git("config", "uploadpack.allowFilter", "true")
        git("clone", "--filter=blob:none", f"file://{repository}", str(place))
    else:
        git("clone", "--shared", str(repository), str(place))
    monkeypatch.chdir(place)
    commit = git("rev-parse", "HEAD")
    assert (captured().git_commit, captured().git_dirty, notes()) == (commit, False, [])
    (place / "train.py").write_text("changed")
    assert (captured().git_commit, captured().git_dirty, notes()) == (commit, True, [])


def test_variables_of_a_git_hook_do_not_make_git_mean_another_repository(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    git("init", str(tmp_path / "other"))
    for name in ("GIT_DIR", "GIT_COMMON_DIR", "GIT_OBJECT_DIRECTORY", "GIT_INDEX_FILE", "GIT_WORK_TREE"):
        monkeypatch.setenv(name, str(tmp_path / "other/.git"))
    assert captured().git_dirty is True


@pytest.mark.parametrize("ends", [False, True], ids=["git hangs", "git ends"])
def test_a_process_that_git_leaves_behind_is_not_waited_for(
    ends: bool, repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alive = tmp_path / "alive"
    os.mkfifo(alive)
    reader = os.open(alive, os.O_RDONLY | os.O_NONBLOCK)
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin/git"
    program.write_text(f"#!/bin/sh\n(exec sleep 600) 3> {alive} &\n" + ("" if ends else "exec sleep 600\n"))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:{os.environ['PATH']}")
    source = pushed()
    assert source["git_dirty"] is (False if ends else None)
    assert ("took over 5 s" in str(source["notes"])) is not ends
    if not ends:  # the whole group is killed, so that nobody holds the pipe
        assert select.select([reader], [], [], 5)[0]
        assert os.read(reader, 1) == b""
    os.close(reader)


def test_closing_early_kills_git_and_its_children(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alive = tmp_path / "alive"
    os.mkfifo(alive)
    Path.home().joinpath(".gitconfig").write_text(f'[filter "slow"]\n\tclean = sleep 600 > {alive}\n')
    (repository / ".gitattributes").write_text("* filter=slow\n")
    with begin_capture("model.pkl"):
        reader = os.open(alive, os.O_RDONLY)  # returns when the filter runs
    assert os.read(reader, 1) == b""
    os.close(reader)
    assert os.listdir(os.environ["TMPDIR"]) == []


def test_a_slow_filter_leaves_the_answer_open(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(git_changes, "STATUS_SECONDS", 0.2)
    Path.home().joinpath(".gitconfig").write_text('[filter "slow"]\n\tclean = sleep 600\n')
    (repository / ".gitattributes").write_text("* filter=slow\n")
    assert captured().git_dirty is None
    assert "took over 0.2 s" in notes()[0]


def tree_of_trees(repository: Path) -> None:
    """Commit a tree of ten names that are the same tree in turn, ten levels deep: ten thousand million files."""
    entry, mode = git("hash-object", "-w", "train.py"), b"100644"
    for _ in range(10):
        names = [f"{'x' * 200}{number}".encode() for number in range(10)]
        tree = b"".join(mode + b" " + name + b"\0" + bytes.fromhex(entry) for name in names)
        done = subprocess.run(
            ["git", "hash-object", "-t", "tree", "-w", "--stdin"], input=tree, check=True, capture_output=True
        )
        entry, mode = done.stdout.decode().strip(), b"40000"
    (repository / ".git/refs/heads/main").write_text(git("commit-tree", entry, "-m", "x") + "\n")
    git("symbolic-ref", "HEAD", "refs/heads/main")
    git("read-tree", "--empty")


def index_of_long_names(repository: Path) -> None:
    """Write an index of version 4, where a name of 4,000 bytes takes a few of them if it begins as the last one."""
    blob = bytes.fromhex(git("hash-object", "-w", "train.py"))
    count = 500_000
    entries = []
    for number in range(count):
        end = b"%07d" % number
        change = b"d/" + b"x/" * 1900 + end if not number else end
        entries.append(bytes(24) + (0o100644).to_bytes(4, "big") + bytes(12) + blob + b"\x0f\xff")
        entries.append((b"\0" if not number else b"\7") + change + b"\0")
    data = b"DIRC" + (4).to_bytes(4, "big") + count.to_bytes(4, "big") + b"".join(entries)
    (repository / ".git/index").write_bytes(data + hashlib.sha1(data).digest())


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="only Linux limits the memory of another process")
@pytest.mark.parametrize("prepare", [tree_of_trees, index_of_long_names], ids=lambda prepare: prepare.__name__)
def test_a_small_repository_does_not_make_git_fill_the_memory(
    prepare: Callable[[Path], None], repository: Path
) -> None:
    prepare(repository)
    done = attack("push", "model.pkl", "--name", "m", "--json", peak_bytes=git_changes.MEMORY + (64 << 20))
    source = json.loads(done.out)["source"]
    assert source["git_dirty"] is None, source
    assert b"unknown whether tracked files are changed" in done.err, done


@pytest.mark.parametrize(
    "name",
    ["index", "HEAD", "config", "packed-refs", "info/attributes", "objects/pack/x.idx", "objects/info/alternates"],
)
@pytest.mark.parametrize("kind", ["pipe", "zeros", "huge", "folder", "loop"])
def test_no_file_of_a_repository_holds_a_push_up(name: str, kind: str, repository: Path) -> None:
    path = repository / ".git" / name
    path.parent.mkdir(exist_ok=True)
    if path.exists():
        path.unlink()
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "zeros":
        path.symlink_to("/dev/zero")
    elif kind == "huge":
        with path.open("wb") as stream:
            stream.truncate(1 << 40)
    elif kind == "folder":
        path.mkdir()
    else:
        path.symlink_to(path)
    pushed()


def test_a_relative_folder_of_the_path_is_not_searched(
    repository: Path, marker: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = repository / "git"
    program.write_text(f"#!/bin/sh\ntouch {marker}\n")
    program.chmod(0o755)
    for path in (".", "", "./.", f".:{os.environ['PATH']}"):
        monkeypatch.setenv("PATH", path)
        captured()
    assert captured().git_dirty is True
    assert not marker.exists()


def leaks(repository: Path, secret: Path) -> dict[str, Callable[[], object]]:
    """Ways to make the content of a file elsewhere the commit of a repository."""
    dot_git = repository / ".git"
    refs = dot_git / "refs/heads"

    def linked_folder() -> None:
        shutil.rmtree(refs)
        refs.symlink_to(secret.parent)
        (dot_git / "HEAD").write_text(f"ref: refs/heads/{secret.name}\n")

    def link_at(path: Path) -> None:
        path.unlink(missing_ok=True)
        path.symlink_to(secret)

    return {
        "HEAD": lambda: link_at(dot_git / "HEAD"),
        "a ref": lambda: link_at(refs / "main"),
        "the folder of refs": linked_folder,
        "an absolute ref": lambda: (dot_git / "HEAD").write_text(f"ref: {secret}\n"),
        "a ref with ..": lambda: (dot_git / "HEAD").write_text(
            f"ref: refs/{os.path.relpath(secret, dot_git / 'refs')}"
        ),
        "packed refs": lambda: [(refs / "main").unlink(), link_at(dot_git / "packed-refs")],
    }


@pytest.mark.parametrize("way", list(leaks(Path(), Path("x/y"))))
def test_a_file_outside_a_repository_never_becomes_its_commit(way: str, repository: Path, tmp_path: Path) -> None:
    secret = tmp_path / "token"
    secret.write_text(f"{SECRET} refs/heads/main\n" if way == "packed refs" else f"{SECRET}\n")
    leaks(repository, secret)[way]()
    source = pushed()
    assert SECRET not in str(source)
    assert source["git_commit"] is None


@pytest.mark.parametrize(
    "way", ["file", "file of a linked one", "link", "commondir", "inner links", "removed worktree"]
)
def test_another_repository_is_not_recorded_as_that_of_a_folder(
    way: str, repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    git("remote", "add", "origin", "https://git.example/private.git")
    git("worktree", "add", str(tmp_path / "tree"))
    here = tmp_path / "here"
    here.mkdir()
    (here / "model.pkl").write_bytes(b"\x80\x04K\x01.")
    private = repository / ".git"
    if way == "file":
        (here / ".git").write_text(f"gitdir: {private}\n")
    elif way == "file of a linked one":
        (here / ".git").write_text(f"gitdir: {private}/worktrees/tree\n")
    elif way == "removed worktree":
        shutil.rmtree(tmp_path / "tree")
        (here / ".git").write_text(f"gitdir: {private}/worktrees/tree\n")
    elif way == "link":
        (here / ".git").symlink_to(private)
    elif way == "commondir":
        git("init", cwd=here)
        (here / ".git/commondir").write_text(f"{private}\n")
    else:
        (here / ".git").mkdir()
        for name in os.listdir(private):
            (here / ".git" / name).symlink_to(private / name)
    monkeypatch.chdir(here)
    source = pushed()
    assert (source["git_commit"], source["git_branch"], source["git_remote"]) == (None, None, None)
    if way != "inner links":
        assert f"{here}/.git does not point to a Git folder of {here}" in str(source["notes"])


@pytest.mark.parametrize(
    "pointer",
    ["gitdir: g ", "gitdir: g\n\n", "gitdir:g", "gitdir:  g", " gitdir: g", "gitdir: g\r\n", "gitdir: ", "", "g"],
)
def test_a_git_file_is_read_as_git_reads_it(pointer: str, repository: Path) -> None:
    shutil.move(repository / ".git", repository / "g")
    for name in ("g ", " g"):
        shutil.copytree(repository / "g", repository / name)
    (repository / ".git").write_text(pointer)
    found = find_repository(".")
    done = subprocess.run(["git", "rev-parse", "--absolute-git-dir"], capture_output=True, text=True, check=False)
    assert (found.git_folder if found else "") == done.stdout.rstrip("\n")


@pytest.mark.parametrize(
    "ref",
    ["refs/heads/../../../x", "/etc/passwd", "refs/heads/a\x1b[2J", "refs//heads/x", "refs/heads/.x", "refs/heads/x.lock",
     "refs/heads/a b", "refs/heads/" + "a" * 2000, "refs/heads/" + "a/" * 400 + "b", "config", "refs/heads/a:b", "refs", "refs/"],
)  # fmt: skip
def test_a_ref_with_an_odd_name_is_never_read(ref: str, repository: Path) -> None:
    (repository / ".git/HEAD").write_text(f"ref: {ref}\n")
    assert pushed()["git_commit"] is None


def test_a_repository_of_another_user_is_not_asked_unless_the_user_allows_it(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = os.geteuid() + 1
    monkeypatch.setattr(os, "geteuid", lambda: other)
    source = captured()
    assert (source.git_branch, source.git_dirty) == ("main", None)
    assert f"{repository} belongs to {user_text(other - 1)}" in notes()[0]
    config = Path.home() / ".gitconfig"
    for allowed, answer in ((repository, True), ("*", True), ("/other", None)):
        config.write_text(f"[safe]\n\tdirectory = {allowed}\n")
        git("config", "safe.directory", "*")  # the repository cannot allow itself
        assert captured().git_dirty is answer


def test_a_repository_does_not_choose_the_user_of_the_audit_trail(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MREG_USER")
    for name in ("LOGNAME", "USER"):
        monkeypatch.setenv(name, "me")
    git("config", "user.name", "The Approver")
    assert pushed()
    done = attack("history", "m@1", "--json")
    assert {event["actor"] for event in json.loads(done.out)} == {"me"}
    Path.home().joinpath(".gitconfig").write_text("[user]\n\tname = Me Myself\n")
    assert actor("") == "Me Myself"


def test_names_of_an_environment_stay_short(tmp_path: Path) -> None:
    (tmp_path / "lib/python3.12/site-packages").mkdir(parents=True)
    (tmp_path / "pyvenv.cfg").write_text(f"version = {'1' * 100_000}\n")
    found = versions(TrainingEnvironment(source="VIRTUAL_ENV", prefix=str(tmp_path)))
    assert len(found["python"]) <= 20
    os.unlink(tmp_path / "pyvenv.cfg")
    os.mkfifo(tmp_path / "pyvenv.cfg")
    assert versions(TrainingEnvironment(source="VIRTUAL_ENV", prefix=str(tmp_path)))["python"] == "3.12"
