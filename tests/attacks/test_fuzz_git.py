"""Random hostile git folders: a push runs none of their commands, and mreg reads a configuration as git does."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from mreg.registry import git_changes
from mreg.registry.capture import begin_capture
from mreg.registry.git_config import parse
from tests.conftest import FULL
from tests.hostile import attack, bounded, plant, untouched

CONFIGURATIONS = 20_000 if FULL else 400
FOLDERS = 1_500 if FULL else 40
PROCESSES = 150 if FULL else 4

SECRET = "5ec2e7" + "0" * 34
SECTIONS = (
    "core", "CORE", "filter", "Filter", "include", "includeIf", "remote", "extensions", "diff", "alias", "credential",
    "a.b", "x-y", "core.", "", "submodule", "http", "gpg", "lfs", "safe", "user",
)  # fmt: skip
NAMES = ("evil", "o", "gitdir:**", "a b", 'q\\"q', "\\\\", "]", "#", "", "é", "\t", "a.b", "A")
KEYS = (
    "clean", "smudge", "process", "path", "fsmonitor", "hooksPath", "sshCommand", "gitProxy", "worktree", "bare",
    "attributesFile", "partialClone", "promisor", "uploadpack", "url", "repositoryFormatVersion", "objectFormat",
    "worktreeConfig", "external", "textconv", "helper", "program", "pager", "alternateRefsCommand", "untrackedCache",
    "splitIndex", "sparseCheckout", "autocrlf", "eol", "ignoreCase", "fileMode", "directory", "name", "x9", "9x", "é",
    "a_b", "refStorage", "symlinks", "precomposeUnicode", "status", "preciousObjects",
)  # fmt: skip
BLANKS = ("", " ", "\t", "  \t", "\r", "\x0b", "\xa0")
ENDS = ("\n", "\r\n", "\n\n", "\r\r\n", " # c\n", ";c\n", "\\\n", "", "\r", "\0\n")


def configuration(chance: random.Random, run: str) -> bytes:
    """A text of git's configuration grammar, often slightly wrong."""
    lines = ["\ufeff" if chance.random() < 0.1 else ""]
    for _ in range(chance.randrange(1, 12)):
        kind = chance.random()
        if kind < 0.4:
            name = f'{chance.choice(BLANKS[1:])}"{chance.choice(NAMES)}"' if chance.random() < 0.5 else ""
            line = f"{_blank(chance)}[{chance.choice(SECTIONS)}{name}]"
        elif kind < 0.9:
            equals = "=" if chance.random() < 0.9 else ""
            line = f"{_blank(chance)}{chance.choice(KEYS)}{_blank(chance)}{equals}{_value(chance, run)}"
        else:
            line = chance.choice(("# x", ";x\\", '"', "=", "\\", "]", "[", '[core] a = b [filter "evil"]', "\ufeff"))
        lines.append(line + (chance.choice(ENDS) if chance.random() < 0.4 else "\n"))
    data = "".join(lines).encode()
    if chance.random() < 0.1:
        place = chance.randrange(len(data) + 1)
        data = data[:place] + bytes([chance.randrange(256)]) + data[place:]
    return data


def _blank(chance: random.Random) -> str:
    return chance.choice(BLANKS) if chance.random() < 0.2 else ""


def _value(chance: random.Random, run: str) -> str:
    texts = (
        run,
        run,
        run,
        "true",
        "false",
        "0",
        "1",
        "sha1",
        "input",
        "../more",
        "o",
        "",
        "../..",
        "/",
        f"ext::sh -c '{run}'",
    )
    odd = (
        '"',
        "\\\n",
        "\\t",
        "\\x",
        " # c",
        ";",
        '"a b"',
        "\t",
        "  ",
        '\\"',
        "\\\\",
        "\\",
        "\\b",
        "\r",
        "\\\r\n",
        "a",
        '" #"',
    )
    value = chance.choice(texts)
    for _ in range(chance.choice((0, 0, 0, 1, 2, 5))):
        place = chance.randrange(len(value) + 1)
        value = value[:place] + chance.choice(odd) + value[place:]
    return value


def listed(data: bytes, folder: Path) -> tuple[tuple[str, str | None], ...] | None:
    """The settings as git itself lists them, or None if it refuses the file."""
    (folder / "config").write_bytes(data)
    done = subprocess.run(
        ["git", "config", "--list", "-z", "--file", "config"], cwd=folder, capture_output=True, check=False
    )
    if done.returncode:
        return None
    pairs = [entry.decode("utf-8", "surrogateescape").partition("\n") for entry in done.stdout.split(b"\0")[:-1]]
    return tuple((key, value if equals else None) for key, equals, value in pairs)


