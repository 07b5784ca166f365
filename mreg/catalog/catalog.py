"""Catalog: the metadata of a registry, on any database."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import TYPE_CHECKING, TypeVar

from mreg.catalog.database import Abandoned, Connection, Database, Examination, UpgradeCheck
from mreg.catalog.reader import Reader
from mreg.domain.digest import Digest
from mreg.domain.scope import EVERYTHING, ModelScope

if TYPE_CHECKING:
    from mreg.catalog.writer import Observer, Writer

T = TypeVar("T")


class Catalog:
    """The metadata of a registry.

    Args:
        database: The database with the tables.
        locate: Returns the URL of an artifact by its digest.
        scope: The models that exist for readers and writers. Methods for the complete catalog require all models.
    """

    def __init__(self, database: Database, locate: Callable[[Digest], str], scope: ModelScope = EVERYTHING) -> None:
        self._database = database
        self._locate = locate
        self.scope = scope

    def within(self, scope: ModelScope) -> Catalog:
        """Return this catalog for readers and writers with a scope; it shares the database with this one."""
        return self if scope == self.scope else Catalog(self._database, self._locate, scope)

    def without_places(self) -> Catalog:
        """Return this catalog without the URLs of artifacts, for clients of a server that may not see them."""
        return Catalog(self._database, lambda _digest: "", self.scope)

    def _whole(self, action: str) -> Database:
        """Return the database for an action on the complete catalog.

        Raises:
            OutsideScope: The scope is limited.
        """
        self.scope.check_unlimited(action)
        return self._database

    def read(self, fn: Callable[[Reader], T]) -> T:
        """Return the result of ``fn``, all of whose queries see the same state."""
        return self._database.read(lambda connection: fn(Reader(connection, self._locate, self.scope)))

    def write(self, fn: Callable[[Writer], T], *, actor: str, at: datetime, observer: Observer | None = None) -> T:
        """Run ``fn`` in one durable transaction, whose events have the actor and the time, and return its result.

        ``fn`` can run more than once, so it must have no effects besides its calls. If it raises, nothing is changed.
        """
        from mreg.catalog.writer import Writer  # reading commands do not need it

        return self._database.write(
            lambda connection: fn(Writer(connection, self._locate, self.scope, actor=actor, at=at, observer=observer))
        )

    def state(self) -> object:
        """Return a value that differs after each change of the catalog, or None; see `Database.state`."""
        return self._database.state()

    def permit_new(self) -> None:
        """Let the next write create the catalog although there are artifacts; see `Database.permit_new`."""
        self._whole("create a catalog").permit_new()

    def begin(self) -> None:
        """Check that the catalog can be written, before artifacts are stored for it; see `Database.begin`."""
        self._database.begin()

    def copy_to(self, other: Catalog) -> int:
        """Copy every row to another catalog, which must be empty; see `mreg.catalog.copying.copy_rows`."""
        from mreg.catalog.copying import copy_rows

        return copy_rows(self._whole("copy the catalog"), other._whole("copy the catalog"))

    def replace_by(
        self, other: Catalog, fn: Callable[[Writer], object], *, actor: str, at: datetime, with_tokens: bool = False
    ) -> int:
        """Replace all rows by those of another catalog, and run ``fn`` in the same transaction; return their number.

        The tokens of this catalog stay; see `mreg.catalog.copying.copy_rows`.
        """
        from mreg.catalog.copying import copy_rows
        from mreg.catalog.writer import Writer

        def finish(connection: Connection) -> None:
            fn(Writer(connection, self._locate, actor=actor, at=at))

        whole, source = self._whole("replace the catalog"), other._whole("copy the catalog")
        return copy_rows(source, whole, replace=True, with_tokens=with_tokens, finish=finish)

    def schema(self) -> int:
        """Return the number of the stored schema; this release's if the catalog does not exist yet."""
        return self._database.schema()

    def check_upgrade(self) -> UpgradeCheck:
        """Return the obstacles to an upgrade; changes nothing."""
        return self._whole("upgrade the catalog").check_upgrade()

    def upgrade(self) -> str:
        """Upgrade an older catalog; return the location of its backup, empty if there was nothing to do."""
        return self._whole("upgrade the catalog").upgrade()

    def try_writing(self) -> None:
        """Raise the error that a write would meet; changes nothing."""
        self._database.try_writing()

    def examine(self) -> Examination:
        """Check the catalog with the means of its engine; changes nothing."""
        return self._whole("examine the catalog").examine()

    def remarks(self) -> tuple[str, ...]:
        """Return remarks for the user about the settings of the server; see `Database.remarks`."""
        return self._whole("examine the catalog").remarks()

    def abandoned(self) -> Iterator[Abandoned]:
        """The temporary objects of clients next to the catalog: active ones, and ones that were killed."""
        return self._whole("list temporary objects of the catalog").abandoned()

    def discard(self, abandoned: Abandoned) -> None:
        """Remove what `abandoned` found."""
        self._whole("remove temporary objects of the catalog").discard(abandoned)

    def set_aside(self) -> str:
        """Move a damaged catalog away; return its new location."""
        return self._whole("replace the catalog").set_aside()

    def close(self) -> None:
        """Close files and connections; idempotent."""
        self._database.close()
