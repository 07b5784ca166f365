"""File operations that differ between operating systems, with one behaviour for all of mreg.

Linux and macOS have calls relative to an open folder and calls that do not follow links (`RELATIVE`). On Windows, and
on any other system without these calls:

- Files are opened, renamed and removed by path. A path that must not be a link is checked right before it is used and
  again once it is open. A process that creates a link in between can still redirect one use; Python has no call that
  closes this gap. On Windows only administrators and developers can create symbolic links; junctions need no privilege.
- An open file can be neither renamed nor removed, so close it first.
- A read-only file can be neither replaced nor removed, so `unlink` and `replace` make it writable first.
- Folders are not opened (`open_folder` returns -1).

`tests/test_architecture.py` fails if another module uses these calls directly.
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
"""Without this flag Windows translates newlines and treats a byte 0x1A as the end of the file."""

NOFOLLOW = getattr(os, "O_NOFOLLOW", 0)
DIRECTORY = getattr(os, "O_DIRECTORY", 0)

RELATIVE = (
    bool(NOFOLLOW and DIRECTORY and hasattr(os, "link"))
    and {os.open, os.stat, os.mkdir, os.unlink, os.rmdir, os.rename, os.link} <= os.supports_dir_fd
    and {os.listdir, os.scandir} <= os.supports_fd
)
"""True if the system has calls relative to an open folder."""

WINDOWS = os.name == "nt"
"""True if file names follow the rules of Windows and file modes have no meaning."""

READ = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0)
CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL
UPDATE = os.O_RDWR | os.O_CREAT

NO_LINKS = frozenset(
    {
        errno.EPERM,  # FAT and exFAT on Linux
        errno.EACCES,  # a policy such as Android's; if the folder is not writable, the rename that follows fails too
        errno.ENOTSUP,  # FAT, exFAT and some network drives on macOS, where it differs from EOPNOTSUPP
        errno.EOPNOTSUPP,
        errno.ENOSYS,
        errno.EMLINK,  # the file has the maximum number of links
        errno.EXDEV,
    }
)
"""Errors of ``os.link`` which mean that hard links are not possible here."""

NO_LINKS_ON_WINDOWS = frozenset({1, 50})
"""The same as Windows error numbers: ERROR_INVALID_FUNCTION and ERROR_NOT_SUPPORTED; Python maps both to EINVAL."""

NAME_SURROGATE = 0x20000000
"""The bit of a Windows reparse tag that marks a symbolic link or a junction.

The tags of OneDrive files and deduplicated files do not have it.
"""

WRITE_BYTES = 256 << 10
"""Maximum number of bytes that one call writes.

Linux 6.16 and later cache the bytes of a larger call in larger pages, which cost more if memory is fresh: a virtual
machine gives free memory back to its host. On ext4, 1 GiB in calls of 1 or 8 MiB took 1.6 to 2.5 s of processor time
then, and in calls of 256 KiB 0.3 s.
"""

_POSITION = threading.Lock()


# Opening


def open_file(
    path: str, flags: int = READ, mode: int = 0o777, *, follow: bool = True, dir_fd: int | None = None
) -> int:
    """Open a file in binary mode and return its descriptor.

    Args:
        follow: Follow a symbolic link at the end of the path; see the module docstring for systems that lack this.
        dir_fd: Folder that the path is relative to (only if `RELATIVE`).

    Raises:
        OSError: The file cannot be opened; ``ELOOP`` (or ``EMLINK``) if it is a link and `follow` is False.
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


def open_to_append(path: str) -> int:
    """Open or create a file to append to, without waiting for the reader of a pipe; return its descriptor.

    Raises:
        OSError: The file is a pipe without a reader, or cannot be opened.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | BINARY | getattr(os, "O_NONBLOCK", 0), 0o666)
    if hasattr(os, "O_NONBLOCK"):
        os.set_blocking(descriptor, True)
    return descriptor


def open_folder(path: str, *, follow: bool = True, dir_fd: int | None = None) -> int:
    """Open a folder and return its descriptor; -1 if the system does not open folders.

    Raises:
        OSError: The path is not a folder, is a link and `follow` is False, or cannot be read.
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
    """Open a folder with `open_folder` and close it at the end."""
    descriptor = open_folder(path, follow=follow)
    try:
        yield descriptor
    finally:
        close(descriptor)


