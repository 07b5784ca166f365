"""The tar format of bundles, with a strict reader: names and sizes are known in advance, and headers have one form.

A general tar reader must refuse links, devices, sparse files, extension headers and path traversal one by one. This
reader accepts a header only if it is, byte for byte, the header that mreg writes for the expected member: a regular
file, mode 0644, owner 0, time 0, in GNU format (which allows sizes over 8 GiB).
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from typing import BinaryIO

from mreg.artifacts.backend import Chunk
from mreg.artifacts.hashing import CHUNK_BYTES
from mreg.domain.text import quoted
from mreg.errors import BadInput, Corrupt, NotFound, Unavailable
from mreg.files import open_file

BLOCK = 512
END = bytes(2 * BLOCK)
PADDING_LIMIT = 20 * BLOCK
"""Maximum number of zeros after the end; tar programs pad archives to this size."""

AGAIN = "make or copy the bundle again"
"""Hint for damaged bundles."""

_OCTAL_LIMIT = 8**11
_MAGIC = b"ustar  \0"
KINDS = {b"1": "a hard link", b"2": "a symbolic link", b"3": "a device", b"4": "a device", b"5": "a folder",
          b"6": "a named pipe", b"S": "a sparse file", b"x": "an extension header", b"g": "an extension header",
          b"L": "an extension header", b"K": "an extension header"}  # fmt: skip
COMPRESSED = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd", b"PK\x03\x04")


def header(name: str, size: int) -> bytes:
    """Return the header of a member."""
    digits = b"%011o\0" % size if size < _OCTAL_LIMIT else b"\x80" + size.to_bytes(11, "big")
    before = name.encode().ljust(100, b"\0") + b"0000644\0" + b"0000000\0" * 2 + digits + b"00000000000\0"
    after = b"0" + bytes(100) + _MAGIC
    block = (before + b" " * 8 + after).ljust(BLOCK, b"\0")
    return before + b"%06o\0 " % sum(block) + block[len(before) + 8 :]


def room_of(size: int) -> int:
    """Return the size of a member with header and padding."""
    return BLOCK + size + -size % BLOCK


class TarWriter:
    """Writes members in sequence.

    Args:
        write: Called with the bytes of the tar.
    """

    def __init__(self, write: Callable[[Chunk], object]) -> None:
        self._write = write
        self._size = 0

    def begin(self, name: str, size: int) -> None:
        """Start a member; its bytes must follow."""
        self._write(self._padding() + header(name, size))
        self._size = size

    def add(self, chunk: Chunk) -> None:
        """Write bytes of the current member."""
        self._write(chunk)

    def end(self) -> None:
        """End the tar."""
        self._write(self._padding() + END)

    def _padding(self) -> bytes:
        """Return the zeros after the current member."""
        return bytes(-self._size % BLOCK)


class TarReader:
    """Reads members with known names from an open file; a context manager.

    Raises:
        NotFound: The file does not exist.
        BadInput: The path is not a regular file.
        Unavailable: The file cannot be read.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._stream = _opened(path)
        self.size = os.fstat(self._stream.fileno()).st_size
        self._left = self.size

    def __enter__(self) -> TarReader:
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.close()

    def begin(self, name: str, size: int | None = None) -> int:
        """Read the header of the member with a name and return its size.

        Args:
            size: Expected size (default: any).

        Raises:
            BadInput: The header is of another member, size or kind.
            Corrupt: The file is truncated, or the header is damaged.
        """
        if self._left == self.size < BLOCK:
            self._refuse_another_file(name)
        block = self._read(BLOCK)
        found = _size_in(block, name)
        if size is not None and found != size:
            raise BadInput(f"{name} in the bundle has the wrong size: expected {size:,} bytes, got {found:,}")
        if block != header(name, found):
            raise BadInput(f"the header of {name} in the bundle is not in the form that mreg export writes")
        if found > self._left:
            raise self._truncated()
        return found

    def _refuse_another_file(self, name: str) -> None:
        """Refuse a file that does not begin like a tar with a member of this name; an empty file can be incomplete."""
        start = self._stream.read(len(name))
        self._stream.seek(0)
        if start != name.encode()[: len(start)]:
            raise BadInput(f"{quoted(self._path, 200)} is not a bundle", hint="use a bundle, the file of an export")

    def chunks(self, size: int) -> Iterator[bytes]:
        """Yield the bytes of the current member, and check its padding.

        Raises:
            BadInput: The padding is not zero.
            Corrupt: The file is truncated.
        """
        left = size
        while left:
            chunk = self._read(min(left, CHUNK_BYTES))
            left -= len(chunk)
            yield chunk
        self._check_zeros(-size % BLOCK)

    def check_size(self, wanted: int) -> None:
        """Check that a number of bytes is left to read, apart from the padding that tar programs add.

        Raises:
            Corrupt: The file is shorter.
            BadInput: The file is longer.
        """
        if self._left < wanted:
            raise self._truncated()
        if self._left > wanted + PADDING_LIMIT:
            raise BadInput(f"the bundle has {self._left - wanted} extra bytes after its last file")

    def end(self) -> None:
        """Read the end of the tar and its padding.

        Raises:
            BadInput: There is further content.
            Corrupt: The end is missing.
        """
        self._check_zeros(len(END))
        self._check_zeros(self._left)

    def read_at(self, offset: int, size: int) -> bytes:
        """Return bytes from an offset in the file without changing the read position.

        Raises:
            Corrupt: The file is truncated.
        """
        position = self._stream.tell()
        try:
            self._stream.seek(offset)
            data = self._stream.read(size)
            self._stream.seek(position)
        except OSError as error:
            raise _unreadable(self._path, error) from error
        if len(data) != size:
            raise self._truncated()
        return data

    def _check_zeros(self, count: int) -> None:
        if self._read(count).strip(b"\0"):
            raise BadInput("the bundle has extra bytes between its files")

    def _read(self, count: int) -> bytes:
        try:
            data = self._stream.read(count)
        except OSError as error:
            raise _unreadable(self._path, error) from error
        if len(data) != count:
            raise self._truncated()
        self._left -= count
        return data

    def _truncated(self) -> Corrupt:
        return Corrupt(f"the bundle {quoted(self._path, 200)} is incomplete: unexpected end of file", hint=AGAIN)


