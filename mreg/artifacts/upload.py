"""Uploads of files and folders to a backend; each file is read once if possible."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass

from mreg.artifacts.backend import (
    BlobBackend,
    StagedUpload,
    SupportsContinuing,
    SupportsParts,
    SupportsResuming,
    SupportsStaging,
    SupportsStreams,
    WrongBytes,
)
from mreg.artifacts.hashing import Hashing, damaged, digest_of
from mreg.artifacts.progress import Progress, PushProgress
from mreg.artifacts.source import SourceFile, changed, fingerprint, read_chunks, read_samples, source_file
from mreg.artifacts.source_folder import SourceFolder, reasons, source_folder
from mreg.domain.digest import Digest, blob_key
from mreg.domain.manifest import BYTES_LIMIT, ENTRY_BYTES, Manifest, ManifestEntry, check_together
from mreg.domain.model import ArtifactKind
from mreg.domain.text import quoted
from mreg.errors import BadInput, Corrupt, NotFound, Unavailable

SMALL_BYTES = 4 << 20
"""Files up to this size are read into memory, hashed there, and put in batches."""

PREPARED_BYTES = 64 << 20
"""From this size, an upload in parts is prepared while the file is hashed; a smaller one could be there already."""

ONE_PASS_BYTES = 16 << 20
"""From this size, a file is hashed while it is sent to a server. Hashing a smaller one takes 10 ms, and one that the
server has takes a request more than if it is hashed first."""

LARGE_AT_ONCE = 2
"""Number of large files in parallel over a network: one is hashed while another is sent in parts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """An artifact in the store, durable and verified.

    Attributes:
        digest: Digest of the file, or of the folder's manifest.
        size_bytes: Size of the file, or of all files in the folder.
        blobs: All blobs of the artifact, including the manifest.
        new_files: Number of new blobs, not counting the manifest.
        kept_bytes: Number of bytes of new blobs that were reused from an interrupted put.
    """

    kind: ArtifactKind
    digest: Digest
    size_bytes: int
    file_count: int
    blobs: frozenset[Digest]
    new_files: int = 0
    kept_bytes: int = 0


@dataclass(frozen=True, slots=True)
class _Put:
    digest: Digest
    new: bool
    kept_bytes: int = 0