def close(descriptor: int) -> None:
    """Close a descriptor (-1 for none)."""
    if descriptor >= 0:
        os.close(descriptor)


def is_link(info: os.stat_result) -> bool:
    """Return whether an ``lstat`` result is that of a symbolic link or a Windows junction."""
    return stat.S_ISLNK(info.st_mode) or bool(getattr(info, "st_reparse_tag", 0) & NAME_SURROGATE)


def check_folders(root: str, folder: str, *, make: bool = False) -> None:
    """Check that every path component below a root is a folder and not a link.

    For systems that cannot open folders relative to each other; see the module docstring.

    Args:
        folder: Path with ``/`` below the root; empty for the root itself.
        make: Create missing folders.

    Raises:
        OSError: A component is a link (``ELOOP``) or not a folder (``ENOTDIR``).
        FileNotFoundError: A component does not exist.
    """
    path = root
    for part in folder.split("/") if folder else ():
        path = os.path.join(path, part)
        if make:
            with contextlib.suppress(FileExistsError):
                os.mkdir(path)
        open_folder(path, follow=False)


def read_at(descriptor: int, count: int, offset: int) -> bytes:
    """Return at most `count` bytes from an offset in an open file; safe for threads.

    The position of the descriptor is undefined afterwards.
    """
    if hasattr(os, "pread"):
        return os.pread(descriptor, count, offset)
    with _POSITION:  # duplicates of a descriptor share its position
        os.lseek(descriptor, offset, os.SEEK_SET)
        return os.read(descriptor, count)


def write_all(descriptor: int, data: bytes | memoryview) -> None:
    """Write all bytes at the position of an open file.

    Raises:
        OSError: They cannot be written; some of them can be in the file.
    """
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view[:WRITE_BYTES]) :]


def has_locks() -> bool:
    """Return whether the system has the file locks that `lock` uses."""
    try:
        import fcntl  # noqa: F401
    except ImportError:
        return False
    return True


def lock(descriptor: int, *, wait: bool = True, shared: bool = False) -> bool:
    """Lock an open file or folder until it is closed; return False if locks are missing (Windows, some network drives).

    Args:
        shared: Other processes can hold shared locks at the same time.

    Raises:
        BlockingIOError: Another process holds the lock and `wait` is False.
    """
    try:
        import fcntl
    except ImportError:
        return False
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        raise
    except OSError:
        return False
    return True


def room(folder: str) -> int:
    """Return the free space of the file system of a folder for this user, in bytes."""
    if hasattr(os, "statvfs"):
        found = os.statvfs(folder)
        return found.f_bavail * found.f_frsize
    import shutil

    return shutil.disk_usage(folder).free


