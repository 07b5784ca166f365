"""Upload of a folder whose files arrive one after the other as a stream."""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

from mreg.artifacts.backend import BlobBackend, Chunk, StagedBlob, SupportsStaging, TemporaryFile
from mreg.artifacts.format import FOLDER_FILES, detect, detect_stream, folder_format
from mreg.artifacts.hashing import Hashing, digest_of
from mreg.artifacts.local import run_cleanup
from mreg.artifacts.stream_upload import UNKNOWN_SIZE, TemporaryCopy, temporary_folder
from mreg.artifacts.upload import SMALL_BYTES, Stored, Upload, check_room
from mreg.domain.digest import Digest, blob_key
from mreg.domain.manifest import Manifest, ManifestEntry, folded_names
from mreg.domain.model import ArtifactKind
from mreg.domain.paths import check_path
from mreg.domain.text import nearest, quoted
from mreg.errors import BadInput, Unavailable
from mreg.files import open_file, remove

ENTRIES_LIMIT = 100_000
"""Maximum number of files and folders of an upload, which are kept in memory until its end."""

NAMES_BYTES = 16 << 20
"""Maximum size of all paths of an upload."""


@dataclass(slots=True)
class _File:
    """A file that arrived.

    Attributes:
        start: Offset in the file with all small files; -1 for a large file.
    """

    size: int
    digest: Digest
    executable: bool
    start: int = -1