class Upload:
    """One push of a file or folder; see `mreg.artifacts.store.ArtifactStore.put`."""

    def __init__(
        self, backend: BlobBackend, known: Mapping[int, Collection[Digest]], progress: Progress | None
    ) -> None:
        self._backend = backend
        self._known = known
        self._progress = progress
        self._shown = PushProgress(None, 0)

    def put(self, path: str, folder: SourceFolder | None = None) -> Stored:
        """Store the file or folder durably, the blobs before the manifest."""
        if folder is not None or os.path.isdir(path):
            return self._put_folder(path, folder or source_folder(path))
        file = source_file(path)
        if file.size == 0:
            raise _empty(path, "it has 0 bytes")
        self._shown = PushProgress(self._progress, file.size)
        put = self._put_file(file, self._shown.advance)
        return Stored(
            kind=ArtifactKind.FILE,
            digest=put.digest,
            size_bytes=file.size,
            file_count=1,
            blobs=frozenset({put.digest}),
            new_files=int(put.new),
            kept_bytes=put.kept_bytes,
        )

    def _put_file(self, file: SourceFile, advance: Callable[[int], None]) -> _Put:
        if file.size <= SMALL_BYTES:
            data = b"".join(read_chunks(file))
            digest = digest_of(data)
            new = self._backend.put_if_absent(blob_key(digest), data)
            advance(len(data))
            return _Put(digest, new)
        if not isinstance(self._backend, SupportsStaging):
            return self._put_parts(file, advance)
        if self._could_be_there(file):
            digest = self._hash(file, advance)
            if self._is_there(digest, file.size):
                return _Put(digest, new=False)
            advance(-file.size)
        check_room(self._backend, file.size)
        with self._backend.stage() as staged, Hashing(file.size) as hashing:
            for chunk in read_chunks(file):
                hashing.add(chunk)
                staged.write(chunk)
                advance(len(chunk))
            digest = hashing.digest()
            return _Put(digest, staged.put_if_absent(blob_key(digest)))

    def _put_parts(self, file: SourceFile, advance: Callable[[int], None], *, alone: bool = True) -> _Put:
        """Hash the file and send the missing parts.

        Args:
            alone: The push is this file only, so progress first covers hashing, then sending. Otherwise it covers only
                sending.
        """
        if isinstance(self._backend, SupportsStreams):
            return self._put_stream(self._backend, file, advance, alone=alone)
        if isinstance(self._backend, SupportsContinuing):
            return self._put_continued(self._backend, file, advance, alone=alone)
        if not isinstance(self._backend, SupportsParts):
            raise Unavailable(
                f"{self._backend.place} does not accept files larger than {SMALL_BYTES >> 20} MiB",
                hint="choose another store for large files: mreg profile list",
            )
        from mreg.artifacts.parts import measured, put_parts

        if file.size >= PREPARED_BYTES:
            self._backend.prepare_parts()
        digest, parts = measured(file, advance if alone else lambda _count: advance(0))
        if self._is_there(digest, file.size):
            advance(0 if alone else file.size)
            return _Put(digest, new=False)
        if alone:
            advance(-file.size)
        new, kept_bytes = put_parts(self._backend, blob_key(digest), file, parts, advance)
        return _Put(digest, new, kept_bytes)

    def _put_stream(
        self, backend: SupportsStreams, file: SourceFile, advance: Callable[[int], None], *, alone: bool
    ) -> _Put:
        """Hash the file, then send it and hash what is sent; see `_put_parts`."""
        digest = self._hash(file, advance if alone else lambda _count: advance(0))
        if self._is_there(digest, file.size):
            advance(0 if alone else file.size)
            return _Put(digest, new=False)
        if alone:
            advance(-file.size)

        sent = 0

        def chunks() -> Iterator[bytes]:
            nonlocal sent
            advance(-sent)  # the upload begins again
            sent = 0
            with Hashing(file.size) as hashing:
                for chunk in read_chunks(file):
                    hashing.add(chunk)
                    sent += len(chunk)
                    advance(len(chunk))
                    yield chunk
                if hashing.digest() != digest:
                    raise changed(file.name)

        return _Put(digest, backend.put_stream(blob_key(digest), file.size, chunks))

    def _put_continued(
        self, backend: SupportsContinuing, file: SourceFile, advance: Callable[[int], None], *, alone: bool
    ) -> _Put:
        """Send the bytes that have not arrived; see `_put_parts`.

        A large file is hashed while it is sent, unless the store could have it. Other files are hashed first.
        """
        staged = backend.begin_staged(_fingerprint(file), file.size) if file.size >= ONE_PASS_BYTES else None
        if staged is None:
            digest = self._hash(file, advance if alone else lambda _count: advance(0))
        else:
            try:
                return _put_staged(staged, file, advance)
            except WrongBytes as error:
                digest = error.digest
                advance(0 if alone else -file.size)
        upload = backend.continue_upload(blob_key(digest), file.size)
        if upload is None:
            advance(0 if alone else file.size)
            return _Put(digest, new=False)
        if alone:
            advance(-file.size)
        advance(upload.start)
        try:
            new = upload.send(
                lambda start: read_chunks(file, start=start),
                advance,
                lambda done: self._shown.verify(digest, done, file.size),
            )
        except BadInput:
            if self._hash(file, lambda _count: None) != digest:  # also if its times are as before
                raise changed(file.name) from None
            raise
        return _Put(digest, new, upload.start)

    def _is_there(self, digest: Digest, size: int) -> bool:
        """Return whether the store has a blob.

        Raises:
            Corrupt: The blob has another size.
        """
        found = self._backend.stat(blob_key(digest))
        if found is not None and found.size != size:
            raise damaged(digest, f"expected {size:,} bytes, got {found.size:,}")
        return found is not None

    def _could_be_there(self, file: SourceFile) -> bool:
        """Return whether a known blob has the size of a file, and the same bytes in each sample.

        Another model with the same layers has the same size: it is not worth hashing before it is written.
        """
        digests = self._known.get(file.size, ())
        if not digests:
            return False
        samples = read_samples(file)
        return any(self._has_samples(digest, samples) for digest in digests)

    def _has_samples(self, digest: Digest, samples: Mapping[int, bytes]) -> bool:
        try:
            for start, data in samples.items():
                with closing(self._backend.open(blob_key(digest), start, len(data))) as stream:
                    if stream.read(len(data)) != data:
                        return False
        except (NotFound, Corrupt, Unavailable):
            return False
        return True

    def _hash(self, file: SourceFile, advance: Callable[[int], None]) -> Digest:
        with Hashing(file.size) as hashing:
            for chunk in read_chunks(file):
                hashing.add(chunk)
                advance(len(chunk))
            return hashing.digest()

    def _put_folder(self, path: str, folder: SourceFolder) -> Stored:
        files, size = list(folder.files), folder.size
        check_content(folder)
        names = [*(file.name for file in files), *folder.folders]
        # Names that cannot be in the same folder are refused before any byte is stored.
        check_together(names)
        if sum(len(name.encode()) + ENTRY_BYTES for name in names) > BYTES_LIMIT:
            raise BadInput(f"the file names in {quoted(path)} are too long in total", hint="push an archive of it")
        self._shown = PushProgress(self._progress, size)
        digests, new_files, kept_bytes = self._put_files(files, self._shown.advance)
        folder.check_unchanged()
        manifest = Manifest(
            tuple(ManifestEntry(file.name, file.size, digests[file.name], file.executable) for file in files),
            folder.folders,
        )
        data = manifest.canonical()
        digest = digest_of(data)
        self._backend.put_if_absent(blob_key(digest), data)
        return Stored(
            kind=ArtifactKind.FOLDER,
            digest=digest,
            size_bytes=size,
            file_count=len(files),
            blobs=frozenset({digest, *digests.values()}),
            new_files=new_files,
            kept_bytes=kept_bytes,
        )

    def put_blob(self, path: str, digest: Digest) -> bool:
        """Store a file durably, which can be empty; return whether it is new.

        Raises:
            Corrupt: The file no longer has the digest.
        """
        put = self._put_file(source_file(path), lambda _count: None)
        if put.digest != digest:
            raise damaged(digest)
        return put.new

    def put_blobs(self, folder: str, advance: Callable[[int], None]) -> int:
        """Store the files of a folder durably, each named by the hex digits of its digest; return how many are new."""
        files = [source_file(os.path.join(folder, name)) for name in sorted(os.listdir(folder))]
        digests, new, _ = self._put_files(files, advance)
        for path, digest in digests.items():
            if digest.value != os.path.basename(path):
                raise damaged(Digest.sha256(os.path.basename(path)))
        return new

    def _put_files(self, files: list[SourceFile], advance: Callable[[int], None]) -> tuple[dict[str, Digest], int, int]:
        """Store files; return the digests by name, the number of new blobs and the number of reused bytes.

        Small files are put in batches. Over a network, a few large files are sent at the same time. A file that has
        several names, by links, is read and sent once.
        """
        once = {file.mark: file for file in reversed(files)}
        if len(once) < len(files):
            digests, new_files, kept_bytes = self._put_files(list(once.values()), advance)
            for file in files:
                if file is not once[file.mark]:
                    digests[file.name] = digests[once[file.mark].name]
                    advance(file.size)
            return digests, new_files, kept_bytes
        large = [file for file in files if file.size > SMALL_BYTES]
        small = [file for file in files if file.size <= SMALL_BYTES]
        check_room(self._backend, sum(file.size for file in small if file.size not in self._known))
        if not self._backend.remote:
            puts = [self._put_file(file, advance) for file in large]
            digests, new = self._put_small(small, advance)
        else:
            from mreg.artifacts.parallel import Stoppable, in_order

            stoppable = Stoppable(advance)
            under_way = in_order(
                lambda file: self._put_parts(file, stoppable, alone=False), large, at_once=LARGE_AT_ONCE
            )
            with closing(under_way), stoppable:
                digests, new = self._put_small(small, stoppable)
                puts = list(under_way)
        digests.update((file.name, put.digest) for file, put in zip(large, puts, strict=True))
        return digests, new + sum(put.new for put in puts), sum(put.kept_bytes for put in puts)

    def _put_small(self, files: list[SourceFile], advance: Callable[[int], None]) -> tuple[dict[str, Digest], int]:
        digests: dict[str, Digest] = {}

        def blobs() -> Iterator[tuple[str, bytes]]:
            for file in files:
                data = b"".join(read_chunks(file))
                digests[file.name] = digest_of(data)
                yield blob_key(digests[file.name]), data
                advance(len(data))

        new = self._backend.put_many_if_absent(blobs())
        return digests, new


