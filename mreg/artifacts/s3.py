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
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, BinaryIO

from mreg.artifacts.backend import BlobParts, DirectUpload, Part, Unfinished
from mreg.artifacts.hashing import hashed, stream_chunks
from mreg.artifacts.objects import ObjectBackend
from mreg.domain.digest import blob_key, digest_of_key
from mreg.domain.redaction import attributed
from mreg.errors import Conflict, MregError, Unavailable
from mreg.stores.bucket import Bucket
from mreg.stores.failures import Failure, foreign
from mreg.stores.integrity import IntegrityCheck, changed
from mreg.stores.probing import PROBES, is_probe

GONE = ("NoSuchUpload", "NoSuchKey")
"""Error codes for an upload that was completed or discarded; Ceph answers ``NoSuchKey`` for its parts."""


class S3Parts(BlobParts):
    """The multipart upload of a key that has the most parts, or else a new upload, created with the first part."""

    def __init__(self, bucket: Bucket, key: str) -> None:
        self._bucket = bucket
        self._key = key
        self._upload = ""
        self._there: dict[int, dict[str, Any]] = {}
        self._beginning = threading.Lock()
        self._wrong = bucket.connection.target.words.damaged
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
                expected=lambda failure: failure.code in (*self._wrong, *GONE) or self._is_over(failure),
                Key=self._bucket.key(self._key),
                UploadId=self._begun(),
                PartNumber=part.number,
                Body=data,
                ContentLength=part.size,
                **self._bucket.checksum(part.digest),
            )
        except Failure as failure:
            if failure.code in self._wrong:
                raise self._refused_sum(failure, part, data) from failure
            if self._bucket.stat(self._key) is None:
                raise _discarded() from failure
            return  # another push of the same bytes has completed the upload
        if "ETag" not in answer:
            raise foreign(self._bucket.connection.target)
        if self._bucket.integrity is IntegrityCheck.TAG:
            data.seek(0)
            if answer["ETag"].strip('"') != _md5(data):
                raise self._bucket.retry.damaged()
        self._etags[part.number] = answer["ETag"]

    def _refused_sum(self, failure: Failure, part: Part, data: BinaryIO) -> MregError:
        """Return the error for a part whose checksum the store refused: the local file changed, or transit damage."""
        data.seek(0)
        if hashed(stream_chunks(data)) != part.digest:
            return changed()
        return self._bucket.retry.translated(failure)

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
                except Failure as failure:
                    from mreg.artifacts.upload import SMALL_BYTES

                    detail = attributed("the store", failure.text, self._bucket.secrets)
                    raise Unavailable(
                        f"{self._bucket.url} does not accept files larger than {SMALL_BYTES >> 20} MiB: the store "
                        f"has no multipart uploads ({failure.code}){detail}",
                        hint="choose another store for large files: mreg profile list",
                    ) from failure
                self._upload = made["UploadId"]
            return self._upload

    def complete(self, parts: Sequence[Part]) -> bool:
        try:
            if all(part.number in self._etags for part in parts):
                self._complete(parts)
                self._hold_against(parts)
                return True
        except Failure as failure:
            if not self._is_there(parts):
                if failure.code in GONE or self._is_over(failure):
                    raise _discarded() from failure
                raise self._bucket.retry.translated(failure) from failure
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
        condition = {"IfNoneMatch": "*"} if self._bucket.conditional else {}
        params: dict[str, Any] = {"MultipartUpload": {"Parts": listed}, **condition}
        try:
            self._bucket.call(
                "complete_multipart_upload",
                # 404: the response to an earlier try was lost; 412 and 409: another push of the same bytes was faster.
                expected=lambda failure: (
                    (failure.status in (404, 409, 412, 501) and failure.code != "NoSuchBucket")
                    or self._is_over(failure)
                ),
                Key=self._bucket.key(self._key),
                UploadId=self._upload,
                **params,
            )
        except Failure as failure:
            if failure.status != 501:
                raise
            self._bucket.forget_conditions()
            self._complete(parts)

    def _is_over(self, failure: Failure) -> bool:
        """Return whether a request failed because the upload was completed or discarded, so that retries are useless.

        In this case Ceph answers with status 500 and says that a completion is in progress.
        """
        if failure.status != 500:
            return False
        try:
            self._bucket.aws.ask("list_parts", Key=self._bucket.key(self._key), UploadId=self._upload, MaxParts=1)
        except Failure as found:
            return found.code in GONE
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