def reserve(folder: str) -> int:
    """Return the free space that uploads leave on the file system of a folder, in bytes: 5 %, at most 1 GiB."""
    import shutil

    return min(shutil.disk_usage(folder).total // 20, 1 << 30)


# Names


def link(source: str, target: str, *, src_dir_fd: int | None = None, dst_dir_fd: int | None = None) -> None:
    """Create a hard link; if the source is a symbolic link, it is not followed.

    Raises:
        FileExistsError: The target exists.
        OSError: See `lacks_links`.
    """
    if not hasattr(os, "link"):
        raise _os_error(errno.ENOSYS)
    if RELATIVE:
        os.link(source, target, src_dir_fd=src_dir_fd, dst_dir_fd=dst_dir_fd, follow_symlinks=False)
    else:
        os.link(source, target)


def lacks_links(error: OSError) -> bool:
    """Return whether an error of `link` means that hard links are not supported; the caller then renames the file."""
    return error.errno in NO_LINKS or getattr(error, "winerror", 0) in NO_LINKS_ON_WINDOWS


def rename_new(source: str, target: str, *, src_dir_fd: int | None = None, dst_dir_fd: int | None = None) -> None:
    """Rename a file without replacing another one.

    On Linux and Windows the check is atomic. On macOS, and on Linux file systems without the system call, a file that
    is created under the target name at the same moment is replaced.

    Raises:
        FileExistsError: The target exists.
    """
    if rename2(source, target, RENAME_NOREPLACE, src_dir_fd=src_dir_fd, dst_dir_fd=dst_dir_fd):
        return
    with contextlib.suppress(FileNotFoundError):
        os.stat(target, dir_fd=dst_dir_fd, follow_symlinks=False)
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))
    os.rename(source, target, src_dir_fd=src_dir_fd, dst_dir_fd=dst_dir_fd)


def name_new(source: str, target: str, *, src_dir_fd: int | None = None, dst_dir_fd: int | None = None) -> None:
    """Give a complete file a new name without replacing another file; the old name can remain.

    The file is hard-linked, or renamed if links are not supported. Windows always renames: the second name of a
    read-only file cannot be removed without making the file writable.

    Raises:
        FileExistsError: The target exists.
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
    """Rename a file and replace the target, even if it is read-only."""
    try:
        os.replace(source, target, src_dir_fd=src_dir_fd, dst_dir_fd=dst_dir_fd)
    except PermissionError:
        if RELATIVE:
            raise
        with _writable(target):
            os.replace(source, target)


def unlink(path: str, *, dir_fd: int | None = None) -> None:
    """Remove a file or a link, even if it is read-only."""
    try:
        os.unlink(path, dir_fd=dir_fd)
    except PermissionError:
        if RELATIVE:
            raise
        with _writable(path):
            os.unlink(path)


@contextlib.contextmanager
def _writable(path: str) -> Iterator[None]:
    """Clear the read-only attribute of a file; restore it if the body fails.

    Raises:
        PermissionError: The file is not read-only, so access was denied for another reason.
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
    """Remove a file, a link, or a folder with its content; links are not followed.

    Raises:
        OSError: A file or folder cannot be removed; others are already removed.
        RecursionError: The folder is nested too deeply.
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
        for inner_path in inner:
            remove(inner_path)
        os.rmdir(path)


def _remove_link_or_file(path: str, info: os.stat_result) -> None:
    if stat.S_ISDIR(info.st_mode):
        os.rmdir(path)  # a junction
    else:
        unlink(path)


def _os_error(number: int) -> OSError:
    return OSError(number, os.strerror(number))


def user_text(user_id: int) -> str:
    """Return a user for a message, such as ``user 1001 (lin)``; an unknown user has no name."""
    try:
        import pwd

        return f"user {user_id} ({pwd.getpwuid(user_id).pw_name})"
    except (ImportError, KeyError, OverflowError):
        return f"user {user_id}"


def group_text(group_id: int) -> str:
    """Return a group for a message, such as ``group 1002 (team)``; an unknown group has no name."""
    try:
        import grp

        return f"group {group_id} ({grp.getgrgid(group_id).gr_name})"
    except (ImportError, KeyError, OverflowError):
        return f"group {group_id}"


def folder_url(folder: PurePath) -> str:
    """Return the ``file:`` URL of an absolute path.

    The result is that of `pathlib.Path.as_uri`, which imports ``urllib.request`` since Python 3.14.
    """
    from urllib.parse import quote_from_bytes

    path = folder.as_posix()
    if folder.drive.endswith(":"):
        return f"file:///{folder.drive}{quote_from_bytes(os.fsencode(path.removeprefix(folder.drive)))}"
    return f"file:{'' if folder.drive else '//'}{quote_from_bytes(os.fsencode(path))}"
