"""What a git repository says of itself, read from its files: a process for each fact would cost more than a push.

Only whether tracked files are changed is asked of git. Nothing in a repository can make it run a command: hooks and the
file system monitor are switched off, and a repository with filters of its own is not asked at all.
"""

from __future__ import annotations

import contextlib
import os
import re
import stat
from dataclasses import dataclass

STATUS_SECONDS = 5.0
"""How long git may take to look for changed files; later the answer is left open."""

_HASH = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")


@dataclass(frozen=True, slots=True)
class Repository:
    """A working folder under git.

    Attributes:
        top: The top of the working folder.
        git_folder: Its ``.git``, or what a linked worktree's ``.git`` file points to.
        common: Where refs and the configuration are, the same for all linked worktrees.
    """

    top: str
    git_folder: str
    common: str


def find_repository(folder: str) -> Repository | None:
    """The repository that a folder is in, or None."""
    current = os.path.abspath(folder)
    while True:
        dot_git = os.path.join(current, ".git")
        if os.path.isdir(dot_git):
            return Repository(current, dot_git, dot_git)
        if os.path.isfile(dot_git):
            pointed = read_text(dot_git).removeprefix("gitdir:").strip()
            git_folder = os.path.normpath(os.path.join(current, pointed))
            common = read_text(os.path.join(git_folder, "commondir")).strip()
            return Repository(current, git_folder, os.path.normpath(os.path.join(git_folder, common or ".")))
        parent = os.path.dirname(current)
        if parent == current:
            return None
        current = parent


def read_text(path: str) -> str:
    """The text of a file, empty where there is none; a pipe in its place must not be waited for."""
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    except (OSError, ValueError):
        return ""
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return ""
        return os.read(descriptor, 1 << 20).decode("utf-8", "replace")
    finally:
        os.close(descriptor)


def head(repository: Repository) -> tuple[str, str]:
    """The full hash of HEAD and its branch; empty where there is none (no commit yet, detached)."""
    text = read_text(os.path.join(repository.git_folder, "HEAD")).strip()
    if not text.startswith("ref:"):
        return (text, "") if _HASH.fullmatch(text) else ("", "")
    ref = text.removeprefix("ref:").strip()
    branch = ref.removeprefix("refs/heads/")
    if ".." in ref.split("/"):
        return "", ""
    for folder in (repository.git_folder, repository.common):
        found = read_text(os.path.join(folder, ref)).strip()
        if _HASH.fullmatch(found):
            return found, branch
    for line in read_text(os.path.join(repository.common, "packed-refs")).splitlines():
        commit, _, name = line.partition(" ")
        if name == ref and _HASH.fullmatch(commit):
            return commit, branch
    return "", branch


def settings(path: str) -> dict[str, str]:
    """The values of a git configuration file by ``section.key`` or ``section.name.key``; a later one wins."""
    found: dict[str, str] = {}
    section = ""
    for line in read_text(path).splitlines():
        line = line.strip()
        match = re.fullmatch(r'\[([A-Za-z0-9.-]+)(?:\s+"((?:[^"\\]|\\.)*)")?\]', line)
        if match:
            section = match[1].lower() + (f".{match[2]}" if match[2] is not None else "")
        elif line[:1] not in ("#", ";", "["):
            key, equals, value = line.partition("=")
            if equals:
                found[f"{section}.{key.strip().lower()}"] = value.strip().strip('"')
    return found


def remote(repository: Repository) -> str:
    """The URL of the remote (origin, else the first) without user, password or query; empty where there is none."""
    urls = {
        key: value
        for key, value in settings(os.path.join(repository.common, "config")).items()
        if key.startswith("remote.") and key.endswith(".url")
    }
    return without_secrets(urls.get("remote.origin.url") or next(iter(urls.values()), ""))


def without_secrets(url: str) -> str:
    """The URL without what could be a secret in it: user and password, query, fragment."""
    scheme, separator, rest = url.partition("://")
    if not separator:
        # user@host:path names a login; user:token@host:path would hold a secret; local paths have neither.
        login, at, rest = url.partition("@")
        return rest if at and ":" in login else url
    place, slash, path = rest.partition("/")
    return f"{scheme}://{place.rpartition('@')[2]}{slash}{re.split('[?#]', path)[0]}"


class DirtyCheck:
    """Whether tracked files are changed, asked of git while something else goes on."""

    def __init__(self, repository: Repository) -> None:
        self._process = None
        places = (os.path.join(repository.common, "config"), os.path.join(repository.git_folder, "config.worktree"))
        text = "".join(read_text(place) for place in places).lower()
        if "filter" in text or "include" in text:
            return  # a filter is a command of the repository's, and git would run it; an include may bring one
        import subprocess

        command = [
            "git", "--no-optional-locks", "-c", "core.fsmonitor=false", "-c", f"core.hooksPath={os.devnull}",
            "-C", repository.top, "status", "--porcelain", "--untracked-files=no", "--ignore-submodules",
        ]  # fmt: skip
        with contextlib.suppress(OSError):
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
            )

    def result(self) -> bool | None:
        """The answer, or None where git is missing, refuses or takes too long."""
        if self._process is None:
            return None
        import subprocess

        try:
            output, _ = self._process.communicate(timeout=STATUS_SECONDS)
        except subprocess.TimeoutExpired:
            self.close()
            return None
        return bool(output.strip()) if self._process.returncode == 0 else None

    def close(self) -> None:
        """Ask no longer; does nothing after `result`."""
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            self._process.communicate()
