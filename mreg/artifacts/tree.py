"""A folder that is filled or looked through without following a link in it, whoever put that there.

Every name is opened relative to the folder before it, from one open descriptor on, and no link is followed. Where the
system has no such calls (Windows) paths are used.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from typing import Any

from mreg.artifacts.local import NOFOLLOW, READ
from mreg.domain.paths import PATH_LIMIT

RELATIVE = {
    os.open, os.mkdir, os.unlink, os.rmdir, os.stat, os.rename, os.link
} <= os.supports_dir_fd and os.scandir in os.supports_fd  # fmt: skip
FOLDER = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_CLOEXEC", 0) | NOFOLLOW


class Tree:
    """The inside of an open folder, by paths with ``/`` that were checked; a context manager.

    Args:
        root: Its path.
        descriptor: Of it, which stays open as long as this is used.
    """

    def __init__(self, root: str, descriptor: int) -> None:
        self._root = root
        self._descriptor = descriptor
        self._folder = ""
        self._opened = -1

    def __enter__(self) -> Tree:
        return self

    def __exit__(self, *_: object) -> None:
        self._leave()

    def _leave(self) -> None:
        if self._opened >= 0:
            os.close(self._opened)
        self._folder, self._opened = "", -1

    @property
    def identity(self) -> os.stat_result:
        """The status of the folder itself."""
        return os.fstat(self._descriptor)

    def create(self, path: str, flags: int, mode: int) -> int:
        """Open a new file, its folders made where they are missing.

        Raises:
            OSError: It exists, a folder is something else, or the system refuses.
        """
        name, where = self._place(path, make=True)
        return os.open(name, flags | NOFOLLOW, mode, **where)

    def open(self, path: str) -> int:
        """Open a file for reading."""
        name, where = self._place(path)
        return os.open(name, READ | NOFOLLOW, **where)

    def stat(self, path: str) -> os.stat_result:
        """What is at a path, links not followed."""
        name, where = self._place(path)
        return os.stat(name, follow_symlinks=False, **where)

    def unlink(self, path: str) -> None:
        """Remove a file or link."""
        name, where = self._place(path)
        os.unlink(name, **where)

    def rmdir(self, path: str) -> None:
        """Remove an empty folder."""
        name, where = self._place(path)
        if self._folder == path:
            self._leave()
        os.rmdir(name, **where)

    def find(self, path: str) -> os.stat_result | None:
        """What is at a path, links not followed; None if nothing is, or if a folder on the way is not a folder."""
        try:
            return self.stat(path)
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EMLINK):
                return None
            raise

    def mkdir(self, path: str, mode: int = 0o777) -> None:
        """Make a folder; the one that it is in exists."""
        name, where = self._place(path)
        os.mkdir(name, mode, **where)

    def move(self, path: str, target: Tree, to: str) -> None:
        """Rename a file into another tree; a file of that name is replaced."""
        name, where = self._place(path)
        new, there = target._place(to)
        os.replace(name, new, src_dir_fd=where.get("dir_fd"), dst_dir_fd=there.get("dir_fd"))

    def link(self, path: str, target: Tree, to: str) -> None:
        """Give a file a second name in another tree.

        Raises:
            FileExistsError: The name is taken.
            OSError: The file system has no links, for instance.
        """
        name, where = self._place(path)
        new, there = target._place(to)
        options = {"src_dir_fd": where["dir_fd"], "dst_dir_fd": there["dir_fd"]} if where else {}
        os.link(name, new, follow_symlinks=not where, **options)

    def walk(self, below: str = "") -> Iterator[tuple[str, os.stat_result]]:
        """Everything in it, or in a folder of it, with its path; each folder before its content.

        Raises:
            OSError: Something can't be read, or lies deeper than any file of an artifact.
        """
        pending = [below]
        while pending:
            folder = pending.pop()
            for name in self._names(folder):
                path = f"{folder}/{name}" if folder else name
                found = self.stat(path)
                if stat.S_ISDIR(found.st_mode):
                    if len(path) > PATH_LIMIT:
                        raise OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG))
                    pending.append(path)
                yield path, found

    def _names(self, folder: str) -> list[str]:
        if not RELATIVE:
            return os.listdir(os.path.join(self._root, folder))
        with self._reached(folder) as descriptor:
            return os.listdir(descriptor)

    @contextlib.contextmanager
    def _reached(self, folder: str) -> Iterator[int]:
        descriptor = self._open_folder(folder, make=False)
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    def _place(self, path: str, *, make: bool = False) -> tuple[str, dict[str, Any]]:
        """By which name, and relative to what, a path is reached; the folder of the last one stays open."""
        folder, _, name = path.rpartition("/")
        if not RELATIVE:
            if make and folder:
                os.makedirs(os.path.join(self._root, folder), exist_ok=True)
            return os.path.join(self._root, path), {}
        if not folder:
            return name, {"dir_fd": self._descriptor}
        if folder != self._folder:
            self._leave()
            self._opened = self._open_folder(folder, make=make)
            self._folder = folder
        return name, {"dir_fd": self._opened}

    def _open_folder(self, folder: str, *, make: bool) -> int:
        current = os.open(".", FOLDER, dir_fd=self._descriptor)
        try:
            for part in folder.split("/") if folder else ():
                if make:
                    with contextlib.suppress(FileExistsError):
                        os.mkdir(part, dir_fd=current)
                inner = os.open(part, FOLDER, dir_fd=current)
                os.close(current)
                current = inner
        except BaseException:
            os.close(current)
            raise
        return current


def names_below(root: str) -> set[str]:
    """The paths, in a folder, of everything in it except folders."""
    found: set[str] = set()
    pending = [""]
    while pending:
        folder = pending.pop()
        with os.scandir(os.path.join(root, folder)) as entries:
            for entry in entries:
                path = f"{folder}/{entry.name}" if folder else entry.name
                if entry.is_dir(follow_symlinks=False):
                    pending.append(path)
                else:
                    found.add(path)
    return found
