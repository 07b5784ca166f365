"""ArtifactStore: hashing, layout and verification, once for all backends."""

from __future__ import annotations

import os
from collections.abc import Callable, Container, Generator, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from mreg.artifacts.backend import BlobBackend, BlobStat, Chunk, Unfinished, Wanted
from mreg.artifacts.checking import check, verified
from mreg.artifacts.hashing import damaged, digest_of, missing, rest_of, stream_chunks
from mreg.domain.digest import Digest, blob_key, digest_of_key
from mreg.domain.manifest import BYTES_LIMIT, Manifest
from mreg.domain.model import ArtifactKind
from mreg.domain.text import quoted
from mreg.errors import BadInput, Corrupt, MregError, NotFound

if TYPE_CHECKING:
    from mreg.artifacts.cache import BlobCache
    from mreg.artifacts.destination import Received
    from mreg.artifacts.probe import Step
    from mreg.artifacts.progress import Progress
    from mreg.artifacts.records import PullRecords
    from mreg.artifacts.stream_upload import StreamUpload
    from mreg.artifacts.upload import Stored
    from mreg.domain.bundle import Bundle


class ArtifactStore:
    """Artifacts in a backend: files are blobs, folders are manifests, and equal bytes are kept once.

    Everything that is given back was hashed on its way, and everything that is reported stored is durable.

    Args:
        cache: Holds what was pulled, so that it is fetched once.
    """

    def __init__(self, backend: BlobBackend, cache: BlobCache | None = None) -> None:
        self._backend = backend
        self._cache = cache

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
        from mreg.artifacts.upload import Upload

        self.refuse_overlap(Path(path), "push the model from where it was made")
        with self._explaining():
            return Upload(self._backend, known_sizes, progress).put(path)

    def put_blobs(self, folder: str, advance: Callable[[int], None]) -> None:
        """Store every file of a flat folder, each named by the hex digits of its digest; durable when this returns.

        Args:
            advance: Told of bytes that are stored.

        Raises:
            Corrupt: A file is not what its name says.
            Unavailable: A file can't be read, or the store can't be written.
        """
        from mreg.artifacts.upload import Upload

        with self._explaining():
            Upload(self._backend, (), None).put_blobs(folder, advance)

    @contextmanager
    def open_upload(self, size: int = 0) -> Iterator[StreamUpload]:
        """Room for a file whose bytes come from a stream; see `mreg.artifacts.stream_upload.StreamUpload`.

        Args:
            size: How many bytes are expected, as far as that is known.

        Raises:
            Unavailable: So many bytes do not fit, or the store can't be written.
        """
        from mreg.artifacts.stream_upload import StreamUpload

        with self._explaining(), StreamUpload(self._backend, size) as incoming:
            yield incoming

    def probing(self) -> Iterator[Step]:
        """What can be tried of the store; see `mreg.artifacts.probe.probing`."""
        from mreg.artifacts.probe import probing

        return probing(self._backend)

    def unfinished(self) -> Iterator[Unfinished]:
        """What is on its way in, or was when its process died."""
        return self._backend.unfinished()

    def discard(self, unfinished: Unfinished) -> None:
        """Remove what is on its way in; a push that lives fails then, and no version is made."""
        self._backend.discard(unfinished)

    def blobs(self) -> Iterator[tuple[Digest, BlobStat]]:
        """Every blob that is there, whatever needs it; foreign files are passed over."""
        for key, found in self._backend.list("blobs/"):
            digest = digest_of_key(key)
            if digest is not None:
                yield digest, found

    def has(self, digest: Digest) -> bool:
        """Whether a blob is there."""
        return self._backend.stat(blob_key(digest)) is not None

    def remove(self, digest: Digest) -> None:
        """Remove a blob that nothing needs; does nothing where there is none."""
        self._backend.delete(blob_key(digest))

    # Giving back

    def _fetch(self, wanted: Sequence[Wanted], advance: Callable[[int], None]) -> Generator[Iterator[Chunk]]:
        """For each blob in turn its chunks, not verified; of a blob that is too long at least one byte too many.

        Raises:
            Corrupt: A blob is missing.
        """
        if self._backend.remote:
            from mreg.artifacts.download import fetched

            return fetched(self._backend, wanted, advance)
        return (self._chunks(one, advance) for one in wanted)

    def _fetch_or_find(self, wanted: Sequence[Wanted], advance: Callable[[int], None]) -> Generator[Iterator[Chunk]]:
        """`_fetch`, but for what the cache has."""
        cache = self._cache
        if cache is None:
            return self._fetch(wanted, advance)

        def found() -> Generator[Iterator[Chunk]]:
            absent = [one for one in wanted if one.digest not in cache]
            with closing(self._fetch(tuple(absent), advance)) as fetched:
                for one in wanted:
                    if absent and one is absent[0]:
                        absent.pop(0)
                        yield next(fetched)
                    elif (stream := cache.open(one.digest)) is not None:
                        yield rest_of(stream, one.start, advance)
                    else:  # removed or found damaged since
                        with closing(self._fetch([one], advance)) as again:
                            yield next(again)

        return found()

    def _chunks(self, wanted: Wanted, advance: Callable[[int], None], length: int | None = None) -> Generator[bytes]:
        try:
            stream = self._backend.open(blob_key(wanted.digest), wanted.start, length)
        except NotFound as error:
            raise missing(wanted.digest, self._backend.url) from error
        except Corrupt as error:  # something else is in its place, where a push could not put it either
            error.hint = (
                error.hint or f"remove {self._backend.url}/{blob_key(wanted.digest)}, then push the model again"
            )
            raise
        with closing(stream):
            for chunk in stream_chunks(stream):
                advance(len(chunk))
                yield chunk

    def manifest(self, digest: Digest) -> Manifest:
        """The manifest of a folder, verified.

        Raises:
            Corrupt: It is missing, damaged or hostile.
        """
        cached = self._cache.open(digest) if self._cache is not None else None
        with self._explaining():
            chunks: Iterator[bytes] = (
                rest_of(cached, 0, ignore_progress) if cached else self._chunks(Wanted(digest, 0), ignore_progress)
            )
            received = bytearray()
            with closing(chunks):  # type: ignore[type-var]
                for chunk in chunks:
                    received += chunk
                    if len(received) > BYTES_LIMIT:
                        raise damaged(digest, f"a manifest has at most {BYTES_LIMIT} bytes")
            data = bytes(received)
            if digest_of(data) != digest:
                raise damaged(digest)
            if self._cache is not None:
                self._cache.keep(digest, data)
            return Manifest.parse(data)

    def verify(self, digest: Digest, kind: ArtifactKind, size: int) -> None:
        """Read every byte of an artifact against its digests.

        Raises:
            Corrupt: A blob is missing or damaged; the message names it.
            Unavailable: A blob can't be read.
        """
        sizes = {digest: size}
        if kind is ArtifactKind.FOLDER:
            sizes = {entry.digest: entry.size for entry in self.manifest(digest).entries}
        with self._explaining():
            wanted = [Wanted(blob, size) for blob, size in sizes.items()]
            with closing(self._fetch(wanted, ignore_progress)) as blobs:
                for one, chunks in zip(wanted, blobs, strict=True):
                    check(one, chunks)

    def check_blob(self, digest: Digest, size: int, advance: Callable[[int], None] = lambda _count: None) -> None:
        """Read every byte of one blob against its digest, from the store itself.

        Raises:
            Corrupt: It is missing or damaged.
            Unavailable: It can't be read.
        """
        wanted = Wanted(digest, size)
        with self._explaining(), closing(self._fetch([wanted], advance)) as blobs:
            for chunks in blobs:
                check(wanted, chunks)

    def read(self, digest: Digest, size: int, start: int = 0, length: int | None = None) -> Generator[bytes]:
        """The bytes of a blob, or a range of them, chunk by chunk.

        Of a whole blob the last chunk is held back until all bytes have their SHA-256, so that who was promised its
        size never gets all of a damaged one. A range is held against the size alone. Close it where it is not
        read to its end.

        Args:
            length: How many bytes from ``start`` on; None for all.

        Raises:
            Corrupt: The blob is missing or damaged.
            Unavailable: It can't be read.
        """
        wanted = Wanted(digest, size, start)
        whole = start == 0 and (length is None or length == size)
        with self._explaining():
            if whole:
                with closing(self._fetch_or_find([wanted], ignore_progress)) as blobs:
                    yield from verified(wanted, next(blobs))
            else:
                yield from self._range(wanted, size - start if length is None else length)

    def _range(self, wanted: Wanted, length: int) -> Iterator[bytes]:
        cached = self._cache.open(wanted.digest) if self._cache is not None else None
        if cached is not None:
            chunks: Iterator[bytes] = rest_of(cached, wanted.start, ignore_progress)
        else:
            chunks = self._chunks(wanted, ignore_progress, length)
        with closing(chunks):  # type: ignore[type-var]
            for chunk in chunks:
                yield chunk[:length]
                length -= len(chunk)
                if length <= 0:
                    return
        raise damaged(wanted.digest, f"it has {length} bytes less than {wanted.size}")

    @property
    def remote(self) -> bool:
        """Whether each blob is a round trip over a network."""
        return self._backend.remote

    @contextmanager
    def _explaining(self) -> Iterator[None]:
        """`Corrupt` errors of blobs, with the way out: a push alone would find the damaged blob there and keep it."""
        try:
            yield
        except Corrupt as error:
            if "digest" in error.details and not error.hint:
                key = blob_key(Digest.parse(str(error.details["digest"])))
                with suppress(MregError):
                    there = self._backend.stat(key) is not None
                    first = f"remove {self._backend.url}/{key}, then " if there else ""
                    error.hint = f"{first}push the model again from its source"
            raise

    def pull(
        self,
        digest: Digest,
        kind: ArtifactKind,
        size: int,
        destination: Path,
        *,
        force: bool = False,
        progress: Progress | None = None,
        records: PullRecords | None = None,
        protected: Callable[[], BadInput | None] = lambda: None,
    ) -> Received:
        """Write an artifact to a destination, verified; see `Destination` for the arguments and for ``force``.

        Raises:
            AlreadyExists: Something else is at the destination, or files in it are in the way of the artifact's.
            NotFound: The folder of the destination does not exist.
            BadInput: The destination overlaps the store, or must not be replaced.
            Conflict: The folder at the destination was changed during the pull.
            Corrupt: A blob is missing or damaged.
            Unavailable: The store can't be read, or the destination can't be written.
        """
        from mreg.artifacts.destination import Destination
        from mreg.artifacts.progress import progress_callback

        self.refuse_overlap(destination)
        advance = progress_callback(progress, size)
        place = Destination(
            destination,
            lambda wanted: self._fetch_or_find(wanted, advance),
            resumable=self._backend.remote,
            keep=self._cache.keep if self._cache is not None else lambda _digest, _path: None,
            advance=advance,
            records=records,
            protected=protected,
        )
        with self._explaining():
            if kind is ArtifactKind.FILE:
                received = place.receive_file(digest, size, force=force)
            else:
                received = place.receive_folder(digest, self.manifest(digest).entries, force=force)
        if self._cache is not None:
            self._cache.trim()
        return received

    def write_bundle(self, bundle: Bundle, destination: Path, *, force: bool, progress: Progress | None = None) -> int:
        """Write a bundle to a file, all or nothing, every byte of it verified on its way; how many bytes it has.

        Raises:
            AlreadyExists: Something is at the destination, and ``force`` does not say to replace it.
            NotFound: The folder of the destination does not exist.
            BadInput: The destination overlaps the store.
            Corrupt: A blob is missing or damaged.
            Unavailable: The store can't be read, or the destination can't be written.
        """
        from mreg.artifacts.bundle_file import bundle_size, write_bundle
        from mreg.artifacts.destination import Destination
        from mreg.artifacts.progress import progress_callback

        self.refuse_overlap(destination)
        document = bundle.canonical()
        size = bundle_size(bundle, document)
        advance = progress_callback(progress, sum(bundle.blobs.values()))

        def read(
            blobs: list[tuple[Digest, int]], begin: Callable[[Digest, int], None], take: Callable[[Chunk], None]
        ) -> None:
            wanted = [Wanted(digest, size) for digest, size in blobs]
            with closing(self._fetch_or_find(wanted, advance)) as found:
                for one, chunks in zip(wanted, found, strict=True):
                    begin(one.digest, one.size)
                    check(one, chunks, take)

        place = Destination(destination, lambda wanted: self._fetch(wanted, advance))
        with self._explaining():
            place.receive_made(
                digest_of(document), size, lambda write: write_bundle(bundle, document, write, read), force=force
            )
        return size

    def refuse_overlap(self, path: Path, hint: str = "name another destination") -> None:
        """Refuse a path from or to which bytes would go around the store.

        Raises:
            BadInput: The path is in the store, or holds it.
        """
        if self._backend.overlaps(Path(os.path.realpath(path))):
            raise BadInput(f"{quoted(str(path))} overlaps the artifact store {self._backend.url}", hint=hint)

    def write_to(self, digest: Digest, size: int, stream: BinaryIO) -> None:
        """Write a file's bytes to a stream, after all of them were verified.

        Raises:
            Corrupt: They are damaged, and nothing was written; or they changed since they were verified.
        """
        from tempfile import TemporaryFile

        wanted = Wanted(digest, size)
        with self._explaining(), TemporaryFile() as copy:
            if self._backend.remote:  # not to be fetched twice
                with closing(self._fetch_or_find([wanted], ignore_progress)) as blobs:
                    check(wanted, next(blobs), copy.write)
                copy.seek(0)
                stream.writelines(stream_chunks(copy))
            else:
                check(wanted, self._chunks(wanted, ignore_progress))
                check(wanted, self._chunks(wanted, ignore_progress), stream.write)
            stream.flush()


def ignore_progress(_count: int) -> None:
    """Nobody wants to know."""
