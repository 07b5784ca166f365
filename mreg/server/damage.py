"""Files that were found damaged while they were sent."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from typing import TYPE_CHECKING

from mreg.errors import Corrupt

if TYPE_CHECKING:
    from mreg.domain.digest import Digest
    from mreg.results.files import StoredFile

LIMIT = 1_000
"""Maximum number of files that are remembered."""


class DamagedFiles:
    """Remembers damaged files, so that a client cannot complete one with a range.

    A damaged file ends before its last chunk. Clients such as huggingface_hub and ``curl -C -`` then request the rest,
    which cannot be verified without the bytes before it.
    """

    def __init__(self) -> None:
        self._digests: dict[Digest, None] = {}

    def watch(self, file: StoredFile, chunks: Iterable[bytes]) -> Generator[bytes]:
        """Yield the chunks of a file, and remember the file if it is damaged."""
        try:
            yield from chunks
        except Corrupt:
            self._digests.pop(file.digest, None)
            self._digests[file.digest] = None
            if len(self._digests) > LIMIT:
                del self._digests[next(iter(self._digests))]
            raise

    def __contains__(self, file: StoredFile) -> bool:
        return file.digest in self._digests

    def check(self, file: StoredFile, chunks: Iterable[bytes]) -> None:
        """Verify a remembered file, and forget it if it is sound now.

        Args:
            chunks: All chunks of the file.

        Raises:
            Corrupt: The file is still damaged.
        """
        for _ in chunks:
            pass
        self._digests.pop(file.digest, None)
