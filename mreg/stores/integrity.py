"""Detection of damage in transit: each upload carries a checksum that the store verifies.

obstore signs the SHA-256 sum of the content, and sends it as ``x-amz-checksum-sha256`` too where the store checks it.
Some stores check neither, which a probe finds out; see `mreg.stores.probing`.
"""

from __future__ import annotations

import base64
import hashlib
from enum import StrEnum
from typing import Any

from mreg.errors import Conflict

SUM_HEADER = "x-amz-checksum-sha256"
MD5_HEADER = "Content-MD5"

_CHUNK = 1 << 20


class IntegrityCheck(StrEnum):
    """How damage in transit is detected."""

    SUM = "sum"
    SIGNATURE = "signature"
    MD5 = "md5"
    TAG = "tag"
    TLS = "tls"
    READ = "read"

    @property
    def description(self) -> str:
        """Description for users."""
        return {
            IntegrityCheck.SUM: "by the store: SHA-256 sum",
            IntegrityCheck.SIGNATURE: "by the store: SHA-256 sum in the signature",
            IntegrityCheck.MD5: "by the store: MD5 sum",
            IntegrityCheck.TAG: "by mreg: MD5 sum in the response",
            IntegrityCheck.TLS: "by TLS",
            IntegrityCheck.READ: "by mreg: each upload is read back",
        }[self]

    @property
    def is_by_store(self) -> bool:
        """True if damaged bytes do not get into the store; otherwise mreg finds them there."""
        return self not in (IntegrityCheck.TAG, IntegrityCheck.READ)


def encoded(digest: bytes) -> str:
    """Return a digest in the Base64 form of S3's headers."""
    return base64.b64encode(digest).decode()


def digests(body: Any) -> tuple[bytes, bytes]:
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
