"""Checks of modes, groups and owners in a shared folder."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from shlex import quote
from typing import TYPE_CHECKING

from mreg.files import group_text, user_text
from mreg.sharing import GROUP_WRITES, explain_denial, has_access

if TYPE_CHECKING:
    from mreg.results.profiles import Profile

SHOWN = 3
"""Maximum number of names in a message."""

LOGS = ("-wal", "-shm", "-journal")


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """A permission problem.

    Attributes:
        place: The catalog, or the folder of the store.
        remedy: Command for the owner or root.
    """

    place: str
    message: str
    remedy: str


def permission_problems(profile: Profile) -> tuple[Problem, ...]:
    """Find files and folders that this user, or another user with access to the folder above, cannot use.

    Changes nothing. A catalog or store that does not exist or is not on this machine's file system has no problems.
    """
    if not hasattr(os, "geteuid"):
        return ()
    found: list[Problem] = []
    if "://" not in profile.catalog and os.path.isfile(profile.catalog):
        with suppress(OSError):
            found += _of_catalog(os.path.realpath(profile.catalog))
    if "://" not in profile.artifacts and os.path.isdir(profile.artifacts):
        with suppress(OSError):
            found += _of_store(os.path.realpath(profile.artifacts))
    return tuple(found)


def _of_catalog(path: str) -> Iterator[Problem]:
    folder = os.path.dirname(path)
    above, catalog = os.stat(folder), os.stat(path)
    shared = bool(above.st_mode & GROUP_WRITES)
    every = f"{quote(path)}*"
    yield from _of_folder(folder, above)
    wrong = [_without_right(path)]
    if shared:
        wrong.append(_less("catalog.db", catalog, above.st_mode & 0o666))
    yield from _problem(path, wrong, f"chmod {_letters(above.st_mode & 0o666)} {every}")
    logs = [(path + suffix, os.lstat(path + suffix)) for suffix in LOGS if os.path.lexists(path + suffix)]
    wrong = [_less(os.path.basename(log), status, catalog.st_mode & 0o666) for log, status in logs]
    wrong += [_without_right(log) for log, _ in logs]
    yield from _problem(path, wrong, f"chmod {_letters(catalog.st_mode & 0o666)} {every}")
    if shared:
        wrong = [
            _other_group(os.path.basename(file), status, above.st_gid) for file, status in ((path, catalog), *logs)
        ]
        yield from _problem(path, wrong, f"chgrp {above.st_gid} {every}")


def _of_folder(folder: str, info: os.stat_result) -> Iterator[Problem]:
    if not info.st_mode & GROUP_WRITES:
        return
    if not info.st_mode & stat.S_ISGID and sys.platform != "darwin" and not _is_private_group(info):
        message = f"{folder} has no setgid bit: new files do not automatically get its {group_text(info.st_gid)}"
        yield Problem(place=folder, message=message, remedy=f"chmod g+s {quote(folder)}")
    if info.st_mode & stat.S_ISVTX:
        message = f"{folder} has the sticky bit: members cannot remove the logs of other members"
        yield Problem(place=folder, message=message, remedy=f"chmod -t {quote(folder)}")
    with suppress(OSError, AttributeError):
        os.getxattr(folder, "system.posix_acl_access")
        message = f"{folder} has an access control list, so its permissions can differ from its mode"
        yield Problem(place=folder, message=message, remedy=f"getfacl {quote(folder)}")


def _is_shared(folder: os.stat_result) -> bool:
    """Whether a group works in a folder; in one with the sticky bit, such as ``/tmp``, each works for themselves."""
    return bool(folder.st_mode & GROUP_WRITES and not folder.st_mode & stat.S_ISVTX) and not _is_private_group(folder)


def _is_private_group(info: os.stat_result) -> bool:
    """Return whether the group of a folder is its owner's private group."""
    import pwd

    try:
        return pwd.getpwuid(info.st_uid).pw_gid == info.st_gid
    except KeyError:
        return False


