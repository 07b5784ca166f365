"""Deployments in the catalog: enqueued with the change that triggers them, claimed by one process at a time."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from mreg.catalog.rows import number, read_event, read_time, row_of, text, version_number
from mreg.domain.events import GENESIS, Event, has_right_hash, time_text
from mreg.domain.hook import Deployment, DeploymentStatus, Hook, check_deployment, check_hook_event, stage_entered
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
"""Larger than any number of attempts, exit status or HTTP status."""

OPEN_LIMIT = 100
"""Maximum number of deployments of a hook that a command examines, besides those that it enqueued."""


class DeploymentQueue:
    """Enqueues the hooks that events trigger, in the transaction of each event: an observer of a `Writer`.

    Attributes:
        keys: Keys of the deployments that were enqueued.
    """

    def __init__(self, hooks: Sequence[Hook]) -> None:
        self._hooks = hooks
        self.keys: list[str] = []

    def __call__(self, writer: Writer, event: Event) -> None:
        """Enqueue the triggered hooks; a version whose stage change triggers one gets the status deploying."""
        stage = stage_entered(event)
        triggered = [hook for hook in self._hooks if hook.wants(event.action, event.model, stage)]
        deployments = DeploymentWriter(writer)
        self.keys += [deployments.enqueue(event, hook.name) for hook in triggered]
        if triggered and stage:
            deployments.set_status(event, ModelStatus.DEPLOYING)


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenDeployments:
    """The open deployments of a hook: pending ones, and those whose process is presumed dead.

    Attributes:
        runnable: Ids of the deployments to run, oldest first.
        refused: Reasons for not running the others, by id.
        more: Whether there are open deployments that were not examined.
    """

    runnable: tuple[int, ...]
    refused: dict[int, str]
    more: bool


class Deployments:
    """Queries of deployments in a transaction."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._connection = reader.connection

    def of_model(self, model: RegisteredModel, limit: int, offset: int) -> Page[Deployment]:
        """Return the deployments of a model, newest first."""
        end = offset + limit
        rows = self._connection.all("deployments.of_model", model_id=model.model_id, row_limit=end + 1)
        return Page(map(self.shown, map(_read, rows[offset:end])), more=len(rows) > end)

    def shown(self, deployment: Deployment) -> Deployment:
        """Return a deployment of a model that the reader found with its event as the reader shows it.

        The key begins with the hash of the event.
        """
        event = next(iter(self._reader.shown([deployment.event])), None)
        if event is None or event is deployment.event:
            return deployment
        return replace(deployment, event=event, key=f"{event.hash[:32]}.{deployment.key.partition('.')[2]}")

    def open(self, hook: Hook, now: datetime, own: Collection[str], *, adopt: bool) -> OpenDeployments:
        """Return the open deployments of a hook, each checked against the hook and the catalog.

        Args:
            own: Keys of the deployments that this process enqueued; these are always examined.
            adopt: Whether to examine deployments of other processes, at most `OPEN_LIMIT` of them.
        """
        limit = OPEN_LIMIT + 1 if adopt else 0
        rows = list(self._connection.all("deployments.open", hook=hook.name, now=time_text(now), row_limit=limit))
        more = len(rows) > OPEN_LIMIT
        rows = rows[:OPEN_LIMIT]
        for key in own:
            row = self._connection.one("deployments.by_key", hook=hook.name, key=key)
            if row is not None and row["status"] in ("pending", "deploying"):
                rows.append(row)
        by_id = {number(row, "deployment_id", -SIZE_LIMIT - 1): row for row in rows}
        eligibility = _Eligibility(self._reader, hook)
        refused: dict[int, str] = {}
        runnable = []
        for deployment_id in sorted(by_id):
            why = eligibility.refusal(by_id[deployment_id])
            if why:
                refused[deployment_id] = why
            else:
                runnable.append(deployment_id)
        return OpenDeployments(runnable=tuple(runnable), refused=refused, more=more)

    def check_runs(self, hook: Hook, event: Event) -> None:
        """Check that a hook can run for an event of the catalog.

        A hook receives only values of the event, so the event must agree with the catalog: its hash and links are
        correct, the name belongs to its model or belonged to it last, the version is in the stage that the audit trail
        gives, and the event triggers the hook. The version can have left the stage of the event since then: a hook
        runs at least once for each change.

        Raises:
            BadInput, Corrupt: The event is inconsistent, or does not trigger the hook.
        """
        for seq, this, other in ((event.seq - 1, event.previous, "hash"), (event.seq + 1, event.hash, "previous")):
            row = self._connection.one("events.link", seq=seq)
            there = row[other] if row else GENESIS if seq == 0 else this if seq > event.seq else None
            if there != this:
                raise BadInput(f"audit event {event.seq} is not linked to audit event {seq}")
        if not has_right_hash(event):
            raise BadInput(f"audit event {event.seq} does not match its hash")
        check_hook_event(event)
        self._check_name(event)
        stage = stage_entered(event)
        if not hook.wants(event.action, event.model, stage):
            what = f"{quoted(event.action)} of {quoted(event.model)}" + (f" in {stage}" if stage else "")
            raise BadInput(f"the hook does not match {what}")
        if stage:
            self._check_stage(event)

    def _check_name(self, event: Event) -> None:
        """Check that the name in an event belongs to the model in it, or belonged to it last."""
        if not event.model and not event.model_id and event.version is None:
            return  # the event concerns no model
        row = self._connection.one("models.by_name", name=event.model)
        row = row or self._connection.one("models.given_up", name=event.model)
        if not event.model or row is None or row["model_id"] != event.model_id:
            raise BadInput(f"audit event {event.seq} has the wrong model name {quoted(event.model)}")

    def _check_stage(self, event: Event) -> None:
        """Check that a version is in the stage that the audit trail gives."""
        row = self._connection.one("events.last_move", model_id=event.model_id, version=event.version)
        last = read_event(row) if row else event
        expected = stage_entered(last)
        model = self._reader.model_by_id(event.model_id)
        version = (
            self._reader.version(model, event.version) if model is not None and event.version is not None else None
        )
        found = version.stage.value if version is not None else ""
        if found != expected:
            raise BadInput(
                f"the stage of version {event.version} does not match the audit trail: "
                f"expected {quoted(expected) if expected else 'no stage'}, got {found or 'no stage'}"
            )


