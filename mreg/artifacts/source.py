"""Reading what is pushed: regular files alone, each exactly as it was when its push began."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from mreg.artifacts.hashing import CHUNK_BYTES
from mreg.domain.paths import check_path
from mreg.domain.stored import FILES_LIMIT
from mreg.domain.text import quoted
from mreg.errors import BadInput, Conflict, NotFound, Unavailable
from mreg.files import close, is_link, open_file, read_at

SECTION_CHUNK = 256 << 10


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A regular file to push, as it was when it was first looked at.

    Attributes:
        path: Where it is.
        name: What it is called in messages and in a folder's manifest.
        mark: What changes when the file does: inode, size, times of content and of status.
    """

    path: str
    name: str
    size: int
    executable: bool
    mark: tuple[int, ...]


def source_file(path: str) -> SourceFile:
    """The file at a path that a person named; a link there is followed.

    Raises:
        NotFound: Nothing is there.
        BadInput: It is no regular file.
        Unavailable: It may not be looked at.
    """
    try:
        found = os.stat(path)
    except FileNotFoundError:
        what = "is a link to nothing" if os.path.islink(path) else "does not exist"
        raise NotFound(f"{quoted(path)} {what}", hint="check the path", kind="file", path=path) from None
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from error
    return _regular(os.path.realpath(path), path, found)


def _regular(path: str, name: str, found: os.stat_result) -> SourceFile:
    if not stat.S_ISREG(found.st_mode):
        kinds = {stat.S_IFIFO: "a named pipe", stat.S_IFSOCK: "a socket", stat.S_IFCHR: "a device"}
        what = kinds.get(stat.S_IFMT(found.st_mode), "a device")
        raise BadInput(f"{quoted(name)} is {what}, and only files and folders can be pushed")
    return SourceFile(path, name, found.st_size, bool(found.st_mode & stat.S_IXUSR), _mark(found))


def _mark(found: os.stat_result) -> tuple[int, ...]:
    return (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


def _unreadable(name: str, error: BaseException) -> Unavailable | BadInput:
    if isinstance(error, ValueError):
        return BadInput(f"{quoted(name)} is no path")
    if isinstance(error, OSError) and error.errno in (errno.ENAMETOOLONG, errno.ELOOP):
        return BadInput(f"{quoted(name)} is no path: {error.strerror}")
    return Unavailable(
        f"{quoted(name)} can't be read: {getattr(error, 'strerror', None) or error}", hint="mend its permissions"
    )


def source_folder(root: str) -> list[SourceFile]:
    """Every file below a folder, sorted by name; links are refused, since one could lead out of it.

    Raises:
        BadInput: Something in it is a link, no file, or can't be kept by its name.
        Conflict: Something vanished meanwhile.
        Unavailable: Something may not be read.
    """
    files: list[SourceFile] = []
    pending = [""]
    while pending:
        folder = pending.pop()
        try:
            with os.scandir(os.path.join(root, folder)) as entries:
                for entry in entries:
                    name = f"{folder}/{entry.name}" if folder else entry.name
                    check_path(name)
                    found = os.lstat(entry.path)  # on Windows the entry's own status lacks the inode and device
                    if is_link(found):
                        raise BadInput(
                            f"{quoted(name)} in {quoted(root)} is a link to {quoted(os.readlink(entry.path))}",
                            hint=f"push a copy without links: cp -rL {root} COPY",
                        )
                    if stat.S_ISDIR(found.st_mode):
                        pending.append(name)
                    else:
                        files.append(_regular(entry.path, name, found))
        except FileNotFoundError:
            raise changed(folder or root) from None
        except OSError as error:
            raise _unreadable(folder or root, error) from error
        if len(files) > FILES_LIMIT:
            raise BadInput(f"{quoted(root)} has more than {FILES_LIMIT} files", hint="push an archive of it")
    return sorted(files, key=lambda file: file.name)


def changed(name: str) -> Conflict:
    """The error for a file that did not stay as it was."""
    return Conflict(
        f"{quoted(name)} changed while it was read, so that no version was made", hint="push again once it is finished"
    )


def read_chunks(file: SourceFile, *, chunk_bytes: int = CHUNK_BYTES) -> Iterator[bytes]:
    """The bytes of a file, which must be those that were there when it was looked at.

    Raises:
        Conflict: It changed, grew, shrank or vanished; raised before the last chunk is taken for the end.
        Unavailable: It can't be read.
    """
    with unchanged(file) as descriptor:
        left = file.size
        while left > 0:
            try:
                chunk = os.read(descriptor, min(chunk_bytes, left))
            except OSError as error:
                raise _unreadable(file.name, error) from error
            if not chunk:
                raise changed(file.name)
            left -= len(chunk)
            yield chunk
        if os.read(descriptor, 1):
            raise changed(file.name)


@contextlib.contextmanager
def unchanged(file: SourceFile) -> Iterator[int]:
    """The file open for reading, which must be as it was when it was looked at, before and after.

    Raises:
        Conflict: It is not.
        Unavailable: It can't be opened.
    """
    try:
        descriptor = open_file(file.path, follow=False)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
            raise changed(file.name) from error
        raise _unreadable(file.name, error) from error
    try:
        if _mark(os.fstat(descriptor)) != file.mark:
            raise changed(file.name)
        yield descriptor
        if _mark(os.fstat(descriptor)) != file.mark:
            raise changed(file.name)
    finally:
        close(descriptor)


class FileSection(io.RawIOBase):
    """A section of an open file as a stream of its own, which tells how much of it was read for the first time.

    Several may read one file at once, also when it was closed elsewhere. `read` gives up to `SECTION_CHUNK` bytes
    whatever smaller count is asked for: a sender that asks for 16 KiB at a time would spend its time on asking.
    """

    def __init__(self, descriptor: int, start: int, size: int, advance: Callable[[int], None] | None = None) -> None:
        self._descriptor = os.dup(descriptor)
        self._start = start
        self._size = size
        self._place = self._reported = 0
        self._advance = advance

    def close(self) -> None:
        if not self.closed:
            os.close(self._descriptor)
        super().close()

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def __len__(self) -> int:
        return self._size

    def tell(self) -> int:
        return self._place

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._place = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._place, os.SEEK_END: self._size}[whence]
        return self._place

    def read(self, count: int | None = -1) -> bytes:
        wanted = self._size - self._place
        if count is not None and count >= 0:
            wanted = min(wanted, max(count, SECTION_CHUNK) if count else 0)
        data = read_at(self._descriptor, wanted, self._start + self._place) if wanted > 0 else b""
        self._place += len(data)
        if self._advance is not None and self._place > self._reported:
            self._advance(self._place - self._reported)
            self._reported = self._place
        return data
