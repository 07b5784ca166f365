"""A process in which `os`, `signal` and others have what they have on Windows, and files behave as they do there.

::

    python -m tests.portability.emulation < commands.json    [["push", "model.pkl"], ["list"]]
    python -m tests.portability.emulation serve --port 0      one command, as a process of its own

Names that Windows lacks are removed before mreg is imported. The calls that are left refuse what Windows refuses; see
`CHECKS`. The modules of Python itself that are imported before keep their POSIX implementation.

Two things stay as on Linux: ``os.name``, which Python's own modules ask, and SQLite, which is C. So this is not Windows.
"""

from __future__ import annotations

import contextlib
import errno
import importlib
import io
import json
import os
import shutil
import signal
import socket
import stat
import sys
import traceback
import types
from collections.abc import Callable, Iterator
from typing import Any

BINARY = 0o100000
"""O_LARGEFILE of Linux, which changes nothing on 64-bit systems; the number of O_BINARY on Windows."""

CHECKS = {
    "binary": "Each file that mreg opens must have O_BINARY.",
    "folders": "A folder cannot be opened.",
    "fsync": "A file that was opened for reading cannot be brought to the disk.",
    "open": "An open file can be neither renamed nor replaced nor removed.",
    "read-only": "A read-only file can be neither replaced nor removed.",
    "taken": "Nothing can be renamed to a name that is taken; a file can replace a file.",
    "entries": "An entry of a folder does not tell its inode and device.",
}
"""What is refused. ``MREG_TEST_REFUSED`` names some of these, separated by blanks; without it all are."""

refused = set(os.environ.get("MREG_TEST_REFUSED", " ".join(CHECKS)).split())

MISSING = (
    "O_CLOEXEC O_DIRECTORY O_NOFOLLOW O_NONBLOCK O_PATH O_SYNC O_DSYNC chown fchmod fchown fdatasync fstatvfs getegid "
    "geteuid getgid getgroups getpgid getuid getxattr killpg lchown major minor mkfifo openpty pread preadv pwrite "
    "setsid statvfs sync sysconf uname ST_RDONLY posix_fallocate"
).split()
SIGNALS = "SIGHUP SIGKILL SIGQUIT SIGUSR1 SIGUSR2 SIGPIPE SIGALRM SIGSTOP SIGCONT SIGTSTP SIGTTOU SIGWINCH".split()
MODULES = ("ctypes", "fcntl", "grp", "pwd", "resource", "syslog", "termios")

KEPT = ("asyncio", "logging", "random", "select", "selectors", "sqlite3", "ssl", "subprocess", "tempfile", "uuid")
"""Modules of Python whose POSIX variant needs what is removed. Windows has a variant of its own of them."""


def refuse(number: int, path: object = None) -> OSError:
    return OSError(number, os.strerror(number), path)


def opened_here(path: str) -> bool:
    """Whether this process has a file open, or one below a folder."""
    if "open" not in refused:
        return False
    wanted = os.path.realpath(path)
    for name in real.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            there = os.readlink(f"/proc/self/fd/{name}")
            if there == wanted or there.startswith(f"{wanted}/"):
                return True
    return False


class _Real:
    """The calls as they were."""

    def __init__(self) -> None:
        import fcntl

        for name in (
            "fsync",
            "link",
            "listdir",
            "mkdir",
            "open",
            "rename",
            "replace",
            "rmdir",
            "scandir",
            "stat",
            "unlink",
        ):
            setattr(self, name, getattr(os, name))
        self.statvfs = os.statvfs
        self.getflags: Callable[[int], int] = lambda descriptor: fcntl.fcntl(descriptor, fcntl.F_GETFL)

    def __getattr__(self, name: str) -> Callable[..., Any]:
        raise AttributeError(name)


real = _Real()


def _mine(depth: int = 2) -> bool:
    """Whether a module of mreg made the call."""
    return str(sys._getframe(depth).f_globals.get("__name__", "")).partition(".")[0] == "mreg"


def _no_dir_fd(options: dict[str, Any]) -> None:
    if any(options.pop(name, None) is not None for name in ("dir_fd", "src_dir_fd", "dst_dir_fd")):
        raise NotImplementedError("dir_fd unavailable on this platform")


def _open(path: str, flags: int, mode: int = 0o777, **options: Any) -> int:
    if "binary" in refused and _mine() and not flags & BINARY:
        raise AssertionError(f"without O_BINARY: {path}")
    _no_dir_fd(options)
    if "folders" in refused and os.path.isdir(path):
        raise refuse(errno.EACCES, path)
    return int(real.open(path, flags, mode))


def _fsync(descriptor: int) -> None:
    if "fsync" in refused and real.getflags(descriptor) & os.O_ACCMODE == os.O_RDONLY:
        raise refuse(errno.EBADF)
    real.fsync(descriptor)


def _check_replaceable(path: str) -> None:
    if os.path.lexists(path) and not os.path.islink(path):
        if opened_here(path):
            raise refuse(errno.EACCES, path)
        if "read-only" in refused and os.path.isfile(path) and not os.stat(path).st_mode & stat.S_IWUSR:
            raise refuse(errno.EACCES, path)


def _unlink(path: str, **options: Any) -> None:
    _no_dir_fd(options)
    _check_replaceable(path)
    real.unlink(path)


