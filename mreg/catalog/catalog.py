"""Catalog: the metadata of a registry, read and written in domain terms on any database."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, TypeVar

from mreg.catalog.database import Database
from mreg.catalog.reader import Reader
from mreg.domain.digest import Digest

if TYPE_CHECKING:
    from mreg.catalog.writer import Writer
    from mreg.domain.hook import Hook

T = TypeVar("T")


class Catalog:
    """The metadata of a registry.

    Args:
        database: Where the tables are.
        locate: Gives the URL of an artifact by its digest; the catalog itself knows nothing of bytes.
    """

    def __init__(self, database: Database, locate: Callable[[Digest], str]) -> None:
        self._database = database
        self._locate = locate

    def read(self, fn: Callable[[Reader], T]) -> T:
        """What ``fn`` gives, all of it seeing one and the same state."""
        return self._database.read(lambda connection: fn(Reader(connection, self._locate)))

    def write(self, fn: Callable[[Writer], T], *, actor: str, at: datetime, hooks: tuple[Hook, ...] = ()) -> T:
        """What ``fn`` gives, in one durable transaction whose events carry the actor and the time.

        The hooks that its events set off are written down in the same transaction.

        ``fn`` may be run more than once and must have no effect but its calls; where it raises, nothing has changed.
        """
        from mreg.catalog.writer import Writer  # here: reading commands have no need of it

        return self._database.write(
            lambda connection: fn(Writer(connection, self._locate, actor=actor, at=at, hooks=hooks))
        )

    def close(self) -> None:
        """Let go of files and connections; does nothing a second time."""
        self._database.close()
