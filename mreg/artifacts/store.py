"""ArtifactStore: hashing, layout and verification, once for all backends."""

from __future__ import annotations

import os
from collections.abc import Callable, Container, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from mreg.artifacts.backend import BlobBackend
from mreg.artifacts.hashing import Hashing, damaged, digest_of, hashed, stream_chunks
from mreg.artifacts.layout import blob_key
from mreg.domain.digest import Digest
from mreg.domain.manifest import Manifest, ManifestEntry, check_together
from mreg.domain.model import ArtifactKind
from mreg.domain.text import quoted
from mreg.errors import BadInput, Corrupt, NotFound, Unavailable

if TYPE_CHECKING:
    from mreg.artifacts.source import SourceFile

Progress = Callable[[int, int], None]
"""Told now and then how many bytes of how many are done."""

SMALL_BYTES = 4 << 20
"""Files up to this size are read whole, hashed in memory, and put many at a time."""

BATCH_BYTES = 32 << 20
BATCH_FILES = 10_000
MANIFEST_BYTES = 1 << 30
"""No manifest of `mreg.domain.manifest.FILES_LIMIT` files is larger."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """An artifact that is in the store, durable and verified.

    Attributes:
        digest: Of the file, or of the folder's manifest.
        size_bytes: Of the file, or of all files of the folder.
        new_files: How many blobs the store did not have yet, a folder's manifest left out.
    """

    kind: ArtifactKind
    digest: Digest
    size_bytes: int
    file_count: int
    new_files: int


class ArtifactStore:
    """Artifacts in a backend: files are blobs, folders are manifests, and equal bytes are kept once.

    Everything that is given back was hashed on its way, and everything that is reported stored is durable.
    """

    def __init__(self, backend: BlobBackend) -> None:
        self._backend = backend

    # Putting

    def put(self, path: str, *, known_sizes: Container[int] = (), progress: Progress | None = None) -> Stored:
        """Store a file or folder; durable, blobs before their manifest, when this returns.

        A crash leaves at most blobs that nothing refers to.

        Args:
            path: May itself be a link; links inside a folder are refused.
            known_sizes: Sizes of files that the store may have already: such a file is hashed first and written only
                if it is new, where any other is hashed while it is written.
            progress: Told how many bytes are done.

        Raises:
            NotFound: Nothing is there.
            BadInput: It is no file or folder, is empty, holds a link or a name that can't be kept, or overlaps the
                store.
            Conflict: It changed while it was read.
            Unavailable: It can't be read, or the store can't be written.
        """
        from mreg.artifacts.source import source_file

        if self._backend.overlaps(Path(os.path.realpath(path))):
            raise BadInput(
                f"{quoted(path)} overlaps the artifact store {self._backend.url}",
                hint="push the model from where it was made",
            )
        if os.path.isdir(path):
            return self._put_folder(path, known_sizes, progress)
        file = source_file(path)
        if file.size == 0:
            raise _empty(path, "has 0 bytes")
        digest, new = self._put_file(file, known_sizes, _told(progress, file.size))
        return Stored(
            kind=ArtifactKind.FILE,
            digest=digest,
            size_bytes=file.size,
            file_count=1,
            new_files=int(new),
        )

    def _put_file(
        self, file: SourceFile, known_sizes: Container[int], moved: Callable[[int], None]
    ) -> tuple[Digest, bool]:
        from mreg.artifacts.source import read_chunks

        if file.size <= SMALL_BYTES:
            data = b"".join(read_chunks(file))
            moved(len(data))
            digest = digest_of(data)
            return digest, self._backend.put_if_absent(blob_key(digest), data)
        if file.size in known_sizes or not self._backend.abilities.stages:
            digest = self._hash(file, moved)
            if self._backend.renew(blob_key(digest)):
                return digest, False
            if not self._backend.abilities.stages:
                self._check_room(file.size)
                return digest, self._backend.put_if_absent(blob_key(digest), Path(file.path))
            moved(-file.size)
        self._check_room(file.size)
        with self._backend.stage() as staged, Hashing(file.size) as hashing:
            for chunk in read_chunks(file):
                hashing.add(chunk)
                staged.write(chunk)
                moved(len(chunk))
            digest = hashing.digest()
            return digest, self._backend.put_if_absent(blob_key(digest), staged)

    def _hash(self, file: SourceFile, moved: Callable[[int], None]) -> Digest:
        from mreg.artifacts.source import read_chunks

        with Hashing(file.size) as hashing:
            for chunk in read_chunks(file):
                hashing.add(chunk)
                moved(len(chunk))
            return hashing.digest()

    def _check_room(self, size: int) -> None:
        room = self._backend.room
        if room is not None and size > room:
            raise Unavailable(
                f"{size} bytes do not fit into {self._backend.url}, which has room for {room}",
                hint="free some space there, or name another store: mreg profile list",
            )

    def _put_folder(self, path: str, known_sizes: Container[int], progress: Progress | None) -> Stored:
        from mreg.artifacts.source import changed, source_folder

        files = source_folder(path)
        size = sum(file.size for file in files)
        if size == 0:
            raise _empty(path, "has no files" if not files else "has only files of 0 bytes")
        # Refused before a byte is moved where two names can't stand side by side.
        check_together(file.name for file in files)
        moved = _told(progress, size)
        digests, new_files = self._put_files(files, known_sizes, moved)
        if [(file.name, file.mark) for file in files] != [(file.name, file.mark) for file in source_folder(path)]:
            raise changed(path)
        manifest = Manifest(
            tuple(
                ManifestEntry(file.name, file.size, digest, file.executable)
                for file, digest in zip(files, digests, strict=True)
            )
        )
        data = manifest.canonical()
        digest = digest_of(data)
        self._backend.put_if_absent(blob_key(digest), data)
        return Stored(
            kind=ArtifactKind.FOLDER, digest=digest, size_bytes=size, file_count=len(files), new_files=new_files
        )

    def _put_files(
        self, files: list[SourceFile], known_sizes: Container[int], moved: Callable[[int], None]
    ) -> tuple[list[Digest], int]:
        """The digests of files in their order, and how many blobs were new; small ones go many at a time."""
        from mreg.artifacts.source import read_chunks

        digests: list[Digest] = []
        batch: dict[str, bytes] = {}
        batch_bytes = new_files = 0

        def flush() -> int:
            self._check_room(batch_bytes)
            new = self._backend.put_many_if_absent(batch.items())
            batch.clear()
            return new

        for file in files:
            if file.size > SMALL_BYTES:
                digest, new = self._put_file(file, known_sizes, moved)
                new_files += int(new)
            else:
                data = b"".join(read_chunks(file))
                digest = digest_of(data)
                batch[blob_key(digest)] = data
                batch_bytes += len(data)
                moved(len(data))
                if batch_bytes >= BATCH_BYTES or len(batch) >= BATCH_FILES:
                    new_files += flush()
                    batch_bytes = 0
            digests.append(digest)
        return digests, new_files + flush()

    def probe(self) -> None:
        """Write, read and remove a blob of random bytes.

        Raises:
            Unavailable: One of these is not possible.
            Corrupt: Other bytes came back.
        """
        data = os.urandom(64)
        digest = digest_of(data)
        self._backend.put_if_absent(blob_key(digest), data)
        try:
            self._verify_blob(digest, len(data))
        finally:
            self._backend.delete(blob_key(digest))

    # Giving back

    @contextmanager
    def open_blob(self, digest: Digest, size: int | None = None) -> Iterator[BinaryIO]:
        """A blob's bytes, not verified yet; only its size is, where it is given.

        Raises:
            Corrupt: It is missing, or of another size.
        """
        try:
            stream = self._backend.open(blob_key(digest))
        except NotFound as error:
            raise Corrupt(f"the blob {digest} is missing from {self._backend.url}", digest=str(digest)) from error
        with closing(stream):
            found = self._backend.stat(blob_key(digest)) if size is not None else None
            if found is not None and found.size != size:
                raise damaged(digest, f"it has {found.size} bytes in place of {size}")
            yield stream

    def manifest(self, digest: Digest) -> Manifest:
        """The manifest of a folder, verified.

        Raises:
            Corrupt: It is missing, damaged or hostile.
        """
        with self.open_blob(digest) as stream:
            data = b"".join(stream_chunks(stream, SMALL_BYTES))
        if digest_of(data) != digest:
            raise damaged(digest)
        return Manifest.parse(data)

    def verify(self, digest: Digest, kind: ArtifactKind, size: int | None = None) -> None:
        """Read every byte of an artifact against its digests.

        Raises:
            Corrupt: A blob is missing or damaged; the message names it.
            Unavailable: A blob can't be read.
        """
        if kind is ArtifactKind.FILE:
            self._verify_blob(digest, size)
            return
        checked: set[Digest] = set()
        for entry in self.manifest(digest).entries:
            if entry.digest not in checked:
                self._verify_blob(entry.digest, entry.size)
                checked.add(entry.digest)

    def _verify_blob(self, digest: Digest, size: int | None) -> None:
        with self.open_blob(digest, size) as stream:
            if hashed(stream_chunks(stream, SMALL_BYTES)) != digest:
                raise damaged(digest)

    def pull(
        self,
        digest: Digest,
        kind: ArtifactKind,
        size: int,
        destination: Path,
        *,
        force: bool = False,
        progress: Progress | None = None,
    ) -> bool:
        """Write an artifact to a destination, all or nothing; False where the very same bytes stood there already.

        What was written is hashed on its way to the disk; the destination appears by one rename. Without ``force``
        nothing that is there is touched.

        Raises:
            AlreadyExists: Something else is at the destination.
            NotFound: The folder of the destination does not exist.
            BadInput: The destination overlaps the store.
            Corrupt: A blob is missing or damaged.
            Unavailable: The store can't be read, or the destination can't be written.
        """
        from mreg.artifacts.destination import Destination

        if self._backend.overlaps(Path(os.path.realpath(destination))):
            raise BadInput(
                f"{quoted(str(destination))} overlaps the artifact store {self._backend.url}",
                hint="pull to another place",
            )
        moved = _told(progress, size)
        if kind is ArtifactKind.FILE:
            return Destination(destination).receive_file(self.open_blob, digest, size, force=force, moved=moved)
        entries = self.manifest(digest).entries
        return Destination(destination).receive_folder(self.open_blob, entries, force=force, moved=moved)

    def write_to(self, digest: Digest, size: int, stream: BinaryIO) -> None:
        """Write a file's bytes to a stream, after all of them were verified.

        Raises:
            Corrupt: They are damaged, and nothing was written; or they changed since they were verified.
        """
        self._verify_blob(digest, size)
        with self.open_blob(digest, size) as source, Hashing(size) as hashing:
            for chunk in stream_chunks(source, 1 << 20):
                hashing.add(chunk)
                stream.write(chunk)
            stream.flush()
            if hashing.digest() != digest:
                raise damaged(digest)


def _empty(path: str, how: str) -> BadInput:
    return BadInput(f"{quoted(path)} {how}, and an empty artifact is no model", hint="check what wrote it")


def _told(progress: Progress | None, total: int) -> Callable[[int], None]:
    """Something to tell of each move, that tells the progress how far all is."""
    if progress is None:
        return lambda _count: None
    done = 0

    def moved(count: int) -> None:
        nonlocal done
        done += count
        progress(done, total)

    return moved