def _rmdir(path: str, **options: Any) -> None:
    _no_dir_fd(options)
    real.rmdir(path)


def _replace(source: str, target: str, **options: Any) -> None:
    _no_dir_fd(options)
    if opened_here(source):
        raise refuse(errno.EACCES, source)
    if "taken" in refused and os.path.isdir(target):
        raise refuse(errno.EACCES, target)
    _check_replaceable(target)
    real.replace(source, target)


def _rename(source: str, target: str, **options: Any) -> None:
    _no_dir_fd(options)
    if opened_here(source):
        raise refuse(errno.EACCES, source)
    if "taken" in refused and os.path.lexists(target):
        raise refuse(errno.EEXIST, target)
    real.rename(source, target)


def _link(source: str, target: str, **options: Any) -> None:
    _no_dir_fd(options)
    real.link(source, target)


def _mkdir(path: str, mode: int = 0o777, **options: Any) -> None:
    _no_dir_fd(options)
    real.mkdir(path, mode)


def _stat(path: Any, *, dir_fd: int | None = None, follow_symlinks: bool = True) -> os.stat_result:
    _no_dir_fd({"dir_fd": dir_fd})
    found: os.stat_result = real.stat(path, follow_symlinks=follow_symlinks)
    return found


class _Entry:
    """An entry of `os.scandir`, whose status has no inode, device or number of links."""

    def __init__(self, entry: os.DirEntry[str]) -> None:
        self._entry = entry

    def stat(self, *, follow_symlinks: bool = True) -> os.stat_result:
        found = self._entry.stat(follow_symlinks=follow_symlinks)
        if "entries" not in refused:
            return found
        return os.stat_result(
            (found.st_mode, 0, 0, 0, *found[4:]), {"st_mtime": found.st_mtime, "st_mtime_ns": found.st_mtime_ns}
        )

    def __getattr__(self, name: str) -> Any:
        return getattr(self._entry, name)

    def __fspath__(self) -> str:
        return self._entry.path


class _Scan:
    def __init__(self, path: str | int) -> None:
        if isinstance(path, int):
            raise TypeError("scandir: path should be string, bytes, os.PathLike or None, not int")
        self._entries = real.scandir(path)

    def __iter__(self) -> Iterator[_Entry]:
        return map(_Entry, self._entries)

    def __next__(self) -> _Entry:
        return _Entry(next(self._entries))

    def __enter__(self) -> _Scan:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._entries.close()


def _listdir(path: str | int = ".") -> list[str]:
    if isinstance(path, int):
        raise TypeError("listdir: path should be string, bytes, os.PathLike or None, not int")
    found: list[str] = real.listdir(path)
    return found


def _disk_usage(path: Any) -> Any:
    found = real.statvfs(path)
    return types.SimpleNamespace(total=found.f_blocks * found.f_frsize, free=found.f_bavail * found.f_frsize)


def become_windows() -> None:
    """Remove and replace the calls, for the rest of this process."""
    for name in KEPT:
        importlib.import_module(name)
    for name in MISSING:
        if hasattr(os, name):
            delattr(os, name)
    for name in SIGNALS:
        if hasattr(signal, name):
            delattr(signal, name)
    for name in MODULES:
        sys.modules[name] = None  # type: ignore[assignment]
    calls = {
        "open": _open, "fsync": _fsync, "link": _link, "listdir": _listdir, "mkdir": _mkdir, "rename": _rename,
        "replace": _replace, "rmdir": _rmdir, "scandir": _Scan, "stat": _stat, "unlink": _unlink, "remove": _unlink,
    }  # fmt: skip
    for name, call in calls.items():
        setattr(os, name, call)
    os.supports_dir_fd = set()
    os.supports_fd = {os.stat}
    os.supports_follow_symlinks = {os.stat}
    os.O_BINARY = BINARY  # type: ignore[attr-defined]
    if hasattr(socket, "SO_REUSEPORT"):
        del socket.SO_REUSEPORT
    # shutil has looked at what os has when it was imported, and tempfile at shutil.
    importlib.reload(shutil)
    shutil.disk_usage = _disk_usage


def run(words: list[str]) -> dict[str, Any]:
    """Run one command line in this process; what it did, and the files that it left open."""
    from mreg.cli import app

    before = _open_files()
    streams = sys.stdout, sys.stderr
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True) for _ in range(2))
    sys.stdout, sys.stderr = out, err
    try:
        code: object = app.run(words)
    except BaseException:  # the test shows it
        code = traceback.format_exc()
    finally:
        sys.stdout, sys.stderr = streams
    told = [stream.buffer.getvalue().decode() for stream in (out, err)]
    return {"code": code, "out": told[0], "err": told[1], "left_open": sorted(_open_files() - before)}


def _open_files() -> set[str]:
    found = set()
    for name in real.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            found.add(os.readlink(f"/proc/self/fd/{name}"))
    return {path for path in found if os.path.isabs(path) and not path.startswith(("/proc/", "/dev/"))}


def main() -> None:
    if sys.argv[1:]:
        become_windows()
        from mreg.cli.app import main as run_command_line

        run_command_line()
    commands = json.load(sys.stdin)
    become_windows()
    print(json.dumps([run(words) for words in commands]))


if __name__ == "__main__":
    main()
