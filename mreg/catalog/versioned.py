"""VersionedObject: the contract of an object that holds a catalog, with one implementation per kind of store."""

from __future__ import annotations

import abc
from collections.abc import Iterator
from datetime import datetime

from mreg.catalog.database import Abandoned
from mreg.errors import MregError


class VersionedObject(abc.ABC):
    """One object with a tag for each of its contents, replaced under compare-and-swap; safe for threads.

    An object can have copies next to it, such as the backup that an upgrade makes. The name of a copy is that of the
    object with an ending. Driver errors become `MregError`, and connections are made on first use.

    Attributes:
        identity: Text that identifies the object among all that this machine uses.
    """

    identity: str

    @abc.abstractmethod
    def location(self, ending: str = "") -> str:
        """Return the location of the object or of a copy for messages, without secrets."""

    @abc.abstractmethod
    def fetch(self, tag: str = "") -> tuple[bytes, str] | None:
        """Return the content and its tag; None if the object does not exist.

        Args:
            tag: Known tag; if it is still the object's, the content returned is empty.

        Raises:
            Corrupt: The content is larger than the limit of `mreg.catalog.packing`, or is not as written.
        """

    @abc.abstractmethod
    def swap(self, data: bytes, tag: str) -> str:
        """Replace the content if the object has a tag, and return the new tag, when the store confirmed it as durable.

        The result is empty if another client was faster. It can also be empty after a successful write whose answer
        was lost, so a caller that needs certainty fetches the object. `require_support` was called before.

        Args:
            tag: Expected tag; empty to create the object.
        """

    @abc.abstractmethod
    def move(self, ending: str) -> bool:
        """Move the content, whatever it is, to a copy; return False if the object does not exist."""

    @abc.abstractmethod
    def store_copy(self, ending: str, data: bytes) -> bool:
        """Store a copy durably; return False if a copy with other bytes has this name."""

    @abc.abstractmethod
    def remove_copy(self, ending: str) -> None:
        """Remove a copy if it exists."""

    @abc.abstractmethod
    def require_support(self, *, again: bool = False) -> None:
        """Check that the store honours the condition of `swap`, and keeps the object.

        Args:
            again: Check it again if the result is known, since the store can have changed.

        Raises:
            Unavailable: It does not, or cannot be written.
        """

    @abc.abstractmethod
    def explain_refusal(self, *, exists: bool) -> None:
        """Raise, after `swap` failed although no other client was faster, unless a retry can succeed.

        Args:
            exists: Whether the object exists.
        """

    @abc.abstractmethod
    def was_refused(self, error: MregError) -> bool:
        """Return whether it is certain that the `swap` which raised this error changed nothing."""

    def clock(self) -> datetime | None:
        """Return the time of the store's clock (aware UTC); None if it is unknown."""
        return None

    def remarks(self) -> tuple[str, ...]:
        """Return remarks for the user about how the store keeps the object."""
        return ()

    def abandoned(self) -> Iterator[Abandoned]:
        """The temporary objects of clients next to the object; most stores have none."""
        return iter(())

    def discard(self, abandoned: Abandoned) -> None:  # noqa: B027
        """Remove an object that `abandoned` found; does nothing if it is gone."""

    def close(self) -> None:  # noqa: B027
        """Close connections; idempotent."""
