"""The files and empty folders of a folder to push, with the rules that leave some out and links that are followed."""

from __future__ import annotations

import abc
import errno
import os
import stat
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from mreg.artifacts.source import SourceFile, changed, regular_file, unreadable
from mreg.domain.paths import check_path
from mreg.domain.stored import FILES_LIMIT
from mreg.domain.text import quoted, shell_word
from mreg.errors import BadInput, NotFound
from mreg.files import is_link, opened_folder

PATHS_LIMIT = 100
"""Maximum number of paths to one folder if links are followed: links in each of N folders can make 2**N paths."""


class Selection(abc.ABC):
    """Decides which entries of a folder are pushed."""

    @abc.abstractmethod
    def left_out(self, path: str, place: str, *, leaf: bool) -> str:
        """Return why an entry is left out, in a few words; an empty text if it is pushed.

        Args:
            path: Relative path with ``/``; a folder ends in ``/``.
            place: Absolute path, without links if links are followed.
            leaf: The entry is a file, or a folder without entries.
        """


class Everything(Selection):
    """Leaves nothing out."""

    def left_out(self, path: str, place: str, *, leaf: bool) -> str:  # noqa: ARG002  it does not matter here
        """Return an empty text."""
        return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceFolder:
    """The content of a folder to push, at the start of the push.

    Attributes:
        files: All files that are pushed, sorted by name.
        folders: Relative paths of the folders without any entry, sorted.
        left_out: Number of entries that are not pushed, by reason; a folder that is left out counts as one.
    """

    root: str
    files: tuple[SourceFile, ...]
    folders: tuple[str, ...]
    left_out: Mapping[str, int]
    selection: Selection
    follow_links: bool

    @property
    def size(self) -> int:
        """Total size in bytes."""
        return sum(file.size for file in self.files)

    def check_unchanged(self) -> None:
        """Look at the folder again.

        Raises:
            Conflict: An entry was added, removed or changed.
        """
        now = source_folder(self.root, self.selection, follow_links=self.follow_links)
        if (_marks(now), now.folders) != (_marks(self), self.folders):
            raise changed(self.root)


def _marks(folder: SourceFolder) -> list[tuple[str, tuple[int, ...]]]:
    return [(file.name, file.mark) for file in folder.files]


def source_folder(root: str, selection: Selection | None = None, *, follow_links: bool = False) -> SourceFolder:
    """Return the content of a folder.

    Links are refused, since they could lead out of the folder, or are followed if the caller asks for it. Then a link
    to a file is a file, and a link to a folder is a folder; the target can be anywhere.

    Args:
        selection: Decides which entries are pushed (default: all).

    Raises:
        BadInput: An entry is a link that is not followed, a link to a folder that contains it, or a special file, or
            has an invalid name; or there are too many entries, or more than `PATHS_LIMIT` paths to a folder.
        NotFound: A link that is followed is broken.
        Conflict: An entry disappeared in the meantime.
        Unavailable: An entry cannot be read.
    """
    walk = _Walk(root, selection or Everything(), follow_links)
    walk.run()
    return SourceFolder(
        root=root,
        files=tuple(sorted(walk.files, key=lambda file: file.name)),
        folders=tuple(sorted(walk.folders)),
        left_out=walk.left_out,
        selection=walk.selection,
        follow_links=follow_links,
    )


def reasons(left_out: Mapping[str, int]) -> str:
    """Return the reasons why entries are left out, with the number of the entries if there are several."""
    return ", ".join(f"{reason} ({count:,})" if count > 1 else reason for reason, count in sorted(left_out.items()))