@pytest.mark.campaign
def test_a_configuration_is_read_as_git_reads_it_or_refused(tmp_path: Path) -> None:
    chance = random.Random(0)
    accepted = 0
    for number in range(CONFIGURATIONS):
        data = configuration(chance, "touch x")
        mine = parse(data)
        theirs = listed(data, tmp_path)
        accepted += mine is not None
        assert mine is None or mine == theirs, (number, data)
    assert accepted > CONFIGURATIONS // 20


@pytest.mark.parametrize(
    "data",
    [
        b"[a]b=c", b"\xef\xbb\xbf[a]\nb", b"[a]b=\"x # y\" # z\n", b"[a]\nb = x \\\n  y\n", b"[a \"b\\\"c\\\\\"] D = e ; f",
        b"[A.B \"C\"]\r\nk=v\r\n", b"[a]\nk = \"un\\\nquoted\"  tail  \n", b"[a]k=\\\n", b"[a]k=x\\", b"[a]\n# only\n", b"",
        b"[a] [b] c = d e = f", b"[a]\nk = a\\tb\\nc\\\\\n", b"[a]k= \"\" x\n", b"[a]k=\xff\xfe", b"[a]k = x\t# c\n",
    ],
)  # fmt: skip
def test_ordinary_forms_of_a_configuration_are_accepted(data: bytes, tmp_path: Path) -> None:
    assert parse(data) is not None
    assert parse(data) == listed(data, tmp_path)


@pytest.mark.parametrize(
    "data",
    [b"[a]k=\0", b"k=v", b"[a", b"[a]k=\"x", b"[a]k=\\q", b"[a] 1=2", b"[a]k v", b"[a \"x\" ]k", b"[a_b]k", b"[a]k = x\ty",
     b"[a \"x\n\"]k", b"[]k", b"[a]k # c"],
)  # fmt: skip
def test_a_configuration_that_git_rejects_or_reads_in_two_ways_is_refused(data: bytes) -> None:
    assert parse(data) is None


