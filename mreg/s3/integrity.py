"""How damage on the way to a store is found: one header of each upload becomes what the store checks.

Callers give the SHA-256 sum of every upload as ``x-amz-checksum-sha256``. Not every store looks at it. So it is
replaced, before the request is signed, by a header that the store is known to check.
"""

from __future__ import annotations

import base64
import hashlib
from enum import StrEnum
from typing import Any

from botocore.auth import AUTH_TYPE_MAPS, UNSIGNED_PAYLOAD, S3SigV4Auth

from mreg.errors import Conflict

SUM_HEADER = "x-amz-checksum-sha256"
MD5_HEADER = "Content-MD5"
SIGNER = "mreg-s3v4"

WRONG_DIGEST = ("BadDigest", "InvalidDigest", "XAmzContentSHA256Mismatch", "XAmzContentChecksumMismatch")
"""Codes of a store that received other bytes than those that were announced."""

_SIGNED = "mreg_sha256"
_CHUNK = 1 << 20


class Way(StrEnum):
    """What finds damage on the way to a store."""

    SUM = "sum"
    SIGNATURE = "signature"
    MD5 = "md5"
    TAG = "tag"

    @property
    def words(self) -> str:
        """What checks an upload, for people."""
        return {
            Way.SUM: "by the store: SHA-256 sum",
            Way.SIGNATURE: "by the store: SHA-256 sum in the signature",
            Way.MD5: "by the store: MD5 sum",
            Way.TAG: "by mreg: MD5 sum in the answer",
        }[self]


def encoded(digest: bytes) -> str:
    """A digest as S3's headers have it."""
    return base64.b64encode(digest).decode()


def protect(request: Any, way: Way) -> None:
    """Replace the sum of an upload by the one that the store checks; other requests stay unchanged.

    Args:
        request: A request of botocore that is not signed yet.

    Raises:
        Conflict: A file changed since its sum was made. The other ways leave it to the store to find that.
    """
    announced = request.headers.get(SUM_HEADER)
    if announced is None or way is Way.SUM:
        return
    del request.headers[SUM_HEADER]
    digest = base64.b64decode(announced)
    if way is Way.SIGNATURE:
        request.context[_SIGNED] = digest.hex()
    elif MD5_HEADER not in request.headers:
        sha256, md5 = _digests(request.body)
        if sha256 != digest:
            raise changed()
        request.headers[MD5_HEADER] = encoded(md5)


def _digests(body: Any) -> tuple[bytes, bytes]:
    """SHA-256 and MD5 of a body, which is at the same place afterwards."""
    md5 = hashlib.md5(usedforsecurity=False)
    if body is None or isinstance(body, bytes):
        md5.update(body or b"")
        return hashlib.sha256(body or b"").digest(), md5.digest()
    sha256, start = hashlib.sha256(), body.tell()
    while chunk := body.read(_CHUNK):
        sha256.update(chunk)
        md5.update(chunk)
    body.seek(start)
    return sha256.digest(), md5.digest()


def changed() -> Conflict:
    """The error for a file that is not what it was when it was hashed."""
    return Conflict(
        "the file changed while it was read, so that no version was made", hint="push again once it is finished"
    )


class Signer(S3SigV4Auth):  # type: ignore[misc]
    """S3's signature, which covers the content unless another header does; a digest that is known is used."""

    def payload(self, request: Any) -> str:
        known = request.context.get(_SIGNED)
        if known is None and (SUM_HEADER in request.headers or MD5_HEADER in request.headers):
            return str(UNSIGNED_PAYLOAD)
        return known or str(super().payload(request))


def sign_with_digests(client: Any) -> None:
    """Let a client of botocore use `Signer` instead of S3's ordinary signature."""
    AUTH_TYPE_MAPS[SIGNER] = Signer

    def choose(signature_version: Any, context: dict[str, Any], **_: object) -> str | None:
        ordinary = signature_version in ("v4", "s3v4") and context.get("auth_type") in (None, "v4")
        return SIGNER if ordinary and not context.get("is_presign_request") else None

    client.meta.events.register_first("choose-signer.s3", choose)
