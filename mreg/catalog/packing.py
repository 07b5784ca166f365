"""The object of a catalog in a bucket: a SQLite file, compressed by gzip unless it was uploaded by hand."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

from mreg.catalog.embedded import damaged

LARGEST_OBJECT = 256 << 20
"""Maximum bytes of the object."""

LARGEST_FILE = 1 << 30
"""Maximum bytes of the SQLite file, which a write loads into memory; performance degrades far below this limit."""

RATIO, SLACK = 100, 16 << 20
"""Maximum bytes of the SQLite file: 100 times the object's, plus 16 MiB, since an empty catalog is mostly zeros.

For catalogs of mreg the ratio is about 5; gzip can reach 1,032."""

GZIP, GZIP_MAGIC = 31, b"\x1f\x8b"
"""The ``wbits`` of zlib for the gzip format (RFC 1952), and the first bytes of the format."""

LEVEL = 1
"""Compression level: a fifth of the size at 4 ms per MB. Higher levels are slower without a gain here."""

PIECE = 1 << 20

MAGIC = b"SQLite format 3\0"


def pack(data: bytes) -> bytes:
    """Return the object for a SQLite file."""
    packing = zlib.compressobj(LEVEL, zlib.DEFLATED, GZIP)
    return packing.compress(data) + packing.flush()


def unpack(data: bytes, place: str) -> Iterator[bytes]:
    """Yield the SQLite file of an object in pieces of at most 1 MiB.

    Args:
        place: Location of the catalog, for errors.

    Raises:
        Corrupt: It is neither a SQLite file nor one gzip member with one, is truncated or damaged, or is too large.
    """
    if data.startswith(MAGIC):
        for start in range(0, len(data), PIECE):
            yield data[start : start + PIECE]
        return
    if not data.startswith(GZIP_MAGIC):
        raise damaged(place, "is not a SQLite file")
    largest = min(LARGEST_FILE, RATIO * len(data) + SLACK)
    unpacking = zlib.decompressobj(GZIP)
    size = 0
    pending = data
    while not unpacking.eof:
        try:
            piece = unpacking.decompress(pending, PIECE)
        except zlib.error as error:
            raise damaged(place, f"is damaged: {error}") from error
        if not size and not piece.startswith(MAGIC):
            raise damaged(place, "is not a SQLite file")
        if not piece and not unpacking.eof and not unpacking.unconsumed_tail:
            raise damaged(place, "is damaged: its gzip data is incomplete")
        pending = unpacking.unconsumed_tail
        size += len(piece)
        if size > largest:
            raise damaged(place, f"is damaged: {len(data):,} bytes decompress to more than {largest:,}")
        yield piece
    if unpacking.unused_data:
        raise damaged(place, "is damaged: it has extra bytes after its gzip data")
