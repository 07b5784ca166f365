"""Upload of a file that arrives as a stream."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator

from mreg.artifacts.backend import BlobBackend, Chunk, StagedBlob, SupportsStaging, TemporaryFile
from mreg.artifacts.format import detect
from mreg.artifacts.hashing import Hashing
from mreg.artifacts.local import run_cleanup
from mreg.artifacts.upload import Stored, Upload, check_room
from mreg.domain.digest import Digest, blob_key
from mreg.domain.model import ArtifactKind
from mreg.errors import BadInput, Unavailable
from mreg.files import replace, unlink, write_all

UNKNOWN_SIZE = 1 << 40
"""Assumed size if the size is unknown, so that a separate thread hashes."""

PREFIX = "mreg-incoming-"
"""Prefix of the names in the system's temporary folder."""


class StreamUpload:
    """A file that arrives as a stream; a context manager that discards the bytes if they were not put.

    If the backend supports staging, the bytes are hashed while they are written to the store: one pass. Otherwise they
    are first written to the system's temporary folder, because the backend needs the digest before the bytes. Memory is
    bounded at any size. A crash leaves garbage that is not visible under a key.

    Args:
        size: Expected size in bytes (default: unknown).

    Raises:
        Unavailable: The store has too little free space.
    """

    def __init__(self, backend: BlobBackend, size: int = 0) -> None:
        self._backend = backend
        self.size = 0
        check_room(backend, size)
        self._file: TemporaryFile = backend.stage() if isinstance(backend, SupportsStaging) else TemporaryCopy()
        self._hashing = Hashing(size or UNKNOWN_SIZE)
        self._digest: Digest | None = None

    def __enter__(self) -> StreamUpload:
        return self

    def __exit__(self, *_: object) -> None:
        self._hashing.__exit__()
        self._file.discard()

    def format(self, name: str) -> str:
        """Return the detected format of the file, or ``unknown``.

        Args:
            name: Name of the artifact.
        """
        return detect(self._file.path, name)

    def write(self, chunk: Chunk) -> None:
        """Append a chunk, which the caller must not change afterwards.

        Raises:
            Unavailable: The chunk cannot be written.
        """
        self._hashing.add(chunk)
        self._file.write(chunk)
        self.size += len(chunk)

    def digest(self) -> Digest:
        """Return the digest of all bytes; do not write afterwards."""
        if self._digest is None:
            self._digest = self._hashing.digest()
        return self._digest

    def put(self) -> Stored:
        """Make the bytes durable in the store; can be called again if they were removed in the meantime.

        Raises:
            BadInput: The file is empty.
            Unavailable: The store cannot be written.
        """
        if self.size == 0:
            raise BadInput("the file is empty (0 bytes)", hint="check the program that sent it")
        new, digest = self.store(), self.digest()
        return Stored(
            kind=ArtifactKind.FILE,
            digest=digest,
            size_bytes=self.size,
            file_count=1,
            blobs=frozenset({digest}),
            new_files=int(new),
        )

    def store(self) -> bool:
        """Make the bytes durable as a blob, which can be empty; return whether it is new.

        Raises:
            Unavailable: The store cannot be written.
        """
        if not isinstance(self._file, StagedBlob):
            return Upload(self._backend, {}, None).put_blob(self._file.path, self.digest())
        return self._file.put_if_absent(blob_key(self.digest()))


class TemporaryCopy(TemporaryFile):
    """A file in a temporary folder.

    Args:
        folder: The folder (default: the system's).
    """

    def __init__(self, folder: str | None = None) -> None:
        with _explained():
            descriptor, self.path = tempfile.mkstemp(prefix=PREFIX, dir=folder)
        self._stream = os.fdopen(descriptor, "wb", buffering=0)

    def write(self, chunk: bytes | memoryview) -> None:
        with _explained():
            write_all(self._stream.fileno(), chunk)

    def finish(self) -> None:
        with _explained():
            self._stream.close()

    def rename(self, name: str) -> None:
        """Rename the finished file in its folder; it is then not removed by `discard`."""
        with _explained():
            replace(self.path, os.path.join(os.path.dirname(self.path), name))

    def discard(self) -> None:
        def remove() -> None:
            self._stream.close()
            with contextlib.suppress(OSError):
                unlink(self.path)

        run_cleanup(remove)


def temporary_folder() -> str:
    """Create a folder in the system's temporary folder.

    Raises:
        Unavailable: It cannot be created.
    """
    with _explained():
        return tempfile.mkdtemp(prefix=PREFIX)


@contextlib.contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise Unavailable(
            f"cannot write to the temporary folder {tempfile.gettempdir()}: {error.strerror or error}",
            hint="free some space there, or name another folder: TMPDIR=FOLDER",
        ) from error