class S3Backend(ObjectBackend):
    """Blobs in an S3 bucket, under a prefix."""

    def prepare_parts(self) -> None:
        threading.Thread(target=self._bucket.prepare, daemon=True).start()

    def parts(self, key: str) -> S3Parts:
        """See `mreg.artifacts.backend.SupportsParts`."""
        return S3Parts(self._bucket, key)

    def unfinished(self) -> Iterator[Unfinished]:
        for upload in _uploads(self._bucket, "blobs/"):
            parts = list(_parts(self._bucket, upload))
            yield Unfinished(
                name=f"{upload['Key']} {upload['UploadId']}",
                size=sum(part["Size"] for part in parts),
                modified=max([upload["Initiated"], *(part["LastModified"] for part in parts)]),
            )
        from mreg.artifacts.s3_direct import unfinished

        yield from unfinished(self._bucket)
        yield from super().unfinished()

    def direct_refusal(self) -> str:
        """See `mreg.artifacts.backend.SupportsDirectUploads`."""
        try:
            strict = self._bucket.strict
        except MregError as error:
            return f"the store did not answer a probe, which is repeated with the next upload: {error.message}"
        return "" if strict else "the store accepts headers that are not signed"

    def find_direct(self, name: str) -> DirectUpload | None:
        """See `mreg.artifacts.backend.SupportsDirectUploads`."""
        from mreg.artifacts.s3_direct import find

        return find(self._bucket, name)

    def begin_direct(self, name: str) -> DirectUpload:
        """See `mreg.artifacts.backend.SupportsDirectUploads`."""
        from mreg.artifacts.s3_direct import begin

        return begin(self._bucket, name)

    def direct_uploads(self, beginning: str) -> Iterator[Unfinished]:
        """See `mreg.artifacts.backend.SupportsDirectUploads`."""
        from mreg.artifacts.s3_direct import begun

        return begun(self._bucket, beginning)

    def last_part(self, unfinished: Unfinished) -> datetime:
        """See `mreg.artifacts.backend.SupportsDirectUploads`."""
        from mreg.artifacts.s3_direct import arrived

        return arrived(self._bucket, unfinished.name)[1] or unfinished.modified

    def discard(self, unfinished: Unfinished) -> None:
        from mreg.artifacts.s3_direct import discard, is_direct

        if is_direct(unfinished.name):
            discard(self._bucket, unfinished.name)
            return
        if is_probe(unfinished.name, PROBES):
            super().discard(unfinished)
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
    with contextlib.suppress(Failure):  # the store cannot list unfinished uploads
        for page in pages:
            for upload in page.get("Uploads", ()):
                key = upload["Key"]
                if key.startswith(beginning) and digest_of_key(key.removeprefix(beginning)) is not None:
                    yield upload


def _parts(bucket: Bucket, upload: dict[str, Any]) -> Iterator[dict[str, Any]]:
    params: dict[str, Any] = {"Key": upload["Key"], "UploadId": upload["UploadId"]}
    with contextlib.suppress(Failure):  # completed or aborted in the meantime
        for page in bucket.pages("list_parts", ("PartNumberMarker",), expected=_is_no_list, **params):
            yield from page.get("Parts", ())


def _abort(bucket: Bucket, key: str, upload: str) -> None:
    with contextlib.suppress(Failure):
        bucket.call(
            "abort_multipart_upload",
            expected=lambda failure: failure.status == 404 or _is_unknown(failure),
            Key=key,
            UploadId=upload,
        )


def _is_unknown(failure: Failure) -> bool:
    """Return whether the store does not support an operation."""
    return failure.status in (405, 501) and not failure.is_foreign


def _is_no_list(failure: Failure) -> bool:
    return failure.code in GONE or _is_unknown(failure)


def _discarded() -> Conflict:
    return Conflict("the upload was discarded meanwhile", hint="push again")


def _md5(data: BinaryIO) -> str:
    """Return the MD5 sum of the rest of a stream, in hex digits."""
    md5 = hashlib.md5(usedforsecurity=False)
    while chunk := data.read(1 << 20):
        md5.update(chunk)
    return md5.hexdigest()
