"""Uploads of large blobs by presigned URLs: which parts are missing, and the verification of their bytes.

The client sends bytes to a temporary object of its own. The store joins the parts, the bytes are read back and hashed,
and only then are they copied to the key of the blob. A crash leaves the temporary object, from which the next request
continues.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from contextlib import closing, suppress
from datetime import datetime

from mreg.artifacts.backend import DirectUpload, SupportsDirectUploads
from mreg.artifacts.claims import VALID, Uploader
from mreg.artifacts.hashing import check_received, stream_chunks
from mreg.artifacts.parts import part_bytes
from mreg.domain.digest import Digest, blob_key
from mreg.domain.text import counted, size_text
from mreg.errors import BadInput, Conflict, MregError

LOOK_AGAIN_SECONDS = (0.1, 0.4)
"""Pauses before a store is asked again for parts that are missing."""

CALLER_LIMIT = 100
"""Maximum number of unfinished uploads of a caller."""

URLS = 64
"""Maximum number of parts whose URLs are given at once, so that they are used before they expire."""


def begin(
    backend: SupportsDirectUploads, uploader: Uploader, digest: Digest, size: int, now: datetime, *, total_limit: int
) -> DirectUpload:
    """Return the unfinished upload of a blob by a caller, or begin one.

    For a new one, expired uploads of the caller are removed.

    Args:
        total_limit: Maximum total size of the blobs whose uploads the caller has not finished.

    Raises:
        Conflict: The caller has too many unfinished uploads.
    """
    name = uploader.direct(digest, size)
    found = backend.find_direct(name)
    if found is not None:
        return found
    remove_expired(backend, now, uploader.direct_beginning)
    made = backend.begin_direct(name)
    # Counted afterwards, so that requests at the same time cannot exceed the limit.
    sizes = [one.size for one in backend.direct_uploads(uploader.direct_beginning)]
    if len(sizes) > CALLER_LIMIT or sum(sizes) > total_limit:
        made.discard()
        raise Conflict(
            f"this client has {counted(len(sizes) - 1, 'unfinished direct upload')} of {size_text(sum(sizes) - size)}, "
            f"and can have at most {CALLER_LIMIT} of {size_text(total_limit)} together",
            hint="upload the blob to the server, or repeat interrupted pushes to finish theirs; other uploads are "
            "removed 24 hours after their last part arrived",
        )
    return made


def discard(backend: SupportsDirectUploads, uploader: Uploader, digest: Digest, size: int) -> None:
    """Remove the unfinished upload of a blob by a caller, if there is one."""
    found = backend.find_direct(uploader.direct(digest, size))
    if found is not None:
        found.discard()


def remove_expired(backend: SupportsDirectUploads, now: datetime, beginning: str = "") -> None:
    """Remove the uploads whose last part arrived so long ago that no claim of that time is valid.

    Args:
        beginning: Beginning of the names of the uploads (default: those of all callers).
    """
    for one in backend.direct_uploads(beginning):
        if one.modified < now - VALID and backend.last_part(one) < now - VALID:
            with suppress(MregError):
                backend.discard(one)


def part_sizes(size: int) -> dict[int, int]:
    """Return the sizes of the parts of a blob by number."""
    step = part_bytes(size)
    return {number + 1: min(step, size - start) for number, start in enumerate(range(0, size, step))}


def missing_parts(upload: DirectUpload, size: int) -> tuple[dict[int, int], int]:
    """Return the sizes of the parts that have not arrived, by number, and the number of bytes that have."""
    arrived, wanted = upload.sizes(), part_sizes(size)
    if upload.joined:  # by another request, perhaps only now
        return {}, size
    missing = {number: length for number, length in wanted.items() if arrived.get(number) != length}
    return missing, size - sum(missing.values())


def _missing(upload: DirectUpload, size: int) -> dict[int, int]:
    """Return the sizes of the parts that have not arrived, by number; none if another request has joined them.

    A store can list the parts incompletely while another request joins them, so it is asked again.
    """
    for pause in LOOK_AGAIN_SECONDS:
        if not missing_parts(upload, size)[0]:
            return {}
        time.sleep(pause)
    return missing_parts(upload, size)[0]


def finish(upload: DirectUpload, digest: Digest, size: int, progress: Callable[[int, int], None]) -> None:
    """Verify the bytes of an upload, and make them a blob. The temporary bytes stay, unless they are refused.

    Raises:
        BadInput: Parts are missing or have other sizes, or the bytes have another digest; they are removed.
        Conflict: The upload was discarded.
        NotFound: Another request has moved the bytes.
    """
    try:
        if not upload.joined:
            missing = _missing(upload, size)
            more = upload.sizes().keys() - part_sizes(size).keys()
            if missing or more:
                what = (
                    f"{counted(len(missing), 'part')} missing" if missing else f"{counted(len(more), 'part')} too many"
                )
                raise BadInput(f"the upload of {digest} is not complete: {what}", hint="upload the blob again")
            upload.join()
        count, received = 0, hashlib.sha256()
        with closing(upload.open()) as stream:
            for chunk in stream_chunks(stream):
                received.update(chunk)
                count += len(chunk)
                progress(min(count, size), 2 * size)
        if count != size:
            raise BadInput(f"the upload of {digest} has another size: expected {size:,} bytes, got {count:,}")
        check_received(digest, Digest.sha256(received.hexdigest()))
    except BadInput:
        upload.discard()
        raise
    upload.move(blob_key(digest), size, lambda copied: progress(size + copied, 2 * size))
