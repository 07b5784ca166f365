"""Reader: queries of the catalog in domain terms."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from mreg.catalog.database import Connection, Row, Value
from mreg.catalog.models import read_models
from mreg.catalog.rows import (
    last_version,
    number,
    read_digest,
    read_event,
    read_metric_name,
    read_name,
    read_reference,
    read_version,
    text,
    truth,
    version_number,
)
from mreg.catalog.scoped import scoped_rows
from mreg.catalog.selecting import holders, select
from mreg.catalog.statements import statement
from mreg.domain.digest import Digest
from mreg.domain.events import Event, without_names
from mreg.domain.model import ModelStage, ModelVersion, RegisteredModel
from mreg.domain.names import ModelName, Selector, VersionRef
from mreg.domain.scope import EVERYTHING, ModelScope
from mreg.domain.stored import SIZE_LIMIT
from mreg.domain.value import FrozenMapping
from mreg.results import Page

if TYPE_CHECKING:
    from mreg.domain.expression import Expression, Sort
    from mreg.results.models import ModelSummary

ALL = 2**62
"""Row limit of a query without a limit."""

PAGE = 5_000
"""Number of events that one statement reads."""

T = TypeVar("T")

NOTHING: Mapping[str, str] = FrozenMapping()

CHUNK = 500
"""Number of versions whose attributes one statement reads."""


class Reader:
    """Queries of the catalog in one transaction.

    Models outside the scope do not exist for a reader, nor do their versions, names, metrics and events. Queries of a
    model or version rely on the methods that find it.

    Args:
        scope: The models that the reader may see.
    """

    def __init__(self, connection: Connection, locate: Callable[[Digest], str], scope: ModelScope = EVERYTHING) -> None:
        self.connection = connection
        self.scope = scope
        self._locate = locate

    def _scoped(self, statement_name: str, **values: Value) -> Sequence[Row]:
        """Return the rows of a statement on several models that are within the scope."""
        return scoped_rows(self.connection, self.scope, statement_name, **values)

    # Models

    def model(self, name: ModelName) -> RegisteredModel | None:
        """Return the model with a name, or None."""
        if not self.scope.allows(name):
            return None
        row = self.connection.one("models.by_name", name=str(name))
        return None if row is None else self._model(row)

    def _model(self, row: Row) -> RegisteredModel:
        return read_models(self.connection, [row])[0]

    def models(self, *, limit: int | None = None, offset: int = 0) -> Page[ModelSummary]:
        """Return every model with its primary metric, the last changed first."""
        from mreg.catalog.summaries import summaries
        from mreg.results.models import ModelSummary

        rows = self._scoped("models.by_update", row_limit=_rows(limit, offset))
        return _page(ModelSummary, rows, limit, offset, lambda part: summaries(self.connection, part))

    def primary_metric(self, model: RegisteredModel) -> str:
        """Return a model's primary metric; see `mreg.domain.metrics.primary_metric`."""
        from mreg.catalog.summaries import primary_metrics

        return primary_metrics(self.connection, [model])[model.model_id]

    def model_names(self, prefix: str = "", limit: int | None = None) -> tuple[str, ...]:
        """Return the names of models that begin with a prefix, sorted."""
        rows = self._scoped(
            "models.names_from", first=prefix, beyond=_beyond(prefix), row_limit=ALL if limit is None else limit
        )
        return tuple(map(read_name, rows))

    def near_names(self, name: str) -> tuple[str, ...]:
        """Return similar model names, among some hundred alphabetical neighbours and the last changed models."""
        from mreg.domain.text import nearest_names

        around = self._scoped("models.names_around", name=name, row_limit=200)
        recent = self._scoped("models.by_update", row_limit=200)
        return nearest_names(name, set(map(read_name, (*around, *recent))))

    def metric_names(self, prefix: str = "", limit: int = 200) -> tuple[str, ...]:
        """Return the names of metrics of any version that begin with a prefix, sorted."""
        statement_name = "versions.metric_names_of_models" if self.scope.limited else "versions.metric_names"
        rows = self._scoped(statement_name, first=prefix, beyond=_beyond(prefix), row_limit=limit)
        return tuple(map(read_metric_name, rows))

    # Versions

    def versions(self, model: RegisteredModel, *, limit: int | None = None, offset: int = 0) -> Page[ModelVersion]:
        """Return the versions of a model, newest first, with a constant number of statements for `CHUNK` of them."""
        rows = self.connection.all("versions.of_model", model_id=model.model_id, row_limit=_rows(limit, offset))
        return _page(ModelVersion, rows, limit, offset, self._versions)

    def version(self, model: RegisteredModel, number: int) -> ModelVersion | None:
        """Return the version with a number, or None."""
        rows = self.connection.all("versions.by_number", model_id=model.model_id, version=number)
        return next(iter(self._versions(rows)), None)

    def version_by_id(self, version_id: int) -> ModelVersion | None:
        """Return the version with an id, or None."""
        return next(iter(self._versions(self.connection.all("versions.by_id", version_id=version_id))), None)

    def in_stage(self, model: RegisteredModel, stage: ModelStage) -> tuple[ModelVersion, ...]:
        """Return the versions in a stage, the last entered first."""
        rows = self.connection.all("versions.in_stage", model_id=model.model_id, stage=stage.value)
        return self._versions(rows)

    def was_in_stage(self, model: RegisteredModel, version: int, stage: ModelStage) -> bool:
        """Return whether a version ever entered a stage."""
        row = self.connection.one("versions.was_in_stage", model_id=model.model_id, version=version, stage=stage.value)
        return row is not None

    def ever_in_stage(self, model: RegisteredModel, stage: ModelStage) -> frozenset[int]:
        """Return the versions that ever entered a stage, including deleted ones."""
        rows = self.connection.all("versions.stage_history", model_id=model.model_id, stage=stage.value)
        return frozenset(map(version_number, rows))

    def find(self, model: RegisteredModel, selector: Selector) -> ModelVersion | None:
        """Return the version that a selector picks, or None.

        Raises:
            BadInput: The beginning of a digest matches several digests.
        """
        number = select(self.connection, model, selector, self.primary_metric)
        return None if number is None else self.version(model, number)

    def last_holders(self, model: RegisteredModel, place: Selector) -> Iterator[int]:
        """Yield the numbers of the current, then the former versions of a stage or an alias, the last one first.

        The former versions include deleted ones.
        """
        from mreg.catalog.selecting import former_holders

        yield from holders(self.connection, model.model_id, place, 2)
        yield from former_holders(self.connection, model.model_id, place)

    def entries(self, model: RegisteredModel, place: Selector) -> tuple[int, ...]:
        """Return the versions that the rule of a place admitted; see `mreg.catalog.selecting.entries`."""
        from mreg.catalog.selecting import entries

        return entries(self.connection, model.model_id, place)

    def search(
        self, where: Expression | None, *, sort: Sort | None = None, limit: int | None = None, offset: int = 0
    ) -> Page[ModelVersion]:
        """Return the versions of all models that match an expression (default order: newest first)."""
        from mreg.catalog.search import find_versions

        rows = find_versions(self.connection, self.scope, where, sort, _rows(limit, offset))
        return _page(ModelVersion, rows, limit, offset, self._versions)

    def versions_by_id(self, ids: Sequence[int]) -> tuple[ModelVersion, ...]:
        """Return the existing versions with these ids, with a constant number of statements for `CHUNK` ids."""
        found: list[ModelVersion] = []
        for start in range(0, len(ids), CHUNK):
            values = _numbered(ids[start : start + CHUNK])
            sql = f"{statement('versions.with_artifact')} WHERE v.version_id IN ({_marks(values)})"
            found += self._versions(self.connection.query(sql, values))
        return tuple(found)

    def _versions(self, rows: Sequence[Row]) -> tuple[ModelVersion, ...]:
        """Return the versions of rows; all versions pass through here, also those that were found by an id.

        A limited scope hides the ids of artifacts: an old id of new bytes shows that another model has the same ones.
        """
        if self.scope.limited:
            rows = [row for row in rows if self.scope.allows(text(row, "model_name"))]
        found: list[ModelVersion] = []
        parents: dict[int, VersionRef] = {}
        for start in range(0, len(rows), CHUNK):
            chunk = rows[start : start + CHUNK]
            attributes = self._version_attributes([number(row, "version_id") for row in chunk])
            wanted = {number(row, "parent_id") for row in chunk if row["parent_id"] is not None}
            parents |= self.references(wanted - parents.keys())
            for row in chunk:
                key = row["version_id"]
                found.append(
                    read_version(
                        row,
                        metrics=attributes.get((key, "m"), NOTHING),
                        parameters=attributes.get((key, "p"), NOTHING),
                        tags=attributes.get((key, "t"), NOTHING),
                        aliases=tuple(attributes.get((key, "a"), NOTHING)),
                        data=attributes.get((key, "d"), NOTHING),
                        parent=None if row["parent_id"] is None else parents.get(number(row, "parent_id")),
                        locate=self._locate,
                    )
                )
        if self.scope.limited:
            found = [replace(version, artifact=replace(version.artifact, artifact_id=0)) for version in found]
        return tuple(found)

    def references(self, ids: Collection[int]) -> dict[int, VersionRef]:
        """Return the references of existing and deleted versions by id, with one statement for `CHUNK` ids.

        The name of a deleted version is the one that its model had then; that model can have another one now.
        """
        found: dict[int, VersionRef] = {}
        wanted = sorted(ids)
        for start in range(0, len(wanted), CHUNK):
            values = _numbered(wanted[start : start + CHUNK])
            marks = _marks(values)
            sql = (
                "SELECT d.version_id, d.model_name, d.version, 1 AS gone, m.name AS now FROM deleted_versions d "
                f"LEFT JOIN models m ON m.model_id = d.model_id WHERE d.version_id IN ({marks}) "
                "UNION ALL SELECT v.version_id, m.name, v.version, 0, m.name FROM versions v "
                f"JOIN models m ON m.model_id = v.model_id WHERE v.version_id IN ({marks}) ORDER BY gone DESC"
            )
            for row in self.connection.query(sql, values):
                reference = read_reference(row)
                if self.scope.allows(reference.name) and (row["now"] is None or self.scope.allows(text(row, "now"))):
                    found[number(row, "version_id")] = reference
        return found

    def _version_attributes(self, ids: Sequence[int]) -> dict[tuple[Value, Value], dict[str, str]]:
        """Return metrics (m), parameters (p), tags (t), data (d) and aliases (a) by version and kind."""
        values = _numbered(ids)
        marks = _marks(values)
        sql = (
            f"SELECT 'm' AS kind, version_id, name, exact AS value FROM metrics WHERE version_id IN ({marks}) "
            f"UNION ALL SELECT 'p', version_id, name, value FROM parameters WHERE version_id IN ({marks}) "
            f"UNION ALL SELECT 't', version_id, name, value FROM version_tags WHERE version_id IN ({marks}) "
            f"UNION ALL SELECT 'd', version_id, name, value FROM version_data WHERE version_id IN ({marks}) "
            f"UNION ALL SELECT 'a', version_id, alias, '' FROM aliases WHERE version_id IN ({marks}) "
            "ORDER BY 1, 2, 3"
        )
        found: dict[tuple[Value, Value], dict[str, str]] = {}
        for row in self.connection.query(sql, values) if ids else ():
            key = row["version_id"], row["kind"]
            held = found.get(key)
            if held is None:
                held = found[key] = {}
            held[text(row, "name")] = text(row, "value")
        return found

    def parent_of(self, version_id: int) -> int | None:
        """Return the id of the parent of an existing or deleted version, or None."""
        row = self.connection.one("versions.parent", version_id=version_id)
        return None if row is None or row["parent_id"] is None else number(row, "parent_id")

    def hidden(self, ids: Collection[int]) -> set[int]:
        """Return the ids of versions that a limited scope hides, or that the catalog does not have."""
        return set(ids) - self.references(ids).keys() if self.scope.limited else set()

    def ancestors(self, version_id: int, limit: int | None = None) -> dict[int, int | None]:
        """Return the parent's id for a version and all its ancestors, including deleted ones, with one statement.

        The ids include those of versions outside the scope; see `hidden`.

        An unknown parent is not a key. A catalog that mreg did not write can have cycles.

        Args:
            limit: Maximum number of versions, the nearest first.
        """
        rows = self.connection.all("versions.ancestors", version_id=version_id, row_limit=_edges(limit))
        found: dict[int, int | None] = {}
        for row in sorted(rows, key=lambda row: truth(row, "gone"), reverse=True):
            found[number(row, "version_id")] = None if row["parent_id"] is None else number(row, "parent_id")
        return found

    def descendants(self, version_id: int, limit: int) -> dict[int, list[int]]:
        """Return the ids of the children of a version and of all its descendants, by parent, with one statement.

        The ids include those of versions outside the scope; see `hidden`.

        Children include deleted versions and are sorted, oldest first. A catalog that mreg did not write can have
        cycles, and versions with two parents.

        Args:
            limit: Maximum number of versions.
        """
        found: dict[int, list[int]] = {}
        for row in self.connection.all("versions.descendants", version_id=version_id, row_limit=_edges(limit)):
            found.setdefault(number(row, "parent_id"), []).append(number(row, "version_id"))
        return {parent: sorted(children) for parent, children in found.items()}

    def has_metric(self, model: RegisteredModel, metric: str) -> bool:
        """Return whether a version of a model has a metric."""
        return self.connection.one("versions.has_metric", model_id=model.model_id, metric=metric) is not None

    def files_of_size(self, size_bytes: int, limit: int) -> tuple[Digest, ...]:
        """Return the digests of at most `limit` files of a size, newest first."""
        rows = self._scoped("versions.files_of_size", size_bytes=size_bytes, row_limit=limit)
        return tuple(Digest.sha256(read_digest(row)) for row in rows)

    # Events

    def events(
        self,
        *,
        model: RegisteredModel | Event | None = None,
        version: int | None = None,
        limit: int | None = None,
        offset: int = 0,
        newest_first: bool = True,
    ) -> Page[Event]:
        """Return the events of the catalog, of a model, or of a version of the model, including deleted ones.

        A deleted model is given by an event of it, such as its `deletion`.
        A limited scope leaves out catalog-wide events and hashes; see `mreg.domain.events.without_names`.
        """
        order = "_newest_first" if newest_first else ""
        most = _rows(limit, offset)
        if model is None:
            rows = self._scoped(f"events.all{order}", row_limit=most)
        elif version is None:
            rows = self.connection.all(f"events.of_model{order}", model_id=model.model_id, row_limit=most)
        else:
            rows = self.connection.all(
                f"events.of_version{order}", model_id=model.model_id, version=version, row_limit=most
            )
        end = len(rows) if limit is None else offset + limit
        part, more = list(rows[offset:end]), len(rows) > end
        del rows
        return Page(self.shown(map(read_event, _drained(part))), more=more, kind=Event)

    def shown(self, events: Iterable[Event], scope: ModelScope | None = None) -> Iterable[Event]:
        """Return the events of models within a scope (default: the reader's) as the scope shows them.

        Without a limit, they are unchanged.
        """
        scope = self.scope if scope is None else scope
        return self._limited_events(events, scope) if scope.limited else events

    def _limited_events(self, events: Iterable[Event], scope: ModelScope) -> Iterator[Event]:
        names: dict[int, str] = {}
        for event in events:
            if event.model_id not in names:
                row = self.connection.one("models.by_id", model_id=event.model_id)
                names[event.model_id] = read_name(row) if row else event.model
            if scope.allows(names[event.model_id]):
                yield without_names(event, scope.allows, names[event.model_id])

    def has_used(self, model: RegisteredModel, version: int) -> bool:
        """Return whether a version number was ever given, to this model or to another one under its name.

        Without a later number of the model, this is a look at an index; otherwise it reads the audit trail.
        """
        row = self.connection.one("models.by_id", model_id=model.model_id)
        if row is None or last_version(row) < version:
            return False
        found = self.connection.one("events.using", model_id=model.model_id, model=str(model.name), version=version)
        return found is not None

    def stage_entered(self, version: ModelVersion, model: RegisteredModel) -> Event | None:
        """Return the event of a version's last entry into its current stage; None if its stage never changed."""
        row = self.connection.one(
            "events.stage_entered", model_id=model.model_id, version=version.version, stage=version.stage.value
        )
        return None if row is None else next(iter(self.shown([read_event(row)])), None)

    def stage_before(self, version: ModelVersion, model: RegisteredModel, entered: int) -> ModelVersion | None:
        """Return the version that a version replaced in its stage, or the last one that left the stage before it.

        Args:
            entered: The seq of the version's entry into the stage.
        """
        stage = version.stage.value
        moves = [*self.connection.all("versions.stage_moves", model_id=model.model_id, seq=entered, stage=stage)]
        # The replaced versions left in the same transaction; their events directly precede the entry.
        while moves and number(moves[-1], "seq") == entered - 1 and text(moves[-1], "to_stage") != stage:
            entered = number(moves.pop(), "seq")
        there: dict[int, None] = {}
        gone: dict[int, None] = {}
        for move in moves:
            moved = version_number(move)
            there.pop(moved, None)
            gone.pop(moved, None)
            (there if text(move, "to_stage") == stage else gone)[moved] = None
        others = (other for other in (*reversed(there), *reversed(gone)) if other != version.version)
        return next((found for other in others if (found := self.version(model, other)) is not None), None)

    def all_events(self) -> Iterator[Event]:
        """Yield all events of the catalog, oldest first, in pages of `PAGE`; only without a limited scope."""
        self.scope.check_unlimited("read the whole audit trail")
        seq = -SIZE_LIMIT - 1  # includes an invalid seq below 1
        while rows := self.connection.all("events.after", seq=seq, row_limit=PAGE):
            yield from (read_event(row) for row in rows)
            seq = number(rows[-1], "seq")

    def staged(self) -> dict[tuple[int, int], str]:
        """Return the stage by model id and version number, without versions in None; only without a limited scope."""
        self.scope.check_unlimited("read the stages of all models")
        return {
            (number(row, "model_id"), version_number(row)): text(row, "stage")
            for row in self.connection.all("versions.staged")
        }

    def renamed_to(self, name: ModelName) -> ModelName | None:
        """Return the present name of the model that gave up a name last, None if there is none."""
        given_up = self.connection.one("models.given_up", name=str(name)) if self.scope.allows(name) else None
        model = self.model_by_id(number(given_up, "model_id")) if given_up is not None else None
        return model.name if model is not None else None

    def deletion(self, name: ModelName) -> Event | None:
        """Return the event that deleted the model that had a name last; None if it exists or no model had the name."""
        given_up = self.connection.one("models.given_up", name=str(name)) if self.scope.allows(name) else None
        if given_up is None:
            return None
        row = self.connection.one("events.deletion", model_id=number(given_up, "model_id"), model=str(name))
        return None if row is None else next(iter(self.shown([read_event(row)])), None)

    def model_by_id(self, model_id: int) -> RegisteredModel | None:
        """Return the model with an id, or None."""
        row = self.connection.one("models.by_id", model_id=model_id)
        return self._model(row) if row and self.scope.allows(text(row, "name")) else None

    def name_of(self, model_id: int) -> str:
        """Return the name of the model with an id, or ``model ID`` if it was deleted."""
        row = self.connection.one("models.by_id", model_id=model_id)
        return read_name(row) if row and self.scope.allows(text(row, "name")) else f"model {model_id}"


