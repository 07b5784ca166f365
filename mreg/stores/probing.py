"""Probes that find the traits of a store with temporary objects: nothing is assumed of a store."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from mreg.domain.digest import Digest
from mreg.errors import MregError, Unavailable
from mreg.stores.failures import Failure, Kind, foreign
from mreg.stores.integrity import IntegrityCheck, encoded
from mreg.stores.traits import BARE, QUOTED, Traits

if TYPE_CHECKING:
    from mreg.stores.bucket import Bucket
    from mreg.stores.client import Head

PROBES = "probes/"
"""Prefix of the keys of probes; probes of a catalog begin with its key, see `probes_of`."""

PROBE_SECONDS = 60
"""How long the presigned URL of a probe is valid."""

CONTENT, OTHER = b"mreg tries what this store checks", b"other bytes"


def find_integrity_check(bucket: Bucket) -> IntegrityCheck:
    """Return the first method by which the store refuses an upload that does not match its checksum.

    This takes one request if the store checks SHA-256 sums.

    Raises:
        Unavailable: The store cannot be written, or no method works.
    """
    with _probe(bucket) as (key, written):
        for check in (IntegrityCheck.SUM, IntegrityCheck.SIGNATURE, IntegrityCheck.MD5):
            if check is IntegrityCheck.SUM and not bucket.connection.can_request_checksums:
                continue
            answer, code = _put(bucket, key, check, wrong=True)
            written.append(answer)
            if code in bucket.connection.target.words.damaged:
                return check
            if code == "SignatureDoesNotMatch":
                # The store detected the damage, or wrong secret key; in that case this put fails as well.
                written.append(_put(bucket, key, check, wrong=False)[0])
                return check
        answer, _ = _put(bucket, key, IntegrityCheck.TAG, wrong=False)
        written.append(answer)
        tag = "" if answer is None else str(answer.get("ETag", "")).strip('"')
        if tag == hashlib.md5(CONTENT, usedforsecurity=False).hexdigest():
            return IntegrityCheck.TAG
        found = bucket.fetch(key)
        if found is not None and found[0] != CONTENT:
            raise bucket.retry.damaged()
        raise Unavailable(
            f"cannot use {bucket.url}: mreg cannot verify uploads to it. The store checks "
            "neither SHA-256 sums nor signatures nor MD5 sums, and its entity tags are not MD5 sums",
            hint="choose another store: mreg profile list",
        )


def _put(bucket: Bucket, key: str, check: IntegrityCheck, *, wrong: bool) -> tuple[dict[str, Any] | None, str]:
    """Put an object with its own checksum or a wrong one; return the response, or None and the error code."""
    announced = OTHER if wrong else CONTENT
    params: dict[str, Any] = {"ChecksumSHA256": encoded(hashlib.sha256(announced).digest())}
    if check is IntegrityCheck.MD5 and wrong:
        params = {"ContentMD5": encoded(hashlib.md5(announced, usedforsecurity=False).digest())}
        params["ChecksumSHA256"] = encoded(hashlib.sha256(CONTENT).digest())
    try:
        with bucket.sending_with(check):
            answer = bucket.call(
                "put_object",
                expected=_is_refusal(bucket, check, wrong=wrong),
                Key=bucket.key(key),
                Body=CONTENT,
                **params,
            )
        if "ETag" not in answer:
            raise foreign(bucket.connection.target)
        return dict(answer), ""
    except Failure as failure:
        return None, failure.code


def _is_refusal(bucket: Bucket, check: IntegrityCheck, *, wrong: bool) -> Callable[[Failure], bool]:
    """Return a function that tells if an error refuses the checksum: it does not match, or is not supported."""

    damaged = bucket.connection.target.words.damaged

    def is_refusal(failure: Failure) -> bool:
        code = failure.code
        if code == "SignatureDoesNotMatch":
            return check is IntegrityCheck.SIGNATURE and wrong
        return code in (*damaged, "NotImplemented", "InvalidArgument", "InvalidRequest") or failure.status == 501

    return is_refusal


@contextlib.contextmanager
def _probe(bucket: Bucket) -> Iterator[tuple[str, list[object]]]:
    """Yield an unused key and a list for responses; the object is removed if the list has a response at the end."""
    key, written = f"{PROBES}{os.urandom(8).hex()}", list[object]()
    try:
        yield key, written
    finally:
        if any(written):
            with contextlib.suppress(MregError):
                bucket.delete(key)


def probes_of(key: str) -> str:
    """Return the prefix of the keys of a catalog's probes."""
    return f"{key}.probe-"


def is_probe(key: str, start: str) -> bool:
    """Return whether a key is that of a probe.

    Args:
        start: Prefix of the keys of probes.
    """
    return re.fullmatch("[0-9a-f]{16}", key.removeprefix(start)) is not None


