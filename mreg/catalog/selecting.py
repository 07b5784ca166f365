"""Resolution of selectors to version numbers."""

from __future__ import annotations

from collections.abc import Callable

from mreg.catalog.database import Connection, Row
from mreg.catalog.rows import details_of, read_digest, text, truth, version_number
from mreg.domain.metrics import Direction, direction
from mreg.domain.model import ModelStage, RegisteredModel
from mreg.domain.names import LARGEST_VERSION, Selector, SelectorKind, folded, spelled
from mreg.errors import BadInput


def select(
    connection: Connection,
    model: RegisteredModel,
    selector: Selector,
    primary_metric: Callable[[RegisteredModel], str],
) -> int | None:
    """Return the version number that a selector picks, or None; the number can be of a deleted version.

    ``~N`` goes N steps back: for a number to lower existing numbers, for latest the same without archived versions, for
    best to the best version with a lower number, for a stage or an alias to the versions that it held before.

    Raises:
        BadInput: The beginning of a digest matches several digests.
    """
    model_id, back, kind = model.model_id, selector.back, selector.kind
    if kind is SelectorKind.NUMBER:
        wanted = int(selector.value)
        if not back:
            return wanted
        if not connection.one("versions.exists", model_id=model_id, version=wanted):
            return None
        return _version(connection.one("versions.below", model_id=model_id, version=wanted, back=back))
    if kind is SelectorKind.LATEST:
        return _version(connection.one("versions.latest", model_id=model_id, back=back))
    if kind is SelectorKind.BEST:
        return _select_best(connection, model, back, primary_metric(model))
    if kind in (SelectorKind.STAGE, SelectorKind.ALIAS):
        return _select_from_place(connection, model_id, selector, back)
    return _select_by_digest(connection, model, selector.value, back)


def _version(row: Row | None) -> int | None:
    return None if row is None else version_number(row)


def _select_best(connection: Connection, model: RegisteredModel, back: int, metric: str) -> int | None:
    better = direction(metric, model.directions) if metric else None
    if better is None:
        return None
    statement = "versions.best_high" if better is Direction.HIGHER else "versions.best_low"
    below: int | None = LARGEST_VERSION + 1
    for _ in range(back + 1):
        below = _version(connection.one(statement, model_id=model.model_id, metric=metric, below=below))
        if below is None:
            return None
    return below


def holders(connection: Connection, model_id: int, place: Selector, limit: int = 1) -> tuple[int, ...]:
    """Return the current versions of a stage or an alias, the last entered first.

    References and gates both use this function, so that ``production`` has the same meaning in both.

    Args:
        place: Selector of a stage or an alias.
        limit: Maximum number of versions.
    """
    if place.kind is SelectorKind.STAGE:
        stage = ModelStage.parse(place.value).value
        rows = connection.all("versions.last_in_stage", model_id=model_id, stage=stage, row_limit=limit)
        return tuple(version_number(row) for row in rows)
    rows = connection.all("versions.by_alias", model_id=model_id, folded=folded(place.value))
    versions = {text(row, "alias"): version_number(row) for row in rows}
    alias = spelled(place.value, versions)
    return () if alias is None else (versions[alias],)


def former_holders(connection: Connection, model_id: int, place: Selector) -> tuple[int, ...]:
    """Return all versions that a stage or an alias ever held, including deleted ones, the last one first.

    For a stage, the order is the one in which rollbacks go back.
    """
    if place.kind is SelectorKind.STAGE:
        from mreg.domain.transition import StageEntry, rollback_stack

        stage = ModelStage.parse(place.value).value
        rows = connection.all("versions.stage_history", model_id=model_id, stage=stage)
        return rollback_stack(StageEntry(version_number(row), truth(row, "returned")) for row in rows)[::-1]
    rows = connection.all("versions.alias_history", model_id=model_id, folded=folded(place.value))
    return tuple(version_number(row) for row in rows if row["version"] is not None)


def entries(connection: Connection, model_id: int, place: Selector) -> tuple[int, ...]:
    """Return the versions that the rule of a stage or an alias admitted, including deleted ones, the last one first.

    Versions that returned by a rollback, or that a rejection for Production moved back to Staging, were not admitted.
    """
    if place.kind is not SelectorKind.STAGE:
        return former_holders(connection, model_id, place)
    stage = ModelStage.parse(place.value).value
    rows = connection.all("versions.stage_entries", model_id=model_id, stage=stage)
    return tuple(version_number(row) for row in rows if not _sent_back(details_of(row).get("policy")))


def _sent_back(policy: object) -> bool:
    return isinstance(policy, dict) and "rejected_by" in policy and "overridden" not in policy


def _select_from_place(connection: Connection, model_id: int, place: Selector, back: int) -> int | None:
    now = next(iter(holders(connection, model_id, place)), None)
    if not back:
        return now
    before = former_holders(connection, model_id, place)
    if place.kind is SelectorKind.STAGE and now is not None:
        before = before[before.index(now) :] if now in before else ()
    last, left = now, back
    for version in before:
        # Look up only as many versions as needed, since the history can be long.
        if version != last and connection.one("versions.exists", model_id=model_id, version=version):
            last, left = version, left - 1
            if not left:
                return version
    return None


def _select_by_digest(connection: Connection, model: RegisteredModel, prefix: str, back: int) -> int | None:
    first = prefix.removeprefix("sha256:")
    rows = connection.all("versions.by_digest", model_id=model.model_id, first=first, beyond=f"{first}g")
    digests = {read_digest(row) for row in rows}
    if len(digests) > 1:
        raise BadInput(
            f"ambiguous digest {prefix}: {len(digests)} digests of {model.name} begin with it",
            hint=f"use one of: {', '.join(f'sha256:{digest[:20]}' for digest in sorted(digests)[:4])}",
        )
    return _version(rows[back]) if back < len(rows) else None
