"""The object of a catalog in a bucket: a SQLite file, compressed by gzip, or as it is where a person put it there."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

from mreg.catalog.embedded import damaged

LARGEST_OBJECT = 256 << 20
"""Bytes of the object."""

LARGEST_FILE = 1 << 30
"""Bytes of the SQLite file, which is in memory as a whole while it is written; it is slow long before."""

RATIO, SLACK = 100, 16 << 20
"""The SQLite file has at most 100 times the object's bytes, and 16 MiB: an empty catalog is mostly zeros.

mreg's own have about 5 times the bytes; gzip can reach 1,032 times."""

GZIP, GZIP_MAGIC = 31, b"\x1f\x8b"
"""zlib's number for the format of RFC 1952, and its first bytes."""

LEVEL = 1
"""Of compression: a fifth of the bytes for 4 ms a megabyte. Higher levels are slower and no smaller here."""

PIECE = 1 << 20

MAGIC = b"SQLite format 3\0"


def pack(data: bytes) -> bytes:
    """The object of a SQLite file."""
    packing = zlib.compressobj(LEVEL, zlib.DEFLATED, GZIP)
    return packing.compress(data) + packing.flush()


def unpack(data: bytes, place: str) -> Iterator[bytes]:
    """The SQLite file of an object, in pieces of at most 1 MiB.

    Args:
        place: The catalog's, for errors.

    Raises:
        Corrupt: It is neither, or more than one gzip member, cut, changed, or larger than mreg makes a catalog.
    """
    if data.startswith(MAGIC):
        for start in range(0, len(data), PIECE):
            yield data[start : start + PIECE]
        return
    if not data.startswith(GZIP_MAGIC):
        raise damaged(place, "is no SQLite file")
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
            raise damaged(place, "is no SQLite file")
        if not piece and not unpacking.eof and not unpacking.unconsumed_tail:
            raise damaged(place, "is damaged: its gzip data is cut")
        pending = unpacking.unconsumed_tail
        size += len(piece)
        if size > largest:
            raise damaged(place, f"is damaged: {len(data):,} bytes inflate to more than {largest:,}")
        yield piece
    if unpacking.unused_data:
        raise damaged(place, "is damaged: there are bytes after the end of its gzip data")
