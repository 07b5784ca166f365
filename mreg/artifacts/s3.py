"""Blobs in an S3 bucket.

::

    s3://bucket/prefix/blobs/sha256/ab/cdef...   a blob
    multipart uploads of such keys               incomplete large blobs

S3 writes objects atomically, and an object is durable once the store has confirmed the write.
"""

from __future__ import annotations

import contextlib
import hashlib
import threading
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, BinaryIO

from botocore.exceptions import ClientError

from mreg.artifacts.backend import BlobBackend, BlobParts, BlobStat, Part, Unfinished
from mreg.artifacts.hashing import digest_of, hashed, stream_chunks
from mreg.artifacts.parallel import in_order
from mreg.domain.digest import blob_key, digest_of_key
from mreg.domain.redaction import attributed
from mreg.errors import Conflict, MregError, NotFound, Unavailable
from mreg.s3.bucket import Bucket
from mreg.s3.failures import FAILURES, code_of, is_foreign, message_of, status_of
from mreg.s3.integrity import WRONG_DIGEST, IntegrityCheck, changed
from mreg.s3.probing import PROBES, is_probe, left_probes

SMALL_AT_ONCE = 32
BUDGET_BYTES = 64 << 20

GONE = ("NoSuchUpload", "NoSuchKey")
"""Error codes for an upload that was completed or discarded; Ceph answers ``NoSuchKey`` for its parts."""

UNCHECKED = "it does not verify uploads: damage in transit is detected and repaired after the upload"


