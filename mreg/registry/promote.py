"""Stage changes: promote, plan, archive and roll back."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from mreg.domain.model import ModelStage, ModelVersion
from mreg.domain.names import ModelName, Selector, SelectorKind, VersionRef
from mreg.domain.text import check_text
from mreg.domain.transition import EXCLUSIVE, next_stage
from mreg.errors import Conflict, LeavesProduction, NotAllowed, NotFound
from mreg.registry.references import as_name, as_reference, find_model, find_selected, find_version, naming_version
from mreg.registry.registry import Name, Reference
from mreg.registry.stage_changes import after_hooks, check_seen, empties_production
from mreg.results.changes import StageChange

if TYPE_CHECKING:
    from mreg.catalog.reader import Reader
    from mreg.catalog.writer import Writer
    from mreg.domain.model import RegisteredModel
    from mreg.registry.session import Session
    from mreg.results.policies import Plan


def promote(
    session: Session,
    reference: Reference,
    to: ModelStage | str | None = None,
    *,
    keep_existing: bool = False,
    leave_production: bool | None = None,
    seen: ModelStage | None = None,
    reason: str = "",
    override: str = "",
) -> StageChange:
    """See `mreg.Registry.promote`."""
    wanted = as_reference(reference)
    target = ModelStage.parse(to) if isinstance(to, str) else to
    check_text("reason", reason)
    check_text("override", override)

    def move(writer: Writer) -> StageChange:
        version = find_version(writer, wanted)
        check_seen(version, seen)
        stage = target or _next_step(version, leave_production=bool(leave_production))
        return enter_stage(
            writer,
            version,
            stage,
            keep_existing=keep_existing,
            leave_production=leave_production is not False,
            reason=reason,
            override=override,
        )

    return _write(session, move)


def _write(session: Session, move: Callable[[Writer], StageChange]) -> StageChange:
    """Make the change, run its hooks, and return the state after them."""
    entered: list[ModelStage] = []

    def recorded(writer: Writer) -> StageChange:
        change = move(writer)
        entered[:] = [change.version.stage]
        return change

    def after(reader: Reader, change: StageChange) -> StageChange:
        return after_hooks(reader, change, entered[0], session.hook_log.rollbacks)

    return session.write(recorded, after)


def plan(
    session: Session,
    reference: Reference,
    to: ModelStage | str | None = None,
    *,
    keep_existing: bool = False,
    override: str = "",
) -> Plan:
    """See `mreg.Registry.plan`."""
    from mreg.registry.admission import assessment_of, entry_refusal
    from mreg.registry.departure import departure_refusal, stage_departure
    from mreg.results.policies import Plan

    wanted = as_reference(reference)
    target = ModelStage.parse(to) if isinstance(to, str) else to
    check_text("override", override)
    person = session.actor()

    def look(reader: Reader) -> Plan:
        version = find_version(reader, wanted)
        stage = target or _next_step(version, leave_production=True)
        archived = () if keep_existing else _replaced(reader, version, stage)
        stays = version.stage is stage
        assessment = assessment_of(reader, version, stage.value, entered=stays)
        leaving = stage_departure(reader, version, stage, person)
        refusal = None
        if not stays or archived:
            overridden = bool(override) and leaving is not None and not leaving.allowed
            refusal = departure_refusal(version, leaving, _command_to_move(version, stage), override)
            refusal = refusal or entry_refusal(version, assessment, override=override, overridden=overridden)
        return Plan(
            reference=version.reference,
            stage=version.stage,
            assessment=assessment,
            leaving=leaving,
            archived=tuple(other.reference for other in archived),
            stays=stays,
            empties_production=empties_production(reader, version, stage),
            asks=target is None and version.stage is ModelStage.PRODUCTION,
            overridden=bool(override) and refusal is None,
            refusal=refusal,
            hooks=tuple(
                hook.name
                for hook in session.hooks
                if not stays and hook.wants("version.stage_changed", str(version.model_name), stage.value)
            ),
        )

    return session.catalog.read(look)


def _next_step(version: ModelVersion, *, leave_production: bool) -> ModelStage:
    stage = next_stage(version.stage)
    reference = version.reference
    if stage is None:
        raise NotAllowed(
            f"cannot promote {reference}: it is archived, and Archived is the last stage",
            hint=f"name the new stage: mreg promote {reference} --to staging",
            stage=version.stage.value,
        )
    if version.stage is ModelStage.PRODUCTION and not leave_production:
        raise LeavesProduction(
            f"cannot promote {reference}: it is in Production, and the next stage is Archived",
            hint=f"to archive it: mreg archive {reference} --yes",
            stage=version.stage.value,
            reference=str(reference),
            to=stage.value,
            empty=False,
        )
    return stage


def enter_stage(
    writer: Writer,
    version: ModelVersion,
    stage: ModelStage,
    *,
    keep_existing: bool = False,
    leave_production: bool = True,
    reason: str = "",
    returned: bool = False,
    override: str = "",
    unchecked: bool = False,
    new: bool = False,
) -> StageChange:
    """Move a version to a stage within a transaction and archive the versions that it replaces.

    All stage changes use this function. The policy is enforced in the transaction that changes the stage, for the stage
    that the version leaves and the stage that it enters. A rollback skips the gates but is blocked by a rejection: the
    version was let in once, and a bad version must leave Production quickly.

    Args:
        keep_existing: Keep the other versions in the stage.
        leave_production: Whether the version can leave Production empty.
        reason: Reason, for the audit trail.
        returned: The version returns by a rollback.
        override: Reason to override the policy.
        unchecked: Skip the policy, because a rejection moves the version; the event records the rejection.
        new: The version is being pushed.
    """
    before = version.stage
    policy_details: dict[str, object] = {}
    replaced = () if keep_existing else _replaced(writer, version, stage)
    if unchecked:
        policy_details = {"rejected_by": [writer.actor]}
    elif before is not stage or returned or replaced:
        from mreg.registry.admission import enforce_policy
        from mreg.registry.departure import check_departures, stage_departure

        leaving = stage_departure(writer, version, stage, writer.actor)
        used = check_departures(writer, version, [leaving], _command_to_move(version, stage), override)
        policy_details = enforce_policy(
            writer, version, stage.value,
            returned=returned, entered=before is stage, override=override, overridden=used, new=new,
        )  # fmt: skip
    if not leave_production and empties_production(writer, version, stage):
        raise LeavesProduction(
            f"cannot take {version.reference} out of Production: no other version is in Production",
            hint="promote another version to Production, or confirm that it is left empty: "
            f"{_command_to_move(version, stage)} --yes",
            stage=before.value,
            reference=str(version.reference),
            to=stage.value,
            empty=True,
        )
    archived = tuple(
        writer.change_stage(other, ModelStage.ARCHIVED, replaced_by=version.version).reference for other in replaced
    )
    if before is not stage or returned:
        version = writer.change_stage(version, stage, returned=returned, reason=reason, assessment=policy_details)
    return StageChange(version=version, before=before, archived=archived)


def _command_to_move(version: ModelVersion, stage: ModelStage) -> str:
    if stage is ModelStage.ARCHIVED:
        return f"mreg archive {version.reference}"
    return f"mreg promote {version.reference} --to {stage.value.lower()}"


def _replaced(reader: Reader, version: ModelVersion, stage: ModelStage) -> tuple[ModelVersion, ...]:
    """Return the versions that this version replaces in a stage."""
    if stage not in EXCLUSIVE:
        return ()
    there = reader.in_stage(find_model(reader, version.model_name), stage)
    return tuple(other for other in there if other.version_id != version.version_id)


def archive(
    session: Session,
    reference: Reference,
    *,
    leave_production: bool = True,
    seen: ModelStage | None = None,
    reason: str = "",
    override: str = "",
) -> StageChange:
    """See `mreg.Registry.archive`."""
    wanted = as_reference(reference)
    check_text("reason", reason)
    check_text("override", override)

    def move(writer: Writer) -> StageChange:
        version = find_selected(writer, wanted)
        check_seen(version, seen)
        return enter_stage(
            writer, version, ModelStage.ARCHIVED, leave_production=leave_production, reason=reason, override=override
        )

    return _write(session, move)


def rollback(
    session: Session,
    name: Name,
    *,
    stage: ModelStage | str = "Production",
    to: Reference | None = None,
    leave_production: bool = False,
    seen: ModelStage | None = None,
    reason: str = "",
) -> StageChange:
    """See `mreg.Registry.rollback`."""
    model_name = as_name(name)
    target = ModelStage.parse(stage) if isinstance(stage, str) else stage
    wanted = as_reference(to) if to is not None else _before(model_name, target)
    check_text("reason", reason)

    def choose(reader: Reader) -> ModelVersion:
        model = find_model(reader, model_name)
        try:
            version = find_version(reader, wanted)
            if version.model_name != model.name or not reader.was_in_stage(model, version.version, target):
                raise NotAllowed(
                    f"cannot roll back to {version.reference}: it was never in {target.value} of {model.name}",
                    hint=f"mreg promote {version.reference} --to {target.value}",
                )
            return version
        except NotFound as error:
            if to is not None:
                raise
            raise _nothing_before(reader, model, target) from error

    version = session.catalog.read(choose)
    with naming_version(version.reference):
        session.artifacts().verify(version.artifact.digest, version.artifact.kind, version.artifact.size_bytes)

    def move(writer: Writer) -> StageChange:
        chosen = choose(writer)
        if chosen.version_id != version.version_id:
            raise Conflict(
                f"{target.value} of {model_name} changed while the bytes of {version.reference} were verified",
                hint=f"check and try again: mreg show {model_name}",
            )
        check_seen(chosen, seen)
        return enter_stage(writer, chosen, target, leave_production=leave_production, reason=reason, returned=True)

    return _write(session, move)


def _nothing_before(reader: Reader, model: RegisteredModel, stage: ModelStage) -> NotFound:
    """Return the error for a rollback of a stage without an earlier version."""
    entered = reader.ever_in_stage(model, stage)
    reason, hint = "no earlier version is left", f"mreg history {model.name}"
    if not entered:
        reason = "no version was ever in it"
        hint = f"mreg promote {model.name}@latest --to {stage.value.lower()}"
    elif len(entered) == 1:
        reason = f"{model.name}@{next(iter(entered))} is the only version that was ever in it"
    return NotFound(f"cannot roll back {stage.value} of {model.name}: {reason}", hint=hint)


def _before(name: ModelName, stage: ModelStage) -> VersionRef:
    return VersionRef(name, Selector(SelectorKind.STAGE, stage.value.lower(), 1))
