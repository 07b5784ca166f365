"""Deployments in the catalog: written with the change that sets them off, taken by one process at a time."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from mreg.catalog.rows import number, read_event, read_time, row_of, text
from mreg.domain.events import Event, time_text
from mreg.domain.hook import Deployment, DeploymentStatus, check_deployment, stage_entered
from mreg.domain.model import ModelStatus

if TYPE_CHECKING:
    from mreg.catalog.database import Row
    from mreg.catalog.reader import Reader
    from mreg.catalog.writer import Writer
    from mreg.domain.model import RegisteredModel


ATTEMPTS_LIMIT = OUTCOME_LIMIT = 2**31 - 1
"""Beyond what any deployment counts, and any system or HTTP status says."""


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
    writer.connection.run(
        "deployments.insert",
        key=f"{event.hash[:32]}.{number(before, 'number') + 1 if before else 1}",
        hook=hook,
        seq=event.seq,
        model_id=event.model_id,
        version=event.version,
        at=writer.time,
    )


def open_deployments(reader: Reader, hook: str, now: datetime) -> tuple[Deployment, ...]:
    """The deployments of a hook that wait, and those whose process is taken for dead, oldest first."""
    rows = reader.connection.all("deployments.open", hook=hook)
    return tuple(_read(row) for row in rows if (until := _claimed_until(row)) is None or until < now)


def deployments_of(reader: Reader, model: RegisteredModel, limit: int) -> tuple[Deployment, ...]:
    """The deployments of a model, newest first."""
    return tuple(
        _read(row) for row in reader.connection.all("deployments.of_model", model_id=model.model_id, row_limit=limit)
    )


def claim(writer: Writer, deployment: Deployment, now: datetime, seconds: float) -> Deployment | None:
    """Take a deployment for this process; None where another one was faster.

    Args:
        seconds: After which this process is taken for dead.
    """
    row = writer.connection.one("deployments.by_id", deployment_id=deployment.deployment_id)
    if row is None or row["status"] not in ("pending", "deploying"):
        return None
    claimed = _claimed_until(row)
    if claimed is not None and claimed >= now:
        return None
    until = time_text(now + timedelta(seconds=seconds))
    writer.connection.run("deployments.claim", deployment_id=deployment.deployment_id, at=time_text(now), until=until)
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


@row_of("deployments", "deployment_id")
def _read(row: Row) -> Deployment:
    outcome = row["outcome"]
    started, ended = row["started_at"], row["ended_at"]
    return check_deployment(
        Deployment(
            deployment_id=number(row, "deployment_id", 1),
            key=text(row, "key"),
            hook=text(row, "hook"),
            event=read_event(row),
            status=DeploymentStatus(text(row, "status")),
            attempts=number(row, "attempts", 0, ATTEMPTS_LIMIT),
            outcome=None if outcome is None else number(row, "outcome", -OUTCOME_LIMIT, OUTCOME_LIMIT),
            output=text(row, "output"),
            created_at=read_time(row["created_at"]),
            started_at=None if started is None else read_time(started),
            ended_at=None if ended is None else read_time(ended),
        )
    )