@pytest.mark.parametrize("piece", [b"k=v\n", b'""', b"\\\\", b'[a "\\"', b'"\\\n', b"k=a ", b'"" '])
def test_a_large_configuration_is_read_in_time(piece: bytes) -> None:
    with bounded(piece):
        parse(b"[a]k=" + piece * ((1 << 20) // len(piece)))


class Folders:
    """Makes random git folders below the working folder out of one real repository."""

    def __init__(self, base: Path, marker: Path, secret: Path) -> None:
        self.base = base
        self.run = f"touch {marker}"
        self.secret = secret
        self.template = base / "template"
        subprocess.run(["git", "init", "-q", str(self.template)], check=True)
        (self.template / "train.py").write_text("1")
        for words in (("add", "."), ("commit", "-qm", "x")):
            subprocess.run(["git", *words], cwd=self.template, check=True)
        (self.template / "train.py").write_text("2")
        (self.template / "model.pkl").write_bytes(b"\x80\x04K\x01.")

    def make(self, chance: random.Random) -> Path:
        place = self.base / "repository"
        shutil.rmtree(place, ignore_errors=True)
        shutil.copytree(self.template, place)
        dot_git = place / ".git"
        with (dot_git / "config").open("ab") as config:
            config.write(chance.choice((b"", b"#" * (1 << 20) + b"\n")) if chance.random() < 0.1 else b"")
            config.write(self.text(chance))
        steps = chance.sample(list(self.steps(chance, place, dot_git)), chance.randrange(4))
        for kind, path, text in steps:
            self.put(kind, path, text)
        if chance.random() < 0.3:
            self.move(chance, place, dot_git)
        return place

    def text(self, chance: random.Random) -> bytes:
        """A hostile configuration; half of them are valid, so that they reach git."""
        if chance.random() < 0.5:
            return configuration(chance, self.run)
        section = chance.choice(SECTIONS[:14]) or "core"
        name = f' "{chance.choice(("evil", "o"))}"' if chance.random() < 0.7 else ""
        keys = "".join(f"\t{chance.choice(KEYS[:32])} = {self.run}; false\n" for _ in range(4))
        fetch = f'[extensions]\npartialClone = o\n[remote "o"]\npromisor\nurl = .\nuploadpack = {self.run}; false\n'
        return f"[{section.strip('.')}{name}]\n{keys}{fetch if chance.random() < 0.5 else ''}".encode()

    def steps(self, chance: random.Random, place: Path, dot_git: Path) -> Iterator[tuple[str, Path, bytes]]:
        any_kind = chance.choice(("file", "file", "file", "link", "pipe", "folder", "gone", "zero"))
        heads = (b"", b"ref: ../x", b"ref: /etc/passwd\n", f"ref: {self.secret}".encode(), b"\0", b"ref: refs/heads/\x1b[2J",
                 b"ref: refs/heads/" + b"a/" * 3000, b"x" * (2 << 20), SECRET.encode(), b"ref:refs/heads/main")  # fmt: skip
        yield any_kind, dot_git / "HEAD", chance.choice(heads)
        yield any_kind, dot_git / "index", chance.choice((b"", b"DIRC", chance.randbytes(500)))
        yield "file", dot_git / "index", self.flipped(chance, self.template / ".git/index")
        yield any_kind, dot_git / "packed-refs", f"{SECRET} refs/heads/main\n".encode()
        yield any_kind, dot_git / "refs/heads/main", b"0" * 40
        yield "file", place / ".gitattributes", b"* filter=evil diff=evil text=auto eol=crlf ident\n[attr]x filter=o\n"
        yield "file", dot_git / "info/attributes", b"* filter=evil\n"
        yield any_kind, dot_git / "config.worktree", self.text(chance)
        yield any_kind, dot_git / "commondir", chance.choice((b"../more.git", b".", b"/", b"", b"x" * 5000, b"\0"))
        yield any_kind, place / "more", self.text(chance)
        yield any_kind, place / ".gitmodules", b'[submodule "x"]\n\tpath = train.py\n\tupdate = !' + self.run.encode()
        yield any_kind, dot_git / "objects/info/alternates", chance.choice((b"/", b"../../more\n", b"\n" * 9999, b'"'))
        yield any_kind, dot_git / "shallow", b"x"
        yield "gone", dot_git / "objects", b""
        trees = [path for path in (dot_git / "objects").glob("??/*") if path.is_file()]
        if trees:
            yield "gone", chance.choice(trees), b""
            yield "file", chance.choice(trees), self.flipped(chance, chance.choice(trees))
        for name in ("post-index-change", "fsmonitor-watchman", "pre-commit"):
            yield "program", dot_git / "hooks" / name, b""

    @staticmethod
    def flipped(chance: random.Random, path: Path) -> bytes:
        data = bytearray(path.read_bytes())
        for _ in range(chance.randrange(1, 6)):
            data[chance.randrange(len(data))] = chance.randrange(256)
        return bytes(data)

    def put(self, kind: str, path: Path, text: bytes) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
        if kind == "pipe":
            os.mkfifo(path)
        elif kind == "link":
            path.symlink_to(self.secret)
        elif kind == "zero":
            path.symlink_to("/dev/zero")
        elif kind == "folder":
            path.mkdir()
        elif kind == "program":
            path.write_text(f"#!/bin/sh\n{self.run}\n")
            path.chmod(0o755)
        elif kind == "file":
            path.write_bytes(text)

    def move(self, chance: random.Random, place: Path, dot_git: Path) -> None:
        """Replace the ``.git`` folder by a file or link that names it, more or less."""
        name = chance.choice(("g", "g ", "x/worktrees/y", "d/" * 60 + "g"))
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.move(dot_git, place / name)
        if chance.random() < 0.3:
            dot_git.symlink_to(name)
            return
        pointer = chance.choice(
            (f"gitdir: {name}", f"gitdir: {name}\n", f"gitdir: {place / name}\r\n", "gitdir: /", "\0")
        )
        dot_git.write_text(pointer)
        if chance.random() < 0.5:
            if (place / name / "commondir").is_dir():  # an earlier change made it
                return
            (place / name / "commondir").write_text(chance.choice(("../..\n", ".", "/", str(self.template / ".git"))))
            (place / name / "gitdir").write_text(f"{dot_git}\n")


@pytest.mark.campaign
@pytest.mark.timeout(1200)
def test_no_git_folder_runs_a_command_or_holds_a_push_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    chance = random.Random(0)
    secrets = tmp_path / "secrets"
    plant(secrets)
    (secrets / "token").write_text(f"{SECRET}\n")
    marker = tmp_path / "PWNED"
    folders = Folders(tmp_path, marker, secrets / "token")
    monkeypatch.setattr(git_changes, "STATUS_SECONDS", 1.0)
    with untouched(secrets):
        for number in range(FOLDERS):
            place = folders.make(chance)
            monkeypatch.chdir(place)
            if number % (FOLDERS // PROCESSES) == 0:
                done = attack("push", "model.pkl", "--name", "m", "--json")
                assert done.code == 0, done
                assert SECRET.encode() not in done.out, number
            else:
                with bounded(number), begin_capture("model.pkl") as capture:
                    source, _ = capture.result()
                written = (place / ".git/HEAD", place / ".git/packed-refs")
                own = any(
                    path.is_file() and not path.is_symlink() and SECRET in path.read_text("latin-1") for path in written
                )
                assert own or source.git_commit != SECRET, number
                assert source.git_branch.isprintable(), number
                assert source.git_remote.isprintable(), number
            assert not marker.exists(), number
    assert os.listdir(os.environ["TMPDIR"]) == []
