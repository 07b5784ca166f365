"""The command of a profile that prints a token, as the programs of password managers do."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenCommand:
    """A command that prints the token for a server.

    Attributes:
        words: Program and arguments; no shell is used.
        place: File and line that name it.
        folder: Folder in which it runs: that of the file.
    """

    words: tuple[str, ...]
    place: str
    folder: str
