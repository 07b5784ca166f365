"""Folders that several users share: mode, group and owner of new files, and explanations of missing permissions.

The umask decides which users can use a new catalog file or store. Later each new file in it gets the mode and group of
its folder, independent of the umask: otherwise a member with another umask locks the others out. Files created by root
get the owner of their folder.
"""

from __future__ import annotations

import contextlib
import os
import stat
from shlex import quote

from mreg.files import close, group_text, open_file, user_text

GROUP_WRITES = stat.S_IWGRP
PERMISSIONS = 0o777


def inherit_access(descriptor: int, folder: os.stat_result, wanted: int | None = None) -> None:
    """Set the group and mode of a new file or folder from its parent folder, and its owner if root created it.

    Pass only a file or folder that this process created. If the user is not allowed to set the group, it is unchanged.

    Args:
        wanted: The maximum mode, which is reduced to the permissions of the parent, independent of the umask. None
            keeps the mode that the umask left, reduced to the permissions of the parent.
    """
    if not hasattr(os, "fchown"):
        return
    found = os.fstat(descriptor)
    if found.st_uid != os.geteuid():
        return  # another user replaced the new file
    owner = folder.st_uid if os.geteuid() == 0 else found.st_uid
    if (owner, folder.st_gid) != (found.st_uid, found.st_gid):
        with contextlib.suppress(PermissionError):
            os.fchown(descriptor, owner, folder.st_gid)
    mode = stat.S_IMODE(found.st_mode)
    if wanted is None:
        # Other users cannot enter a private folder. If it is opened to them later, the umask still applies.
        granted = folder.st_mode if folder.st_mode & GROUP_WRITES else folder.st_mode | 0o755
        permitted = mode & PERMISSIONS & (granted | 0o700)
    else:
        permitted = wanted & (folder.st_mode | 0o700)
    if permitted != mode & PERMISSIONS:
        os.fchmod(descriptor, permitted | mode & ~PERMISSIONS)


def inherit_group(path: str, endings: tuple[str, ...]) -> None:
    """Give the log and index files that SQLite created for this user the group of the shared catalog.

    macOS, and folders with the setgid bit, do this already. SQLite itself sets their mode to that of the catalog.
    """
    if not hasattr(os, "O_PATH"):
        return
    try:
        catalog = os.stat(path)
    except OSError:
        return  # SQLite has the file open, or reports the error itself
    if not catalog.st_mode & GROUP_WRITES:
        return
    for ending in endings:
        with contextlib.suppress(OSError):
            # Closing an O_PATH descriptor does not release the locks that this process holds on the file.
            descriptor = open_file(path + ending, os.O_PATH, follow=False)
            try:
                found = os.fstat(descriptor)
                own = stat.S_ISREG(found.st_mode) and found.st_nlink == 1 and found.st_uid == os.geteuid()
                if own and found.st_gid != catalog.st_gid:
                    os.chown(f"/proc/self/fd/{descriptor}", -1, catalog.st_gid)
            finally:
                close(descriptor)


def has_access(path: str, right: int) -> bool:
    """Return whether this user has a permission (``os.R_OK``, ``os.W_OK``); a folder also needs ``os.X_OK``."""
    return os.access(path, right | (os.X_OK if os.path.isdir(path) else 0))


def explain_denial(path: str, right: int) -> tuple[str, str]:
    """Return why this user lacks a permission, as the end of a sentence, and the command that grants it."""
    writes = right == os.W_OK
    found = os.stat(path)
    word, letter = ("writable", "w") if writes else ("readable", "r")
    letters = {"w": "rwx", "r": "rx"}[letter] if stat.S_ISDIR(found.st_mode) else letter
    if not hasattr(os, "getuid"):
        return f"is not {word}", ""
    owner = f"belongs to {user_text(found.st_uid)}"
    if writes and hasattr(os, "statvfs") and os.statvfs(path).f_flag & os.ST_RDONLY:
        return "is on a read-only file system", ""
    if found.st_uid == os.getuid():
        return f"belongs to you and is not {word}", f"chmod u+{letters} {quote(path)}"
    groups = (os.getgid(), *os.getgroups())
    if found.st_gid not in groups:
        above = os.stat(os.path.dirname(os.path.abspath(path))).st_gid
        remedy = f"join {group_text(found.st_gid)}, or ask {user_text(found.st_uid)} for access"
        if above in groups:
            remedy = f"chgrp {above} {quote(path)} && chmod g+{letters} {quote(path)}"
        return f"{owner} and {group_text(found.st_gid)}, and you are not in that group", remedy
    bit = GROUP_WRITES if writes else stat.S_IRGRP
    if not found.st_mode & bit:
        return f"{owner} and is not group-{word}", f"chmod g+{letters} {quote(path)}"
    return f"{owner} and does not let you {'write' if writes else 'read'} it", f"getfacl {quote(path)}"
