"""Reading the files of a push: only regular files, and only if they are unchanged since the push began."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import io
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from mreg.artifacts.hashing import CHUNK_BYTES
from mreg.domain.paths import refuse_url
from mreg.domain.text import quoted
from mreg.errors import BadInput, Conflict, NotFound, Unavailable
from mreg.files import close, open_file, read_at

SECTION_CHUNK = 256 << 10

SAMPLES = 9
SAMPLE_BYTES = 64 << 10
"""Number and size of the pieces that distinguish a file from a blob of its size."""

MIDDLE = SAMPLES // 2
"""The sample that differs most often: the start can be a header, and the end a common last layer."""


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A regular file to push, with its status at the start of the push.

    Attributes:
        name: Name in messages and in the manifest of a folder.
        mark: Values that change when the file does: device, inode, size, and the times of content and status.
    """

    path: str
    name: str
    size: int
    executable: bool
    mark: tuple[int, ...]


def check_source(path: str) -> os.stat_result:
    """Return the status of a path that the user named.

    Raises:
        BadInput: It is a URL.
        NotFound: The path does not exist.
        Unavailable: The status cannot be read.
    """
    refuse_url(path, "download it, and push the file")
    try:
        return os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        what = "is a broken link" if os.path.islink(path) else "does not exist"
        raise NotFound(f"{quoted(path)} {what}", hint="check the path", kind="file", path=path) from None
    except (OSError, ValueError) as error:
        raise unreadable(path, error) from error


def source_file(path: str) -> SourceFile:
    """Return the file at a path that the user named; a symbolic link is followed.

    Raises:
        NotFound: The path does not exist.
        BadInput: The path is not a regular file.
        Unavailable: The status cannot be read.
    """
    return regular_file(os.path.realpath(path), path, check_source(path))


def regular_file(path: str, name: str, info: os.stat_result) -> SourceFile:
    """Return a file to push.

    Raises:
        BadInput: The status is not that of a regular file.
    """
    if not stat.S_ISREG(info.st_mode):
        kinds = {stat.S_IFIFO: "a named pipe", stat.S_IFSOCK: "a socket", stat.S_IFCHR: "a device"}
        what = kinds.get(stat.S_IFMT(info.st_mode), "a device")
        raise BadInput(f"cannot push {quoted(name)}: expected a file or folder, got {what}")
    return SourceFile(path, name, info.st_size, bool(info.st_mode & stat.S_IXUSR), _mark(info))


def _mark(info: os.stat_result) -> tuple[int, ...]:
    return (info.st_dev, info.st_ino, info.st_size, info.st_mtime_ns, info.st_ctime_ns)


def unreadable(name: str, error: BaseException) -> Unavailable | BadInput:
    """Return the error for a file or folder that cannot be read."""
    if isinstance(error, ValueError):
        return BadInput(f"invalid path {quoted(name)}")
    if isinstance(error, OSError) and error.errno in (errno.ENAMETOOLONG, errno.ELOOP):
        return BadInput(f"invalid path {quoted(name)}: {error.strerror}")
    return Unavailable(
        f"cannot read {quoted(name)}: {getattr(error, 'strerror', None) or error}", hint="fix its permissions"
    )


def changed(name: str) -> Conflict:
    """Return the error for a file that changed during the push."""
    return Conflict(
        f"{quoted(name)} changed while it was read; no version was added", hint="push again once it is finished"
    )


def read_chunks(file: SourceFile, *, chunk_bytes: int = CHUNK_BYTES, start: int = 0) -> Iterator[bytes]:
    """Yield the bytes of a file, which must be unchanged since the start of the push.

    Args:
        start: Offset of the first byte.

    Raises:
        Conflict: The file changed, grew, shrank or disappeared; raised at the latest instead of the end.
        Unavailable: The file cannot be read.
    """
    with unchanged(file) as descriptor:
        if start:
            os.lseek(descriptor, start, os.SEEK_SET)
        left = file.size - start
        while left > 0:
            chunk = _read(file, descriptor, min(chunk_bytes, left))
            if not chunk:
                raise changed(file.name)
            left -= len(chunk)
            yield chunk
        if _read(file, descriptor, 1):
            raise changed(file.name)


def read_samples(file: SourceFile) -> dict[int, bytes]:
    """Return pieces of a file by their offsets, from its start to its end.

    Raises:
        Conflict: The file changed.
        Unavailable: The file cannot be read.
    """
    with unchanged(file) as descriptor:
        try:
            return {start: read_at(descriptor, SAMPLE_BYTES, start) for start in sample_starts(file.size)}
        except OSError as error:
            raise unreadable(file.name, error) from error


def sample_starts(size: int) -> list[int]:
    """Return the offsets of the samples of a file of a size, from its start to its end."""
    last = max(0, size - SAMPLE_BYTES)
    return [last * place // (SAMPLES - 1) for place in range(SAMPLES)]


def fingerprint(size: int, samples: Sequence[bytes]) -> str:
    """Return 32 hexadecimal digits that files share only if they have the same size and samples.

    Such files can differ between the samples. The first digits are those of `sample_digits` of the sample in the
    middle.
    """
    found = hashlib.sha256(b"%d\n" % size)
    for sample in samples:
        found.update(hashlib.sha256(sample).digest())
    return (sample_digits(samples[MIDDLE]) + found.hexdigest())[:32]


def sample_digits(sample: bytes) -> str:
    """Return 8 hexadecimal digits of a sample."""
    return hashlib.sha256(sample).hexdigest()[:8]


def _read(file: SourceFile, descriptor: int, count: int) -> bytes:
    try:
        return os.read(descriptor, count)
    except OSError as error:
        raise unreadable(file.name, error) from error


@contextlib.contextmanager
def unchanged(file: SourceFile) -> Iterator[int]:
    """Open a file for reading; check before and after that it is unchanged.

    Raises:
        Conflict: The file changed.
        Unavailable: The file cannot be opened.
    """
    try:
        descriptor = open_file(file.path, follow=False)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
            raise changed(file.name) from error
        raise unreadable(file.name, error) from error
    try:
        _refuse_changed(file, descriptor)
        yield descriptor
        _refuse_changed(file, descriptor)
    finally:
        close(descriptor)


def _refuse_changed(file: SourceFile, descriptor: int) -> None:
    try:
        found = os.fstat(descriptor)
    except OSError as error:
        raise unreadable(file.name, error) from error
    if _mark(found) != file.mark:
        raise changed(file.name)


class FileSection(io.RawIOBase):
    """A section of an open file as a stream, with progress for bytes that are read for the first time.

    Several sections can read the same file at the same time, even after it was closed elsewhere. `read` returns up to
    `SECTION_CHUNK` bytes even if fewer are requested: a sender that reads 16 KiB at a time would waste processor time.
    """

    def __init__(self, descriptor: int, start: int, size: int, advance: Callable[[int], None] | None = None) -> None:
        self._descriptor = os.dup(descriptor)
        self._start = start
        self._size = size
        self._position = self._reported = 0
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
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._position = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size}[whence]
        return self._position

    def read(self, count: int | None = -1) -> bytes:
        wanted = self._size - self._position
        if count is not None and count >= 0:
            wanted = min(wanted, max(count, SECTION_CHUNK) if count else 0)
        data = read_at(self._descriptor, wanted, self._start + self._position) if wanted > 0 else b""
        self._position += len(data)
        if self._advance is not None and self._position > self._reported:
            self._advance(self._position - self._reported)
            self._reported = self._position
        return data
