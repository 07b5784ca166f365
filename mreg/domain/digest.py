"""SHA-256 digests, and the keys of blobs in a store, which are derived from them."""

from __future__ import annotations

import re
from dataclasses import dataclass

from mreg.domain.text import quoted
from mreg.errors import BadInput

HEX = re.compile(r"[0-9a-f]{64}")
"""The hex digits of a digest."""

_KEY = re.compile(r"blobs/sha256/([0-9a-f]{2})/([0-9a-f]{62})")


@dataclass(frozen=True, slots=True)
class Digest:
    """A SHA-256 digest (FIPS 180-4); ``Digest.parse(str(digest)) == digest``.

    Attributes:
        algorithm: Always ``sha256`` today; part of the text form and of blob keys.
        value: 64 lower-case hex digits.
    """

    algorithm: str
    value: str

    def __post_init__(self) -> None:
        if self.algorithm != "sha256" or not HEX.fullmatch(self.value):
            raise BadInput(
                f"invalid digest {quoted(f'{self.algorithm}:{self.value}')}",
                hint="write sha256: and 64 hexadecimal digits in lower case",
            )

    @classmethod
    def sha256(cls, value: str) -> Digest:
        """Return the SHA-256 digest with the given hex digits.

        Raises:
            BadInput: The text is not 64 lower-case hex digits.
        """
        return cls("sha256", value)

    @classmethod
    def parse(cls, text: str) -> Digest:
        """Return the digest that is written as ``algorithm:value``.

        Raises:
            BadInput: The text has another form, is in upper case, or names an algorithm other than SHA-256.
        """
        algorithm, _, value = text.partition(":")
        return cls(algorithm, value)

    def __str__(self) -> str:
        return f"{self.algorithm}:{self.value}"

    def __repr__(self) -> str:
        return f"<Digest {self}>"


def blob_key(digest: Digest) -> str:
    """Return the key of a blob in any store: ``blobs/sha256/ab/cdef...``."""
    return f"blobs/{digest.algorithm}/{digest.value[:2]}/{digest.value[2:]}"


def digest_of_key(key: str) -> Digest | None:
    """Return the digest of the blob with a key; None if it is not the key of a blob."""
    match = _KEY.fullmatch(key)
    return Digest.sha256(match[1] + match[2]) if match else None
