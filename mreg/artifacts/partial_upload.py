"""Uploads of blobs in several requests: the bytes that arrived stay until the blob is complete.

The client names an upload by the digest of the blob, or by an id if it names the digest at the end (a staged upload).
"""

from __future__ import annotations

import hashlib
import threading
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from mreg.artifacts.backend import BlobBackend, Chunk, ResumableFile, StagedBlob, SupportsResuming, Unfinished
from mreg.artifacts.claims import VALID, Uploader
from mreg.artifacts.hashing import Hashing, check_received
from mreg.artifacts.upload import Upload, check_room
from mreg.domain.digest import Digest, blob_key
from mreg.domain.text import counted
from mreg.errors import BadInput, Conflict, MregError

AT_ONCE = 4
"""Maximum number of uploads of one blob by one caller that can be continued; others end with their request."""

CALLER_LIMIT = 100
"""Maximum number of unfinished uploads that are kept for a caller; the oldest one makes room for a new one.

Those of the tokens that a limited client created count together with its own.
"""

_STATES_LIMIT = 256


class HashStates:
    """The hashes of unfinished uploads that this process has received lately, so that they are not read again."""

    def __init__(self) -> None:
        self._states: dict[str, tuple[tuple[int, int, int], hashlib._Hash]] = {}
        self._lock = threading.Lock()

    def take(self, file: ResumableFile) -> hashlib._Hash:
        """Return the hash of the bytes of a file."""
        with self._lock:
            identity, state = self._states.pop(file.path, (None, None))
        if state is None or identity != file.identity:
            state = hashlib.sha256()
            for chunk in file.chunks():
                state.update(chunk)
        return state

    def keep(self, file: ResumableFile, state: hashlib._Hash) -> None:
        """Remember the hash of the bytes of a file."""
        identity = file.mark()
        if identity is None:
            return
        with self._lock:
            self._states[file.path] = identity, state
            while len(self._states) > _STATES_LIMIT:
                del self._states[next(iter(self._states))]


STATES = HashStates()


class PartialUpload:
    """A request that continues the upload of a blob; a context manager that keeps the bytes that arrived.

    The bytes are hashed as they arrive, and written once if the files are in the store itself. Otherwise they are sent
    to the store when all have arrived.

    Args:
        files: Where the bytes are until the blob is complete: the backend itself or a folder of this machine.
        name: Digest of the blob, or the id of a staged upload.
        length: Size of the complete blob.
        start: Number of bytes that the client believes to have arrived.

    Raises:
        Conflict: Another number of bytes has arrived; ``details`` has it (``offset``).
        Unavailable: The store has too little free space.
    """

    def __init__(
        self,
        backend: BlobBackend,
        files: SupportsResuming,
        uploader: Uploader,
        name: str,
        *,
        length: int,
        start: int,
        now: datetime,
    ) -> None:
        if start > length:
            raise BadInput(f"the offset {start} is beyond the length {length} of the blob")
        self._backend, self._length = backend, length
        self._in_store = isinstance(backend, SupportsResuming)
        check_room(files, length - start)
        file = _taken(files, uploader, name, start)
        if file is None and start > 0:
            offset = arrived(files, uploader, name).offset
            raise Conflict(
                f"cannot continue at byte {start}: {counted(offset, 'byte')} arrived, or another request sends them",
                hint="ask for the offset of the upload, and continue there",
                offset=offset,
            )
        self._file: StagedBlob = file if file is not None else files.stage()
        self._size = start
        self._over = False
        state = None
        try:
            if start == 0:
                _make_room(files, uploader, now, alone=not self._in_store)
            elif file is not None:
                state = STATES.take(file)
        except BaseException:
            self._leave()
            raise
        self._hashing = Hashing(length - start, state)

    def __enter__(self) -> PartialUpload:
        return self

    def __exit__(self, *_: object) -> None:
        self._hashing.__exit__()
        if isinstance(self._file, ResumableFile) and not self._over:
            with suppress(OSError):  # it is closed if the store could not take the complete blob
                STATES.keep(self._file, self._hashing.state())
        self._leave()

    def _leave(self) -> None:
        """Close the file; its bytes stay if the upload can be continued."""
        if not isinstance(self._file, ResumableFile):
            self._file.discard()
        elif not self._over:
            self._file.keep()
        self._over = True

    def write(self, chunk: Chunk) -> None:
        """Append a chunk, which the caller must not change afterwards.

        Raises:
            BadInput: The blob would be longer than the client said.
            Unavailable: The chunk cannot be written.
        """
        if self._size + len(chunk) > self._length:
            raise BadInput(f"the upload is too long: expected {self._length:,} bytes")
        self._file.write(chunk)
        self._hashing.add(chunk)
        self._size += len(chunk)

    @property
    def complete(self) -> bool:
        """Whether all bytes have arrived."""
        return self._size == self._length

    def offset(self) -> int:
        """Return the number of bytes that have arrived, which stay for the next request.

        Raises:
            Conflict: They do not stay.
        """
        if not isinstance(self._file, ResumableFile):
            raise Conflict("the upload is incomplete, and others of the same blob are in progress", offset=0)
        return self._size

    def finish(self, expected: Digest) -> None:
        """Store the complete blob.

        Raises:
            BadInput: The bytes have another digest; they are removed.
            Unavailable: The store cannot be written; the bytes stay, and the upload can be finished later.
        """
        digest = self._hashing.digest()
        try:
            check_received(expected, digest)
        except BadInput:
            self._remove()
            raise
        if self._in_store:
            self._file.put_if_absent(blob_key(digest))
        else:
            self._file.finish()
            Upload(self._backend, {}, None).put_blob(self._file.path, digest)
        self._remove()

    def _remove(self) -> None:
        self._over = True
        self._file.discard()


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrived:
    """The bytes of an unfinished upload.

    Attributes:
        offset: Number of bytes from which it can be continued.
        busy: Whether a request holds as many bytes and can have more, such as one that was interrupted on the client's
            side.
    """

    offset: int
    busy: bool


def arrived(files: SupportsResuming, uploader: Uploader, name: str) -> Arrived:
    """Return how much of an upload of a caller has arrived, without waiting."""
    found = [files.left(uploader.unfinished(name, number)) for number in range(AT_ONCE)]
    free = max((size for size, busy in found if not busy), default=0)
    return Arrived(offset=free, busy=any(busy and size >= free for size, busy in found))


def _taken(files: SupportsResuming, uploader: Uploader, name: str, start: int) -> ResumableFile | None:
    """Return the unfinished file with this number of bytes, open; at the beginning, a new or emptied one."""
    for number in range(AT_ONCE):
        file = files.resume(uploader.unfinished(name, number), create=start == 0)
        if file is None:
            continue
        if start == 0 and file.size:
            file.clear()
        if file.size == start:
            return file
        file.keep()
    return None


def _make_room(files: SupportsResuming, uploader: Uploader, now: datetime, *, alone: bool) -> None:
    """Remove expired unfinished uploads of a caller, and the oldest ones above `CALLER_LIMIT`.

    Args:
        alone: The folder has uploads to this store only, and gc does not look there: remove those of all callers that
            have expired.
    """
    found = sorted(files.unfinished(), key=lambda one: one.modified)
    own = [one for one in found if one.name.startswith(uploader.beginning)]
    kept = set(own[-CALLER_LIMIT:])
    for one in found if alone else own:
        if one.modified < now - VALID or (one in own and one not in kept):
            _discard_idle(files, one)


def _discard_idle(files: SupportsResuming, found: Unfinished) -> None:
    with suppress(MregError):
        file = files.resume(found.name, create=False)
        if file is not None:
            file.discard()