def _rows(limit: int | None, offset: int) -> int:
    """Return the row limit of a query for a page: one more than its rows, which shows whether there are more."""
    return ALL if limit is None else offset + limit + 1


def _drained(rows: list[Row]) -> Iterator[Row]:
    """Yield each row and drop it: the rows of a long history need more memory than its events."""
    rows.reverse()
    while rows:
        yield rows.pop()


def _page(
    kind: type[T], rows: Sequence[Row], limit: int | None, offset: int, read: Callable[[Sequence[Row]], Iterable[T]]
) -> Page[T]:
    """Return the page of rows that `_rows` asked for; only its own rows are read."""
    end = len(rows) if limit is None else offset + limit
    return Page(read(rows[offset:end]), more=len(rows) > end, kind=kind)


def _edges(limit: int | None) -> int:
    """Return the row limit of a query for versions with parents; a version can have a row in two tables."""
    return ALL if limit is None else 2 * limit


def _numbered(ids: Sequence[int]) -> Mapping[str, Value]:
    """Return the ids as values of a statement."""
    return {f"v{place}": version_id for place, version_id in enumerate(ids)}


def _marks(values: Mapping[str, Value]) -> str:
    return ", ".join(f":{name}" for name in values)


def _beyond(prefix: str) -> str:
    """Return a text that sorts after every text with a prefix."""
    return f"{prefix}\U0010ffff"
