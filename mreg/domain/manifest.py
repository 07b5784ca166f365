"""The files of a folder artifact in canonical order, and the bytes whose digest is the folder's.

Format ``mreg.manifest.v1``: UTF-8 JSON without spaces, keys sorted, files sorted by the UTF-8 bytes of their path::

    {"files":[{"executable":false,"path":"config.json","sha256":"…","size":12}],"format":"mreg.manifest.v1"}

Equal folders give equal bytes, so a folder's artifact is deduplicated like a file's.
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
BYTES_LIMIT = 256 << 20
"""Bytes of a manifest, which is read into memory: a million files whose paths have 120 bytes on average."""

ENTRY_BYTES = 144
"""More than a file adds to a manifest besides the bytes of its path."""


@dataclass(frozen=True, slots=True)
class ManifestEntry:
    """One file of a folder.

    Attributes:
        path: Relative POSIX path: no empty, ``.`` or ``..`` part, no backslash, colon-drive or control character.
        size: Bytes.
        digest: Of the file's content, which is the key of its blob.
        executable: Whether its owner may execute it; no other mode bit is kept.
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
            raise BadInput(f"the size of {quoted(self.path)} is beyond {SIZE_LIMIT} bytes")


def folded_names(paths: Iterable[str]) -> list[str]:
    """The paths with case and Unicode form folded, sorted, duplicates included."""
    return sorted(map(_folded, paths))


def check_together(paths: Iterable[str]) -> None:
    """Nothing, if files of these names can stand side by side in one folder everywhere.

    Raises:
        BadInput: Two are equal once case and Unicode form are folded, or one is the folder of another.
    """
    seen: dict[str, str] = {}
    for path in paths:
        folded = _folded(path)
        if folded in seen:
            raise BadInput(
                f"the files {quoted(seen[folded])} and {quoted(path)} can't be told apart on every system",
                hint="rename one of them",
            )
        seen[folded] = path
    # With the separator below every other character, what stands in a folder follows it at once: one look at each
    # neighbour does, and a path of thousands of parts costs no more than its length.
    order = sorted(seen, key=lambda folded: folded.replace("/", "\0"))
    for folded, following in pairwise(order):
        if following.startswith(f"{folded}/"):
            raise BadInput(f"{quoted(seen[folded])} can't be both a file and the folder of {quoted(seen[following])}")


@dataclass(frozen=True, slots=True)
class Manifest:
    """The files of a folder, sorted; ``Manifest.parse(manifest.canonical()) == manifest``.

    No two paths are equal, one inside the other's place (``x`` and ``x/y``), or equal once case and Unicode form are
    folded: such a folder could not be written back on macOS or Windows, or one file would overwrite another.

    Raises:
        BadInput: Two files can't stand side by side, there are more than `FILES_LIMIT`, or they are together larger
            than `SIZE_LIMIT`.
    """

    entries: tuple[ManifestEntry, ...]

    def __post_init__(self) -> None:
        if len(self.entries) > FILES_LIMIT:
            raise BadInput(f"the folder has {len(self.entries)} files; the limit is {FILES_LIMIT}")
        object.__setattr__(self, "entries", tuple(sorted(self.entries, key=lambda entry: entry.path.encode())))
        check_together(entry.path for entry in self.entries)
        if self.size > SIZE_LIMIT:
            raise BadInput(f"the files are together larger than {SIZE_LIMIT} bytes")

    @property
    def size(self) -> int:
        """Bytes of all files together."""
        return sum(entry.size for entry in self.entries)

    def canonical(self) -> bytes:
        """The bytes that are stored and whose SHA-256 is the artifact's digest."""
        files = [
            {"executable": entry.executable, "path": entry.path, "sha256": entry.digest.value, "size": entry.size}
            for entry in self.entries
        ]
        document = {"files": files, "format": FORMAT}
        return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()

    @classmethod
    def parse(cls, data: bytes) -> Manifest:
        """The manifest that these bytes are.

        Raises:
            Corrupt: They are not the canonical bytes of a manifest; a hostile or damaged one never comes through.
        """
        if len(data) > BYTES_LIMIT:
            raise Corrupt(f"the manifest has {len(data)} bytes; the limit is {BYTES_LIMIT}")
        try:
            manifest = cls(tuple(_entries(data)))
        except BadInput as error:
            raise Corrupt(f"the manifest can't be used: {error.message}") from error
        except ValueError as error:
            raise Corrupt("the manifest can't be read") from error
        if manifest.canonical() != data:
            raise Corrupt("the manifest is not in canonical form")
        return manifest


_BEGIN = b'{"files":['
_END = f'],"format":"{FORMAT}"}}'.encode()
_ENTRY = re.compile(
    rb'\{"executable":(true|false),"path":("(?:[^"\\\x00-\x1f]|\\"){1,%d}"),"sha256":"([0-9a-f]{64})",'
    rb'"size":(0|[1-9][0-9]{0,18})\}' % PATH_LIMIT
)


def _entries(data: bytes) -> Iterator[ManifestEntry]:
    """The entries one by one: as JSON a hostile manifest could become twenty times as large in memory.

    Raises:
        ValueError: The bytes are of another form.
        BadInput: A path, digest or size can't be kept, or there are too many.
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
        yield ManifestEntry(json.loads(path), int(size), Digest.sha256(digest.decode()), executable == b"true")
        place = match.end() + 1
        if data[place - 1 : place] != b",":
            place -= 1
            break
    if len(data) != place + len(_END) or not data.endswith(_END):
        raise ValueError(data[place : place + 80])


def _folded(path: str) -> str:
    if path.isascii():
        return path.lower()
    return unicodedata.normalize("NFC", unicodedata.normalize("NFKD", path).casefold())
