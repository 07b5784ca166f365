"""Calls on files that differ between systems, each with one rule for all of mreg.

Linux and macOS have calls relative to an open folder and calls that follow no link (`RELATIVE`). Windows has neither.
There, and wherever else these calls are missing:

- Files are opened, renamed and removed by their paths. What must not be a link is looked at right before it is used and
  again once it is open. A process that puts a link there in between can still redirect one use: no call of Python
  closes that gap. Windows gives the right to make symbolic links to administrators and developers alone; junctions
  need no right.
- An open file can be neither renamed nor removed, so close it first.
- A read-only file can be neither replaced nor removed, so `unlink` and `replace` make it writable first.
- Folders are not opened (`open_folder` gives -1).

`tests/test_architecture.py` keeps these calls out of the other modules.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING

from mreg.linux import RENAME_NOREPLACE, rename2

if TYPE_CHECKING:
    from pathlib import PurePath

BINARY = getattr(os, "O_BINARY", 0)
"""Windows would otherwise translate newlines and take a byte 0x1A for the end of the file."""

NOFOLLOW = getattr(os, "O_NOFOLLOW", 0)
DIRECTORY = getattr(os, "O_DIRECTORY", 0)

RELATIVE = (
    bool(NOFOLLOW and DIRECTORY and hasattr(os, "link"))
    and {os.open, os.stat, os.mkdir, os.unlink, os.rmdir, os.rename, os.link} <= os.supports_dir_fd
    and {os.listdir, os.scandir} <= os.supports_fd
)
"""Whether the system has calls relative to an open folder."""

WINDOWS = os.name == "nt"
"""Whether names follow the rules of Windows, and file modes tell nothing."""

READ = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0)
CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL
UPDATE = os.O_RDWR | os.O_CREAT

NO_LINKS = frozenset(
    {
        errno.EPERM,  # FAT and exFAT on Linux
        errno.EACCES,  # a policy such as that of Android; if it is about the folder, the rename that follows fails, too
        errno.ENOTSUP,  # FAT, exFAT and some network drives on macOS, where it differs from EOPNOTSUPP
        errno.EOPNOTSUPP,
        errno.ENOSYS,
        errno.EMLINK,  # as many links as the file system allows
        errno.EXDEV,
    }
)
"""Errors of ``os.link`` that mean that this file cannot have a second name there."""

NO_LINKS_ON_WINDOWS = frozenset({1, 50})
"""The same as numbers of Windows: ERROR_INVALID_FUNCTION and ERROR_NOT_SUPPORTED, which Python gives as EINVAL."""

NAME_SURROGATE = 0x20000000
"""The bit of a reparse tag of Windows that marks a name for another file or folder: a symbolic link, a junction.

