"""A file that is hashed while it is sent, so that it is read once."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from mreg.artifacts.hashing import Hashing
from mreg.artifacts.source import SourceFile, read_chunks
from mreg.domain.digest import Digest


class HashedFile:
    """A file whose bytes are hashed in order, each once, whatever is sent; a context manager.

    Args:
        advance: Called with 0 from time to time; an exception of it stops the reading.
    """

    def __init__(self, file: SourceFile, advance: Callable[[int], None]) -> None:
        self._file = file
        self._advance = advance
        self._hashing = Hashing(file.size)
        self._hashed = 0

    def __enter__(self) -> HashedFile:
        return self

    def __exit__(self, *_: object) -> None:
        self._hashing.__exit__()

    def chunks(self, start: int) -> Iterator[bytes]:
        """Yield the bytes from an offset; those before it that are not hashed yet are read first.

        Raises:
            Conflict: The file has changed since the start of the push.
            Unavailable: The file cannot be read.
        """
        place = min(start, self._hashed)
        for chunk in read_chunks(self._file, start=place):
            end = place + len(chunk)
            if end > self._hashed:
                self._hashing.add(memoryview(chunk)[self._hashed - place :])
                self._hashed = end
            if end > start:
                yield chunk[max(start - place, 0) :]
            else:
                self._advance(0)
            place = end

    def hash_to(self, end: int) -> None:
        """Hash the bytes before an offset, to the next chunk; raises like `chunks`."""
        if end > self._hashed:
            for _ in self.chunks(end):
                return

    @property
    def all_hashed(self) -> bool:
        """Whether all bytes have been read."""
        return self._hashed == self._file.size

    def digest(self) -> Digest:
        """Return the digest of the file, after a check that it is unchanged; raises like `chunks`."""
        for _ in self.chunks(self._file.size):
            pass
        return self._hashing.digest()
