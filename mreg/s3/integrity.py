"""Detection of damage in transit: each upload carries a checksum that the store verifies.

Callers pass the SHA-256 sum of every upload as ``x-amz-checksum-sha256``. Some stores ignore this header, so before the
request is signed it is replaced by a header that the store is known to verify.
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
"""Error codes for an upload that does not match its checksum."""

_SIGNED = "mreg_sha256"
_CHUNK = 1 << 20


class IntegrityCheck(StrEnum):
    """How damage in transit is detected."""

    SUM = "sum"
    SIGNATURE = "signature"
    MD5 = "md5"
    TAG = "tag"

    @property
    def description(self) -> str:
        """Description for users."""
        return {
            IntegrityCheck.SUM: "by the store: SHA-256 sum",
            IntegrityCheck.SIGNATURE: "by the store: SHA-256 sum in the signature",
            IntegrityCheck.MD5: "by the store: MD5 sum",
            IntegrityCheck.TAG: "by mreg: MD5 sum in the response",
        }[self]


def encoded(digest: bytes) -> str:
    """Return a digest in the Base64 form of S3's headers."""
    return base64.b64encode(digest).decode()


def protect(request: Any, check: IntegrityCheck) -> None:
    """Replace the checksum header of an upload with one that the store verifies; other requests stay unchanged.

    Args:
        request: botocore request that is not signed yet.

    Raises:
        Conflict: The file changed since it was hashed; only checked with the methods that use MD5 sums.
    """
    announced = request.headers.get(SUM_HEADER)
    if announced is None or check is IntegrityCheck.SUM:
        return
    del request.headers[SUM_HEADER]
    digest = base64.b64decode(announced)
    if check is IntegrityCheck.SIGNATURE:
        request.context[_SIGNED] = digest.hex()
    elif MD5_HEADER not in request.headers:
        sha256, md5 = _digests(request.body)
        if sha256 != digest:
            raise changed()
        request.headers[MD5_HEADER] = encoded(md5)


def _digests(body: Any) -> tuple[bytes, bytes]:
    """Return the SHA-256 and MD5 sums of a body; its position is unchanged afterwards."""
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
    """Return the error for a file that changed after it was hashed."""
    return Conflict("the file changed while it was read; no version was added", hint="push again once it is finished")


class Signer(S3SigV4Auth):  # type: ignore[misc]
    """S3's signature. It covers the content unless a checksum header does, and reuses a known digest."""

    def payload(self, request: Any) -> str:
        known = request.context.get(_SIGNED)
        if known is None and (SUM_HEADER in request.headers or MD5_HEADER in request.headers):
            return str(UNSIGNED_PAYLOAD)
        return known or str(super().payload(request))


def sign_with_digests(client: Any) -> None:
    """Make a botocore client use `Signer` instead of S3's standard signature."""
    AUTH_TYPE_MAPS[SIGNER] = Signer

    def choose(signature_version: Any, context: dict[str, Any], **_: object) -> str | None:
        ordinary = signature_version in ("v4", "s3v4") and context.get("auth_type") in (None, "v4")
        return SIGNER if ordinary and not context.get("is_presign_request") else None

    client.meta.events.register_first("choose-signer.s3", choose)
