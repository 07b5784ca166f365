"""Reader: questions to the catalog in domain terms, over named statements."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from mreg.catalog.database import Connection, Row
from mreg.catalog.rows import (
    number,
    read_event,
    read_metric_name,
    read_model,
    read_name,
    read_reference,
    read_version,
    text,
    version_number,
)
from mreg.catalog.selecting import holders, select
from mreg.domain.digest import Digest
from mreg.domain.model import ModelStage, ModelSummary, ModelVersion, RegisteredModel
from mreg.domain.names import ModelName, Selector, SelectorKind, VersionRef
from mreg.domain.stored import SIZE_LIMIT

if TYPE_CHECKING:
    from mreg.domain.events import Event
    from mreg.domain.expression import Expression, Sort

STAGING = Selector(SelectorKind.STAGE, "staging")
PRODUCTION = Selector(SelectorKind.STAGE, "production")

ALL = 2**62
"""A limit that no table reaches."""

PAGE = 5_000
"""Events that are read by one statement."""

CHUNK = 500
"""Versions whose belongings are read by one statement."""


class Reader:
    """Questions to the catalog within one transaction."""

    def __init__(self, connection: Connection, locate: Callable[[Digest], str]) -> None:
        self.connection = connection
        self._locate = locate

    # Models

    def model(self, name: ModelName) -> RegisteredModel | None:
        """The model of that name, or None."""
        row = self.connection.one("models.by_name", name=str(name))
        return None if row is None else self._model(row)

    def _model(self, row: Row) -> RegisteredModel:
        one, model_id = self.connection, row["model_id"]
        return read_model(
            row,
            tags=one.all("models.tags", model_id=model_id),
            directions=one.all("models.directions", model_id=model_id),
            aliases=one.all("models.aliases", model_id=model_id),
            latest=_number(one.one("versions.latest", model_id=model_id, back=0)),
            newest=_number(one.one("versions.newest", model_id=model_id)),
            staging=next(iter(holders(one, number(row, "model_id"), STAGING)), None),
            production=next(iter(holders(one, number(row, "model_id"), PRODUCTION)), None),
        )

    def models(self, *, limit: int | None = None, offset: int = 0) -> tuple[ModelSummary, ...]:
        """Every model with the metric that speaks for it, the one that changed last first."""
        from mreg.catalog.summaries import summaries

        rows = self.connection.all("models.by_update", row_limit=_rows(limit, offset))
        return summaries(self.connection, rows[offset:])

    def judging_metric(self, model: RegisteredModel) -> str:
        """Return a model's primary metric, over all its versions; see `mreg.domain.metrics.primary_metric`."""
        from mreg.catalog.summaries import judging_metric

        return judging_metric(self.connection, model)

    def model_names(self, prefix: str = "", limit: int | None = None) -> tuple[str, ...]:
        """Names of models that begin with a text, sorted."""
        rows = self.connection.all(
            "models.names_from", first=prefix, beyond=_beyond(prefix), row_limit=ALL if limit is None else limit
        )
        return tuple(map(read_name, rows))

    def near_names(self, name: str) -> tuple[str, ...]:
        """Names that the given one was probably meant to be; looks at some hundreds of neighbours, not at all names."""
        from mreg.domain.text import nearest

        around = self.connection.all("models.names_around", name=name, row_limit=200)
        recent = self.connection.all("models.by_update", row_limit=200)
        return nearest(name, set(map(read_name, (*around, *recent))))

    def metric_names(self, prefix: str = "", limit: int = 200) -> tuple[str, ...]:
        """Names of metrics that any version has and that begin with a text, sorted."""
        rows = self.connection.all("versions.metric_names", first=prefix, beyond=_beyond(prefix), row_limit=limit)
        return tuple(map(read_metric_name, rows))

    # Versions

    def versions(
        self, model: RegisteredModel, *, limit: int | None = None, offset: int = 0
    ) -> tuple[ModelVersion, ...]:
        """The versions of a model, newest first, with a constant number of statements for some hundreds of them."""
        rows = self.connection.all("versions.of_model", model_id=model.model_id, row_limit=_rows(limit, offset))
        return self._versions(rows[offset:])

    def version(self, model: RegisteredModel, number: int) -> ModelVersion | None:
        """The version of that number, or None."""
        rows = self.connection.all("versions.by_number", model_id=model.model_id, version=number)
        return next(iter(self._versions(rows)), None)

    def version_by_id(self, version_id: int) -> ModelVersion | None:
        """The version of that id, of whatever model, or None."""
        return next(iter(self._versions(self.connection.all("versions.by_id", version_id=version_id))), None)

    def in_stage(self, model: RegisteredModel, stage: ModelStage) -> tuple[ModelVersion, ...]:
        """The versions that are in a stage, the one that entered last first."""
        rows = self.connection.all("versions.in_stage", model_id=model.model_id, stage=stage.value)
        return self._versions(rows)

    def was_in_stage(self, model: RegisteredModel, version: int, stage: ModelStage) -> bool:
        """Whether a version ever entered a stage."""
        row = self.connection.one("versions.was_in_stage", model_id=model.model_id, version=version, stage=stage.value)
        return row is not None

    def find(self, model: RegisteredModel, selector: Selector) -> ModelVersion | None:
        """The version that a selector picks, or None.

        Raises:
            BadInput: The beginning of a digest fits versions of different bytes.
        """
        number = select(self.connection, model, selector, self.judging_metric)
        return None if number is None else self.version(model, number)

    def last_holders(self, model: RegisteredModel, place: Selector) -> Iterator[int]:
        """The numbers of the versions that a stage or an alias means and meant, the last one first.

        First those that it means now, then the former ones, also those of deleted versions.
        """
        from mreg.catalog.selecting import former_holders

        yield from holders(self.connection, model.model_id, place, 2)
        yield from former_holders(self.connection, model.model_id, place)

    def entries(self, model: RegisteredModel, place: Selector) -> tuple[int, ...]:
        """The numbers of the versions that the rule of a stage or an alias let in, the last one first.

        Also those of deleted versions, and not those that only a rollback brought back.
        """
        from mreg.catalog.selecting import entries

        return entries(self.connection, model.model_id, place)

    def search(
        self, where: Expression | None, *, sort: Sort | None = None, limit: int | None = None, offset: int = 0
    ) -> tuple[ModelVersion, ...]:
        """Versions over all models for which an expression holds, newest first unless sorted."""
        from mreg.catalog.search import find_versions

        return self._versions(find_versions(self.connection, where, sort, _rows(limit, offset))[offset:])

    def _versions(self, rows: Sequence[Row]) -> tuple[ModelVersion, ...]:
        found: list[ModelVersion] = []
        parents: dict[int, VersionRef | None] = {}
        for start in range(0, len(rows), CHUNK):
            chunk = rows[start : start + CHUNK]
            belongings = self._belongings([number(row, "version_id") for row in chunk])
            for row in chunk:
                metrics, parameters, tags, aliases, data = (
                    belongings.get((row["version_id"], kind), {}) for kind in "mptad"
                )
                parent_id = None if row["parent_id"] is None else number(row, "parent_id")
                if parent_id is not None and parent_id not in parents:
                    parents[parent_id] = self._reference(parent_id)
                found.append(
                    read_version(
                        row,
                        metrics=metrics,
                        parameters=parameters,
                        tags=tags,
                        aliases=tuple(aliases),
                        data=data,
                        parent=None if parent_id is None else parents[parent_id],
                        locate=self._locate,
                    )
                )
        return tuple(found)

    def _belongings(self, ids: Sequence[int]) -> dict[tuple[object, str], dict[str, str]]:
        """Metrics (m), parameters (p), tags (t), data (d) and aliases (a) by version, in the order of names."""
        marks = ", ".join(f":v{place}" for place in range(len(ids)))
        sql = (
            f"SELECT 'm' AS kind, version_id, name, exact AS value FROM metrics WHERE version_id IN ({marks}) "
            f"UNION ALL SELECT 'p', version_id, name, value FROM parameters WHERE version_id IN ({marks}) "
            f"UNION ALL SELECT 't', version_id, name, value FROM version_tags WHERE version_id IN ({marks}) "
            f"UNION ALL SELECT 'd', version_id, name, value FROM version_data WHERE version_id IN ({marks}) "
            f"UNION ALL SELECT 'a', version_id, alias, '' FROM aliases WHERE version_id IN ({marks}) "
            "ORDER BY 1, 2, 3"
        )
        found: dict[tuple[object, str], dict[str, str]] = {}
        for row in self.connection.query(sql, {f"v{place}": one for place, one in enumerate(ids)}) if ids else ():
            found.setdefault((row["version_id"], text(row, "kind")), {})[text(row, "name")] = text(row, "value")
        return found

    def _reference(self, version_id: int) -> VersionRef | None:
        row = self.connection.one("versions.by_id", version_id=version_id)
        if row is None:
            return self.deleted(version_id)
        return read_reference(row)

    def deleted(self, version_id: int) -> VersionRef | None:
        """The reference that a deleted version had, or None where no such version was deleted."""
        row = self.connection.one("versions.deleted", version_id=version_id)
        if row is None:
            return None
        return read_reference(row)

    def parent_of(self, version_id: int) -> int | None:
        """The id of a version's parent, also of a deleted version's, or None."""
        row = self.connection.one("versions.parent", version_id=version_id)
        return None if row is None or row["parent_id"] is None else number(row, "parent_id")

    def children_of(self, version_id: int) -> tuple[int, ...]:
        """The ids of the versions made from a version, deleted ones too, oldest first."""
        return tuple(
            number(row, "version_id") for row in self.connection.all("versions.children", version_id=version_id)
        )

    def has_size(self, size_bytes: int) -> bool:
        """Whether any artifact has exactly so many bytes, so that the same bytes may be stored already."""
        return self.connection.one("versions.has_size", size_bytes=size_bytes) is not None

    # Events

    def events(
        self,
        *,
        model: RegisteredModel | None = None,
        version: int | None = None,
        limit: int | None = None,
        newest_first: bool = True,
    ) -> tuple[Event, ...]:
        """Events of the whole catalog, of a model, or of one of its version numbers, deleted ones too."""
        order = "_newest_first" if newest_first else ""
        rows: Iterable[Row]
        most = ALL if limit is None else limit
        if model is None:
            rows = self.connection.all(f"events.all{order}", row_limit=most)
        elif version is None:
            rows = self.connection.all(f"events.of_model{order}", model_id=model.model_id, row_limit=most)
        else:
            rows = self.connection.all(
                f"events.of_version{order}", model_id=model.model_id, version=version, row_limit=most
            )
        return tuple(read_event(row) for row in rows)

    def all_events(self) -> Iterator[Event]:
        """Every event of the catalog, oldest first, a page at a time."""
        seq = -SIZE_LIMIT - 1  # a seq below 1 is not overlooked
        while rows := self.connection.all("events.after", seq=seq, row_limit=PAGE):
            yield from (read_event(row) for row in rows)
            seq = number(rows[-1], "seq")

    def staged(self) -> dict[tuple[int, int], str]:
        """The stage of every version that is in one, by its model's id and its number."""
        return {
            (number(row, "model_id"), version_number(row)): text(row, "stage")
            for row in self.connection.all("versions.staged")
        }

    def model_by_id(self, model_id: int) -> RegisteredModel | None:
        """The model of an id, or None where it is gone."""
        row = self.connection.one("models.by_id", model_id=model_id)
        return self._model(row) if row else None

    def name_of(self, model_id: int) -> str:
        """The name of a model by its id, of one that is gone the id."""
        row = self.connection.one("models.by_id", model_id=model_id)
        return read_name(row) if row else f"model {model_id}"


def _rows(limit: int | None, offset: int) -> int:
    """How many rows to ask for, to have so many behind the offset."""
    return ALL if limit is None else limit + offset


def _number(row: Row | None) -> int | None:
    return None if row is None else version_number(row)


def _beyond(prefix: str) -> str:
    """A text after every text that begins with the prefix."""
    return f"{prefix}\U0010ffff"