def _size_in(block: bytes, name: str) -> int:
    """Return the size in a header; the caller checks its other fields.

    Raises:
        BadInput: The header is not that of a regular file with this name.
        Corrupt: The header is damaged.
    """
    if block.startswith(COMPRESSED):
        raise BadInput("the bundle is compressed", hint="decompress it first")
    if not any(block):
        raise Corrupt(f"the bundle ends before {name}", hint=AGAIN)
    if not block[257:262] == b"ustar":
        raise BadInput(f"not a bundle: {name} not found in its place", hint="use a bundle, the file of an export")
    # The checksum covers the header with blanks in the checksum field.
    if block[148:156] != b"%06o\0 " % (sum(block) - sum(block[148:156]) + 8 * 32):
        raise Corrupt(f"the header of {name} in the bundle is damaged", hint=AGAIN)
    kind = block[156:157]
    if kind != b"0":
        raise BadInput(f"invalid bundle: expected the file {name}, got {KINDS.get(kind, 'another kind of entry')}")
    found = block[:100].rstrip(b"\0")
    if found != name.encode():
        raise BadInput(f"invalid bundle: expected the file {name}, got {quoted(found.decode('utf-8', 'replace'))}")
    digits = block[124:136]
    if digits[:1] == b"\x80":
        return int.from_bytes(digits[1:], "big")
    if not digits[:11].isdigit() or digits.translate(None, b"01234567") != b"\0":
        raise BadInput(f"the size of {name} in the bundle is not a number")
    return int(digits[:11], 8)


def _opened(path: str) -> BinaryIO:
    try:
        descriptor = open_file(path)
    except (FileNotFoundError, NotADirectoryError):
        raise NotFound(f"{quoted(path, 200)} does not exist", hint="check the path", kind="file", path=path) from None
    except ValueError:
        raise BadInput(f"invalid path {quoted(path)}") from None
    except OSError as error:
        raise _unreadable(path, error) from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise BadInput(f"{quoted(path, 200)} is not a file", hint="use a bundle, the file of an export")
    return os.fdopen(descriptor, "rb")


def _unreadable(path: str, error: OSError) -> Unavailable:
    return Unavailable(f"cannot read {quoted(path, 200)}: {error.strerror or error}", hint="fix its permissions")
