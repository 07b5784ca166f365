"""Folders that are opened component by component without following links.

The system resolves a path at each use, so replacing one of its folders with a link redirects the next use. If the
platform has calls relative to an open folder, each folder is opened once with ``O_NOFOLLOW`` and names are used
relative to its descriptor: a link that appears later cannot redirect them. Otherwise (Windows) each folder is checked
when it is opened, and before each use its path is checked again to lead to the same folder. A process that creates a
link between this check and the use redirects that use.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import time
from collections.abc import Iterator

from mreg.domain.text import quoted, shell_word
from mreg.durability import hand_over_folder, settle_folder, sync_folder
from mreg.errors import Corrupt, Unavailable
from mreg.files import RELATIVE, close, is_link, link, name_new, open_file, open_folder, opened_folder, unlink
from mreg.linux import RENAME_EXCHANGE, rename2
from mreg.sharing import PERMISSIONS, inherit_access

OPEN_FOLDERS = 256
"""The number of folders with blobs: their names have two hex digits."""


class Folder:
    """An open folder; safe for threads. Its methods take the name of an entry, not a path, and do not follow links.

    The descriptor is closed when the object is no longer referenced.

    Attributes:
        path: Path for messages, and for platforms without relative calls.
    """

    __slots__ = ("_descriptor", "_identity", "path")

    def __init__(self, path: str, descriptor: int | None, identity: os.stat_result | None = None) -> None:
        self.path = path
        self._descriptor = descriptor
        self._identity = identity

    @classmethod
    def named(cls, path: str) -> Folder:
        """Open the folder at a path that the user named; links in the path are followed, including the last."""
        if RELATIVE:
            return cls(path, open_folder(path))
        path = os.path.realpath(path, strict=True)
        open_folder(path)
        return cls(path, None, os.lstat(path))

    def __del__(self) -> None:
        descriptor = getattr(self, "_descriptor", None)
        if descriptor is not None:
            with contextlib.suppress(OSError):
                os.close(descriptor)

    @property
    def opened(self) -> int:
        """The descriptor; -1 on platforms without relative calls."""
        return -1 if self._descriptor is None else self._descriptor

    def is_current(self) -> bool:
        """Return whether the path still leads to this folder."""
        if self._identity is None and self._descriptor is not None:
            self._identity = os.fstat(self._descriptor)
        try:
            return self._identity is not None and os.path.samestat(os.stat(self.path), self._identity)
        except OSError:
            return False

    def _at(self, name: str) -> str:
        """Return the name for a call relative to the descriptor; without descriptor, return the checked full path."""
        if self._descriptor is not None:
            return name
        found = os.lstat(self.path)
        if is_link(found):
            raise linked(self.path)
        if self._identity is None or not os.path.samestat(found, self._identity):
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), self.path)
        return os.path.join(self.path, name)

    def inner(self, name: str, *, make: bool = False, durable: bool = False, place: bool = False) -> Folder:
        """Open a subfolder.

        Args:
            make: Create the subfolder if it does not exist.
            durable: Pass the entry of a new subfolder to the drive; `sync` of a folder must follow.
            place: The subfolder is a parent of a store, so the umask decides its mode.

        Raises:
            Corrupt: The subfolder is a symbolic link.
            FileNotFoundError: The subfolder does not exist.
            NotADirectoryError: The entry is not a folder.
        """
        path = os.path.join(self.path, name)
        try:
            if self._descriptor is not None:
                return Folder(path, open_folder(name, follow=False, dir_fd=self._descriptor))
            return Folder(path, None, self._check(name))
        except FileNotFoundError:
            if not make:
                raise
        except OSError as error:
            if error.errno in (errno.ENOTDIR, errno.ELOOP, errno.EMLINK):
                self._check(name)
            raise
        with contextlib.suppress(FileExistsError):
            self.mkdir(name, place=place)
            if durable:
                hand_over_folder(self.opened)
        return self.inner(name)

    def _check(self, name: str) -> os.stat_result:
        found = self.stat(name)
        if is_link(found):
            raise linked(os.path.join(self.path, name))
        if not stat.S_ISDIR(found.st_mode):
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
        return found

    def open(self, name: str, flags: int, mode: int = 0o777) -> int:
        """Open a file and return its descriptor; a new file gets this folder's group and at most its permissions."""
        descriptor = open_file(self._at(name), flags, mode, follow=False, dir_fd=self._descriptor)
        if flags & os.O_CREAT and self._descriptor is not None:
            try:
                inherit_access(descriptor, os.fstat(self._descriptor), mode)
            except BaseException:
                os.close(descriptor)
                raise
        return descriptor

    def stat(self, name: str) -> os.stat_result:
        """Return the status of an entry; links are not followed."""
        return os.stat(self._at(name), dir_fd=self._descriptor, follow_symlinks=False)

    def found(self) -> Iterator[tuple[str, os.stat_result]]:
        """Yield every entry with its status; an entry that is removed at the same time is skipped."""
        for name in self._names():
            with contextlib.suppress(FileNotFoundError):
                yield name, self.stat(name)

    def _names(self) -> list[str]:
        if self._descriptor is None:
            return os.listdir(self._at(""))
        # A separate descriptor: threads that list the same descriptor share its position.
        listed = open_folder(".", dir_fd=self._descriptor)
        try:
            return os.listdir(listed)
        finally:
            close(listed)

    def mkdir(self, name: str, *, place: bool = False) -> None:
        """Create a subfolder with the mode and group of this folder; see `inner` for `place`."""
        os.mkdir(self._at(name), dir_fd=self._descriptor)
        if self._descriptor is not None:
            made = open_folder(name, follow=False, dir_fd=self._descriptor)
            try:
                inherit_access(made, os.fstat(self._descriptor), None if place else PERMISSIONS)
            finally:
                close(made)

    def unlink(self, name: str) -> None:
        """Remove a file or a link."""
        unlink(self._at(name), dir_fd=self._descriptor)

    def rmdir(self, name: str) -> None:
        """Remove an empty folder."""
        os.rmdir(self._at(name), dir_fd=self._descriptor)

    def touch(self, name: str, *, modified: bool = False) -> None:
        """Set the access time of a file to now.

        Args:
            modified: Set its modification time, too.
        """
        now = time.time_ns()
        times = (now, now if modified else self.stat(name).st_mtime_ns)
        if os.utime in os.supports_dir_fd and os.utime in os.supports_follow_symlinks:
            os.utime(self._at(name), ns=times, dir_fd=self._descriptor, follow_symlinks=False)
        else:
            os.utime(self._at(name), ns=times)

    def touch_self(self) -> None:
        """Set the times of this folder to now."""
        os.utime(self.path if self._descriptor is None else self._descriptor)

    def link(self, source: Folder, source_name: str, name: str) -> None:
        """Link a file of another folder into this folder.

        Raises:
            OSError: The name is taken, or the link is not possible; see `mreg.files.lacks_links`.
        """
        link(source._at(source_name), self._at(name), src_dir_fd=source._descriptor, dst_dir_fd=self._descriptor)

    def chmod(self, name: str, mode: int) -> None:
        """Set the mode of a file of this user that is not a link."""
        if os.chmod in os.supports_dir_fd:
            os.chmod(self._at(name), mode, dir_fd=self._descriptor)
        else:
            os.chmod(self._at(name), mode)

    def take(self, source: Folder, source_name: str, name: str) -> None:
        """Link a file of another folder into this folder, or move it if links are not supported; see `name_new`.

        Raises:
            FileExistsError: The name is taken.
        """
        name_new(source._at(source_name), self._at(name), src_dir_fd=source._descriptor, dst_dir_fd=self._descriptor)

    def rename(self, source: Folder, source_name: str, name: str) -> None:
        """Move a file of another folder into this folder."""
        os.rename(source._at(source_name), self._at(name), src_dir_fd=source._descriptor, dst_dir_fd=self._descriptor)

    def exchange(self, name: str, other: str) -> bool:
        """Exchange two entries by one rename; return False if the platform cannot do it."""
        descriptor = self._descriptor
        return rename2(self._at(name), self._at(other), RENAME_EXCHANGE, src_dir_fd=descriptor, dst_dir_fd=descriptor)

    def sync(self) -> None:
        """Flush the entries to disk, if the platform supports it."""
        sync_folder(self.opened)

    def settle(self) -> None:
        """Start to flush the entries; see `mreg.durability.settle_folder`."""
        settle_folder(self.opened)


