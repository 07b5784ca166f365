"""Ask git whether tracked files are changed, without letting git read the repository's configuration.

Git runs the commands that a configuration names: filters, monitors, hooks, programs of remotes. So mreg reads the
configuration itself and gives git a private git folder. It holds the commit, the attributes, and a configuration with
only the keys in `_CARRIED` and values that mreg has checked. Of the repository, git reads the index, the objects and
the working folder. The user's own configuration applies, including the user's filters.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Mapping
from typing import TYPE_CHECKING

from mreg.files import user_text
from mreg.processes import end, find_program, search_path
from mreg.registry.git import Repository, configuration, work_tree
from mreg.registry.git_config import Setting, boolean, user_settings
from mreg.registry.small_file import read_small

if TYPE_CHECKING:
    import subprocess

STATUS_SECONDS = 5.0
"""Seconds that a push waits for git after the bytes are stored."""

KILL_SECONDS = 1.0
"""Seconds to wait for a killed git, which never ends if the kernel holds it."""

MEMORY = 512 << 20
"""Memory limit of git in bytes, on Linux: a tree or index of a few KB can name any number of long paths.

An index of a million files takes 250 MiB, and the threads that examine the files take 160 MiB."""

INDEX_BYTES = 128 << 20
"""Maximum size in bytes of an index that git is asked to read; about a million files."""

_BOOLEAN = {
    **dict.fromkeys(("true", "yes", "on", "1"), "true"),
    **dict.fromkeys(("false", "no", "off", "0", ""), "false"),
}
_CARRIED: dict[str, Mapping[str, str]] = {
    "core.autocrlf": {**_BOOLEAN, "input": "input"},
    "core.checkstat": {"default": "default", "minimal": "minimal"},
    "core.eol": {"lf": "lf", "crlf": "crlf", "native": "native"},
    "core.filemode": _BOOLEAN,
    "core.ignorecase": _BOOLEAN,
    "core.precomposeunicode": _BOOLEAN,
    "core.repositoryformatversion": {"0": "1", "1": "1"},
    "core.sparsecheckout": _BOOLEAN,
    "core.sparsecheckoutcone": _BOOLEAN,
    "core.symlinks": _BOOLEAN,
    "core.trustctime": _BOOLEAN,
    "extensions.objectformat": {"sha1": "sha1", "sha256": "sha256"},
}
"""Keys that affect whether a file counts as changed, with the text of each value in the private configuration."""

_EXTENSIONS = frozenset(
    f"extensions.{name}" for name in ("noop", "partialclone", "preciousobjects", "relativeworktrees", "worktreeconfig")
)
"""Repository format extensions that do not affect the answer."""

_OF_ONE_REPOSITORY = frozenset(
    "GIT_ALTERNATE_OBJECT_DIRECTORIES GIT_ATTR_SOURCE GIT_COMMON_DIR GIT_CONFIG GIT_DIR GIT_GRAFT_FILE "
    "GIT_IMPLICIT_WORK_TREE GIT_INDEX_FILE GIT_INTERNAL_SUPER_PREFIX GIT_NAMESPACE GIT_OBJECT_DIRECTORY GIT_PREFIX "
    "GIT_QUARANTINE_PATH GIT_REPLACE_REF_BASE GIT_SHALLOW_FILE GIT_WORK_TREE".split()
)
"""Variables that point git at another repository; git sets some of them for its hooks."""


class DirtyCheck:
    """Checks with git whether tracked files are changed, while the bytes of the push are stored.

    Attributes:
        note: Why the answer is unknown, empty otherwise.
    """

    def __init__(self, repository: Repository, commit: str, environ: Mapping[str, str]) -> None:
        self.note = ""
        self._folder = ""
        self._process: subprocess.Popen[bytes] | None = None
        program = find_program("git", environ)
        if not commit or not program:
            return
        carried: list[Setting] = []
        reason = _refusal(repository, environ, carried)
        if reason:
            self._unknown(reason)
            return
        try:
            self._start(program, repository, commit, carried, environ)
        except (OSError, ValueError) as error:
            self._unknown(f"cannot start git: {getattr(error, 'strerror', None) or error}")

    def _start(
        self, program: str, repository: Repository, commit: str, carried: list[Setting], environ: Mapping[str, str]
    ) -> None:
        import subprocess

        # Without tempfile, whose import takes longer than everything else here.
        temporary = environ.get("TMPDIR") or environ.get("TEMP") or "/tmp"  # noqa: S108 - the folder's name is random
        folder = os.path.join(os.path.abspath(temporary), f"mreg-git-{os.urandom(12).hex()}")
        os.mkdir(folder, 0o700)
        self._folder = folder
        for name in ("refs", "info"):
            os.mkdir(os.path.join(self._folder, name))
        lines = [f"[{key.partition('.')[0]}]\n\t{key.partition('.')[2]} = {value}\n" for key, value in carried]
        self._write("HEAD", f"{commit}\n".encode())
        self._write("config", "".join(lines).encode())
        for folder, name in ((repository.common, "attributes"), (repository.git_folder, "sparse-checkout")):
            data = read_small(os.path.join(folder, "info", name), within=folder)
            if data:
                self._write(f"info/{name}", data)
        command = [
            program, "--no-optional-locks", f"--git-dir={self._folder}", f"--work-tree={repository.top}",
            "-c", "core.fsmonitor=false", "-c", f"core.hooksPath={os.devnull}", "-c", "core.sshCommand=false",
            "-c", "credential.helper=", "-c", "protocol.allow=never", "-c", "core.bigFileThreshold=64m",
            "status", "--porcelain", "--untracked-files=no", "--ignore-submodules=all",
        ]  # fmt: skip
        # The output goes to a file: a process that git leaves behind could hold a pipe open.
        with open(os.path.join(self._folder, "output"), "wb") as output:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.DEVNULL,
                cwd=self._folder,
                env={
                    **{name: value for name, value in environ.items() if name not in _OF_ONE_REPOSITORY},
                    "GIT_OBJECT_DIRECTORY": os.path.join(repository.common, "objects"),
                    "GIT_INDEX_FILE": os.path.join(repository.git_folder, "index"),
                    "GIT_NO_LAZY_FETCH": "1",
                    "GIT_ALLOW_PROTOCOL": "none",
                    "GIT_TERMINAL_PROMPT": "0",
                    "GIT_OPTIONAL_LOCKS": "0",
                    "GIT_ALLOC_LIMIT": "256m",
                    "PATH": os.pathsep.join(search_path(environ)),
                },
                start_new_session=True,
            )
        _limit_memory(self._process.pid)

    def _write(self, name: str, data: bytes) -> None:
        with open(os.path.join(self._folder, name), "wb") as stream:
            stream.write(data)

    def _unknown(self, reason: str) -> None:
        self.note = f"unknown whether tracked files are changed: {reason}; run git status if you trust the repository"

    def result(self) -> bool | None:
        """Return whether files are changed; None if git is missing, was not run, failed, or takes too long."""
        if self._process is None:
            return None
        if not _ended(self._process, STATUS_SECONDS):
            self._unknown(f"git took over {STATUS_SECONDS:g} s")
        elif self._process.returncode:
            self._unknown("git status failed")
        else:
            with contextlib.suppress(OSError):
                return os.path.getsize(os.path.join(self._folder, "output")) > 0
        return None

    def close(self) -> None:
        """Kill git and its child processes if it still runs, and remove the private folder."""
        process = self._process
        if process is not None and process.poll() is None:
            end(process, kill=True)
            _ended(process, KILL_SECONDS)
        if self._folder:
            from shutil import rmtree

            rmtree(self._folder, ignore_errors=True)
            self._folder = ""


def _limit_memory(process: int) -> None:
    """Limit the data of a process, and of each process that it starts, to `MEMORY` bytes, on Linux.

    Linux can limit a process that is already running; git takes little memory in those microseconds. Setting a limit
    before a program starts would run Python code in the fork of a process with threads, which can hang. So on other
    systems only git's own limit for one block of memory and the time limit apply.
    """
    try:
        import resource

        now, most = resource.prlimit(process, resource.RLIMIT_DATA)
        wanted = [limit for limit in (now, most, MEMORY) if limit != resource.RLIM_INFINITY]
        resource.prlimit(process, resource.RLIMIT_DATA, (min(wanted), most))
    except (ImportError, AttributeError, OSError):
        return  # not Linux, or a container that does not allow it


def _ended(process: subprocess.Popen[bytes], seconds: float) -> bool:
    """Return whether the process ends in time; does not wait for its children."""
    import subprocess

    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        return False
    return True


def _refusal(repository: Repository, environ: Mapping[str, str], carried: list[Setting]) -> str:
    """Return why git is not run, or an empty text; add the settings for git to ``carried``."""
    foreign = _foreign(repository, environ)
    if foreign:
        return foreign
    index = os.path.join(repository.git_folder, "index")
    with contextlib.suppress(OSError):
        status = os.lstat(index)
        if not stat.S_ISREG(status.st_mode) or status.st_size > INDEX_BYTES:
            return f"{index} is not a regular file of at most {INDEX_BYTES >> 20} MiB"
    found = configuration(repository)
    if found is None:
        return "the repository's configuration cannot be read completely"
    for key, value in found:
        if key in _CARRIED:
            word = _CARRIED[key].get("true" if value is None else value.lower())
            if word is None:
                return f"the repository sets {key} to an unknown value"
            carried.append((key, word))
        elif _matters(key):
            return f"the repository sets {key.split('.')[0]}.{key.split('.')[-1]}"
    if repository.git_folder == repository.common and boolean(found, "core.bare"):
        return "the repository is bare"
    if work_tree(repository, found) not in ("", os.path.realpath(repository.top)):
        return "the repository's core.worktree names another folder"
    return ""


def _matters(key: str) -> bool:
    """Return whether a key that git does not receive could change the answer."""
    section = key.partition(".")[0]
    return (
        section in ("filter", "include", "includeif")
        or (section == "extensions" and key not in _EXTENSIONS)
        or key in ("core.attributesfile", "attr.tree")
    )


def _foreign(repository: Repository, environ: Mapping[str, str]) -> str:
    """Return a reason if another user owns the repository and the user's own ``safe.directory`` does not allow it."""
    if not hasattr(os, "geteuid"):
        return ""
    own_ids = {os.geteuid()}
    if own_ids == {0} and environ.get("SUDO_UID", "").isdecimal():
        own_ids.add(int(environ["SUDO_UID"]))
    for folder in (repository.top, repository.git_folder, repository.common):
        with contextlib.suppress(OSError):
            owner = os.stat(folder).st_uid
            if owner not in own_ids and not _safe(repository.top, environ):
                return f"{folder} belongs to {user_text(owner)}"
    return ""


def _safe(top: str, environ: Mapping[str, str]) -> bool:
    allowed: set[str] = set()
    for key, value in user_settings(environ):
        if key == "safe.directory":
            allowed = {*allowed, value} if value else set()
    return bool(allowed & {"*", top, os.path.realpath(top)})
