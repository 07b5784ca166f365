"""Catalog: the metadata of a registry, read and written in domain terms on any database."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import TYPE_CHECKING, TypeVar

from mreg.catalog.database import Abandoned, Connection, Database, Examination, UpgradeCheck
from mreg.catalog.reader import Reader
from mreg.domain.digest import Digest

if TYPE_CHECKING:
    from mreg.catalog.writer import Observer, Writer

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

    def write(self, fn: Callable[[Writer], T], *, actor: str, at: datetime, observer: Observer | None = None) -> T:
        """What ``fn`` gives, in one durable transaction whose events carry the actor and the time.

        ``fn`` may be run more than once and must have no effect but its calls; where it raises, nothing has changed.
        """
        from mreg.catalog.writer import Writer  # here: reading commands have no need of it

        return self._database.write(
            lambda connection: fn(Writer(connection, self._locate, actor=actor, at=at, observer=observer))
        )

    def begin(self) -> None:
        """Be there, and able to be written, before bytes are stored that only this catalog will know of."""
        self._database.begin()

    def copy_to(self, other: Catalog) -> int:
        """Copy every row to another catalog, which is empty; see `mreg.catalog.copying.copy_rows`."""
        from mreg.catalog.copying import copy_rows

        return copy_rows(self._database, other._database)

    def replace_by(self, other: Catalog, fn: Callable[[Writer], object], *, actor: str, at: datetime) -> int:
        """Make every row what another catalog has, and do ``fn`` in the same transaction; how many rows there are."""
        from mreg.catalog.copying import copy_rows
        from mreg.catalog.writer import Writer

        def finish(connection: Connection) -> None:
            fn(Writer(connection, self._locate, actor=actor, at=at))

        return copy_rows(other._database, self._database, replace=True, finish=finish)

    def schema(self) -> int:
        """The number of the schema in that place; this release's if the catalog does not exist yet."""
        return self._database.schema()

    def check_upgrade(self) -> UpgradeCheck:
        """Look at what an upgrade would meet; changes nothing."""
        return self._database.check_upgrade()

    def upgrade(self) -> str:
        """Bring an older catalog to this release's schema; where its backup is, empty if there was nothing to do."""
        return self._database.upgrade()

    def try_writing(self) -> None:
        """Raise what stands in the way of a write; nothing changes."""
        self._database.try_writing()

    def examine(self) -> Examination:
        """Look at the place with what the engine has for it; changes nothing."""
        return self._database.examine()

    def abandoned(self) -> Iterator[Abandoned]:
        """The temporary objects of clients next to the catalog: active ones, and ones that were killed."""
        return self._database.abandoned()

    def discard(self, abandoned: Abandoned) -> None:
        """Remove what `abandoned` found."""
        self._database.discard(abandoned)

    def set_aside(self) -> str:
        """Move a damaged catalog out of the way; where it is now."""
        return self._database.set_aside()

    def close(self) -> None:
        """Let go of files and connections; does nothing a second time."""
        self._database.close()