class S3Parts(BlobParts):
    """The multipart upload of a key that has the most parts, or else a new upload, created with the first part."""

    def __init__(self, bucket: Bucket, key: str) -> None:
        self._bucket = bucket
        self._key = key
        self._upload = ""
        self._there: dict[int, dict[str, Any]] = {}
        self._beginning = threading.Lock()
        for upload in _uploads(bucket, key):
            if upload["Key"] == bucket.key(key):
                there = {part["PartNumber"]: part for part in _parts(bucket, upload)}
                if not self._upload or len(there) > len(self._there):
                    self._upload, self._there = upload["UploadId"], there
        self._etags = {number: str(part["ETag"]) for number, part in self._there.items()}

    def has(self, part: Part, data: BinaryIO) -> bool:
        found = self._there.get(part.number)
        if found is None or found["Size"] != part.size:
            return False
        if self._bucket.integrity is IntegrityCheck.SUM and "ChecksumSHA256" in found:
            return bool(found["ChecksumSHA256"] == self._bucket.checksum(part.digest)["ChecksumSHA256"])
        # The entity tag of a part is its MD5 sum, unless the store encrypts it with its own key.
        return bool(found["ETag"].strip('"') == _md5(data))

    def put(self, part: Part, data: BinaryIO) -> None:
        try:
            answer = self._bucket.call(
                "upload_part",
                expected=lambda error: code_of(error) in (*WRONG_DIGEST, *GONE) or self._is_over(error),
                Key=self._bucket.key(self._key),
                UploadId=self._begun(),
                PartNumber=part.number,
                Body=data,
                ContentLength=part.size,
                **self._bucket.checksum(part.digest),
            )
        except ClientError as error:
            if code_of(error) in WRONG_DIGEST:
                raise self._refused_sum(error, part, data) from error
            if self._bucket.stat(self._key) is None:
                raise _discarded() from error
            return  # another push of the same bytes has completed the upload
        sent = self._bucket.genuine(answer)
        if self._bucket.integrity is IntegrityCheck.TAG:
            data.seek(0)
            if sent["ETag"].strip('"') != _md5(data):
                raise self._bucket.retry.damaged()
        self._etags[part.number] = sent["ETag"]

    def _refused_sum(self, error: ClientError, part: Part, data: BinaryIO) -> MregError:
        """Return the error for a part whose checksum the store refused: the local file changed, or transit damage."""
        data.seek(0)
        if hashed(stream_chunks(data)) != part.digest:
            return changed()
        return self._bucket.retry.translated(error)

    def _begun(self) -> str:
        with self._beginning:
            if not self._upload:
                params: dict[str, Any] = (
                    {"ChecksumAlgorithm": "SHA256"} if self._bucket.integrity is IntegrityCheck.SUM else {}
                )
                try:
                    made = self._bucket.call(
                        "create_multipart_upload", expected=_is_unknown, Key=self._bucket.key(self._key), **params
                    )
                except ClientError as error:
                    from mreg.artifacts.upload import SMALL_BYTES

                    detail = attributed("the store", message_of(error), self._bucket.retry.secrets)
                    raise Unavailable(
                        f"{self._bucket.url} does not accept files larger than {SMALL_BYTES >> 20} MiB: the store "
                        f"has no multipart uploads ({code_of(error)}){detail}",
                        hint="choose another store for large files: mreg profile list",
                    ) from error
                self._upload = made["UploadId"]
            return self._upload

    def complete(self, parts: Sequence[Part]) -> bool:
        try:
            if all(part.number in self._etags for part in parts):
                self._complete(parts)
                self._hold_against(parts)
                return True
        except ClientError as error:
            if not self._is_there(parts):
                if code_of(error) in GONE or self._is_over(error):
                    raise _discarded() from error
                raise self._bucket.retry.translated(error) from error
            _abort(self._bucket, self._bucket.key(self._key), self._upload)
            return False
        if not self._is_there(parts):
            raise _discarded()
        return False

    def _complete(self, parts: Sequence[Part]) -> None:
        listed = [
            {
                "PartNumber": part.number,
                "ETag": self._etags[part.number],
                **(self._bucket.checksum(part.digest) if self._bucket.integrity is IntegrityCheck.SUM else {}),
            }
            for part in parts
        ]
        params: dict[str, Any] = {"MultipartUpload": {"Parts": listed}, **self._bucket.if_absent}
        try:
            self._bucket.call(
                "complete_multipart_upload",
                # 404: the response to an earlier try was lost; 412 and 409: another push of the same bytes was faster.
                expected=lambda error: (
                    (status_of(error) in (404, 409, 412, 501) and code_of(error) != "NoSuchBucket")
                    or self._is_over(error)
                ),
                Key=self._bucket.key(self._key),
                UploadId=self._upload,
                **params,
            )
        except ClientError as error:
            if status_of(error) != 501:
                raise
            self._bucket.forget_conditions()
            self._complete(parts)

    def _is_over(self, error: Exception) -> bool:
        """Return whether a request failed because the upload was completed or discarded, so that retries are useless.

        In this case Ceph answers with status 500 and says that a completion is in progress.
        """
        if status_of(error) != 500:
            return False
        try:
            self._bucket.ask("list_parts", Key=self._bucket.key(self._key), UploadId=self._upload, MaxParts=1)
        except FAILURES as found:
            return code_of(found) in GONE
        return False

    def _hold_against(self, parts: Sequence[Part]) -> None:
        """Check that the blob exists and is complete; if the store verifies nothing, also remove a damaged blob.

        Raises:
            Unavailable: The blob is missing or damaged.
        """
        found = self._bucket.stat(self._key)
        if found is None or found.size != sum(part.size for part in parts):
            raise self._bucket.retry.damaged()
        if self._bucket.integrity is not IntegrityCheck.TAG:
            return
        sums = b"".join(bytes.fromhex(self._etags[part.number].strip('"')) for part in parts)
        tag = f"{hashlib.md5(sums, usedforsecurity=False).hexdigest()}-{len(parts)}"
        if found.etag.strip('"') == tag:
            return
        stream = self._bucket.open(self._key)
        if stream is None:
            return
        with contextlib.closing(stream):
            digest = hashed(stream_chunks(stream))
        if blob_key(digest) != self._key:
            self._bucket.delete(self._key)
            raise self._bucket.retry.damaged()

    def _is_there(self, parts: Sequence[Part]) -> bool:
        found = self._bucket.stat(self._key)
        return found is not None and found.size == sum(part.size for part in parts)


