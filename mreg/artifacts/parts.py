"""Uploads of large files to a backend that needs their key first: hash, then send parts in parallel."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from typing import BinaryIO, cast

from mreg.artifacts.backend import Part, SupportsParts
from mreg.artifacts.hashing import Hashing, PartHashing
from mreg.artifacts.parallel import Stoppable, in_order
from mreg.artifacts.source import FileSection, SourceFile, read_chunks, unchanged
from mreg.domain.digest import Digest

PART_BYTES = 8 << 20
PARTS_LIMIT = 10_000
"""No store takes more parts: https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html"""

AT_ONCE = 8
"""Number of parts that are sent in parallel. They are read while they are sent, so memory stays bounded."""


def part_bytes(size: int) -> int:
    """Return the part size for a blob; it depends only on the blob's size, so that a later push can reuse parts."""
    mebibyte = 1 << 20
    least = -(-size // PARTS_LIMIT)
    return max(PART_BYTES, -(-least // mebibyte) * mebibyte)


def measured(file: SourceFile, advance: Callable[[int], None]) -> tuple[Digest, tuple[Part, ...]]:
    """Hash a file and its parts in one pass; return its digest and the parts.

    Raises:
        Conflict: The file changed while it was read.
        Unavailable: The file cannot be read.
    """
    step = part_bytes(file.size)
    whole, pieces = Hashing(file.size), PartHashing(file.size, step)
    with whole, pieces:
        for chunk in read_chunks(file):
            whole.add(chunk)
            pieces.add(chunk)
            advance(len(chunk))
        return whole.digest(), tuple(
            Part(number + 1, number * step, min(step, file.size - number * step), digest)
            for number, digest in enumerate(pieces.digests())
        )


def put_parts(
    backend: SupportsParts, key: str, file: SourceFile, parts: tuple[Part, ...], advance: Callable[[int], None]
) -> tuple[bool, int]:
    """Send the missing parts and create the blob; return whether this call created it, and the number of reused bytes.

    A crash leaves the parts that arrived, and the next call for the same key reuses them.

    Raises:
        Conflict: The file no longer matches the digests of its parts.
        Unavailable: The store cannot be written.
    """
    upload = backend.parts(key)
    stoppable = Stoppable(advance)
    with unchanged(file) as descriptor:

        def section(part: Part, advance: Callable[[int], None] | None = None) -> closing[BinaryIO]:
            return closing(cast("BinaryIO", FileSection(descriptor, part.start, part.size, advance)))

        def send(part: Part) -> None:
            with section(part, stoppable) as data:
                upload.put(part, data)

        missing = []
        for part in parts:
            with section(part) as data:
                if upload.has(part, data):
                    advance(part.size)
                else:
                    missing.append(part)
        with closing(in_order(send, missing, at_once=AT_ONCE)) as sent, stoppable:
            for _ in sent:
                pass
    return upload.complete(parts), sum(part.size for part in parts) - sum(part.size for part in missing)