class DeploymentWriter(Deployments):
    """Changes of deployments."""

    def __init__(self, writer: Writer) -> None:
        super().__init__(writer)
        self._writer = writer

    def enqueue(self, event: Event, hook: str) -> str:
        """Enqueue a run of a hook for an event, and return the key of the deployment."""
        before = self._connection.one("deployments.count", seq=event.seq)
        key = f"{event.hash[:32]}.{number(before, 'number') + 1 if before else 1}"
        self._connection.run(
            "deployments.insert",
            key=key,
            hook=hook,
            seq=event.seq,
            model_id=event.model_id,
            version=event.version,
            at=self._writer.time,
        )
        return key

    def refuse(self, hook: Hook, deployments: OpenDeployments) -> None:
        """Mark the refused deployments as failed, so that later commands do not examine them."""
        for deployment_id, why in deployments.refused.items():
            self._connection.run(
                "deployments.refuse", deployment_id=deployment_id, output=f"not run: {why}", at=self._writer.time
            )
        details = {
            "hook": hook.name,
            "deployments": list(deployments.refused),
            "why": next(iter(deployments.refused.values())),
        }
        self._writer.record("deployment.refused", None, details)

    def claim(self, hook: Hook, deployment_id: int, now: datetime, seconds: float) -> Deployment | None:
        """Claim a deployment for this process; return None if another process has it or it must not be run.

        Args:
            seconds: Time after which this process is presumed dead.
        """
        row = self._connection.one("deployments.by_id", deployment_id=deployment_id)
        if (
            row is None
            or row["status"] not in ("pending", "deploying")
            or _Eligibility(self._reader, hook).refusal(row)
        ):
            return None
        claimed = _claimed_until(row)
        if claimed is not None and claimed >= now:
            return None
        until = time_text(now + timedelta(seconds=seconds))
        self._connection.run("deployments.claim", deployment_id=deployment_id, at=time_text(now), until=until)
        return _read(row)

    def finish(self, deployment: Deployment, *, succeeded: bool, outcome: int | None, output: str) -> Deployment:
        """Record the result of a deployment, and update the status of the version of a stage change."""
        status = DeploymentStatus.DEPLOYED if succeeded else DeploymentStatus.FAILED
        self._connection.run(
            "deployments.finish",
            deployment_id=deployment.deployment_id,
            status=status.value,
            outcome=outcome,
            output=output,
            at=self._writer.time,
        )
        event = deployment.event
        details = {"hook": deployment.hook, "key": deployment.key, "outcome": outcome, "of": event.seq}
        model = self._writer.model_by_id(event.model_id)
        self._writer.record("deployment.succeeded" if succeeded else "deployment.failed", model, details, event.version)
        if deployment.stage:
            rows = self._connection.all("deployments.counts", seq=event.seq)
            statuses = {str(row["status"]) for row in rows}
            version = (
                self._writer.version(model, event.version) if model is not None and event.version is not None else None
            )
            if version is not None and version.stage.value == deployment.stage:  # it can have moved on
                if "failed" in statuses:
                    self.set_status(event, ModelStatus.FAILED)
                elif statuses == {"deployed"}:
                    self.set_status(event, ModelStatus.DEPLOYED)
        row = self._connection.one("deployments.by_id", deployment_id=deployment.deployment_id)
        return _read(row) if row is not None else deployment

    def set_status(self, event: Event, status: ModelStatus) -> None:
        """Set the status of the version of an event."""
        self._connection.run(
            "deployments.set_version_status", model_id=event.model_id, version=event.version, status=status.value
        )


