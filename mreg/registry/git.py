"""Facts about a git repository, read from its files, because a git process for each would take longer than a push.

A repository can be hostile input. Its files are read only inside its own folders: no link, ref or ``.git`` file makes
mreg read, and record, the content of another place.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass

from mreg.registry.git_config import Setting, boolean, settings
from mreg.registry.small_file import native_path, read_small, read_small_text

PACKED_REFS_BYTES = 32 << 20
"""Maximum size in bytes of a packed-refs file that is read; about 500,000 refs."""

_HASH = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")

_REF = re.compile(r"refs/(?:(?!\.)[^/\0-\x20\x7f~^:?*\[\\]+/)*(?!\.)[^/\0-\x20\x7f~^:?*\[\\]+")
"""A ref name by the rules of ``git check-ref-format``; `valid_ref` checks the remaining rules."""


@dataclass(frozen=True, slots=True)
class Repository:
    """A working folder under git.

    Attributes:
        top: The top folder of the working tree.
        git_folder: Its ``.git`` folder, or the folder that a ``.git`` file names; without links.
        common: The folder of refs and configuration, shared by linked worktrees; without links.
    """

    top: str
    git_folder: str
    common: str


def find_repository(folder: str, notice: Callable[[str], None] = lambda _text: None) -> Repository | None:
    """Return the repository that a folder is in, or None.

    A ``.git`` file or link that leads outside is followed only if the folder there names this working folder in turn,
    as it does for linked worktrees and submodules. Otherwise a folder could pass off another repository as its own.

    Args:
        notice: Receives the reason why a repository is ignored.
    """
    current = os.path.abspath(folder)
    while True:
        dot_git = os.path.join(current, ".git")
        if os.path.isdir(dot_git) or os.path.isfile(dot_git):
            found = _repository(current, dot_git)
            if found is None:
                notice(f"no commit, branch or remote recorded: {dot_git} does not point to a Git folder of {current}")
            return found
        parent = os.path.dirname(current)
        if parent == current:
            return None
        current = parent


def _repository(top: str, dot_git: str) -> Repository | None:
    real_top = os.path.realpath(top)
    if os.path.isdir(dot_git):
        git_folder = os.path.realpath(dot_git)
        if not _inside(git_folder, real_top) or os.path.lexists(os.path.join(git_folder, "commondir")):
            return None
        return Repository(top, git_folder, git_folder)
    # git strips line ends here, but not spaces
    pointer = re.fullmatch(r"gitdir: ([^\0\r\n]+)[\r\n]*", read_small_text(dot_git, within=top))
    if not pointer:
        return None
    git_folder = os.path.realpath(os.path.join(top, native_path(pointer[1])))
    if not os.path.isdir(git_folder):
        return None
    if not os.path.lexists(os.path.join(git_folder, "commondir")):
        found = Repository(top, git_folder, git_folder)
        own = _inside(git_folder, real_top) or work_tree(found, configuration(found) or ()) == real_top
        return found if own else None
    common = os.path.realpath(os.path.join(git_folder, native_path(_line_of(git_folder, "commondir"))))
    back = os.path.realpath(os.path.join(git_folder, native_path(_line_of(git_folder, "gitdir"))))
    linked = os.path.dirname(git_folder) == os.path.join(common, "worktrees")
    return Repository(top, git_folder, common) if linked and back == os.path.join(real_top, ".git") else None


def _inside(path: str, folder: str) -> bool:
    return path.startswith(os.path.join(folder, ""))


def _line_of(folder: str, name: str) -> str:
    return read_small_text(os.path.join(folder, name), within=folder).rstrip("\r\n").replace("\0", "")


def configuration(repository: Repository) -> tuple[Setting, ...] | None:
    """Return every setting that git would read from the repository, or None if one of its files cannot be read whole.

    Files that the configuration includes are not read; keys ``include.path`` and ``includeIf…path`` name them.
    """
    found = settings(os.path.join(repository.common, "config"), within=repository.common)
    if found is None or not boolean(found, "extensions.worktreeconfig"):
        own: tuple[Setting, ...] | None = ()
    else:
        own = settings(os.path.join(repository.git_folder, "config.worktree"), within=repository.git_folder)
    if found is None or own is None:
        return None
    if repository.git_folder != repository.common:  # these two keys apply only to the main working folder
        found = tuple(setting for setting in found if setting[0] not in ("core.bare", "core.worktree"))
    return found + own


def work_tree(repository: Repository, settings: tuple[Setting, ...]) -> str:
    """Return the working folder that the configuration names, without links; empty if it names none."""
    value = dict(settings).get("core.worktree") or ""
    return os.path.realpath(os.path.join(repository.git_folder, native_path(value))) if value else ""


def head(repository: Repository) -> tuple[str, str]:
    """Return the full hash of HEAD and its branch; empty if there is none (no commit yet, detached)."""
    text = read_small_text(os.path.join(repository.git_folder, "HEAD"), within=repository.git_folder).strip()
    if not text.startswith("ref:"):
        return (text, "") if _HASH.fullmatch(text) else ("", "")
    ref = text.removeprefix("ref:").strip()
    if not valid_ref(ref):
        return "", ""
    branch = ref.removeprefix("refs/heads/")
    for folder in (repository.git_folder, repository.common):
        found = read_small_text(os.path.join(folder, *native_path(ref).split("/")), within=folder).strip()
        if _HASH.fullmatch(found):
            return found, branch
    packed = os.path.join(repository.common, "packed-refs")
    data = read_small(packed, within=repository.common, limit=PACKED_REFS_BYTES) or b""
    name = re.escape(ref.encode("utf-8", "surrogateescape"))
    match = re.search(rb"^([0-9a-f]{40}(?:[0-9a-f]{24})?) " + name + rb"$", data, re.MULTILINE)
    return (match[1].decode() if match else ""), branch


def valid_ref(ref: str) -> bool:
    """Return whether a text is a full name of a ref, such as ``refs/heads/main``."""
    broken = ".." in ref or "@{" in ref or ref.endswith(".") or any(part.endswith(".lock") for part in ref.split("/"))
    return not broken and len(ref) <= 1000 and _REF.fullmatch(ref) is not None


def remote(repository: Repository) -> str:
    """Return the URL of origin (or the first remote) without user, password or query; empty without a remote."""
    config = settings(os.path.join(repository.common, "config"), within=repository.common)
    urls = {key: value for key, value in config or () if key.startswith("remote.") and key.endswith(".url") and value}
    return without_secrets(urls.get("remote.origin.url") or next(iter(urls.values()), "") or "")


def without_secrets(url: str) -> str:
    """Return the URL without the parts that can hold a secret: user and password, query, fragment."""
    scheme, separator, rest = url.partition("://")
    if not separator:
        # user@host:path names a login; user:token@host:path would hold a secret; local paths have neither.
        login, at, rest = url.partition("@")
        return rest if at and ":" in login else url
    place, slash, path = rest.partition("/")
    return f"{scheme}://{place.rpartition('@')[2]}{slash}{re.split('[?#]', path)[0]}"
