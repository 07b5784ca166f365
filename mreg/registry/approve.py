"""Approvals and rejections of versions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from mreg.catalog.policies import Policies, PolicyWriter
from mreg.domain.model import ModelStage, ModelVersion, RegisteredModel
from mreg.domain.names import Selector, folded, spelled
from mreg.domain.policy import Decision, Rule, counts
from mreg.domain.text import check_text
from mreg.domain.transition import STAGE_ORDER
from mreg.errors import ApprovalMissing, BadInput, NotAllowed, NotFound
from mreg.registry.admission import assessment_of, no_such_target, occupants
from mreg.registry.promote import enter_stage
from mreg.registry.references import LATEST, as_reference, find_model, find_selected
from mreg.registry.registry import Reference
from mreg.registry.stage_changes import check_seen
from mreg.results.policies import DecisionResult, PendingApproval

if TYPE_CHECKING:
    from mreg.catalog.reader import Reader
    from mreg.catalog.writer import Writer
    from mreg.registry.session import Session


def approve(
    session: Session, reference: Reference, *, to: str = ModelStage.PRODUCTION.value, comment: str = ""
) -> DecisionResult:
    """See `mreg.Registry.approve`."""
    check_text("comment", comment)

    def work(writer: Writer) -> tuple[ModelVersion, str, str, bool]:
        version, model, target, rule = _looked_up(writer, reference, to)
        if version.stage is ModelStage.ARCHIVED:
            raise NotAllowed(
                f"cannot approve {version.reference}: it is archived",
                hint=f"move it to Staging first: mreg promote {version.reference} --to staging",
            )
        if version.version_id in {occupant.version_id for occupant in occupants(writer, model, target)}:
            raise NotAllowed(
                f"cannot approve {version.reference}: it is already in {target}", hint=f"mreg why {version.reference}"
            )
        _check_counts(rule, writer.actor, version, target)
        return version, target, "approved", _decide(writer, version, target, approved=True, comment=comment)

    return _write(session, work)


def reject(
    session: Session,
    reference: Reference,
    *,
    to: str = ModelStage.PRODUCTION.value,
    reason: str,
    leave_production: bool = True,
    seen: ModelStage | None = None,
) -> DecisionResult:
    """See `mreg.Registry.reject`."""
    if not reason.strip():
        raise BadInput("a rejection needs a reason", hint='add --reason "..."')
    check_text("reason", reason)

    def work(writer: Writer) -> tuple[ModelVersion, str, str, bool]:
        version, model, target, rule = _looked_up(writer, reference, to)
        check_seen(version, seen)
        if version.stage is ModelStage.ARCHIVED and not _was_in(writer, model, version, target):
            raise NotAllowed(f"cannot reject {version.reference}: it is archived and was never in {target}")
        if rule.approvers and writer.actor not in rule.approvers:
            raise _not_entitled(rule, writer.actor, version, target)
        decided = _decide(writer, version, target, approved=False, comment=reason)
        if version.stage is ModelStage.PRODUCTION and target == version.stage.value:
            version = enter_stage(
                writer,
                version,
                ModelStage.STAGING,
                keep_existing=True,
                leave_production=leave_production,
                reason=f"rejected: {reason}",
                unchecked=True,
            ).version
        return version, target, "rejected", decided

    return _write(session, work)


def withdraw_decision(
    session: Session, reference: Reference, *, to: str = ModelStage.PRODUCTION.value
) -> DecisionResult:
    """See `mreg.Registry.withdraw_decision`."""

    def work(writer: Writer) -> tuple[ModelVersion, str, str, bool]:
        version, _, target, _ = _looked_up(writer, reference, to)
        if _own_decision(writer, version, target) is None:
            raise NotFound(
                f"no decision to withdraw: {writer.actor} has not decided on {version.reference} for {target}",
                hint=f"mreg history {version.reference}",
            )
        PolicyWriter(writer).withdraw(version, target)
        return version, target, "withdrawn", True

    return _write(session, work)


def approvals(session: Session) -> tuple[PendingApproval, ...]:
    """See `mreg.Registry.approvals`."""

    def look(reader: Reader) -> tuple[PendingApproval, ...]:
        found = []
        for summary in reader.models():
            policy = Policies(reader).effective(summary.model)
            for target, rule in policy.rules.items():
                if not rule.approvals:
                    continue
                for version in _candidates(reader, summary.model, target, rule):
                    assessment = assessment_of(reader, version, target, policy)
                    if assessment.missing or assessment.rejected_by:
                        found.append(PendingApproval(reference=version.reference, assessment=assessment))
        return tuple(found)

    return session.catalog.read(look)


def _candidates(reader: Reader, model: RegisteredModel, target: str, rule: Rule) -> tuple[ModelVersion, ...]:
    stage = next((stage for stage in ModelStage if stage.value == target), None)
    if rule.came_from is not None:
        return reader.in_stage(model, rule.came_from)
    if stage is not None:
        return reader.in_stage(model, STAGE_ORDER[STAGE_ORDER.index(stage) - 1])
    current = {occupant.version_id for occupant in occupants(reader, model, target)}
    latest = reader.find(model, LATEST)  # an archived version can be neither approved nor rejected
    return () if latest is None or latest.version_id in current else (latest,)


def _looked_up(writer: Writer, reference: Reference, to: str) -> tuple[ModelVersion, RegisteredModel, str, Rule]:
    version = find_selected(writer, as_reference(reference))
    model = find_model(writer, version.model_name)
    policy = Policies(writer).effective(model)
    stages = [stage.value for stage in ModelStage if stage is not ModelStage.NONE]
    target = spelled(to, (*stages, *policy.rules))
    if target is None:
        raise no_such_target(to, model)
    return version, model, target, policy.rule(target)


def _was_in(reader: Reader, model: RegisteredModel, version: ModelVersion, target: str) -> bool:
    return version.version in reader.entries(model, Selector.parse(target))


def _own_decision(writer: Writer, version: ModelVersion, target: str) -> tuple[bool, str] | None:
    """Return the actor's decision on a version and its comment, None if there is none."""
    mine: list[Decision] = [
        decision
        for decision in Policies(writer).decisions_on(version)
        if folded(decision.target) == folded(target) and decision.person == writer.actor
    ]
    return (mine[0].approved, mine[0].comment) if mine else None