class Tree:
    """The folders below a root, each opened component by component without following links.

    Args:
        root: Absolute path.
        anchor: The folder up to which links are followed: the root or one of its parents (default: the root).
        private: The folder that is created with mode 0700: the root or one of its parents (default: none).
        kept: Folders that stay open between uses, as components from the root. A replaced folder is opened again.
        parents: Create the missing parents of the anchor, too. Without them, a root on a drive that is not mounted is
            not created on another drive.
    """

    def __init__(
        self,
        root: str,
        *,
        anchor: str | None = None,
        private: str = "",
        kept: tuple[tuple[str, ...], ...] = (),
        parents: bool = True,
    ) -> None:
        self._anchor = root if anchor is None else os.path.abspath(anchor)
        below = os.path.relpath(root, self._anchor)
        self._below = () if below == os.curdir else tuple(below.split(os.sep))
        self._private = private
        self._parents = parents
        self._kept = kept
        self._open: dict[tuple[str, ...], Folder] = {}

    def folder(self, names: tuple[str, ...], *, make: bool = False, durable: bool = False) -> Folder:
        """Return the folder at the given components from the root.

        Args:
            make: Create missing folders.
            durable: Pass the entries of new folders to the drive; see `Folder.inner`.

        Raises:
            Corrupt: A folder below the anchor is a symbolic link.
            FileNotFoundError: A folder does not exist.
            NotADirectoryError: A component is not a folder.
        """
        kept = next((prefix for prefix in self._kept if names[: len(prefix)] == prefix), ())
        folder = self._open.get(kept)
        if folder is None or not folder.is_current():
            folder = self._root(make=make)
            for depth, name in enumerate((*self._below, *kept)):
                folder = folder.inner(name, make=make, durable=durable, place=depth < len(self._below))
            if kept:
                self._open[kept] = folder
        for name in names[len(kept) :]:
            folder = folder.inner(name, make=make, durable=durable)
        return folder

    def _root(self, *, make: bool) -> Folder:
        try:
            return Folder.named(self._anchor)
        except FileNotFoundError:
            if not make:
                raise
        if not self._parents and not self._private:
            os.stat(self._anchor if self._below else os.path.dirname(self._anchor))
        make_folders(self._anchor, self._private)
        return Folder.named(self._anchor)


