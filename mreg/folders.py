"""Folders that are reached name by name without following a link.

A path is looked up anew at each use, so a link that somebody puts in place of one of its folders redirects the next
use. Where the platform has calls relative to an open folder, each folder is opened once with ``O_NOFOLLOW``, and its
names are used relative to that descriptor: no link, whenever it appears, can redirect them. Elsewhere (Windows) each
folder is checked when it is reached, and before each use it is checked that its path still leads to the same folder. A
process that puts a link there between this check and the use redirects that use.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterator

from mreg.domain.text import quoted
from mreg.durability import hand_over_folder, settle_folder, sync_folder
from mreg.errors import Corrupt
from mreg.files import RELATIVE, close, is_link, name_new, open_file, open_folder, opened_folder, unlink
from mreg.sharing import PERMISSIONS, adopt

OPEN_FOLDERS = 256
"""All folders of blobs: their names are two hex digits."""


class Folder:
    """An open folder. Its methods take a name in it, never a path, and never follow a link of that name.

    It may be used by several threads; the descriptor is closed when nobody holds the object any more.

    Attributes:
        path: For messages, and for platforms without relative calls.
    """

    __slots__ = ("_descriptor", "_identity", "path")

    def __init__(self, path: str, descriptor: int | None, identity: os.stat_result | None = None) -> None:
        self.path = path
        self._descriptor = descriptor
        self._identity = identity

    @classmethod
    def named(cls, path: str) -> Folder:
        """The folder at a path that the user named: links on the way to it, and at its end, are followed."""
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
        """Whether its path still leads to this folder."""
        if self._identity is None and self._descriptor is not None:
            self._identity = os.fstat(self._descriptor)
        try:
            return self._identity is not None and os.path.samestat(os.stat(self.path), self._identity)
        except OSError:
            return False

    def _at(self, name: str) -> str:
        """The name for a call relative to the descriptor; without one the path, if it still leads to this folder."""
        if self._descriptor is not None:
            return name
        found = os.lstat(self.path)
        if is_link(found):
            raise linked(self.path)
        if self._identity is None or not os.path.samestat(found, self._identity):
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), self.path)
        return os.path.join(self.path, name)

    def inner(self, name: str, *, make: bool = False, durable: bool = False, place: bool = False) -> Folder:
        """A folder in this one.

        Args:
            make: Make it if it is not there.
            durable: If it is made, take its name on its way to the disk; `sync` of a folder must follow.
            place: It is on the way to a store, whose mode the umask decides.

        Raises:
            Corrupt: It is a symbolic link.
            FileNotFoundError: It is not there.
            NotADirectoryError: It is something else.
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
        """The descriptor of a file. A new one has what this folder permits of the mode, and the folder's group."""
        descriptor = open_file(self._at(name), flags, mode, follow=False, dir_fd=self._descriptor)
        if flags & os.O_CREAT and self._descriptor is not None:
            try:
                adopt(descriptor, os.fstat(self._descriptor), mode)
            except BaseException:
                os.close(descriptor)
                raise
        return descriptor

    def stat(self, name: str) -> os.stat_result:
        """The status of a name, of a link itself."""
        return os.stat(self._at(name), dir_fd=self._descriptor, follow_symlinks=False)

    def found(self) -> Iterator[tuple[str, os.stat_result]]:
        """Every name with its status; a name that goes meanwhile is left out."""
        for name in self._names():
            with contextlib.suppress(FileNotFoundError):
                yield name, self.stat(name)

    def _names(self) -> list[str]:
        if self._descriptor is None:
            return os.listdir(self._at(""))
        # A descriptor of its own: two threads that list one descriptor share its position.
        listed = open_folder(".", dir_fd=self._descriptor)
        try:
            return os.listdir(listed)
        finally:
            close(listed)

    def mkdir(self, name: str, *, place: bool = False) -> None:
        """Make a folder with the mode and group of this one; see `inner` for the argument."""
        os.mkdir(self._at(name), dir_fd=self._descriptor)
        if self._descriptor is not None:
            made = open_folder(name, follow=False, dir_fd=self._descriptor)
            try:
                adopt(made, os.fstat(self._descriptor), None if place else PERMISSIONS)
            finally:
                close(made)

    def unlink(self, name: str) -> None:
        """Remove a file or a link."""
        unlink(self._at(name), dir_fd=self._descriptor)

    def rmdir(self, name: str) -> None:
        """Remove an empty folder."""
        os.rmdir(self._at(name), dir_fd=self._descriptor)

    def touch(self, name: str) -> None:
        """Set the time of change of a file to now."""
        if os.utime in os.supports_dir_fd and os.utime in os.supports_follow_symlinks:
            os.utime(self._at(name), dir_fd=self._descriptor, follow_symlinks=False)
        else:
            os.utime(self._at(name))

    def take(self, source: Folder, source_name: str, name: str) -> None:
        """Give a file of another folder a name in this one, by a link or else by renaming; its old name may stay.

        Raises:
            FileExistsError: The name is taken.
        """
        name_new(source._at(source_name), self._at(name), src_dir_fd=source._descriptor, dst_dir_fd=self._descriptor)

    def rename(self, source: Folder, source_name: str, name: str) -> None:
        """Move a file of another folder to a name in this one."""
        os.rename(source._at(source_name), self._at(name), src_dir_fd=source._descriptor, dst_dir_fd=self._descriptor)

    def sync(self) -> None:
        """Bring the names to the disk, where the platform can."""
        sync_folder(self.opened)

    def settle(self) -> None:
        """Take the names on their way to the disk; see `mreg.durability.settle`."""
        settle_folder(self.opened)