Files of OneDrive and deduplicated files have tags without it.
"""

_POSITION = threading.Lock()


# Opening


def open_file(
    path: str, flags: int = READ, mode: int = 0o777, *, follow: bool = True, dir_fd: int | None = None
) -> int:
    """Return the descriptor of a file, whose bytes are never translated.

    Args:
        follow: Whether a symbolic link at the end of the path is followed; see the module for systems that lack this.
        dir_fd: The folder that the path is relative to; only where `RELATIVE`.

    Raises:
        OSError: The system refuses; with ``ELOOP`` (or ``EMLINK``) it is a link that must not be followed.
    """
    flags |= BINARY
    if follow or NOFOLLOW:
        return os.open(path, flags | (0 if follow else NOFOLLOW), mode, dir_fd=dir_fd)
    with contextlib.suppress(FileNotFoundError):
        if is_link(os.lstat(path)):
            raise _os_error(errno.ELOOP)
    descriptor = os.open(path, flags, mode)
    try:
        if not os.path.samestat(os.lstat(path), os.fstat(descriptor)):
            raise _os_error(errno.ELOOP)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def open_folder(path: str, *, follow: bool = True, dir_fd: int | None = None) -> int:
    """Return the descriptor of a folder; -1 where the system opens none.

    Raises:
        OSError: It is not a folder, or a link that must not be followed, or cannot be read.
    """
    if not RELATIVE:
        found = os.stat(path) if follow else os.lstat(path)
        if is_link(found):
            raise _os_error(errno.ELOOP)
        if not stat.S_ISDIR(found.st_mode):
            raise _os_error(errno.ENOTDIR)
        return -1
    return os.open(path, os.O_RDONLY | DIRECTORY | (0 if follow else NOFOLLOW), dir_fd=dir_fd)


@contextlib.contextmanager
def opened_folder(path: str, *, follow: bool = True) -> Iterator[int]:
    """`open_folder`, closed at the end."""
    descriptor = open_folder(path, follow=follow)
    try:
        yield descriptor
    finally:
        close(descriptor)


def close(descriptor: int) -> None:
    """Close a descriptor; -1 is none."""
    if descriptor >= 0:
        os.close(descriptor)


def is_link(found: os.stat_result) -> bool:
    """Whether a status (of ``lstat``) is that of a symbolic link, or of a junction of Windows."""
    return stat.S_ISLNK(found.st_mode) or bool(getattr(found, "st_reparse_tag", 0) & NAME_SURROGATE)


def check_folders(root: str, folder: str, *, make: bool = False) -> None:
    """Return if every folder on the way from a root is a folder and not a link.

    For systems where they cannot be opened one from the other; see the module.

    Args:
        folder: A path with ``/`` from the root; empty for the root itself.
        make: Make those that are missing.

    Raises:
        OSError: With ``ELOOP`` one is a link, with ``ENOTDIR`` something else.
        FileNotFoundError: One is missing.
    """
    place = root
    for part in folder.split("/") if folder else ():
        place = os.path.join(place, part)
        if make:
            with contextlib.suppress(FileExistsError):
                os.mkdir(place)
        open_folder(place, follow=False)


def read_at(descriptor: int, count: int, place: int) -> bytes:
    """Return at most `count` bytes from a place in an open file. Several threads can call it at the same time.

    The position of the descriptor is undefined afterwards.
    """
    if hasattr(os, "pread"):
        return os.pread(descriptor, count, place)
    with _POSITION:  # duplicates of a descriptor share its position
        os.lseek(descriptor, place, os.SEEK_SET)
        return os.read(descriptor, count)


def has_locks() -> bool:
    """Whether the system has locks of the kind that `lock` takes."""
    try:
        import fcntl  # noqa: F401
    except ImportError:
        return False
    return True


def lock(descriptor: int, *, wait: bool = True) -> bool:
    """Lock an open file or folder until it is closed; False if locks are missing (Windows, some network drives).

    Raises:
        BlockingIOError: Another process has it, and it is not to be waited for.
    """
    try:
        import fcntl
    except ImportError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        raise
    except OSError:
        return False
    return True


def room(folder: str) -> int:
    """Return how many bytes this user can write to the file system of a folder."""
    if hasattr(os, "statvfs"):
        found = os.statvfs(folder)
        return found.f_bavail * found.f_frsize
    import shutil

    return shutil.disk_usage(folder).free


# Names


def link(source: str, target: str, *, src_dir_fd: int | None = None, dst_dir_fd: int | None = None) -> None:
    """Give a file a second name; a link as the source is not followed.

    Raises:
        FileExistsError: The name is taken.
        OSError: See `lacks_links`.
    """
    if not hasattr(os, "link"):
        raise _os_error(errno.ENOSYS)
    if RELATIVE:
        os.link(source, target, src_dir_fd=src_dir_fd, dst_dir_fd=dst_dir_fd, follow_symlinks=False)
    else:
        os.link(source, target)


def lacks_links(error: OSError) -> bool:
    """Whether an error of `link` means that hard links are missing, so that the caller renames the file instead."""
    return error.errno in NO_LINKS or getattr(error, "winerror", 0) in NO_LINKS_ON_WINDOWS


def rename_new(source: str, target: str, *, src_dir_fd: int | None = None, dst_dir_fd: int | None = None) -> None:
    """Rename a file to a name that is free.

    Linux and Windows refuse a name that is taken. On macOS, and on file systems of Linux without that call, a file that
    gets the name at the same moment is replaced.

    Raises:
        FileExistsError: The name is taken.
    """
    if rename2(source, target, RENAME_NOREPLACE, src_dir_fd=src_dir_fd, dst_dir_fd=dst_dir_fd):
        return
    with contextlib.suppress(FileNotFoundError):
        os.stat(target, dir_fd=dst_dir_fd, follow_symlinks=False)
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))
    os.rename(source, target, src_dir_fd=src_dir_fd, dst_dir_fd=dst_dir_fd)


def name_new(source: str, target: str, *, src_dir_fd: int | None = None, dst_dir_fd: int | None = None) -> None:
    """Give a finished file a name that is free, by a link or else by renaming; its old name may stay.

    Windows renames: a second name of a read-only file could not be removed without making the file writable.

    Raises:
        FileExistsError: The name is taken.
    """
    if RELATIVE:
        try:
            link(source, target, src_dir_fd=src_dir_fd, dst_dir_fd=dst_dir_fd)
            return
        except OSError as error:
            if not lacks_links(error):
                raise
    rename_new(source, target, src_dir_fd=src_dir_fd, dst_dir_fd=dst_dir_fd)


def replace(source: str, target: str, *, src_dir_fd: int | None = None, dst_dir_fd: int | None = None) -> None:
    """Rename a file; a file of the new name is replaced, also a read-only one."""
    try:
        os.replace(source, target, src_dir_fd=src_dir_fd, dst_dir_fd=dst_dir_fd)
    except PermissionError:
        if RELATIVE:
            raise
        with _writable(target):
            os.replace(source, target)


def unlink(path: str, *, dir_fd: int | None = None) -> None:
    """Remove a file or a link, also a read-only file."""
    try:
        os.unlink(path, dir_fd=dir_fd)
    except PermissionError:
        if RELATIVE:
            raise
        with _writable(path):
            os.unlink(path)


@contextlib.contextmanager
def _writable(path: str) -> Iterator[None]:
    """Take the read-only attribute from a file; it is given back if the body fails.

    Raises:
        PermissionError: The file is not read-only: something else is in the way.
    """
    found = os.lstat(path)
    if not stat.S_ISREG(found.st_mode) or found.st_mode & stat.S_IWRITE:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    os.chmod(path, found.st_mode | stat.S_IWRITE)
    try:
        yield
    except BaseException:
        with contextlib.suppress(OSError):
            os.chmod(path, found.st_mode)
        raise


def remove(path: str) -> None:
    """Remove a file, a link, or a folder with everything in it; no link in it is followed.

    Raises:
        OSError: Something cannot be removed; other files are already gone.
        RecursionError: It is too deep.
    """
    found = os.lstat(path)
    if is_link(found) or not stat.S_ISDIR(found.st_mode):
        _remove_link_or_file(path, found)
    elif RELATIVE:
        import shutil

        shutil.rmtree(path)
    else:
        with os.scandir(path) as entries:
            inner = [entry.path for entry in entries]
        for one in inner:
            remove(one)
        os.rmdir(path)


def _remove_link_or_file(path: str, found: os.stat_result) -> None:
    if stat.S_ISDIR(found.st_mode):
        os.rmdir(path)  # a junction
    else:
        unlink(path)


def _os_error(number: int) -> OSError:
    return OSError(number, os.strerror(number))


def folder_url(folder: PurePath) -> str:
    """Return the ``file:`` URL of an absolute path.

    It is the same as that of `pathlib.Path.as_uri`, which from Python 3.14 on imports ``urllib.request``.
    """
    from urllib.parse import quote_from_bytes

    path = folder.as_posix()
    if folder.drive.endswith(":"):
        return f"file:///{folder.drive}{quote_from_bytes(os.fsencode(path.removeprefix(folder.drive)))}"
    return f"file:{'' if folder.drive else '//'}{quote_from_bytes(os.fsencode(path))}"
