"""Uploads of blobs to the bucket of a server by presigned URLs; a blob counts once the server has verified its bytes.

An upload belongs to a caller and a model, as an upload to the server does. Its temporary object has a name that the
caller cannot choose, and the URLs permit nothing but its parts.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from mreg.artifacts import direct_upload
from mreg.errors import BadInput, Conflict, MregError, NotFound
from mreg.registry.storing import begin_storing
from mreg.registry.uploads import uploader_of
from mreg.results.uploads import DirectUpload, UploadPart, UploadState

if TYPE_CHECKING:
    from mreg.artifacts.backend import SupportsDirectUploads
    from mreg.domain.digest import Digest
    from mreg.domain.names import ModelName
    from mreg.registry.session import Session


def begin_direct(
    session: Session,
    model: ModelName,
    digest: Digest,
    size: int,
    *,
    seconds: int,
    total_limit: int,
    permitted: bool = True,
) -> DirectUpload:
    """Begin or continue the direct upload of a blob for a version of the model; return its next missing parts.

    Args:
        seconds: How long the URLs are valid.
        total_limit: Maximum total size of the blobs whose direct uploads the caller has not finished.
        permitted: Whether the server permits direct uploads.

    Raises:
        OutsideScope: The model is outside the scope of the caller.
        BadInput: The server or its store has no direct uploads, or the blob is empty.
        Conflict: The caller has too many unfinished direct uploads.
        Unavailable: The store cannot be reached or written.
    """
    uploads = _uploads(session, model, permitted=permitted)
    if size == 0:
        raise BadInput("an empty blob has no parts", hint="upload it to the server")
    begin_storing(session)
    uploader = uploader_of(session, model)
    upload = direct_upload.begin(uploads, uploader, digest, size, session.now(), total_limit=total_limit)
    missing, arrived = direct_upload.missing_parts(upload, size)
    step = direct_upload.part_sizes(size)[1]
    return DirectUpload(
        digest=digest,
        arrived_bytes=arrived,
        parts=tuple(
            UploadPart(
                number=number,
                start=(number - 1) * step,
                size_bytes=length,
                url=upload.presign(number, length, seconds),
            )
            for number, length in list(missing.items())[: direct_upload.URLS]
        ),
    )


def finish_direct(
    session: Session,
    model: ModelName,
    digest: Digest,
    size: int,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
    *,
    permitted: bool = True,
) -> UploadState:
    """Verify the bytes of a direct upload, store them as a blob, and claim it for the caller; idempotent.

    Raises:
        OutsideScope: The model is outside the scope of the caller.
        BadInput: Parts are missing, or the bytes have another size or digest; they are removed.
        Conflict: The caller has no direct upload of the blob.
        Unavailable: The store cannot be reached or written. The bytes stay, and the upload can be finished later.
    """
    uploads = _uploads(session, model, permitted=permitted)
    store, uploader = session.artifacts(), uploader_of(session, model)
    done = UploadState(digest=digest, offset=size, complete=True)
    upload = uploads.find_direct(uploader.direct(digest, size))
    try:
        if upload is None:
            raise NotFound("no direct upload is in progress", kind="upload")
        begin_storing(session)
        direct_upload.finish(upload, digest, size, progress)
    except (Conflict, NotFound) as error:  # another request has finished it
        if store.claims.size(uploader, digest, session.now()) == size:
            return done
        raise Conflict(f"no direct upload of {digest} is in progress", hint="upload the blob again") from error
    store.claims.add(uploader, {digest: size}, session.now())
    with suppress(MregError):  # gc removes it
        upload.discard()
    return done


def remove_expired(session: Session) -> None:
    """Remove the unfinished direct uploads of all callers whose last part arrived more than a day ago."""
    uploads = session.artifacts().direct_uploads
    if uploads is not None:
        direct_upload.remove_expired(uploads, session.now())


def _uploads(session: Session, model: ModelName, *, permitted: bool) -> SupportsDirectUploads:
    session.scope.check_name(model, "upload to")
    uploads = session.artifacts().direct_uploads if permitted else None
    if uploads is None or uploads.direct_refusal():
        raise BadInput("this server takes no direct uploads", hint="upload the blob to the server")
    return uploads