class Tree:
    """The folders below a root, each opened by its names from there without following a link.

    Args:
        root: An absolute path.
        anchor: The folder up to which links are followed, the root or one above it; None for the root.
        private: The folder, the root or one above it, that is made for its owner alone; empty for none.
        kept: Folders that stay open between uses, as names from the root. One that is replaced is opened anew.
    """

    def __init__(
        self, root: str, *, anchor: str | None = None, private: str = "", kept: tuple[tuple[str, ...], ...] = ()
    ) -> None:
        self._anchor = root if anchor is None else os.path.abspath(anchor)
        below = os.path.relpath(root, self._anchor)
        self._below = () if below == os.curdir else tuple(below.split(os.sep))
        self._private = private
        self._kept = kept
        self._open: dict[tuple[str, ...], Folder] = {}

    def folder(self, names: tuple[str, ...], *, make: bool = False, durable: bool = False) -> Folder:
        """The folder with these names from the root.

        Args:
            make: Make what is not there.
            durable: Take the names of folders that are made on their way to the disk; see `Folder.inner`.

        Raises:
            Corrupt: One of the folders below the anchor is a symbolic link.
            FileNotFoundError: One of them is not there.
            NotADirectoryError: One of them is something else.
        """
        kept = next((one for one in self._kept if names[: len(one)] == one), ())
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
        make_folders(self._anchor, self._private)
        return Folder.named(self._anchor)


class Opened:
    """Folders of a tree that stay open while one call looks at many names in them.

    A folder that is made or replaced meanwhile is not seen, so this is for looking, not for writing.

    Args:
        tree: The tree.
        most: Maximum number of folders that stay open; more are opened for each use.
    """

    def __init__(self, tree: Tree, most: int | None = None) -> None:
        self._tree = tree
        self._left = _spare_descriptors() if most is None else most
        self._open: dict[tuple[str, ...], Folder] = {}
        self._absent: set[tuple[str, ...]] = set()

    def folder(self, names: tuple[str, ...]) -> Folder:
        """The folder with these names from the root; raises what `Tree.folder` raises."""
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
    """How many folders may stay open: a quarter of the files that the process may open, and at most 256."""
    try:
        import resource
    except ImportError:
        return 0  # Windows, where no folder is opened
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return OPEN_FOLDERS if limit == resource.RLIM_INFINITY else max(0, min(OPEN_FOLDERS, limit // 4))


def linked(path: str) -> Corrupt:
    """The error for a link in place of a folder."""
    return Corrupt(
        f"cannot use {quoted(path, 300)}: it is a symbolic link, and links are not followed there",
        hint="remove the link; to keep artifacts elsewhere, set MREG_ARTIFACTS or artifacts in your own profile",
    )


def make_folders(path: str, private: str = "") -> None:
    """Make a folder and its parents; folders that are there stay as they are.

    Args:
        private: The folder, or the one of its parents, that is made for its owner alone (mode 0700).
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
        # PermissionError: a umask that keeps its owner from reading it.
        with contextlib.suppress(PermissionError), opened_folder(path, follow=False) as made:
            adopt(made, os.stat(parent))
