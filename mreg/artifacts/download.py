"""Blobs on their way from a remote backend: large ones in ranges, small ones whole, several at once."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import chain

from mreg.artifacts.backend import BlobBackend, Wanted
from mreg.artifacts.hashing import missing
from mreg.artifacts.layout import blob_key
from mreg.artifacts.parallel import Stoppable, in_order
from mreg.domain.digest import Digest
from mreg.errors import MregError, NotFound, Unavailable

RANGE_BYTES = 4 << 20
READ_BYTES = 256 << 10
AT_ONCE = 16
BUDGET_BYTES = 40 << 20
"""What is held in memory until its turn comes; also what a cut may lose, since ranges are kept in their order."""


@dataclass(frozen=True, slots=True)
class _Piece:
    digest: Digest
    start: int
    length: int


@dataclass(frozen=True, slots=True)
class _Arrived:
    """The bytes of a piece, as many as came before a failure."""

    data: bytes
    failure: MregError | None = None

    def chunks(self) -> Iterator[bytes]:
        yield self.data
        if self.failure is not None:
            raise self.failure


def fetched(backend: BlobBackend, wanted: Sequence[Wanted], moved: Callable[[int], None]) -> Generator[Iterator[bytes]]:
    """For each blob in turn its chunks, of which there may be one byte more than it should have.

    The chunks of one must be taken before the next blob is; close the iterator where that is not done.

    Raises:
        Corrupt: A blob is missing.
        Unavailable: It can't be read.
    """
    told = Stoppable(moved)

    def fetch(piece: _Piece) -> _Arrived:
        received: list[bytes] = []
        try:
            with closing(backend.open(blob_key(piece.digest), piece.start, piece.length)) as stream:
                while chunk := stream.read(READ_BYTES):
                    received.append(chunk)
                    told(len(chunk))
        except NotFound as error:
            raise missing(piece.digest, backend.url) from error
        except Unavailable as error:
            return _Arrived(b"".join(received), error)
        return _Arrived(b"".join(received))

    pieces = [list(_pieces(one)) for one in wanted]
    under_way = in_order(
        fetch, chain.from_iterable(pieces), at_once=AT_ONCE, size=lambda piece: piece.length, budget=BUDGET_BYTES
    )
    with closing(under_way) as results, told:
        for of_one in pieces:
            yield (chunk for _ in of_one for chunk in next(results).chunks())


def _pieces(wanted: Wanted) -> Iterator[_Piece]:
    """Ranges to ask for; the last asks for a byte too much, so that a blob that is too long is seen."""
    start = wanted.start
    while True:
        length = min(RANGE_BYTES, wanted.size - start)
        last = start + length >= wanted.size
        yield _Piece(wanted.digest, start, length + last)
        if last:
            return
        start += length