def _of_store(root: str) -> Iterator[Problem]:
    parent, top = os.path.dirname(root), os.stat(root)
    yield from _of_folder(root, top)
    closed, groups, owners, rights = [], [], [], [_without_right(root)]
    above = os.stat(parent)
    if _is_shared(above):  # the umask of the user who made the store can have closed all of it
        closed.append(_less(os.path.basename(root), top, above.st_mode & 0o777))
        groups.append(_other_group(os.path.basename(root), top, above.st_gid))
        mode, group, shared = above.st_mode, above.st_gid, True
    else:
        mode, group, shared = top.st_mode, top.st_gid, bool(top.st_mode & GROUP_WRITES)
    for path, found in _below(root):
        name = os.path.relpath(path, parent)
        folder = stat.S_ISDIR(found.st_mode)
        closed.append(_less(name, found, mode & (0o777 if folder else 0o444)))
        if shared:
            groups.append(_other_group(name, found, group))
        if folder and found.st_uid != top.st_uid and not found.st_mode & GROUP_WRITES:
            owners.append(f"{name} belongs to {user_text(found.st_uid)}, the store to {user_text(top.st_uid)}")
        rights.append(_without_right(path, os.W_OK if folder and has_access(root, os.W_OK) else os.R_OK))
    letters = _letters(mode & 0o444)
    folders = f"find {quote(root)} -type d -exec chmod {_letters(mode & 0o777)} {{}} +"
    yield from _problem(root, closed, f"chmod -R {letters} {quote(root)} && {folders}")
    yield from _problem(root, groups, f"chgrp -R {group} {quote(root)}")
    yield from _problem(root, owners, f"chown -R {top.st_uid} {quote(root)}")
    if not any((*closed, *groups, *owners)):
        yield from _problem(root, rights, f"ls -ld {quote(root)}")


def _below(root: str) -> Iterator[tuple[str, os.stat_result]]:
    """Yield every folder and file of a store; the content of a folder that cannot be read is left out."""
    pending = [(root, 0)]
    while pending:
        folder, depth = pending.pop()
        with suppress(OSError), os.scandir(folder) as entries:
            for entry in entries:
                with suppress(OSError):
                    found = entry.stat(follow_symlinks=False)
                    if stat.S_ISDIR(found.st_mode) and depth < 3:
                        pending.append((entry.path, depth + 1))
                    if stat.S_ISDIR(found.st_mode) or stat.S_ISREG(found.st_mode):
                        yield entry.path, found


def _less(name: str, info: os.stat_result, expected: int) -> str:
    """Return a message if a file has fewer permissions than expected, otherwise an empty text."""
    lacks = expected & ~info.st_mode & 0o077
    return f"{name} has mode {stat.S_IMODE(info.st_mode):04o} and lacks {_letters(lacks)}" if lacks else ""


def _letters(mode: int) -> str:
    """Return the permissions of group and others in chmod's notation."""
    group = "".join(letter for letter, bit in (("r", 0o040), ("w", 0o020), ("x", 0o010)) if mode & bit)
    others = "".join(letter for letter, bit in (("r", 0o004), ("w", 0o002), ("x", 0o001)) if mode & bit)
    return ",".join(f"{who}+{letters}" for who, letters in (("g", group), ("o", others)) if letters)


def _other_group(name: str, info: os.stat_result, group: int) -> str:
    return f"{name} has {group_text(info.st_gid)}, its folder has {group_text(group)}" if info.st_gid != group else ""


def _without_right(path: str, right: int = os.R_OK) -> str:
    if has_access(path, right):
        return ""
    return f"{os.path.basename(path)} {explain_denial(path, right)[0]}"


def _problem(place: str, messages: list[str], remedy: str) -> Iterator[Problem]:
    found = list(dict.fromkeys(filter(None, messages)))
    if found:
        more = f"; {len(found) - SHOWN:,} more" if len(found) > SHOWN else ""
        yield Problem(place=place, message="; ".join(found[:SHOWN]) + more, remedy=remedy)