class S3Backend(BlobBackend):
    """Blobs in a bucket, under a prefix."""

    remote = True

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket

    @property
    def url(self) -> str:
        return self._bucket.url

    @property
    def conditional(self) -> bool:
        return bool(self._bucket.if_absent)

    @property
    def verification(self) -> tuple[str, str]:
        check = self._bucket.integrity
        return check.description, UNCHECKED if check is IntegrityCheck.TAG else ""

    def forget(self) -> None:
        self._bucket.forget()

    def parts(self, key: str) -> S3Parts:
        """See `mreg.artifacts.backend.SupportsParts`."""
        return S3Parts(self._bucket, key)

    def put_if_absent(self, key: str, data: bytes) -> bool:
        digest = digest_of(data)
        made = self._bucket.put(key, data, digest, if_absent=True)
        return made or (key == blob_key(digest) and self._bucket.repair(key, data, digest))

    def put_many_if_absent(self, blobs: Iterable[tuple[str, bytes]]) -> int:
        seen: set[str] = set()

        def once() -> Iterator[tuple[str, bytes]]:
            for key, data in blobs:
                if key not in seen:
                    seen.add(key)
                    yield key, data

        return sum(
            in_order(
                lambda blob: self.put_if_absent(*blob),
                once(),
                at_once=SMALL_AT_ONCE,
                size=lambda blob: len(blob[1]),
                budget=BUDGET_BYTES,
            )
        )

    def open(self, key: str, start: int = 0, length: int | None = None) -> BinaryIO:
        stream = self._bucket.open(key, start, length)
        if stream is None:
            raise NotFound(f"the blob {key} is missing from {self.url}")
        return stream

    def stat(self, key: str) -> BlobStat | None:
        found = self._bucket.stat(key)
        return None if found is None else BlobStat(size=found.size, modified=found.modified)

    def list(self, prefix: str) -> Iterator[tuple[str, BlobStat]]:
        for key, found in self._bucket.list(prefix):
            yield key, BlobStat(size=found.size, modified=found.modified)

    def delete(self, key: str) -> None:
        self._bucket.delete(key)

    def unfinished(self) -> Iterator[Unfinished]:
        for upload in _uploads(self._bucket, "blobs/"):
            parts = list(_parts(self._bucket, upload))
            yield Unfinished(
                name=f"{upload['Key']} {upload['UploadId']}",
                size=sum(part["Size"] for part in parts),
                modified=max([upload["Initiated"], *(part["LastModified"] for part in parts)]),
            )
        for key, found in left_probes(self._bucket, PROBES):
            yield Unfinished(name=key, size=found.size, modified=found.modified)

    def discard(self, unfinished: Unfinished) -> None:
        if is_probe(unfinished.name, PROBES):
            self._bucket.delete(unfinished.name)
            return
        key, _, upload = unfinished.name.rpartition(" ")
        _abort(self._bucket, key, upload)


def _uploads(bucket: Bucket, prefix: str) -> Iterator[dict[str, Any]]:
    """Yield the unfinished uploads of mreg's blobs; some stores list the uploads of all keys."""
    beginning = bucket.key("")
    pages = bucket.pages(
        "list_multipart_uploads",
        ("KeyMarker", "UploadIdMarker"),
        expected=_is_unknown,
        Prefix=bucket.key(prefix),
    )
    with contextlib.suppress(ClientError):  # the store cannot list unfinished uploads
        for page in pages:
            for upload in page.get("Uploads", ()):
                key = upload["Key"]
                if key.startswith(beginning) and digest_of_key(key.removeprefix(beginning)) is not None:
                    yield upload


def _parts(bucket: Bucket, upload: dict[str, Any]) -> Iterator[dict[str, Any]]:
    params: dict[str, Any] = {"Key": upload["Key"], "UploadId": upload["UploadId"]}
    with contextlib.suppress(ClientError):  # completed or aborted in the meantime
        for page in bucket.pages("list_parts", ("PartNumberMarker",), expected=_is_no_list, **params):
            yield from page.get("Parts", ())


def _abort(bucket: Bucket, key: str, upload: str) -> None:
    with contextlib.suppress(ClientError):
        bucket.call(
            "abort_multipart_upload",
            expected=lambda error: status_of(error) == 404 or _is_unknown(error),
            Key=key,
            UploadId=upload,
        )


def _is_unknown(error: Exception) -> bool:
    """Return whether the store does not support an operation."""
    return status_of(error) in (405, 501) and not is_foreign(error)


def _is_no_list(error: Exception) -> bool:
    return code_of(error) in GONE or _is_unknown(error)


def _discarded() -> Conflict:
    return Conflict("the upload was discarded meanwhile", hint="push again")


def _md5(data: BinaryIO) -> str:
    """Return the MD5 sum of the rest of a stream, in hex digits."""
    md5 = hashlib.md5(usedforsecurity=False)
    while chunk := data.read(1 << 20):
        md5.update(chunk)
    return md5.hexdigest()
