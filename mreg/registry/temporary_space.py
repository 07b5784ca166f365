"""The free space of the temporary folder of a server, shared by the files of its clients.

A file counts with the bytes that were written, or that the server itself is about to write. The size that a client
announces counts for nothing, so that a client cannot keep others out without sending a byte.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from fractions import Fraction

from mreg.domain.text import size_text
from mreg.errors import Unavailable
from mreg.files import room

ALL = Fraction(1, 2)
"""Part of the free space that all files can take."""

OF_A_CLIENT = Fraction(3, 4)
"""Part of it that the files of one client can take, so that there is always space for the others."""

ELSEWHERE = "free some space there, or start the server with another folder: TMPDIR=FOLDER mreg serve ..."

_shares: set[Share] = set()
_lock = threading.RLock()  # removing a file closes its share


class Share:
    """The space of one file, until it is closed.

    Args:
        folder: Folder of the file.
        client: Identity of the client; empty on a server without tokens, which cannot distinguish clients.
    """

    def __init__(self, folder: str, client: str = "") -> None:
        self._folder = folder
        self._client = client
        self._size = self._written = 0
        self._remove: Callable[[], None] | None = None
        with _lock:
            _shares.add(self)

    def check(self, size: int) -> None:
        """Check that a file of a size could be written now; nothing is reserved.

        Raises:
            Unavailable: There is not enough space.
        """
        with _lock:
            self._check(size)

    def reserve(self, size: int) -> None:
        """Reserve space for a file of a size, which the server is about to write.

        Raises:
            Unavailable: There is not enough space.
        """
        with _lock:
            if size > self._size:
                self._check(size)
                self._size = size

    def note_written(self, size: int) -> None:
        """Note that this number of bytes of the file has been written."""
        with _lock:
            self._written = size
            self._size = max(self._size, size)

    def allow_removal(self, remove: Callable[[], None]) -> None:
        """Let the file be removed if the same client needs the space for another one."""
        self._remove = remove

    def close(self) -> None:
        """End the share; idempotent."""
        with _lock:
            _shares.discard(self)

    def _check(self, size: int) -> None:
        left = self._left()
        for one in [one for one in _shares if one._client == self._client and one is not self]:
            if size > left and one._remove is not None:
                one._remove()
                left = self._left()
        if size > left:
            raise Unavailable(
                f"not enough space for temporary files on the server: {size_text(size)} needed, and at most "
                f"{size_text(max(left, 0))} can be used now",
                hint=ELSEWHERE,
            )

    def _left(self) -> int:
        others = _shares - {self}
        free = room(self._folder) + sum(one._written for one in _shares)
        all_files = int(free * ALL)
        left = all_files - sum(one._size for one in others)
        if self._client:
            own = sum(one._size for one in others if one._client == self._client)
            left = min(left, int(all_files * OF_A_CLIENT) - own)
        return left
