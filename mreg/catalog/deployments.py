"""Deployments in the catalog: written with the change that sets them off, taken by one process at a time."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from mreg.catalog.rows import number, read_event, read_time, row_of, text, version_number
from mreg.domain.events import GENESIS, Event, has_right_hash, time_text
from mreg.domain.hook import Deployment, DeploymentStatus, Hook, check_deployment, check_told, stage_entered
from mreg.domain.model import ModelStatus
from mreg.domain.stored import SIZE_LIMIT
from mreg.domain.text import quoted
from mreg.errors import BadInput, Corrupt
from mreg.results import Page

if TYPE_CHECKING:
    from mreg.catalog.database import Row
    from mreg.catalog.reader import Reader
    from mreg.catalog.writer import Writer
    from mreg.domain.model import RegisteredModel


ATTEMPTS_LIMIT = OUTCOME_LIMIT = 2**31 - 1
"""Beyond what any deployment counts, and any system or HTTP status says."""

OPEN_LIMIT = 100
"""Deployments of one hook that a command looks at, in addition to those that it wrote down itself."""


def enqueue(writer: Writer, event: Event) -> None:
    """Write down the hooks that an event sets off, in the transaction of the event.

    A version whose stage change sets one off is deploying from then on.
    """
    stage = stage_entered(event)
    set_off = [hook for hook in writer.hooks if hook.wants(event.action, event.model, stage)]
    for hook in set_off:
        enqueue_one(writer, event, hook.name)
    if set_off and stage:
        _set_status(writer, event, ModelStatus.DEPLOYING)


def enqueue_one(writer: Writer, event: Event, hook: str) -> None:
    """Write down that a hook is to be run for an event."""
    before = writer.connection.one("deployments.count", seq=event.seq)
    key = f"{event.hash[:32]}.{number(before, 'number') + 1 if before else 1}"
    writer.set_off.append(key)
    writer.connection.run(
        "deployments.insert",
        key=key,
        hook=hook,
        seq=event.seq,
        model_id=event.model_id,
        version=event.version,
        at=writer.time,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Open:
    """The deployments of a hook that wait, and those whose process is taken for dead, by their ids, oldest first.

    Attributes:
        runnable: Those to run.
        refused: Why each of the others is not run.
        more: Whether there are others that were not looked at.
    """

    runnable: tuple[int, ...]
    refused: dict[int, str]
    more: bool


def open_deployments(reader: Reader, hook: Hook, now: datetime, own: Collection[str], *, adopt: bool) -> Open:
    """Return the open deployments of a hook, each checked against the hook and the catalog.

    Args:
        own: Keys of the deployments that this process wrote down; these are always looked at.
        adopt: Whether deployments of other processes are looked at, at most `OPEN_LIMIT` of them.
    """
    limit = OPEN_LIMIT + 1 if adopt else 0
    rows = list(reader.connection.all("deployments.open", hook=hook.name, now=time_text(now), row_limit=limit))
    more = len(rows) > OPEN_LIMIT
    rows = rows[:OPEN_LIMIT]
    for key in own:
        row = reader.connection.one("deployments.by_key", hook=hook.name, key=key)
        if row is not None and row["status"] in ("pending", "deploying"):
            rows.append(row)
    found = {number(row, "deployment_id", -SIZE_LIMIT - 1): row for row in rows}
    judge = _Judge(reader, hook)
    refused: dict[int, str] = {}
    runnable = []
    for deployment_id in sorted(found):
        why = judge.why_not(found[deployment_id])
        if why:
            refused[deployment_id] = why
        else:
            runnable.append(deployment_id)
    return Open(runnable=tuple(runnable), refused=refused, more=more)


def refuse(writer: Writer, hook: Hook, found: Open) -> None:
    """Mark the deployments that are not run as failed, so that no later command looks at them again."""
    for deployment_id, why in found.refused.items():
        writer.connection.run(
            "deployments.refuse", deployment_id=deployment_id, output=f"not run: {why}", at=writer.time
        )
    details = {"hook": hook.name, "deployments": list(found.refused), "why": next(iter(found.refused.values()))}
    writer.record("deployment.refused", None, details)


def check_runs(reader: Reader, hook: Hook, event: Event) -> None:
    """Return if a hook can run for an event of the catalog.

    The values that a hook receives come from the event alone, so the event must agree with the rest of the catalog: its
    hash and its links are right, its model has that name or had it last, the version is in the stage in which the last
    event on it leaves it, and the hook is for it. The version can have left the stage since: a hook runs at least once
    for each change.

    Raises:
        BadInput, Corrupt: The event does not agree, or the hook is not for it.
    """
    for seq, this, other in ((event.seq - 1, event.previous, "hash"), (event.seq + 1, event.hash, "previous")):
        row = reader.connection.one("events.link", seq=seq)
        there = row[other] if row else GENESIS if seq == 0 else this if seq > event.seq else None
        if there != this:
            raise BadInput(f"audit event {event.seq} is not linked to audit event {seq}")
    if not has_right_hash(event):
        raise BadInput(f"audit event {event.seq} does not match its hash")
    check_told(event)
    _check_name(reader, event)
    stage = stage_entered(event)
    if not hook.wants(event.action, event.model, stage):
        what = f"{quoted(event.action)} of {quoted(event.model)}" + (f" in {stage}" if stage else "")
        raise BadInput(f"the hook is not for {what}")
    if stage:
        _check_place(reader, event)


def _check_name(reader: Reader, event: Event) -> None:
    """Return if the name in an event means the model in it: the model has the name now, or had it last."""
    if not event.model and not event.model_id and event.version is None:
        return  # an event of the whole catalog
    row = reader.connection.one("models.by_name", name=event.model)
    row = row or reader.connection.one("models.given_up", name=event.model)
    if not event.model or row is None or row["model_id"] != event.model_id:
        raise BadInput(f"audit event {event.seq} names {quoted(event.model)}, which is not the model that it is of")


def _check_place(reader: Reader, event: Event) -> None:
    """Return if a version is in the stage in which the last event on it leaves it."""
    row = reader.connection.one("events.last_move", model_id=event.model_id, version=event.version)
    last = read_event(row) if row else event
    expected = stage_entered(last)
    model = reader.model_by_id(event.model_id)
    version = reader.version(model, event.version) if model is not None and event.version is not None else None
    found = version.stage.value if version is not None else ""
    if found != expected:
        raise BadInput(
            f"version {event.version} is in {found or 'no stage'}, and the audit trail leaves it in "
            f"{quoted(expected) if expected else 'no stage'}"
        )


class _Judge:
    """Decides whether a deployment is run; reads each event once, for all deployments that name it."""

    def __init__(self, reader: Reader, hook: Hook) -> None:
        self._reader = reader
        self._hook = hook
        self._events: dict[int, Event | str] = {}

    def why_not(self, row: Row) -> str:
        """Return why the deployment of a row is not run, empty if it is run."""
        try:
            seq = number(row, "seq", 1)
            if seq not in self._events:
                self._events[seq] = self._event(seq)
            event = self._events[seq]
            return event if isinstance(event, str) else _mismatch(row, event)
        except (BadInput, Corrupt) as error:
            return error.message

    def _event(self, seq: int) -> Event | str:
        """Return the event with only the entered stage in its details, or why the hook is not run for it."""
        try:
            row = self._reader.connection.one("events.by_seq", seq=seq)
            if row is None:
                return f"audit event {seq} not found"
            event = read_event(row)
            check_runs(self._reader, self._hook, event)
        except (BadInput, Corrupt) as error:
            return error.message
        return replace(event, details={"to": stage_entered(event)})


def _mismatch(row: Row, event: Event) -> str:
    """Return why a deployment does not belong to an event, empty if it does.

    Raises:
        Corrupt: mreg did not write the row.
    """
    deployment = _of_event(row, event)
    version = None if row["version"] is None else version_number(row)
    if (number(row, "model_id"), version) != (event.model_id, event.version):
        return f"it is of another model or version than audit event {event.seq}"
    if deployment.key.partition(".")[0] != event.hash[:32]:
        return f"its key is not one of audit event {event.seq}"
    return "" if deployment.attempts < ATTEMPTS_LIMIT else "it was tried too often"


def deployments_of(reader: Reader, model: RegisteredModel, limit: int, offset: int) -> Page[Deployment]:
    """The deployments of a model, newest first."""
    end = offset + limit
    rows = reader.connection.all("deployments.of_model", model_id=model.model_id, row_limit=end + 1)
    return Page(map(_read, rows[offset:end]), more=len(rows) > end)


def claim(writer: Writer, hook: Hook, deployment_id: int, now: datetime, seconds: float) -> Deployment | None:
    """Take a deployment for this process; None if another process was faster or it must not be run any more.

    Args:
        seconds: After which this process is taken for dead.
    """
    row = writer.connection.one("deployments.by_id", deployment_id=deployment_id)
    if row is None or row["status"] not in ("pending", "deploying") or _Judge(writer, hook).why_not(row):
        return None
    claimed = _claimed_until(row)
    if claimed is not None and claimed >= now:
        return None
    until = time_text(now + timedelta(seconds=seconds))
    writer.connection.run("deployments.claim", deployment_id=deployment_id, at=time_text(now), until=until)
    return _read(row)


def finish(writer: Writer, deployment: Deployment, *, succeeded: bool, outcome: int | None, output: str) -> Deployment:
    """Write down what came of a deployment, and of all that its stage change set off."""
    status = DeploymentStatus.DEPLOYED if succeeded else DeploymentStatus.FAILED
    writer.connection.run(
        "deployments.finish",
        deployment_id=deployment.deployment_id,
        status=status.value,
        outcome=outcome,
        output=output,
        at=writer.time,
    )
    event = deployment.event
    details = {"hook": deployment.hook, "key": deployment.key, "outcome": outcome, "of": event.seq}
    model = writer.model_by_id(event.model_id)
    writer.record("deployment.succeeded" if succeeded else "deployment.failed", model, details, event.version)
    if deployment.stage:
        left: Collection[str] = {
            str(row["status"]) for row in writer.connection.all("deployments.counts", seq=event.seq)
        }
        version = writer.version(model, event.version) if model is not None and event.version is not None else None
        if version is not None and version.stage.value == deployment.stage:  # something else may have come since
            if "failed" in left:
                _set_status(writer, event, ModelStatus.FAILED)
            elif left == {"deployed"}:
                _set_status(writer, event, ModelStatus.DEPLOYED)
    row = writer.connection.one("deployments.by_id", deployment_id=deployment.deployment_id)
    return _read(row) if row is not None else deployment


def _set_status(writer: Writer, event: Event, status: ModelStatus) -> None:
    writer.connection.run(
        "deployments.set_version_status", model_id=event.model_id, version=event.version, status=status.value
    )


@row_of("deployments", "deployment_id")
def _claimed_until(row: Row) -> datetime | None:
    return None if row["claimed_until"] is None else read_time(row["claimed_until"])


def _read(row: Row) -> Deployment:
    """The deployment of a row with its event joined."""
    return _of_event(row, read_event(row))


@row_of("deployments", "deployment_id")
def _of_event(row: Row, event: Event) -> Deployment:
    outcome = row["outcome"]
    started, ended = row["started_at"], row["ended_at"]
    return check_deployment(
        Deployment(
            deployment_id=number(row, "deployment_id", 1),
            key=text(row, "key"),
            hook=text(row, "hook"),
            event=event,
            status=DeploymentStatus(text(row, "status")),
            attempts=number(row, "attempts", 0, ATTEMPTS_LIMIT),
            outcome=None if outcome is None else number(row, "outcome", -OUTCOME_LIMIT, OUTCOME_LIMIT),
            output=text(row, "output"),
            created_at=read_time(row["created_at"]),
            started_at=None if started is None else read_time(started),
            ended_at=None if ended is None else read_time(ended),
        )
    )
