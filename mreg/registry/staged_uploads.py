"""Staged uploads to a server: the client chooses an id, sends the bytes, and names their digest at the end.

So a client reads a large file once, and hashes it while it is sent. An upload belongs to a caller and a model, and has
the limits of one by digest. Under the same id, another caller has another upload, and so has the same caller for
another model.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from mreg.errors import Conflict
from mreg.registry.storing import begin_storing
from mreg.registry.uploads import claimed_large, continue_upload, takes_direct, uploader_of, usable_of_size
from mreg.results.uploads import StagedUpload, UploadState

if TYPE_CHECKING:
    from mreg.artifacts.backend import Chunk
    from mreg.artifacts.partial_upload import PartialUpload
    from mreg.domain.digest import Digest
    from mreg.domain.names import ModelName
    from mreg.registry.session import Session


def should_hash_first(session: Session, model: ModelName, upload: str, size: int, *, direct: bool = False) -> bool:
    """Return whether the client should hash a file before it sends it, since it might not have to send it here.

    That is so if the file can be sent to the store directly, and if it looks like a blob that the caller can use in a
    version of the model: it has the same fingerprint (see `mreg.artifacts.source.fingerprint`).

    Args:
        upload: Id of the upload. The one of mreg's own client is the fingerprint of the file.
        size: Size of the file in bytes.
        direct: Large blobs can be sent to the store directly, if the store supports it.

    Raises:
        OutsideScope: The model is outside the scope of the caller.
    """
    session.scope.check_name(model, "upload to")
    begin_storing(session)
    if direct and takes_direct(session, size):
        return True
    return session.artifacts().has_fingerprint(usable_of_size(session, model, size), size, upload)


def look_at_staged(session: Session, model: ModelName, upload: str) -> tuple[StagedUpload, bool]:
    """Return how much of an upload has arrived, and whether a request in progress has more bytes.

    Raises:
        OutsideScope: The model is outside the scope of the caller.
    """
    session.scope.check_name(model, "upload to")
    found = session.artifacts().arrived(uploader_of(session, model), upload)
    return StagedUpload(offset=found.offset), found.busy


@contextmanager
def continue_staged(
    session: Session, model: ModelName, upload: str, *, length: int, start: int
) -> Iterator[StagedPart]:
    """Yield a request of a staged upload; the bytes that arrive stay for the next one.

    Args:
        length: Size of the file in bytes.
        start: Number of bytes that the client believes to have arrived.

    Raises:
        Conflict: Another number of bytes has arrived; ``details`` has it (``offset``).
        Unavailable: The store has too little free space, or cannot be written.
    """
    with continue_upload(session, model, upload, length=length, start=start) as part:
        yield StagedPart(part)


class StagedPart:
    """Receives a part of a file; see `continue_staged`."""

    def __init__(self, upload: PartialUpload) -> None:
        self._upload = upload

    def write(self, chunk: Chunk) -> None:
        """Receive the next bytes, which the caller must not change afterwards.

        Raises:
            BadInput: There are more bytes than the file has.
            Unavailable: The bytes cannot be written.
        """
        self._upload.write(chunk)

    def finish(self) -> StagedUpload:
        """Return how much of the upload has arrived."""
        return StagedUpload(offset=self._upload.offset())


def finish_staged(session: Session, model: ModelName, upload: str, digest: Digest, size: int) -> UploadState:
    """Make the bytes of a staged upload a blob, durable and verified, and claim it for the caller; idempotent.

    Raises:
        OutsideScope: The model is outside the scope of the caller.
        BadInput: The bytes have another digest; they are removed.
        Conflict: Another number of bytes has arrived; ``details`` has it (``offset``).
        Unavailable: The store cannot be written. The bytes stay, and the upload can be finished later.
    """
    try:
        with continue_upload(session, model, upload, length=size, start=size) as part:
            part.finish(digest)
    except Conflict:
        if session.artifacts().claims.size(uploader_of(session, model), digest, session.now()) != size:
            raise
        return UploadState(digest=digest, offset=size, complete=True)
    return claimed_large(session, model, digest, size)