def _check_counts(rule: Rule, person: str, version: ModelVersion, target: str) -> None:
    if counts(rule, person, version):
        return
    if rule.approvers and person not in rule.approvers:
        raise _not_entitled(rule, person, version, target)
    if rule.approvals:
        raise ApprovalMissing(
            f"{person} cannot approve {version.reference}: the policy does not count own approvals",
            hint="ask another user to approve it",
            target=target,
        )


def _not_entitled(rule: Rule, person: str, version: ModelVersion, target: str) -> ApprovalMissing:
    return ApprovalMissing(
        f"{person} cannot decide on {version.reference} for {target}: not an approver in the policy",
        hint=f"ask one of: {', '.join(rule.approvers)}",
        target=target,
    )


def _decide(writer: Writer, version: ModelVersion, target: str, *, approved: bool, comment: str) -> bool:
    """Record the actor's decision; return False if it was recorded before, with the same comment."""
    if _own_decision(writer, version, target) == (approved, comment):
        return False
    PolicyWriter(writer).decide(version, target, approved=approved, comment=comment)
    return True


def _write(session: Session, work: Callable[[Writer], tuple[ModelVersion, str, str, bool]]) -> DecisionResult:
    """Make a decision and return it with the state after the hooks.

    Args:
        work: Returns the version, the target, the kind of the decision, and whether it is a new one.
    """
    made: list[ModelVersion] = []
    new = True

    def decided(writer: Writer) -> DecisionResult:
        nonlocal new
        version, target, decision, new = work(writer)
        made[:] = [version]
        assessment = assessment_of(writer, version, target)
        return DecisionResult(
            reference=version.reference,
            stage=version.stage,
            person=writer.actor,
            decision=decision,
            assessment=assessment,
        )

    def after(reader: Reader, done: DecisionResult) -> DecisionResult:
        version = reader.version_by_id(made[0].version_id)
        if version is None:
            return done
        assessment = assessment_of(reader, version, done.assessment.target)
        return replace(done, reference=version.reference, stage=version.stage, assessment=assessment)

    done = session.write(decided, after)
    if not new:
        text = (
            f"{done.person} had {done.decision} {done.reference} for {done.assessment.target} before: nothing changed"
        )
        session.notice(text)
    return done
