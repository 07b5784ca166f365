"""Folders that several users share: what mode, group and owner a new file gets, and which file is in a user's way.

The umask decides who can use a catalog file or a store when it is made. Afterwards each new file in it takes the mode
and group of its folder, whatever the umask: a member with another umask would otherwise lock the others out. The files
of root take the owner of their folder.
"""

from __future__ import annotations

import contextlib
import os
import stat
from shlex import quote

from mreg.files import close, open_file

GROUP_WRITES = stat.S_IWGRP
PERMISSIONS = 0o777


def adopt(descriptor: int, folder: os.stat_result, wanted: int | None = None) -> None:
    """Give a new file or folder the group of its folder, a mode, and, if root made it, the owner of its folder.

    Pass only a file or folder that this process has made. Without the right to a group, the file keeps the user's own.

    Args:
        wanted: The most that it may permit, of which it gets what its folder permits, whatever the umask. None: it
            keeps what the umask left, less what its folder does not permit.
    """
    if not hasattr(os, "fchown"):
        return
    found = os.fstat(descriptor)
    if found.st_uid != os.geteuid():
        return  # another user has put it in the place of the new file
    owner = folder.st_uid if os.geteuid() == 0 else found.st_uid
    if (owner, folder.st_gid) != (found.st_uid, found.st_gid):
        with contextlib.suppress(PermissionError):
            os.fchown(descriptor, owner, folder.st_gid)
    mode = stat.S_IMODE(found.st_mode)
    if wanted is None:
        # Others in a private folder cannot reach the file; of a folder that is opened later the umask should hold.
        granted = folder.st_mode if folder.st_mode & GROUP_WRITES else folder.st_mode | 0o755
        permitted = mode & PERMISSIONS & (granted | 0o700)
    else:
        permitted = wanted & (folder.st_mode | 0o700)
    if permitted != mode & PERMISSIONS:
        os.fchmod(descriptor, permitted | mode & ~PERMISSIONS)


def adopt_beside(path: str, endings: tuple[str, ...]) -> None:
    """Give the log and index that SQLite has made for this user the group of the shared catalog.

    A folder with the setgid bit, and macOS, does so already; the mode is the catalog's, by SQLite.
    """
    if not hasattr(os, "O_PATH"):
        return
    try:
        catalog = os.stat(path)
    except OSError:
        return  # SQLite has it open, or says what is wrong with it
    if not catalog.st_mode & GROUP_WRITES:
        return
    for ending in endings:
        with contextlib.suppress(OSError):
            # Closing such a descriptor does not drop the locks that this process has on the file.
            descriptor = open_file(path + ending, os.O_PATH, follow=False)
            try:
                found = os.fstat(descriptor)
                own = stat.S_ISREG(found.st_mode) and found.st_nlink == 1 and found.st_uid == os.geteuid()
                if own and found.st_gid != catalog.st_gid:
                    os.chown(f"/proc/self/fd/{descriptor}", -1, catalog.st_gid)
            finally:
                close(descriptor)


def may(path: str, right: int) -> bool:
    """Whether this user has a right (``os.R_OK``, ``os.W_OK``) to a file or folder; a folder must also be entered."""
    return os.access(path, right | (os.X_OK if os.path.isdir(path) else 0))


def why_not(path: str, right: int) -> tuple[str, str]:
    """Why this user lacks a right to a file or folder, as the end of a sentence, and the command that grants it."""
    writes = right == os.W_OK
    found = os.stat(path)
    word, letter = ("writable", "w") if writes else ("readable", "r")
    letters = {"w": "rwx", "r": "rx"}[letter] if stat.S_ISDIR(found.st_mode) else letter
    if not hasattr(os, "getuid"):
        return f"is not {word}", ""
    owner = f"belongs to user {found.st_uid}"
    if writes and hasattr(os, "statvfs") and os.statvfs(path).f_flag & os.ST_RDONLY:
        return "is on a read-only file system", ""
    if found.st_uid == os.getuid():
        return f"belongs to you and is not {word}", f"chmod u+{letters} {quote(path)}"
    groups = (os.getgid(), *os.getgroups())
    if found.st_gid not in groups:
        above = os.stat(os.path.dirname(os.path.abspath(path))).st_gid
        remedy = f"join group {found.st_gid}, or ask user {found.st_uid} for access"
        if above in groups:
            remedy = f"chgrp {above} {quote(path)} && chmod g+{letters} {quote(path)}"
        return f"{owner} and group {found.st_gid}, and you are not in that group", remedy
    bit = GROUP_WRITES if writes else stat.S_IRGRP
    if not found.st_mode & bit:
        return f"{owner} and is not group-{word}", f"chmod g+{letters} {quote(path)}"
    return f"{owner} and does not let you {'write' if writes else 'read'} it", f"getfacl {quote(path)}"