class _Eligibility:
    """Decides whether deployments are run; reads each event only once."""

    def __init__(self, reader: Reader, hook: Hook) -> None:
        self._reader = reader
        self._hook = hook
        self._events: dict[int, Event | str] = {}

    def refusal(self, row: Row) -> str:
        """Return why a deployment is not run; empty if it is run."""
        try:
            seq = number(row, "seq", 1)
            if seq not in self._events:
                self._events[seq] = self._event(seq)
            event = self._events[seq]
            return event if isinstance(event, str) else _mismatch(row, event)
        except (BadInput, Corrupt) as error:
            return error.message

    def _event(self, seq: int) -> Event | str:
        """Return the event, with only the stage in its details, or why the hook is not run for it."""
        try:
            row = self._reader.connection.one("events.by_seq", seq=seq)
            if row is None:
                return f"audit event {seq} not found"
            event = read_event(row)
            Deployments(self._reader).check_runs(self._hook, event)
        except (BadInput, Corrupt) as error:
            return error.message
        return replace(event, details={"to": stage_entered(event)})


def _mismatch(row: Row, event: Event) -> str:
    """Return why a deployment does not match an event; empty if it does.

    Raises:
        Corrupt: A value of the row is invalid.
    """
    deployment = _of_event(row, event)
    version = None if row["version"] is None else version_number(row)
    if (number(row, "model_id"), version) != (event.model_id, event.version):
        return f"it belongs to another model or version than audit event {event.seq}"
    if deployment.key.partition(".")[0] != event.hash[:32]:
        return f"its key does not belong to audit event {event.seq}"
    return "" if deployment.attempts < ATTEMPTS_LIMIT else "it was attempted too often"


@row_of("deployments", "deployment_id")
def _claimed_until(row: Row) -> datetime | None:
    return None if row["claimed_until"] is None else read_time(row["claimed_until"])


def _read(row: Row) -> Deployment:
    """Return the deployment of a row that is joined with its event."""
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
