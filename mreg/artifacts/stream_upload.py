"""A file whose bytes come from a stream and not from a path."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator

from mreg.artifacts.backend import BlobBackend, Chunk, StagedBlob, SupportsStaging, TemporaryFile
from mreg.artifacts.hashing import Hashing
from mreg.artifacts.local import run_cleanup
from mreg.artifacts.upload import Stored, Upload, check_room
from mreg.domain.digest import Digest, blob_key
from mreg.domain.model import ArtifactKind
from mreg.errors import BadInput, Unavailable
from mreg.files import close, open_file, unlink
from mreg.linux import begin_sync

UNKNOWN_SIZE = 1 << 40
"""Taken for the size where none is known, so that hashing gets a thread of its own."""

SYNC_BYTES = 16 << 20
"""So many bytes at a time begin their way to the disk while others arrive, so that there is less to wait for at the
end."""


class StreamUpload:
    """A file on its way in; a context manager that drops what was not put.

    Where the backend stages, the bytes go where they will stay, and are hashed meanwhile: one pass. Else they are kept
    in the system's temporary folder first, since such a backend must know the digest before it gets the bytes. Memory
    is bounded whatever the size. A crash leaves garbage that is listed under no key.

    Args:
        size: How many bytes are expected, 0 where that is not known.

    Raises:
        Unavailable: So many bytes do not fit.
    """

    def __init__(self, backend: BlobBackend, size: int = 0) -> None:
        self._backend = backend
        self.size = self._begun = 0
        check_room(backend, size)
        self._file: TemporaryFile = backend.stage() if isinstance(backend, SupportsStaging) else _Temporary()
        self._hashing = Hashing(size or UNKNOWN_SIZE)
        self._digest: Digest | None = None

    def __enter__(self) -> StreamUpload:
        return self

    def __exit__(self, *_: object) -> None:
        self._hashing.__exit__()
        self._file.discard()

    @property
    def path(self) -> str:
        """A local file that holds what was written so far."""
        return self._file.path

    def write(self, chunk: Chunk) -> None:
        """Append the chunk, whose bytes must stay as they are.

        Raises:
            Unavailable: It can't be kept.
        """
        self._hashing.add(chunk)
        self._file.write(chunk)
        self.size += len(chunk)
        if self.size - self._begun >= SYNC_BYTES and isinstance(self._file, StagedBlob):
            self._begin_sync()

    def _begin_sync(self) -> None:
        with contextlib.suppress(OSError):  # only a beginning: `put` does it, or says why it can't
            descriptor = open_file(self._file.path, follow=False)
            try:
                begin_sync(descriptor, self._begun, self.size - self._begun)
            finally:
                close(descriptor)
        self._begun = self.size

    def digest(self) -> Digest:
        """The digest of all bytes; nothing may be written after it was asked for."""
        if self._digest is None:
            self._digest = self._hashing.digest()
        return self._digest

    def put(self) -> Stored:
        """Make the bytes durable in the store; may be called again where they were removed meanwhile.

        Raises:
            BadInput: There are none.
            Unavailable: The store can't be written.
        """
        if self.size == 0:
            raise BadInput("the file has 0 bytes, and an empty artifact is no model", hint="check what sent it")
        if not isinstance(self._file, StagedBlob):
            return Upload(self._backend, (), None).put(self._file.path)
        digest = self.digest()
        new = self._file.put_if_absent(blob_key(digest))
        return Stored(
            kind=ArtifactKind.FILE,
            digest=digest,
            size_bytes=self.size,
            file_count=1,
            blobs=frozenset({digest}),
            new_files=int(new),
        )


class _Temporary(TemporaryFile):
    """A file of the system's temporary folder."""

    def __init__(self) -> None:
        with _explained():
            descriptor, self.path = tempfile.mkstemp(prefix="mreg-incoming-")
        self._stream = os.fdopen(descriptor, "wb", buffering=0)

    def write(self, chunk: bytes | memoryview) -> None:
        view = memoryview(chunk)
        with _explained():
            while view:
                view = view[self._stream.write(view) :]

    def discard(self) -> None:
        def remove() -> None:
            self._stream.close()
            with contextlib.suppress(OSError):
                unlink(self.path)

        run_cleanup(remove)


@contextlib.contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise Unavailable(
            f"the temporary folder {tempfile.gettempdir()} can't be written: {error.strerror or error}",
            hint="free some space there, or name another one by TMPDIR",
        ) from error
