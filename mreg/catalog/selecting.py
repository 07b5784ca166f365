"""Which version number a selector picks."""

from __future__ import annotations

from collections.abc import Callable

from mreg.catalog.database import Connection, Row
from mreg.catalog.rows import read_digest, truth, version_number
from mreg.domain.metrics import Direction, direction
from mreg.domain.model import ModelStage, RegisteredModel
from mreg.domain.names import LARGEST_VERSION, Selector, SelectorKind
from mreg.errors import BadInput


def select(
    connection: Connection,
    model: RegisteredModel,
    selector: Selector,
    judging_metric: Callable[[RegisteredModel], str],
) -> int | None:
    """The number of the version that a selector picks, or None; it may be of a version that was deleted since.

    ``~N`` goes back in what the selector meant: by number to lower ones that exist, for latest likewise among those
    not archived, for best to the best of those before it, for a stage and an alias to what they held before.

    Raises:
        BadInput: The beginning of a digest fits versions of different bytes.
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
        return _best(connection, model, back, judging_metric(model))
    if kind is SelectorKind.STAGE:
        return _in_stage(connection, model_id, ModelStage.parse(selector.value), back)
    if kind is SelectorKind.ALIAS:
        return _of_alias(connection, model_id, selector.value, back)
    return _of_digest(connection, model, selector.value, back)


def _version(row: Row | None) -> int | None:
    return None if row is None else version_number(row)


def _best(connection: Connection, model: RegisteredModel, back: int, metric: str) -> int | None:
    way = direction(metric, model.directions) if metric else None
    if way is None:
        return None
    statement = "versions.best_high" if way is Direction.HIGHER else "versions.best_low"
    below: int | None = LARGEST_VERSION + 1
    for _ in range(back + 1):
        below = _version(connection.one(statement, model_id=model.model_id, metric=metric, below=below))
        if below is None:
            return None
    return below


def _in_stage(connection: Connection, model_id: int, stage: ModelStage, back: int) -> int | None:
    now = _version(connection.one("versions.last_in_stage", model_id=model_id, stage=stage.value))
    if not back:
        return now
    from mreg.domain.transition import StageEntry, held

    rows = connection.all("versions.stage_history", model_id=model_id, stage=stage.value)
    entries = [StageEntry(version_number(row), truth(row, "returned")) for row in rows]
    stack = [
        version
        for version in held(entries)
        if connection.one("versions.exists", model_id=model_id, version=version) is not None
    ]
    if now is not None:
        while stack and stack[-1] != now:
            stack.pop()
        stack = stack[:-1]
    return stack[-back] if back <= len(stack) else None


def _of_alias(connection: Connection, model_id: int, alias: str, back: int) -> int | None:
    now = _version(connection.one("versions.by_alias", model_id=model_id, alias=alias))
    if not back:
        return now
    before: list[int] = [] if now is None else [now]
    for row in connection.all("versions.alias_history", model_id=model_id, alias=alias):
        if row["version"] is None:
            continue
        version = version_number(row)
        if before and before[-1] == version:
            continue
        if connection.one("versions.exists", model_id=model_id, version=version):
            before.append(version)
    steps = before if now is None else before[1:]
    return steps[back - 1] if back <= len(steps) else None


def _of_digest(connection: Connection, model: RegisteredModel, prefix: str, back: int) -> int | None:
    first = prefix.removeprefix("sha256:")
    rows = connection.all("versions.by_digest", model_id=model.model_id, first=first, beyond=f"{first}g")
    digests = {read_digest(row) for row in rows}
    if len(digests) > 1:
        raise BadInput(
            f"{prefix} is the beginning of {len(digests)} digests of {model.name}",
            hint=f"give more of one: {', '.join(f'sha256:{digest[:20]}' for digest in sorted(digests)[:4])}",
        )
    return _version(rows[back]) if back < len(rows) else None