def left_probes(bucket: Bucket, start: str) -> Iterator[tuple[str, Head]]:
    """Return the existing probes: those in use at the moment, and those of killed clients."""
    return ((key, found) for key, found in bucket.list(start) if is_probe(key, start))


def find_etag_form(bucket: Bucket, key: str) -> Traits:
    """Return the known traits of the bucket with the form of entity tags in If-Match that works.

    A put with If-None-Match over an existing object must be refused, and so must a put with an old entity tag; a put
    with the current tag must succeed.

    Args:
        key: Key of the catalog; the key of the probe begins with it.

    Raises:
        ConditionalWritesUnsupported: The store ignores a condition, or refuses a condition that holds.
        Unavailable: The store cannot be written.
    """
    probe, number = f"{probes_of(key)}{os.urandom(8).hex()}", 0

    def swap(tag: str, *, must_succeed: bool = False) -> str:
        """Put new content and return its entity tag; if it `must_succeed`, check for a lost response."""
        nonlocal number
        number += 1
        data = b"%d" % number
        return _swap(bucket, probe, data, tag) if must_succeed else bucket.swap(probe, data, _digest(data), tag)

    problem, form = "", ""
    try:
        first = swap("", must_succeed=True)
        if not first:
            problem = NEVER
        elif swap(""):
            problem = IGNORED
        else:
            for form in (QUOTED, BARE):
                with bucket.tags_as(form):
                    if swap(first, must_succeed=True):
                        problem = IGNORED if swap(first) else ""  # by now this is the tag of an earlier content
                        break
                problem = REFUSED
    finally:
        with contextlib.suppress(MregError):
            bucket.delete(probe)
    if problem:
        raise ConditionalWritesUnsupported(problem, versioned=bucket.traits.versioned)
    return replace(bucket.traits, tags=form)


class ConditionalWritesUnsupported(Unavailable):
    """Conditional writes do not work in this bucket.

    Attributes:
        problem: What is wrong with the store, as a clause.
        versioned: The bucket has or had versioning, which can be the cause.
    """

    def __init__(self, problem: str, *, versioned: bool, hint: str = "") -> None:
        super().__init__(problem, hint=hint)
        self.problem = problem
        self.versioned = versioned


IGNORED = "the store ignores If-None-Match or If-Match, so writers would overwrite each other"
REFUSED = "the store refuses If-Match even with the right entity tag, quoted and unquoted, so no client could write"
NEVER = "the store refuses If-None-Match although the object does not exist, so no client could create it"
MARKED = "the store refuses a new object over the delete marker of an old one"


def revives(bucket: Bucket) -> bool:
    """Return whether a put with If-None-Match succeeds after a delete; Ceph refuses it because of a delete marker."""
    with _probe(bucket) as (key, written):
        written.append(_swap(bucket, key, CONTENT, ""))
        bucket.delete(key)
        return bool(_swap(bucket, key, CONTENT, ""))


def is_strict(bucket: Bucket) -> bool:
    """Return whether the store refuses a request by a presigned URL that has a header of S3 which was not signed.

    Otherwise a client could add ``x-amz-copy-source`` to the upload of a part: the store would look up any object for
    it.

    Raises:
        Unavailable: The store does not answer, or refuses the request without that header, too.
    """
    with _probe(bucket) as (key, written):
        written.append(bucket.put(key, CONTENT, _digest(CONTENT)))
        name = bucket.key(key)
        upload = bucket.call("create_multipart_upload", Key=name)["UploadId"]

        def put(headers: dict[str, str]) -> int:
            url = bucket.signing.presign(
                "upload_part", PROBE_SECONDS, Key=name, UploadId=upload, PartNumber=1, ContentLength=1
            )
            status = bucket.signing.put_by_url(url, CONTENT[:1], headers)
            if status == 429 or status >= 500:
                raise Failure(Kind.ANSWER, status=status, code=str(status))
            return status

        try:
            status = bucket.retry.run(lambda: put({}))
            if status != 200:
                endpoint = bucket.connection.target.endpoint
                raise Unavailable(f"{endpoint} refused the part of an upload by a presigned URL (HTTP {status})")
            source = {"x-amz-copy-source": f"{bucket.name}/{name}", "x-amz-copy-source-range": "bytes=0-0"}
            return bucket.retry.run(lambda: put(source)) == 403
        finally:
            with contextlib.suppress(Failure, MregError):
                bucket.call(
                    "abort_multipart_upload", expected=lambda failure: failure.status == 404, Key=name, UploadId=upload
                )


def _swap(bucket: Bucket, key: str, data: bytes, tag: str) -> str:
    """Return the new entity tag of a swap that should succeed; if the swap fails, check for a lost response."""
    new = bucket.swap(key, data, _digest(data), tag)
    if new:
        return new
    found = bucket.fetch(key)
    return found[1] if found is not None and found[0] == data else ""


def _digest(data: bytes) -> Digest:
    return Digest.sha256(hashlib.sha256(data).hexdigest())
