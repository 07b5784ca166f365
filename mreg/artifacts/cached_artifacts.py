"""Complete artifacts in the pull cache, for programs that read their files in place.

::

    folder/complete/0123...cdef/files/NAME   the artifact: a file or a folder
    folder/complete/0123...cdef/manifest     the manifest, if the artifact is a folder
    folder/complete/0123...cdef/index        size and modification time of each file when it was verified
    folder/complete/0123...cdef.1            an artifact that is being written, locked by its process
    folder/complete/lock-01                  one process at a time writes an artifact

The name is a SHA-256 of the digest and the name of the artifact. The modification time of the folder is the time of the
last use. Files are read-only. If pulls use the cache, a blob in it is a hard link to the file in an artifact, so that
the bytes are there once. A file that can be executed has bytes of its own, since hard links have one mode. A file is
never a hard link to a blob in the artifact store: a program that writes to it would damage the store.

A file that was modified is detected by its size or time: it is hashed again, and the artifact is replaced if the bytes
are not those of the version. A writer that restores the modification time is not detected. If anything belongs to
another user, the index is not trusted: all files are hashed each time, and what Python compiled from them makes the
copy invalid.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mreg.artifacts.cache import COMPLETE
from mreg.artifacts.tree import Tree
from mreg.domain.model import ArtifactKind
from mreg.domain.text import quoted
from mreg.errors import MregError, NotFound, Unavailable
from mreg.files import CREATE, READ, UPDATE, close, lock, remove

if TYPE_CHECKING:
    from mreg.artifacts.cache import BlobCache
    from mreg.artifacts.progress import Progress
    from mreg.artifacts.store import ArtifactStore
    from mreg.domain.digest import Digest
    from mreg.domain.manifest import Manifest, ManifestEntry
    from mreg.folders import Folder

FORMAT = "mreg.artifact.v1"
FILES, INDEX, MANIFEST = "files", "index", "manifest"
WRITE = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
CACHED_CODE = "__pycache__"

TAKEN = (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.EACCES)
"""Errors of a rename if the new name exists."""

TRIES = 3
"""Number of times that a copy which another process replaces or removes is looked for again."""

Statuses = dict[str, list[int]]
"""Size and modification time of each file by its path; an empty list for each folder."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """An artifact, or one file of a folder.

    Attributes:
        digest: Digest of the artifact.
        size: Size of the artifact in bytes.
        name: Name of the file or folder in the cache.
        file: Path of the file in the folder; empty for the artifact itself.
    """

    digest: Digest
    kind: ArtifactKind
    size: int
    name: str
    file: str = ""

    @property
    def key(self) -> str:
        """Name of the folder in the cache."""
        return sha256("\n".join((self.kind.value, str(self.digest), self.name, self.file)).encode()).hexdigest()

    def part(self, file: str) -> Wanted:
        """Return one file of the folder, which is in the cache under its own name."""
        name = file.rpartition("/")[2]
        return Wanted(digest=self.digest, kind=self.kind, size=self.size, name=name, file=file)


class CachedArtifacts:
    """Complete artifacts in a cache; any number of processes share it.

    A returned path leads to verified bytes. It stays for at least an hour after its last return, unless a user removes
    the cache. A file that a program has open stays readable longer.
    """

    def __init__(self, cache: BlobCache) -> None:
        self._cache = cache

    def find(self, wanted: Wanted) -> str | None:
        """Return the path of an artifact, None if it is not in the cache or is damaged. No blob is read."""
        for _ in range(TRIES):
            with contextlib.suppress(OSError, MregError, ValueError):
                folder = self._cache.folder(wanted.key)
                lock(folder.opened, shared=True)  # until `folder` is closed: it is not removed meanwhile
                if not folder.is_current():
                    continue
                if not self._is_intact(folder, wanted):
                    return None
                with contextlib.suppress(OSError):  # a cache that is read-only, or of another user
                    folder.touch_self()
                return os.path.join(folder.path, FILES, wanted.name)
            break
        return None

    def place(self, wanted: Wanted, store: ArtifactStore, progress: Progress | None = None) -> str:
        """Write an artifact to the cache, verified, and return its path; a valid one that is there is kept.

        A crash leaves a partial artifact, which the next call continues or a later `BlobCache.trim` removes.

        Raises:
            Corrupt: The stored bytes are damaged.
            Unavailable: The store cannot be read, or the cache cannot be written.
            BadInput: The folder of the cache is an artifact store, or contains or is in that of the registry.
        """
        store.refuse_overlap(Path(self._cache.path, COMPLETE), "use another folder: export MREG_CACHE=FOLDER")
        try:
            folder = self._cache.folder(make=True)
            with self._turn(folder, wanted.key) as locked:
                path = self.find(wanted)
                if path is None:
                    path = self._write(folder, wanted, store, progress, locked=locked)
        except OSError as error:
            raise Unavailable(
                f"cannot write to the pull cache {quoted(self._cache.path, 300)}: {error.strerror or error}",
                hint="free some space or fix its permissions, or use another folder: export MREG_CACHE=FOLDER",
            ) from error
        self._cache.trim()
        return path

    @contextlib.contextmanager
    def _turn(self, folder: Folder, key: str) -> Iterator[bool]:
        """Let one process at a time write an artifact; yield whether the system has locks."""
        descriptor = folder.open(f"lock-{key[:2]}", UPDATE, 0o666)
        try:
            yield lock(descriptor)
        finally:
            close(descriptor)

    def _write(
        self, artifacts: Folder, wanted: Wanted, store: ArtifactStore, progress: Progress | None, *, locked: bool
    ) -> str:
        name = f"{wanted.key}.{'1' if locked else os.urandom(12).hex()}"
        folder = artifacts.inner(name, make=True)
        files = folder.inner(FILES, make=True)
        destination = os.path.join(files.path, wanted.name)
        try:
            with contextlib.suppress(FileNotFoundError):
                remove(destination)  # of a process that was killed
            digests = self._receive(folder, destination, wanted, store, progress)
            self._make_read_only(files, digests, share=store.remote)
            _write_index(folder, _statuses(files))
            self._give_name(artifacts, name, wanted.key)
        except BaseException:
            with contextlib.suppress(OSError, RecursionError):
                if os.path.lexists(destination) or not os.listdir(files.path):  # otherwise the next call resumes
                    remove(folder.path)
            raise
        self._cache.added()
        return os.path.join(artifacts.path, wanted.key, FILES, wanted.name)

    def _receive(
        self, folder: Folder, destination: str, wanted: Wanted, store: ArtifactStore, progress: Progress | None
    ) -> dict[str, Digest]:
        """Write the artifact, verified; return the digest of each file by its path below `FILES`."""
        target, name = Path(destination), wanted.name
        if wanted.kind is ArtifactKind.FILE:
            store.pull(wanted.digest, ArtifactKind.FILE, wanted.size, target, progress=progress, keep=False)
            return {name: wanted.digest}
        manifest = store.manifest(wanted.digest)
        with os.fdopen(folder.open(MANIFEST, WRITE, 0o444), "wb") as stream:
            stream.write(manifest.canonical())
        if wanted.file:
            entry = _entry(manifest, wanted.file)
            store.pull(entry.digest, ArtifactKind.FILE, entry.size, target, progress=progress, keep=False)
            if entry.executable:
                os.chmod(destination, os.stat(destination).st_mode | stat.S_IXUSR)
            return {name: entry.digest}
        store.pull(wanted.digest, ArtifactKind.FOLDER, wanted.size, target, progress=progress, keep=False)
        return {f"{name}/{entry.path}": entry.digest for entry in manifest.entries}

    def _make_read_only(self, files: Folder, digests: dict[str, Digest], *, share: bool) -> None:
        """Make the files read-only and, to share them with pulls, blobs of the cache."""
        parent, folder = "", files
        for path, digest in digests.items():
            above, _, name = path.rpartition("/")
            if above != parent:
                parent, folder = above, files
                for part in above.split("/") if above else ():
                    folder = folder.inner(part)
            mode = folder.stat(name).st_mode
            folder.chmod(name, stat.S_IMODE(mode) & 0o555)
            if share and not mode & 0o111:
                self._cache.share(digest, folder, name)

    def _give_name(self, artifacts: Folder, name: str, key: str) -> None:
        """Give a complete artifact its name; a damaged one that has it is replaced, on Linux by one rename."""
        try:
            artifacts.rename(artifacts, name, key)
            return
        except OSError as error:
            if error.errno not in TAKEN:
                raise
        if artifacts.exchange(name, key):
            self._cache.set_aside(name)
            return
        self._cache.set_aside(key)
        artifacts.rename(artifacts, name, key)

    def _is_intact(self, folder: Folder, wanted: Wanted) -> bool:
        """Return whether the files are as they were when they were verified; otherwise verify them again."""
        files = folder.inner(FILES)
        there = _statuses(files)
        me = os.geteuid() if hasattr(os, "geteuid") else None
        owners = set() if me is None else _owners(folder, files)
        own = owners <= {me}
        if own and _is_same(there, _read_index(folder)):
            return True
        code = any(CACHED_CODE in path.split("/") for path in there)
        if (code and not owners <= {0, me}) or not _has_bytes(folder, files, there, wanted):
            return False
        if own:
            with contextlib.suppress(OSError):
                _write_index(folder, there)
        return True


def _entry(manifest: Manifest, file: str) -> ManifestEntry:
    for entry in manifest.entries:
        if entry.path == file:
            return entry
    raise NotFound(f"the artifact has no file {quoted(file)}", kind="file", path=file)


def _statuses(files: Folder) -> Statuses:
    with Tree(files.path, files.opened) as tree:
        return {path: _status(found) for path, found in tree.walk()}


def _owners(folder: Folder, files: Folder) -> set[int]:
    """Return the owners of the folders, of the files and of the index."""
    owners = {folder.stat(name).st_uid for name in (".", FILES)}
    with contextlib.suppress(FileNotFoundError):
        owners.add(folder.stat(INDEX).st_uid)
    with Tree(files.path, files.opened) as tree:
        return owners | {found.st_uid for _, found in tree.walk()}


def _status(found: os.stat_result) -> list[int]:
    if stat.S_ISDIR(found.st_mode):
        return []
    # Neither a link nor a pipe has the same bytes later.
    return [found.st_size, found.st_mtime_ns] if stat.S_ISREG(found.st_mode) else [-1]


def _is_same(there: Statuses, index: Any) -> bool:
    """Return whether the files are those of an index; what Python compiled from them does not count."""
    if there == index:
        return True
    added = there.keys() - index.keys()
    return all(CACHED_CODE in path.split("/") for path in added) and index == {
        path: status for path, status in there.items() if path not in added
    }


def _read_index(folder: Folder) -> dict[str, Any]:
    with os.fdopen(folder.open(INDEX, READ), "rb") as stream:
        content = json.load(stream)
    if not isinstance(content, dict) or content.get("format") != FORMAT or not isinstance(content.get("files"), dict):
        raise ValueError(FORMAT)
    files: dict[str, Any] = content["files"]
    return files


def _write_index(folder: Folder, statuses: Statuses) -> None:
    name = f"{INDEX}.{os.urandom(6).hex()}"
    with os.fdopen(folder.open(name, CREATE, 0o444), "w", encoding="utf-8") as stream:
        json.dump({"format": FORMAT, "files": statuses}, stream)
    folder.rename(folder, name, INDEX)


def _has_bytes(folder: Folder, files: Folder, there: Statuses, wanted: Wanted) -> bool:
    """Return whether the files have the bytes of the artifact; every file is hashed."""
    from mreg.artifacts.comparing import compare_file, compare_folder
    from mreg.artifacts.hashing import digest_of
    from mreg.domain.manifest import BYTES_LIMIT, Manifest

    if {path for path in there if "/" not in path} != {wanted.name}:
        return False
    path = os.path.join(files.path, wanted.name)
    if wanted.kind is ArtifactKind.FILE:
        return compare_file(path, wanted.digest, wanted.size) is None
    with os.fdopen(folder.open(MANIFEST, READ), "rb") as stream:
        data = stream.read(BYTES_LIMIT)
    if digest_of(data) != wanted.digest:
        return False
    manifest = Manifest.parse(data)
    if wanted.file:
        entry = _entry(manifest, wanted.file)
        return compare_file(path, entry.digest, entry.size) is None
    return not compare_folder(path, manifest, selects=lambda path: CACHED_CODE not in path.split("/"))