@dataclass(slots=True)
class _Walk:
    root: str
    selection: Selection
    follow_links: bool
    files: list[SourceFile] = field(default_factory=list)
    folders: list[str] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)
    visits: Counter[tuple[int, int]] = field(default_factory=Counter)

    def run(self) -> None:
        count = 0
        pending = [_Folder("", os.path.realpath(self.root))]
        while pending:
            folder = pending.pop()
            count += 1
            try:
                pending += self._entries(folder)
            except FileNotFoundError:
                raise changed(folder.name or self.root) from None
            except OSError as error:
                raise unreadable(folder.name or self.root, error) from error
            if len(self.files) + count > FILES_LIMIT:
                raise BadInput(
                    f"{quoted(self.root)} has more than {FILES_LIMIT} files and folders", hint="push an archive of it"
                )

    def _entries(self, folder: _Folder) -> list[_Folder]:
        """Add the files of a folder; return its folders.

        A folder and its entries are read by one descriptor of the folder that its parent had, so a folder that is
        replaced with a link meanwhile is not read. Files are compared when they are opened.
        """
        with opened_folder(folder.place) as descriptor:
            if descriptor >= 0 and folder.identity not in (None, _identity(os.fstat(descriptor))):
                raise changed(folder.name)
            within = folder.within
            if self.follow_links:
                identity = _identity(os.stat(folder.place if descriptor < 0 else descriptor))
                within |= {identity}
                self._visit(folder.name, identity)
            inner: list[_Folder] = []
            empty = True
            with os.scandir(folder.place if descriptor < 0 else descriptor) as entries:
                for entry in entries:
                    empty = False
                    inner += self._entry(folder, within, entry.name, descriptor)
        if empty and folder.name and not self._leaves_out(f"{folder.name}/", folder.place, leaf=True):
            self.folders.append(folder.name)
        return inner

    def _entry(
        self, folder: _Folder, within: frozenset[tuple[int, int]], entry: str, descriptor: int
    ) -> tuple[_Folder, ...]:
        """Add a file; return a folder."""
        name = f"{folder.name}/{entry}" if folder.name else entry
        place = link = os.path.join(folder.place, entry)
        found = os.lstat(place) if descriptor < 0 else os.stat(entry, dir_fd=descriptor, follow_symlinks=False)
        if is_link(found):
            if self._leaves_out(name, place, leaf=not self.follow_links):
                return ()
            place, found = self._target(name, place)
            if _identity(found) in within:
                raise self._refused(name, link, "a folder that contains it")
        if stat.S_ISDIR(found.st_mode):
            left_out = self._leaves_out(f"{name}/", place, leaf=False)
            return () if left_out else (_Folder(check_path(name), place, within, _identity(found)),)
        if not self._leaves_out(name, place, leaf=True):
            self.files.append(regular_file(place, check_path(name), found))
        return ()

    def _visit(self, name: str, identity: tuple[int, int]) -> None:
        self.visits[identity] += 1
        if self.visits[identity] > PATHS_LIMIT:
            raise BadInput(
                f"cannot push {quoted(self.root)}: {quoted(name)}: links lead to this folder on more than "
                f"{PATHS_LIMIT} paths",
                hint=f"leave out some of the links, such as this: --exclude {_pattern(name)}",
            )

    def _leaves_out(self, path: str, place: str, *, leaf: bool) -> bool:
        reason = self.selection.left_out(path, place, leaf=leaf)
        if reason:
            self.left_out[reason] += 1
        return bool(reason)

    def _target(self, name: str, link: str) -> tuple[str, os.stat_result]:
        """Return the path and status of what a link leads to."""
        if not self.follow_links:
            raise BadInput(
                f"cannot push {quoted(self.root)}: {quoted(name)} is a link to {quoted(os.readlink(link))}",
                hint=f"push what links point to: --follow-links; or leave it out: --exclude {_pattern(name)}",
            )
        try:
            place = os.path.realpath(link, strict=True)
            return place, os.stat(place)
        except (FileNotFoundError, NotADirectoryError):
            raise NotFound(
                f"cannot push {quoted(self.root)}: {quoted(name)} is a broken link to {quoted(os.readlink(link))}",
                hint=f"remove it, or leave it out: --exclude {_pattern(name)}",
                kind="file",
                path=name,
            ) from None
        except OSError as error:
            if error.errno == errno.ELOOP:
                raise self._refused(name, link, "which leads back to it") from error
            raise unreadable(name, error) from error

    def _refused(self, name: str, link: str, why: str) -> BadInput:
        return BadInput(
            f"cannot push {quoted(self.root)}: {quoted(name)} is a link to {quoted(os.readlink(link))}, {why}",
            hint=f"remove it, or leave it out: --exclude {_pattern(name)}",
        )


@dataclass(frozen=True, slots=True)
class _Folder:
    """A folder to read.

    Attributes:
        within: Device and inode of each folder above it, if links are followed.
        identity: Device and inode of the folder; None for the root.
    """

    name: str
    place: str
    within: frozenset[tuple[int, int]] = frozenset()
    identity: tuple[int, int] | None = None


def _identity(found: os.stat_result) -> tuple[int, int]:
    return found.st_dev, found.st_ino


def _pattern(name: str) -> str:
    return shell_word(f"/{name}")