class FolderUpload:
    """A folder that arrives as a stream; a context manager that discards the bytes if they were not put.

    Large files are staged like those of `mreg.artifacts.stream_upload.StreamUpload`. Small files are written to one
    temporary file, because a file of its own for each would be slow, and are put in one batch. Nothing gets a key
    before `put`. Memory is bounded: a few megabytes, and some hundred bytes for each file.

    Args:
        size: Expected total size in bytes (default: unknown).

    Raises:
        Unavailable: The store has too little free space.
    """

    def __init__(self, backend: BlobBackend, size: int = 0) -> None:
        self._backend = backend
        check_room(backend, size)
        self._files: dict[str, _File] = {}
        self._folders: set[str] = set()
        self._seen: set[str] = set()
        self._names_bytes = 0
        self._path = ""
        self._executable = False
        self._size = 0
        self._buffer = bytearray()
        self._hashing: Hashing | None = None
        self._large: TemporaryFile | None = None
        self._staged: dict[Digest, StagedBlob] = {}
        self._small: TemporaryFile | None = None
        self._small_size = 0
        self._folder = ""
        self._manifest: Manifest | None = None

    def __enter__(self) -> FolderUpload:
        return self

    def __exit__(self, *_: object) -> None:
        if self._hashing is not None:
            self._hashing.__exit__()
        run_cleanup(self._discard)

    def _discard(self) -> None:
        for file in (self._large, self._small, *self._staged.values()):
            if file is not None:
                file.discard()
        if self._folder:
            with contextlib.suppress(OSError):
                remove(self._folder)

    def begin(self, path: str, *, executable: bool = False) -> None:
        """Start a file; its bytes must follow.

        Raises:
            BadInput: The path is invalid or repeated, or there are too many files.
        """
        self._add(path)
        self._path, self._executable, self._size = path, executable, 0

    def _add(self, path: str) -> None:
        check_path(path)
        self._names_bytes += len(path.encode())
        if len(self._seen) >= ENTRIES_LIMIT:
            raise _too_large(f"{ENTRIES_LIMIT} files and folders")
        if self._names_bytes > NAMES_BYTES:
            raise _too_large(f"{NAMES_BYTES} bytes of names")
        (folded,) = folded_names([path])
        if folded in self._seen:
            raise BadInput(
                f"repeated file {quoted(path)}: the folder has a file of this name, or of one with other case",
                hint="send each file once",
            )
        self._seen.add(folded)

    def write(self, chunk: Chunk) -> None:
        """Append a chunk to the file, which the caller must not change afterwards.

        Raises:
            Unavailable: The chunk cannot be written.
        """
        self._size += len(chunk)
        if self._large is None:
            if self._size <= SMALL_BYTES:
                self._buffer += chunk
                return
            self._hashing = Hashing(UNKNOWN_SIZE)
            self._large = self._new_file()
            self._write_large(bytes(self._buffer))
            self._buffer.clear()
        self._write_large(chunk)

    def _write_large(self, chunk: Chunk) -> None:
        if self._large is not None and self._hashing is not None:
            self._hashing.add(chunk)
            self._large.write(chunk)

    def _new_file(self) -> TemporaryFile:
        if isinstance(self._backend, SupportsStaging):
            return self._backend.stage()
        self._folder = self._folder or temporary_folder()
        return TemporaryCopy(self._folder)

    def end(self) -> None:
        """End the file.

        Raises:
            Unavailable: The file cannot be written.
        """
        if self._large is None or self._hashing is None:
            data = bytes(self._buffer)
            self._buffer.clear()
            self._files[self._path] = _File(len(data), digest_of(data), self._executable, self._small_size)
            if self._small is None:
                self._small = self._backend.stage() if isinstance(self._backend, SupportsStaging) else TemporaryCopy()
            self._small.write(data)
            self._small_size += len(data)
            return
        digest, self._hashing = self._hashing.digest(), None
        self._files[self._path] = _File(self._size, digest, self._executable)
        file, self._large = self._large, None
        try:
            file.finish()
            if isinstance(file, TemporaryCopy):
                file.rename(digest.value)
            elif isinstance(file, StagedBlob) and digest not in self._staged:
                self._staged[digest] = file
                return
        except BaseException:
            file.discard()
            raise
        file.discard()

    def add_folder(self, path: str) -> None:
        """Add a folder, which can be empty; a repeated folder changes nothing.

        Raises:
            BadInput: The path is invalid, or there are too many folders.
        """
        if path not in self._folders:
            self._add(path)
            self._folders.add(path)

    def set_executable(self, paths: Iterable[str]) -> None:
        """Mark files as executable.

        Raises:
            BadInput: The folder has no such file.
        """
        for path in paths:
            if path not in self._files:
                near = nearest(path, tuple(self._files), 1)
                raise BadInput(
                    f"the folder has no file {quoted(path)}", hint=f"did you mean {quoted(near[0])}?" if near else ""
                )
            self._files[path].executable = True

    def manifest(self) -> Manifest:
        """Return the manifest of the folder; do not add files afterwards.

        Raises:
            BadInput: The folder has no bytes, or two paths exclude each other.
        """
        if self._manifest is None:
            entries = tuple(
                ManifestEntry(path, file.size, file.digest, file.executable) for path, file in self._files.items()
            )
            refuse_empty(entries)
            self._manifest = Manifest(entries, tuple(self._folders - _parents((*self._files, *self._folders))))
        return self._manifest

    def digest(self) -> Digest:
        """Return the digest of the folder; see `manifest`."""
        return digest_of(self.manifest().canonical())

    def put(self) -> Stored:
        """Make the folder durable in the store, its manifest last; can be called again if blobs were removed meanwhile.

        Raises:
            BadInput: See `manifest`.
            Unavailable: The store cannot be written.
        """
        manifest = self.manifest()
        data = manifest.canonical()
        digest = digest_of(data)
        new = self._put_large() + self._backend.put_many_if_absent(self._small_blobs())
        self._backend.put_if_absent(blob_key(digest), data)
        return Stored(
            kind=ArtifactKind.FOLDER,
            digest=digest,
            size_bytes=manifest.size,
            file_count=len(manifest.entries),
            blobs=frozenset({digest, *(file.digest for file in self._files.values())}),
            new_files=new,
        )

    def _put_large(self) -> int:
        if self._folder:
            return Upload(self._backend, {}, None).put_blobs(self._folder, lambda _count: None)
        return sum(file.put_if_absent(blob_key(digest)) for digest, file in self._staged.items())

    def _small_blobs(self) -> Iterator[tuple[str, bytes]]:
        with self._opened() as stream:
            for file in self._files.values():
                if file.start >= 0:
                    yield blob_key(file.digest), _read(stream, file)

    @contextlib.contextmanager
    def _opened(self) -> Iterator[BinaryIO]:
        """Open the file with all small files."""
        if self._small is None:
            yield io.BytesIO()
            return
        with os.fdopen(open_file(self._small.path, follow=False), "rb") as stream:
            yield stream

    def format(self, _name: str) -> str:
        """Return the detected format of the folder, or ``unknown``."""
        names = {path.partition("/")[0] for path in (*self._files, *self._folders)}
        files = [path for path in self._files if "/" not in path]
        with self._opened() as small:
            return folder_format(names, files[:FOLDER_FILES], lambda name: self._format_of(name, small))

    def _format_of(self, name: str, small: BinaryIO) -> str:
        file = self._files[name]
        if file.start >= 0:
            return detect_stream(io.BytesIO(_read(small, file)), name)
        staged = self._staged.get(file.digest)
        return detect(staged.path if staged else os.path.join(self._folder, file.digest.value), name)


def refuse_empty(entries: Collection[ManifestEntry]) -> None:
    """Check that a folder that a client sent has content.

    Raises:
        BadInput: It has no files, or only files of 0 bytes.
    """
    if not any(entry.size for entry in entries):
        how = "it has only files of 0 bytes" if entries else "it has no files"
        raise BadInput(f"the folder is empty: {how}", hint="check the program that sent it")


def _parents(paths: Iterable[str]) -> set[str]:
    """Return the folders of paths: they are not empty."""
    found: set[str] = set()
    for path in paths:
        folder = path.rpartition("/")[0]
        while folder and folder not in found:
            found.add(folder)
            folder = folder.rpartition("/")[0]
    return found


def _too_large(limit: str) -> BadInput:
    return BadInput(f"the folder is too large for one upload: the limit is {limit}", hint="upload an archive of it")


def _read(stream: BinaryIO, file: _File) -> bytes:
    stream.seek(file.start)
    data = stream.read(file.size)
    if len(data) != file.size:
        raise Unavailable("a temporary file of the upload was removed or changed", hint="upload the folder again")
    return data