class Opened:
    """Folders of a tree that stay open while one call checks many entries in them.

    Folders that are created or replaced in the meantime are not seen, so use this for reads only.

    Args:
        most: Maximum number of folders that stay open; others are opened for each use.
    """

    def __init__(self, tree: Tree, most: int | None = None) -> None:
        self._tree = tree
        self._left = _spare_descriptors() if most is None else most
        self._open: dict[tuple[str, ...], Folder] = {}
        self._absent: set[tuple[str, ...]] = set()

    def folder(self, names: tuple[str, ...]) -> Folder:
        """Return a folder like `Tree.folder`, with the same exceptions."""
        if names in self._absent:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
        folder = self._open.get(names)
        if folder is None:
            try:
                folder = self._tree.folder(names)
            except FileNotFoundError:
                self._absent.add(names)
                raise
            if self._left > 0:
                self._left -= 1
                self._open[names] = folder
        return folder


def _spare_descriptors() -> int:
    """Return how many folders can stay open: a quarter of the process's limit of open files, at most `OPEN_FOLDERS`."""
    try:
        import resource
    except ImportError:
        return 0  # Windows, where no folder is opened
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return OPEN_FOLDERS if limit == resource.RLIM_INFINITY else max(0, min(OPEN_FOLDERS, limit // 4))


def linked(path: str) -> Corrupt:
    """Return the error for a symbolic link where a folder is expected."""
    return Corrupt(
        f"cannot use {quoted(path, 300)}: it is a symbolic link, and links are not followed there",
        hint="remove the link; to keep artifacts elsewhere, set MREG_ARTIFACTS or artifacts in your own profile",
    )


def refuse_missing_parent(what: str, path: str) -> None:
    """Refuse to create a file or folder of the user in a folder that does not exist.

    The folder could be on a drive that is not mounted, and the path could be misspelled.

    Args:
        what: What failed, for the message: ``cannot use the catalog /x/catalog.db``.

    Raises:
        Unavailable: The folder does not exist.
    """
    parent = os.path.dirname(os.path.abspath(path))
    if not os.path.lexists(parent):
        raise Unavailable(
            f"{what}: the folder {parent} does not exist",
            hint=f"check the path, and that its drive is mounted; to create the folder: mkdir -p {shell_word(parent)}",
        )


def make_folders(path: str, private: str = "") -> None:
    """Create a folder and its parents; existing folders are not changed.

    Args:
        private: The folder that is created with mode 0700: the folder itself or one of its parents (default: none).
    """
    if private:
        _make(os.path.abspath(private), 0o700)
    _make(os.path.abspath(path), 0o777)


def _make(path: str, mode: int) -> None:
    if os.path.isdir(path):
        return
    parent = os.path.dirname(path)
    if parent != path:
        _make(parent, 0o777)
    try:
        os.mkdir(path, mode)
    except OSError:
        if not os.path.isdir(path):
            raise
        return
    if RELATIVE:
        # PermissionError: the umask denies the owner read access.
        with contextlib.suppress(PermissionError), opened_folder(path, follow=False) as made:
            inherit_access(made, os.stat(parent))
