"""Records of pulled folders and their files.

::

    folder/0123...cdef.json   one pulled folder; the name is a SHA-256 of its path and inode number
    folder/lock-0 ... lock-f  locks: one process at a time replaces the files of a folder

They are kept in the user's data folder, not in the pulled folder, so a cloned or unpacked folder cannot contain a
record that makes a pull remove the user's files. A folder that was moved, copied or created again has no record: its
files count as the user's. The device number is not part of the name, since it can change between boots. A file counts
as pulled only if its SHA-256 matches the record.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from mreg.domain.manifest import Manifest
from mreg.domain.paths import check_path
from mreg.durability import sync
from mreg.errors import MregError
from mreg.files import CREATE, UPDATE, close, lock, open_file, replace, unlink
from mreg.folders import make_folders

FORMAT = "mreg.pull.v1"

KEPT = 1_000
"""Maximum number of records; the oldest are removed first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PullRecord:
    """The files and folders that pulls created in a folder.

    Attributes:
        files: The SHA-256 digests of pulled files, by path. During a pull, a path can have an old and a new digest.
        folders: Paths of the folders that were created.
    """

    files: Mapping[str, frozenset[str]] = field(default_factory=dict)
    folders: frozenset[str] = frozenset()

    def __bool__(self) -> bool:
        return bool(self.files)

    def also(self, other: PullRecord) -> PullRecord:
        """Return the union of two records."""
        nothing: frozenset[str] = frozenset()
        return PullRecord(
            files={
                path: self.files.get(path, nothing) | other.files.get(path, nothing)
                for path in {**self.files, **other.files}
            },
            folders=self.folders | other.folders,
        )


def record_of(manifest: Manifest, folders: frozenset[str] | None = None) -> PullRecord:
    """Return the record of a folder with the content of a manifest.

    Args:
        folders: The folders that were created (default: all its folders).
    """
    return PullRecord(
        files={entry.path: frozenset((entry.digest.value,)) for entry in manifest.entries},
        folders=folders_of(manifest) if folders is None else folders,
    )


def folders_of(manifest: Manifest) -> frozenset[str]:
    """Return the paths of all folders of a manifest."""
    found: set[str] = set()
    for folder in (*(entry.path.rpartition("/")[0] for entry in manifest.entries), *manifest.folders):
        while folder and folder not in found:
            found.add(folder)
            folder = folder.rpartition("/")[0]
    return frozenset(found)


class PullRecords:
    """The records of one user. A record that cannot be read or written counts as missing; no `OSError` is raised.

    Args:
        folder: Created with mode 0700 for the first record. Ignored if other users can write to it.
    """

    def __init__(self, folder: str) -> None:
        self._folder = folder

    def find(self, path: str, inode: int) -> PullRecord:
        """Return the record of the folder at a path; an empty record if there is none."""
        real_path = _resolve(path)
        try:
            if not self._is_own():
                return PullRecord()
            descriptor = open_file(self._file(real_path, inode), follow=False)
            with os.fdopen(descriptor, encoding="utf-8") as stream:
                return _parse(json.load(stream), real_path, inode)
        except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError, MregError):
            return PullRecord()

    def keep(self, path: str, inode: int, record: PullRecord) -> bool:
        """Write or replace a record atomically; return whether it is on disk."""
        real_path = _resolve(path)
        content = {
            "format": FORMAT,
            "folder": real_path,
            "inode": inode,
            "files": {name: sorted(digests) for name, digests in sorted(record.files.items())},
            "folders": sorted(record.folders),
        }
        partial = os.path.join(self._folder, f"{os.urandom(12).hex()}.tmp")
        try:
            self._make()
            if not self._is_own():
                return False
            descriptor = open_file(partial, CREATE, 0o600, follow=False)
            try:
                with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
                    stream.write(json.dumps(content, ensure_ascii=True))  # four times as fast as `json.dump`
                    stream.flush()
                    sync(descriptor)
                replace(partial, self._file(real_path, inode))
            except BaseException:
                with contextlib.suppress(OSError):
                    unlink(partial)
                raise
            self._trim()
        except OSError:
            return False
        return True

    def drop(self, path: str, inode: int) -> None:
        """Remove the record of a folder that no longer exists."""
        with contextlib.suppress(OSError):
            if self._is_own():
                unlink(self._file(_resolve(path), inode))

    @contextlib.contextmanager
    def locked(self, path: str) -> Iterator[None]:
        """Lock the folder at a path against pulls by other processes of this user, if the system has locks."""
        descriptor = -1
        with contextlib.suppress(OSError):
            self._make()
            name = f"lock-{_digits(_resolve(path))[0]}"
            descriptor = open_file(os.path.join(self._folder, name), UPDATE, 0o600, follow=False)
            lock(descriptor)
        try:
            yield
        finally:
            close(descriptor)

    def _make(self) -> None:
        above = os.path.dirname(self._folder)
        make_folders(above, above)
        make_folders(self._folder, self._folder)

    def _file(self, real_path: str, inode: int) -> str:
        return os.path.join(self._folder, _digits(f"{real_path}\0{inode}")[:32] + ".json")

    def _is_own(self) -> bool:
        found = os.lstat(self._folder)
        mine = not hasattr(os, "geteuid") or (found.st_uid == os.geteuid() and not found.st_mode & 0o022)
        return stat.S_ISDIR(found.st_mode) and mine

    def _trim(self) -> None:
        names = [name for name in os.listdir(self._folder) if name.endswith((".json", ".tmp"))]
        if len(names) <= KEPT:
            return
        aged = []
        for name in names:
            with contextlib.suppress(OSError):
                aged.append((os.lstat(os.path.join(self._folder, name)).st_mtime_ns, name))
        for _, name in sorted(aged)[:-KEPT]:
            with contextlib.suppress(OSError):
                unlink(os.path.join(self._folder, name))


def _parse(content: dict[str, object], real_path: str, inode: int) -> PullRecord:
    if content["format"] != FORMAT or content["inode"] != inode or content["folder"] != real_path:
        return PullRecord()
    files, folders = content["files"], content["folders"]
    if not isinstance(files, dict) or not isinstance(folders, list):
        return PullRecord()
    return PullRecord(
        files={check_path(path): frozenset(map(str, digests)) for path, digests in files.items()},
        folders=frozenset(check_path(path) for path in folders),
    )


def _resolve(path: str) -> str:
    """Return the path with links resolved except at its last component."""
    folder, name = os.path.split(path)
    return os.path.join(os.path.realpath(folder), name)


def _digits(text: str) -> str:
    return hashlib.sha256(os.fsencode(text)).hexdigest()