def _fingerprint(file: SourceFile) -> str:
    return fingerprint(file.size, list(read_samples(file).values()))


def _put_staged(upload: StagedUpload, file: SourceFile, advance: Callable[[int], None]) -> _Put:
    from mreg.artifacts.hashed_file import HashedFile

    advance(upload.start)
    with HashedFile(file, advance) as hashed:
        return _Put(upload.send(hashed, advance), new=True, kept_bytes=upload.start)


def check_room(backend: BlobBackend | SupportsResuming, size: int) -> None:
    """Check that a number of bytes fits into a store.

    Raises:
        Unavailable: The free space is too small.
    """
    room = backend.room
    if room is not None and size > room:
        raise Unavailable(
            f"not enough space in {backend.place}: {size:,} bytes needed, {room:,} free",
            hint="free some space there, or name another store: mreg profile list",
        )


def check_content(folder: SourceFolder) -> None:
    """Check that a folder has content to push.

    Raises:
        BadInput: It has no files, only empty files, or all are left out.
    """
    if folder.size > 0:
        return
    if folder.files:
        raise _empty(folder.root, "it has only files of 0 bytes")
    if not folder.left_out:
        raise _empty(folder.root, "it has no files")
    raise BadInput(
        f"cannot push {quoted(folder.root)}: all its files are left out: {reasons(folder.left_out)}",
        hint="change --include" if "not in --include" in folder.left_out else "push some of them: --exclude '!PATTERN'",
    )


def _empty(path: str, how: str) -> BadInput:
    return BadInput(f"cannot push {quoted(path)}: {how}", hint="check the program that wrote it")
