"""The files of a folder artifact in canonical order, and the bytes whose digest is the folder's.

Format ``mreg.manifest.v1``: UTF-8 JSON without spaces, keys sorted, files sorted by the UTF-8 bytes of their path::

    {"files":[{"executable":false,"path":"config.json","sha256":"…","size":12}],"format":"mreg.manifest.v1"}

Equal folders give equal bytes, so a folder's artifact is deduplicated like a file's.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

from mreg.domain.digest import Digest
from mreg.domain.text import quoted
from mreg.errors import BadInput, Corrupt

FORMAT = "mreg.manifest.v1"
FILES_LIMIT = 1_000_000
PATH_LIMIT = 4_096
PART_LIMIT = 255

_PLAIN = re.compile(r"(?:[A-Za-z0-9_][A-Za-z0-9_. -]*/)*[A-Za-z0-9_][A-Za-z0-9_. -]*")
"""Paths of which one look tells that nothing is wrong with them; most are such."""
SIZE_LIMIT = 2**63 - 1
"""Bytes of all files together; what a catalog's integer and a file system's offset can hold."""


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


def check_path(path: str) -> str:
    """The path itself, if a folder artifact may hold it on every platform that mreg serves.

    Raises:
        BadInput: It could leave the folder, can't be written everywhere, or holds a control character.
    """
    if len(path) <= PART_LIMIT and _PLAIN.fullmatch(path):
        return path
    parts = path.split("/")
    good = (
        path.isprintable()
        and "\\" not in path
        and not any(part in ("", ".", "..") for part in parts)
        and not (len(path) > 1 and path[1] == ":" and path[0].isascii() and path[0].isalpha())
    )
    if any("\ud800" <= char <= "\udfff" for char in path):
        raise BadInput(
            f"the file name {quoted(path)} is not valid UTF-8",
            hint="rename the file; if its name is valid UTF-8 and the locale is not: export PYTHONUTF8=1",
        )
    if not good:
        raise BadInput(
            f"the file name {quoted(path)} can't be kept in an artifact",
            hint="rename the file: no control characters, backslashes, empty parts, '.' or '..'",
        )
    encoded = path.encode()
    if len(encoded) > PATH_LIMIT or any(len(part.encode()) > PART_LIMIT for part in parts):
        raise BadInput(f"the file name {quoted(path)} is too long", hint=f"keep paths under {PATH_LIMIT} bytes")
    return path


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
        try:
            document = json.loads(data)
            if document["format"] != FORMAT:
                raise Corrupt(f"the manifest is of the unknown format {quoted(str(document['format']))}")
            manifest = cls(tuple(_entry(item) for item in document["files"]))
        except Corrupt:
            raise
        except BadInput as error:
            raise Corrupt(f"the manifest can't be used: {error.message}") from error
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise Corrupt("the manifest can't be read") from error
        if manifest.canonical() != data:
            raise Corrupt("the manifest is not in canonical form")
        return manifest


def _entry(item: dict[str, object]) -> ManifestEntry:
    path, size, executable, value = item["path"], item["size"], item["executable"], item["sha256"]
    if not (isinstance(path, str) and type(size) is int and isinstance(executable, bool) and isinstance(value, str)):
        raise TypeError(path)
    return ManifestEntry(path, size, Digest.sha256(value), executable)


def _folded(path: str) -> str:
    if path.isascii():
        return path.lower()
    return unicodedata.normalize("NFC", unicodedata.normalize("NFKD", path).casefold())
