"""The manifest of a folder artifact: its files in canonical order, and the bytes whose digest identifies the folder.

Format ``mreg.manifest.v1``: UTF-8 JSON without spaces, keys sorted, files sorted by the UTF-8 bytes of their path::

    {"files":[{"executable":false,"path":"config.json","sha256":"…","size":12}],"format":"mreg.manifest.v1"}

A folder with empty folders has the format ``mreg.manifest.v2``: each empty folder is an entry of 0 bytes whose path
ends in ``/``. Releases that do not know it refuse the path and name it.

Equal folders have equal manifests, so folders are deduplicated like files.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise

from mreg.domain.digest import Digest
from mreg.domain.paths import PATH_LIMIT, check_path
from mreg.domain.stored import FILES_LIMIT, SIZE_LIMIT
from mreg.domain.text import quoted
from mreg.errors import BadInput, Corrupt

FORMAT = "mreg.manifest.v1"
FORMAT_WITH_FOLDERS = "mreg.manifest.v2"
BYTES_LIMIT = 256 << 20
"""Maximum bytes of a manifest, which is read into memory: a million files with paths of 120 bytes on average."""

ENTRY_BYTES = 144
"""Upper bound of the bytes that a file or empty folder adds to a manifest, without its path."""

NOTHING = Digest.sha256("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
"""Digest of 0 bytes."""


@dataclass(frozen=True, slots=True)
class ManifestEntry:
    """One file of a folder.

    Attributes:
        path: Relative POSIX path without empty, ``.`` or ``..`` part, backslash, drive letter or control character.
        size: Size in bytes.
        digest: Digest of the content, which gives the key of the blob.
        executable: Whether the owner can execute the file; other mode bits are not stored.
    """

    path: str
    size: int
    digest: Digest
    executable: bool = False

    def __post_init__(self) -> None:
        check_path(self.path)
        if self.size < 0:
            raise BadInput(f"the size of {quoted(self.path)} is negative")
        if self.size > SIZE_LIMIT:
            raise BadInput(f"the file {quoted(self.path)} is too large: the limit is {SIZE_LIMIT} bytes")


def folded_names(paths: Iterable[str]) -> list[str]:
    """Return the paths with case and Unicode form folded, sorted, including duplicates."""
    return sorted(map(_folded, paths))


def check_together(paths: Iterable[str]) -> None:
    """Check that files with these paths can exist in one folder on every platform.

    Raises:
        BadInput: Two paths differ only in case or Unicode form, or one is the folder of another.
    """
    seen: dict[str, str] = {}
    for path in paths:
        folded = _folded(path)
        if folded in seen:
            raise BadInput(
                f"the file names {quoted(seen[folded])} and {quoted(path)} are the same on some systems",
                hint="rename one of them",
            )
        seen[folded] = path
    # The separator sorts before all other characters here, so the paths in a folder directly follow the path of the
    # folder, and comparing neighbours is enough.
    order = sorted(seen, key=lambda folded: folded.replace("/", "\0"))
    for folded, following in pairwise(order):
        if following.startswith(f"{folded}/"):
            raise BadInput(f"{quoted(seen[folded])} cannot be both a file and the folder of {quoted(seen[following])}")


@dataclass(frozen=True, slots=True)
class Manifest:
    """The files and empty folders of a folder, sorted; ``Manifest.parse(manifest.canonical()) == manifest``.

    Attributes:
        entries: The files.
        folders: Relative paths of the folders that are empty; all others follow from the files.

    No two paths are equal or differ only in case or Unicode form, and no path is the folder of another (``x`` and
    ``x/y``): on some platforms such a folder cannot be written, or one file overwrites another.

    Raises:
        BadInput: Two paths exclude each other, there are more than `FILES_LIMIT` files and folders, or their total
            size exceeds `SIZE_LIMIT`.
    """

    entries: tuple[ManifestEntry, ...]
    folders: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if len(self.entries) + len(self.folders) > FILES_LIMIT:
            what = "files and folders" if self.folders else "files"
            raise BadInput(f"the folder has {len(self.entries) + len(self.folders)} {what}; the limit is {FILES_LIMIT}")
        object.__setattr__(self, "entries", tuple(sorted(self.entries, key=lambda entry: entry.path.encode())))
        object.__setattr__(self, "folders", tuple(sorted(map(check_path, self.folders), key=str.encode)))
        check_together((*(entry.path for entry in self.entries), *self.folders))
        if self.size > SIZE_LIMIT:
            raise BadInput(f"the files are too large: the limit is {SIZE_LIMIT} bytes in total")

    @property
    def size(self) -> int:
        """Total size in bytes."""
        return sum(entry.size for entry in self.entries)

    def canonical(self) -> bytes:
        """Return the bytes that are stored; their SHA-256 is the digest of the artifact."""
        data = bytearray()
        for piece in self._pieces():
            data += piece
        return bytes(data)

    def _pieces(self) -> Iterator[bytes]:
        """Yield the canonical bytes entry by entry: all of them as objects would need several times the memory."""
        rows = ((entry.path, entry) for entry in self.entries)
        every: Iterable[tuple[str, ManifestEntry | None]] = rows
        if self.folders:
            every = sorted((*rows, *((f"{folder}/", None) for folder in self.folders)), key=lambda row: row[0].encode())
        yield _BEGIN
        comma = ""
        for path, entry in every:
            name = path.replace('"', '\\"')  # valid paths have no other character that JSON escapes
            executable = "true" if entry is not None and entry.executable else "false"
            digest, size = (entry.digest, entry.size) if entry is not None else (NOTHING, 0)
            yield (
                f'{comma}{{"executable":{executable},"path":"{name}","sha256":"{digest.value}","size":{size}}}'
            ).encode()
            comma = ","
        yield _ENDS[bool(self.folders)]

    @classmethod
    def parse(cls, data: bytes) -> Manifest:
        """Return the manifest that the bytes encode.

        Raises:
            Corrupt: The bytes are not the canonical bytes of a valid manifest.
        """
        if len(data) > BYTES_LIMIT:
            raise Corrupt(f"the manifest has {len(data)} bytes; the limit is {BYTES_LIMIT}")
        try:
            folders: list[str] = []
            manifest = cls(tuple(_entries(data, folders)), tuple(folders))
        except BadInput as error:
            raise Corrupt(f"invalid manifest: {error.message}") from error
        except ValueError as error:
            raise Corrupt("invalid manifest: it is not valid JSON") from error
        place = 0
        for piece in manifest._pieces():
            if not data.startswith(piece, place):
                raise Corrupt("the manifest is not in canonical form")
            place += len(piece)
        if place < len(data):
            raise Corrupt("the manifest is not in canonical form")
        return manifest


_BEGIN = b'{"files":['
_ENDS = tuple(f'],"format":"{name}"}}'.encode() for name in (FORMAT, FORMAT_WITH_FOLDERS))
_ENTRY = re.compile(
    rb'\{"executable":(true|false),"path":("(?:[^"\\\x00-\x1f]|\\"){1,%d}"),"sha256":"([0-9a-f]{64})",'
    rb'"size":(0|[1-9][0-9]{0,18})\}' % PATH_LIMIT
)


_FILE = re.compile(rb'[^/]","sha256":"([0-9a-f]{64})","size":([0-9]{1,19})\}')
"""The end of the entry of a file; no path contains it, because its quotation marks are escaped there."""


def sizes_in(data: bytes) -> Iterator[tuple[str, int]]:
    """Yield the hexadecimal digits of the digest and the size of each file in the bytes of a valid manifest.

    It takes a small part of the time and memory of `Manifest.parse`.
    """
    for match in _FILE.finditer(data):
        yield match[1].decode(), int(match[2])


def _entries(data: bytes, folders: list[str]) -> Iterator[ManifestEntry]:
    """Yield the entries of a manifest without a JSON parser, which would need up to twenty times the size in memory.

    Args:
        folders: Gets the paths of the empty folders.

    Raises:
        ValueError: The bytes have another form.
        BadInput: A path, digest or size is invalid, or there are too many entries.
    """
    place = len(_BEGIN)
    if not data.startswith(_BEGIN):
        raise ValueError(data[:place])
    count = 0
    while match := _ENTRY.match(data, place):
        count += 1
        if count > FILES_LIMIT:
            raise BadInput(f"the folder has more than {FILES_LIMIT} files")
        executable, path, digest, size = match.groups()
        if path.endswith(b'/"'):
            folders.append(json.loads(path)[:-1])
        else:
            yield ManifestEntry(json.loads(path), int(size), Digest.sha256(digest.decode()), executable == b"true")
        place = match.end() + 1
        if data[place - 1 : place] != b",":
            place -= 1
            break
    if data[place:] not in _ENDS:
        raise ValueError(data[place : place + 80])


def _folded(path: str) -> str:
    if path.isascii():
        return path.lower()
    return unicodedata.normalize("NFC", unicodedata.normalize("NFKD", path).casefold())
