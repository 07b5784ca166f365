"""A folder that is read and written without following links in it.

Each path component is opened relative to the descriptor of its parent folder, without following links. On systems
without such calls (Windows) paths are used, and each folder in a path is checked right before each use; a process that
creates a link in between redirects that use.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterable, Iterator
from typing import Any

from mreg.domain.paths import PATH_LIMIT
from mreg.durability import settle_folder
from mreg.files import check_folders, close, is_link, link, open_file, open_folder, rename_new, replace, unlink
from mreg.linux import has_syncfs


class Tree:
    """The content of an open folder, by checked relative paths with ``/``; a context manager.

    Args:
        root: Path of the folder.
        descriptor: Descriptor of the folder, which the caller keeps open; -1 if the system does not open folders.
    """

    def __init__(self, root: str, descriptor: int) -> None:
        self._root = root
        self._descriptor = descriptor
        self._identity = os.lstat(root) if descriptor < 0 else os.fstat(descriptor)
        self._folder = ""
        self._opened = -1

    def __enter__(self) -> Tree:
        return self

    def __exit__(self, *_: object) -> None:
        self._leave()

    def _leave(self) -> None:
        close(self._opened)
        self._folder, self._opened = "", -1

    def renamed_to(self, root: str) -> Tree:
        """Return the same folder after it was renamed to another path."""
        return Tree(root, self._descriptor)

    @property
    def identity(self) -> os.stat_result:
        """The status of the folder itself."""
        return self._identity if self._descriptor < 0 else os.fstat(self._descriptor)

    def create(self, path: str, flags: int, mode: int) -> int:
        """Open a new file and return its descriptor; missing folders are created.

        Raises:
            OSError: The file exists or cannot be created, or a parent is not a folder.
        """
        name, parent = self._locate(path, make=True)
        return open_file(name, flags, mode, follow=False, **parent)

    def open(self, path: str) -> int:
        """Open a file for reading and return its descriptor."""
        name, parent = self._locate(path)
        return open_file(name, follow=False, **parent)

    def stat(self, path: str) -> os.stat_result:
        """Return the status of a path; links are not followed."""
        name, parent = self._locate(path)
        return os.stat(name, follow_symlinks=False, **parent)

    def unlink(self, path: str) -> None:
        """Remove a file or link."""
        name, parent = self._locate(path)
        unlink(name, **parent)

    def rmdir(self, path: str) -> None:
        """Remove an empty folder."""
        name, parent = self._locate(path)
        if self._folder == path:
            self._leave()
        os.rmdir(name, **parent)

    def find(self, path: str) -> os.stat_result | None:
        """Return the status like `stat`; None if the path does not exist or a parent is not a folder."""
        try:
            return self.stat(path)
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EMLINK):
                return None
            raise

    def make_folder(self, path: str) -> None:
        """Create a folder and its missing parents."""
        if self._descriptor < 0:
            self._checked(path, make=True)
        else:
            close(self._open_folder(path, make=True))

    def mkdir(self, path: str, mode: int = 0o777) -> None:
        """Create a folder in an existing folder."""
        name, parent = self._locate(path)
        os.mkdir(name, mode, **parent)

    def move(self, path: str, target: Tree, to: str) -> None:
        """Move a file to another tree and replace an existing file."""
        name, parent = self._locate(path)
        new_name, target_parent = target._locate(to)
        replace(name, new_name, src_dir_fd=parent.get("dir_fd"), dst_dir_fd=target_parent.get("dir_fd"))

    def move_new(self, path: str, target: Tree, to: str) -> None:
        """Move a file to another tree without replacing a file; see `mreg.files.rename_new`.

        Raises:
            FileExistsError: The target exists.
        """
        name, parent = self._locate(path)
        new_name, target_parent = target._locate(to)
        rename_new(name, new_name, src_dir_fd=parent.get("dir_fd"), dst_dir_fd=target_parent.get("dir_fd"))

    def link(self, path: str, target: Tree, to: str) -> None:
        """Create a hard link to a file in another tree.

        Raises:
            FileExistsError: The target exists.
            OSError: The link cannot be created, for instance because the file system does not support links.
        """
        name, parent = self._locate(path)
        new_name, target_parent = target._locate(to)
        link(name, new_name, src_dir_fd=parent.get("dir_fd"), dst_dir_fd=target_parent.get("dir_fd"))

    def settle_folders(self, folders: Iterable[str]) -> None:
        """Start to flush the entries of the root and of folders in it; see `mreg.durability.settle_folder`."""
        if self._descriptor < 0 or has_syncfs():
            return
        for folder in ("", *folders):
            with self._reached(folder) as descriptor:
                settle_folder(descriptor)

    def walk(self, below: str = "") -> Iterator[tuple[str, os.stat_result]]:
        """Yield the paths and statuses of all files and folders below a folder, each folder before its content.

        Raises:
            OSError: A folder cannot be read, or its path is longer than an artifact can have.
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
        if self._descriptor < 0:
            return os.listdir(self._checked(folder))
        with self._reached(folder) as descriptor:
            return os.listdir(descriptor)

    @contextlib.contextmanager
    def _reached(self, folder: str) -> Iterator[int]:
        descriptor = self._open_folder(folder, make=False)
        try:
            yield descriptor
        finally:
            close(descriptor)

    def _checked(self, folder: str, *, make: bool = False) -> str:
        """Return the path of a folder after checking that it has no links."""
        found = os.lstat(self._root)
        if is_link(found) or not os.path.samestat(found, self._identity):
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
        check_folders(self._root, folder, make=make)
        return os.path.join(self._root, folder)

    def _locate(self, path: str, *, make: bool = False) -> tuple[str, dict[str, Any]]:
        """Return the name for system calls and the ``dir_fd`` argument; the last parent folder stays open."""
        folder, _, name = path.rpartition("/")
        if self._descriptor < 0:
            return os.path.join(self._checked(folder, make=make), name), {}
        if not folder:
            return name, {"dir_fd": self._descriptor}
        if folder != self._folder:
            self._leave()
            self._opened = self._open_folder(folder, make=make)
            self._folder = folder
        return name, {"dir_fd": self._opened}

    def _open_folder(self, folder: str, *, make: bool) -> int:
        current = open_folder(".", follow=False, dir_fd=self._descriptor)
        try:
            for part in folder.split("/") if folder else ():
                if make:
                    with contextlib.suppress(FileExistsError):
                        os.mkdir(part, dir_fd=current)
                inner = open_folder(part, follow=False, dir_fd=current)
                close(current)
                current = inner
        except BaseException:
            close(current)
            raise
        return current


def names_below(root: str) -> set[str]:
    """Return the relative paths of everything in a folder except folders."""
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
