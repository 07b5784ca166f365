"""Uploads that clients of a server send to an S3 bucket by presigned URLs.

::

    direct/<caller>/<model>/<digest>-<size>/<random>         the id of a multipart upload
    direct/<caller>/<model>/<digest>-<size>/<random>.bytes   its key; the parts, once they are joined

Each upload has a key of its own. A store takes no more parts for a multipart upload that was completed, and nothing
begins another one at this key. So the joined bytes cannot change between their verification and the copy. The id is
kept in an object, because some stores cannot list the multipart uploads below a prefix.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any, BinaryIO

from mreg.artifacts.backend import DirectUpload, Unfinished
from mreg.artifacts.hashing import digest_of
from mreg.artifacts.parallel import in_order
from mreg.errors import Conflict, MregError, NotFound
from mreg.stores.bucket import Bucket
from mreg.stores.failures import Failure

ROOT = "direct/"
BYTES = ".bytes"

GONE = ("NoSuchUpload", "NoSuchKey")
"""Error codes of an upload that was completed or discarded, and of an object that does not exist."""

ID_LIMIT = 4096
"""Maximum size of the id of a multipart upload."""

COPY_BYTES = 256 << 20
COPIES_AT_ONCE = 4
"""A larger object is copied in parts of that size, since one request can copy at most 5 GiB, and has a timeout."""

_BEGUN = re.compile(r"(direct/[0-9a-f]{32}/[0-9a-f]{32}/[0-9a-f]{64}-(0|[1-9][0-9]{0,18})/[0-9a-f]{32})(\.bytes)?")


def is_direct(key: str) -> bool:
    """Return whether a key is that of a direct upload."""
    return _BEGUN.fullmatch(key) is not None


@dataclass(slots=True)
class _Found:
    """The objects of an upload.

    Attributes:
        size: Size of the blob.
        modified: When the last of them was written.
    """

    size: int
    modified: datetime
    joined: bool


def _uploads(bucket: Bucket, prefix: str) -> dict[str, _Found]:
    """Return the uploads by the keys that have their ids."""
    found: dict[str, _Found] = {}
    for key, head in bucket.list(prefix):
        match = _BEGUN.fullmatch(key)
        if match is None:
            continue
        joined = match[3] is not None
        known = found.setdefault(match[1], _Found(int(match[2]), head.modified, joined))
        known.joined, known.modified = known.joined or joined, max(known.modified, head.modified)
    return found


class S3Direct(DirectUpload):
    """One upload.

    Args:
        key: Key of the object with the id.
        upload: Id of the multipart upload.
    """

    def __init__(self, bucket: Bucket, key: str, upload: str, *, joined: bool) -> None:
        self._bucket, self._key, self._upload = bucket, key, upload
        self.joined = joined

    @property
    def _parts(self) -> dict[str, Any]:
        return {"Key": self._bucket.key(f"{self._key}{BYTES}"), "UploadId": self._upload}

    def sizes(self) -> dict[int, int]:
        return {number: part["Size"] for number, part in (self._look() or {}).items()}

    def exists(self) -> bool:
        """Return whether the parts or the joined bytes are in the store."""
        parts = None if self.joined else self._look()
        return parts is not None or self.joined

    def _look(self) -> dict[int, dict[str, Any]] | None:
        """Return the parts as `_listed` does; another request can have joined them since this one found the upload."""
        listed = _listed(self._bucket, self._parts)
        if listed is None:
            self.joined = self.joined or self._bucket.stat(f"{self._key}{BYTES}") is not None
        return listed

    def presign(self, number: int, size: int, seconds: int) -> str:
        return self._bucket.retry.run(
            lambda: self._bucket.signing.presign(
                "upload_part", seconds, PartNumber=number, ContentLength=size, **self._parts
            )
        )

    def join(self) -> None:
        if self.joined:
            return
        listed = _listed(self._bucket, self._parts)
        try:
            if not listed:
                raise _discarded()
            parts = [{"PartNumber": number, "ETag": part["ETag"]} for number, part in sorted(listed.items())]
            self._bucket.call(
                "complete_multipart_upload",
                expected=lambda failure: failure.code in GONE,
                MultipartUpload={"Parts": parts},
                **self._parts,
            )
        except (Failure, Conflict) as failure:
            if self._bucket.stat(f"{self._key}{BYTES}") is None:
                raise _discarded() from failure
            # Another request has joined them, or the answer to an earlier try was lost.
        self.joined = True

    def open(self) -> BinaryIO:
        stream = self._bucket.open(f"{self._key}{BYTES}")
        if stream is None:
            raise NotFound("the bytes of the upload were moved or discarded", kind="upload")
        return stream

    def move(self, key: str, size: int, progress: Callable[[int], None]) -> None:
        found = self._bucket.stat(key)
        if found is not None and found.size == size:
            return
        source = {"Bucket": self._bucket.name, "Key": self._bucket.key(f"{self._key}{BYTES}")}
        try:
            if size <= COPY_BYTES:
                self._bucket.call("copy_object", expected=_is_gone, Key=self._bucket.key(key), CopySource=source)
            else:
                _copy_in_parts(self._bucket, source, self._bucket.key(key), size, progress)
        except Failure as failure:
            raise NotFound("the bytes of the upload were moved or discarded", kind="upload") from failure
        found = self._bucket.stat(key)
        if found is None or found.size != size:
            raise self._bucket.retry.damaged()

    def discard(self) -> None:
        folder = self._key.rpartition("/")[0]
        for key in _uploads(self._bucket, f"{folder}/"):
            discard(self._bucket, key)


def find(bucket: Bucket, name: str) -> S3Direct | None:
    """Return the unfinished upload of a name: a joined one, otherwise the oldest; None if there is none."""
    found = _uploads(bucket, f"{ROOT}{name}/")
    for key in sorted(found, key=lambda key: (not found[key].joined, found[key].modified, key)):
        data = bucket.fetch(key, largest=ID_LIMIT)
        if data is None:
            continue
        upload = S3Direct(bucket, key, data[0].decode("utf-8", "replace"), joined=found[key].joined)
        if upload.exists():
            return upload
        discard(bucket, key)  # its parts were removed, such as by a lifecycle rule of the bucket
    return None


def begin(bucket: Bucket, name: str) -> S3Direct:
    """Begin an upload."""
    key = f"{ROOT}{name}/{secrets.token_hex(16)}"
    target = bucket.key(f"{key}{BYTES}")
    made = bucket.retry.run(lambda: bucket.signing.ask("create_multipart_upload", Key=target))
    upload = str(made["UploadId"])
    data = upload.encode()
    bucket.put(key, data, digest_of(data))
    return S3Direct(bucket, key, upload, joined=False)


def begun(bucket: Bucket, beginning: str) -> Iterator[Unfinished]:
    """Yield the uploads whose names begin with a text: the sizes of their blobs, and when they began."""
    for key, found in _uploads(bucket, f"{ROOT}{beginning}").items():
        yield Unfinished(name=key, size=found.size, modified=found.modified)


def unfinished(bucket: Bucket) -> Iterator[Unfinished]:
    """Yield all uploads, with the number of bytes and the time of the last part."""
    for key, found in _uploads(bucket, ROOT).items():
        size, last = arrived(bucket, key)
        yield Unfinished(name=key, size=size, modified=last or found.modified)


def arrived(bucket: Bucket, key: str) -> tuple[int, datetime | None]:
    """Return the number of bytes of an upload in the store, and when the last of them arrived."""
    joined = bucket.stat(f"{key}{BYTES}")
    if joined is not None:
        return joined.size, joined.modified
    data = bucket.fetch(key, largest=ID_LIMIT)
    if data is None:
        return 0, None
    upload = S3Direct(bucket, key, data[0].decode("utf-8", "replace"), joined=False)
    parts = (_listed(bucket, upload._parts) or {}).values()
    return sum(part["Size"] for part in parts), max((part["LastModified"] for part in parts), default=None)


def discard(bucket: Bucket, key: str) -> None:
    """Remove an upload; idempotent. If it fails in between, the id is still there."""
    data = bucket.fetch(key, largest=ID_LIMIT)
    if data is not None:
        with suppress(Failure):
            bucket.call(
                "abort_multipart_upload",
                expected=lambda failure: failure.status in (400, 404, 405, 501),
                Key=bucket.key(f"{key}{BYTES}"),
                UploadId=data[0].decode("utf-8", "replace"),
            )
    bucket.delete(f"{key}{BYTES}")
    bucket.delete(key)


def _copy_in_parts(
    bucket: Bucket, source: Mapping[str, str], target: str, size: int, progress: Callable[[int], None]
) -> None:
    """Copy a large object within the bucket.

    Raises:
        Failure: The object does not exist any more.
    """
    upload = bucket.retry.run(lambda: bucket.signing.ask("create_multipart_upload", Key=target))["UploadId"]

    def copy(number: int) -> dict[str, Any]:
        start = (number - 1) * COPY_BYTES
        answer = bucket.call(
            "upload_part_copy",
            expected=_is_gone,
            Key=target,
            UploadId=upload,
            PartNumber=number,
            CopySource=source,
            CopySourceRange=f"bytes={start}-{min(start + COPY_BYTES, size) - 1}",
        )
        return {"PartNumber": number, "ETag": answer["CopyPartResult"]["ETag"]}

    try:
        parts = []
        with closing(in_order(copy, range(1, -(-size // COPY_BYTES) + 1), at_once=COPIES_AT_ONCE)) as copied:
            for part in copied:
                parts.append(part)
                progress(min(len(parts) * COPY_BYTES, size))
        bucket.call("complete_multipart_upload", Key=target, UploadId=upload, MultipartUpload={"Parts": parts})
    except BaseException:
        with suppress(Failure, MregError):
            bucket.call("abort_multipart_upload", expected=lambda _failure: True, Key=target, UploadId=upload)
        raise


def _listed(bucket: Bucket, parts: Mapping[str, Any]) -> dict[int, dict[str, Any]] | None:
    """Return the parts that have arrived, by number; None if the upload was completed or discarded."""
    found: dict[int, dict[str, Any]] = {}
    try:
        for page in bucket.pages("list_parts", ("PartNumberMarker",), expected=_is_gone, **parts):
            found.update((part["PartNumber"], part) for part in page.get("Parts", ()))
    except Failure:
        return None
    return found


def _is_gone(failure: Failure) -> bool:
    return failure.code in GONE or failure.status == 404


def _discarded() -> Conflict:
    return Conflict("the upload was discarded meanwhile", hint="upload the blob again")
