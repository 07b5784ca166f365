"""Bundle files: the document, then every blob once. A bundle is read completely and verified before it is imported."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from mreg.artifacts.backend import Chunk
from mreg.artifacts.hashing import Hashing, digest_of
from mreg.artifacts.tar import AGAIN, BLOCK, END, TarReader, TarWriter, room_of
from mreg.domain.bundle import DOCUMENT_LIMIT, Bundle, check_bounds, sorted_digests
from mreg.domain.digest import Digest, blob_key
from mreg.domain.manifest import Manifest
from mreg.domain.paths import refuse_url
from mreg.domain.text import quoted
from mreg.errors import BadInput, Corrupt, Unavailable
from mreg.files import CREATE, open_file, room, write_all

DOCUMENT = "mreg.json"


class BundleFile:
    """A bundle file open for reading; a context manager.

    Raises:
        NotFound: The file does not exist.
        BadInput: The file is not a bundle, or has content that a registry does not accept.
        Corrupt: The file is truncated or damaged.
        Unavailable: The file cannot be read.
    """

    def __init__(self, path: str) -> None:
        refuse_url(path, "download it, and name the file")
        self._tar = TarReader(path)
        try:
            size = self._tar.begin(DOCUMENT)
            if size > DOCUMENT_LIMIT:
                raise BadInput(f"{DOCUMENT} in the bundle has {size:,} bytes; the limit is {DOCUMENT_LIMIT:,}")
            self.bundle = Bundle.parse(b"".join(self._tar.chunks(size)))
            self._offsets: dict[Digest, int] = {}
            offset = room_of(size)
            for digest in sorted_digests(self.bundle.blobs):
                self._offsets[digest] = offset + BLOCK
                offset += room_of(self.bundle.blobs[digest])
            self._tar.check_size(offset - room_of(size) + len(END))
        except BaseException:
            self._tar.__exit__()
            raise

    def __enter__(self) -> BundleFile:
        return self

    def __exit__(self, *_: object) -> None:
        self._tar.__exit__()

    def verify(self, folder: str | None = None, advance: Callable[[int], None] = lambda _count: None) -> None:
        """Verify the digests of all blobs in one pass, and that the blobs are those that the versions need.

        Args:
            folder: Folder to which each blob is written, named by its hex digits (default: none).
            advance: Called with the number of bytes done since the last call.

        Raises:
            BadInput: The file has content that does not belong in a bundle.
            Corrupt: A blob is missing, damaged or truncated, or a manifest is invalid.
            Unavailable: The folder cannot be written.
        """
        if folder is not None:
            _check_room(folder, sum(self.bundle.blobs.values()))
        for digest in self._offsets:
            size = self._tar.begin(blob_key(digest), self.bundle.blobs[digest])
            with _written(folder, digest) as write, Hashing(size) as hashing:
                for chunk in self._tar.chunks(size):
                    hashing.add(chunk)
                    write(chunk)
                    advance(len(chunk))
                if hashing.digest() != digest:
                    raise _damaged(digest, "its bytes do not match its SHA-256")
        self._tar.end()
        self.bundle.check_blobs(self.manifest)

    def manifest(self, digest: Digest) -> Manifest:
        """Return a manifest from the bundle, verified.

        Raises:
            Corrupt: The manifest is missing, damaged or invalid.
            BadInput: The manifest is too large.
        """
        if digest not in self._offsets:
            raise _damaged(digest, "it is missing")
        size = self.bundle.blobs[digest]
        if size > DOCUMENT_LIMIT:
            raise BadInput(f"the manifest {digest} has {size:,} bytes; the limit is {DOCUMENT_LIMIT:,}")
        data = self._tar.read_at(self._offsets[digest], size)
        check_bounds(data)
        if digest_of(data) != digest:
            raise _damaged(digest, "its bytes do not match its SHA-256")
        return Manifest.parse(data)


def write_bundle(
    bundle: Bundle,
    document: bytes,
    write: Callable[[Chunk], object],
    read: Callable[[list[tuple[Digest, int]], Callable[[Digest, int], None], Callable[[Chunk], None]], None],
) -> None:
    """Write a bundle; blobs are streamed.

    Args:
        document: Canonical bytes of the bundle.
        read: Gets the blobs, a function to call before each blob, and a function to call with its verified chunks.
    """
    tar = TarWriter(write)
    tar.begin(DOCUMENT, len(document))
    tar.add(document)
    blobs = [(digest, bundle.blobs[digest]) for digest in sorted_digests(bundle.blobs)]
    read(blobs, lambda digest, size: tar.begin(blob_key(digest), size), tar.add)
    tar.end()


def bundle_size(bundle: Bundle, document: bytes) -> int:
    """Return the number of bytes that `write_bundle` writes."""
    return sum(map(room_of, (len(document), *bundle.blobs.values()))) + len(END)


@contextmanager
def _written(folder: str | None, digest: Digest) -> Iterator[Callable[[bytes], object]]:
    if folder is None:
        yield lambda _chunk: None
        return
    with _translated(folder):
        descriptor = open_file(os.path.join(folder, digest.value), CREATE, 0o600, follow=False)
        try:
            yield lambda chunk: write_all(descriptor, chunk)
        finally:
            os.close(descriptor)


def _damaged(digest: Digest, how: str) -> Corrupt:
    return Corrupt(f"the blob {digest} in the bundle is damaged: {how}", hint=AGAIN, digest=str(digest))


@contextmanager
def unpacking() -> Iterator[str]:
    """Yield a temporary folder for the blobs of a bundle, removed at the end; it remains if the process is killed.

    Raises:
        Unavailable: The temporary folder cannot be created.
    """
    from tempfile import TemporaryDirectory

    try:
        folder = TemporaryDirectory(prefix="mreg-import-", ignore_cleanup_errors=True)
    except OSError as error:
        raise _unwritable("the folder for temporary files", error) from error
    with folder as path:
        yield path


def _check_room(folder: str, size: int) -> None:
    free = room(folder)
    if size > free:
        raise Unavailable(
            f"not enough space in {quoted(folder, 200)}: {size:,} bytes needed, {free:,} free", hint=_ELSEWHERE
        )


_ELSEWHERE = "free some space there, or name another folder: TMPDIR=FOLDER mreg import ..."


def _unwritable(what: str, error: OSError) -> Unavailable:
    return Unavailable(f"cannot write to {what}: {error.strerror or error}", hint=_ELSEWHERE)


@contextmanager
def _translated(folder: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise _unwritable(quoted(folder, 200), error) from error
