"""JSON documents of a server, decoded within limits that bound the memory they take: a server can be hostile."""

from __future__ import annotations

import json
from typing import Any, NoReturn

from mreg.domain.text import size_text
from mreg.wire.protocol import DOCUMENT_BYTES

VALUES_LIMIT = 1_000_000
"""Maximum number of values and keys of an answer. A page of 1,000 versions with 100 metrics each has a fourth."""

MARKS = (b",", b":", b"[", b"{")
"""Each value and each key has one of these before it; a value takes at most about 100 bytes of memory for each mark."""


class InvalidDocument(Exception):
    """A document that is not decoded.

    Attributes:
        why: Reason, as in ``it is not JSON``.
        too_large: Whether a part of the list that the document has could be within the limits.
    """

    def __init__(self, why: str, *, too_large: bool = False) -> None:
        super().__init__(why)
        self.why, self.too_large = why, too_large


def check_size(size: int, limit: int = DOCUMENT_BYTES) -> None:
    """Check the size of a document, which can be only a part of it.

    Raises:
        InvalidDocument: It exceeds the limit.
    """
    if size > limit:
        raise InvalidDocument(f"it is larger than {size_text(limit)}", too_large=True)


def count_values(data: bytes | bytearray) -> int:
    """Return an upper bound of the number of values and keys of a document."""
    return 1 + sum(map(data.count, MARKS))


def decode_document(data: bytearray, values: int = VALUES_LIMIT) -> Any:
    """Return the value of a document, whose bytes are cleared.

    Args:
        values: Maximum number of values and keys.

    Raises:
        InvalidDocument: It is not JSON, or has too many values.
    """
    if count_values(data) > values:
        raise InvalidDocument("it has too many values", too_large=True)
    try:
        text = data.decode()
        data.clear()
        return json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        raise InvalidDocument("it is not JSON") from None


def _refuse_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is not JSON")
