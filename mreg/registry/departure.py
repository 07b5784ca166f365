"""Whether a version can be taken out of a stage or from under an alias that the policy guards.

Without a check, a version leaves such a place only by replacement, by a rollback, or on the way from Staging to
Production. ``docs/decisions/0028`` says why.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mreg.catalog.decisions import decisions_on, policy_for
from mreg.domain.model import ModelStage, ModelVersion, RegisteredModel
from mreg.domain.names import ModelName, Selector
from mreg.domain.policy import Departure, Policy, depart
from mreg.errors import ApprovalMissing
from mreg.registry.admission import no_override, nothing_to_override
from mreg.registry.references import find_model

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mreg.catalog.reader import Reader
    from mreg.catalog.writer import Writer


def departure(
    reader: Reader, version: ModelVersion, place: str, person: str, policy: Policy | None = None
) -> Departure | None:
    """What the policy says to a person who takes a version out of a place; None if no rule guards the place.

    Args:
        policy: The policy to ask (default: the one in force).
    """
    held = policy if policy is not None else policy_for(reader, find_model(reader, version.model_name))
    return depart(held, place, version, decisions_on(reader, version), person)


def on_the_way(reader: Reader, version: ModelVersion, to: ModelStage, person: str) -> Departure | None:
    """What the policy says to a person who moves a version to another stage; None if nothing is to be checked."""
    if version.stage is to or (version.stage, to) == (ModelStage.STAGING, ModelStage.PRODUCTION):
        return None
    return departure(reader, version, version.stage.value, person)


def check_departures(
    writer: Writer, version: ModelVersion, departures: Iterable[Departure | None], command: str, override: str = ""
) -> bool:
    """Let a version leave its places within a transaction; True if the override was needed for it.

    Args:
        command: The command that does this, for the hint.
        override: Why it is to leave whatever the policy says.

    Raises:
        ApprovalMissing: The actor is not allowed to take it out of one of the places.
        NotAllowed: The rule of such a place does not allow overrides.
    """
    used = False
    for one in departures:
        if one is None or one.allowed:
            continue
        if not override:
            raise _refusal(version, one, command)
        if not one.override:
            raise no_override(version.model_name, one.place)
        _record(writer, find_model(writer, version.model_name), one, override, version.version)
        used = True
    return used


def check_removal(writer: Writer, version: ModelVersion, places: Iterable[str], command: str, override: str) -> None:
    """Let a version leave places, and nothing take them, within a transaction.

    Raises:
        ApprovalMissing, NotAllowed: As `check_departures`.
        BadInput: There is nothing to override.
    """
    found = [departure(writer, version, place, writer.actor) for place in places]
    if not check_departures(writer, version, found, command, override) and override:
        raise nothing_to_override(command)


def check_whole_model(writer: Writer, model: RegisteredModel, command: str, override: str) -> None:
    """Let a model give up its name, by renaming or deletion, within a transaction.

    A new model of that name would have an empty history, so that its gates would pass. A rule therefore guards the
    name from the moment that a version entered the rule's stage or took its alias.

    Raises:
        ApprovalMissing, NotAllowed: As `check_departures`.
        BadInput: There is nothing to override.
    """
    used = False
    for place, rule in policy_for(writer, model).rules.items():
        if not rule.guards or place == ModelStage.ARCHIVED.value or writer.actor in rule.approvers:
            continue
        if next(writer.last_holders(model, Selector.parse(place)), None) is None:
            continue
        if not override:
            raise _refusal_of_model(model.name, place, rule.approvers, command, override=rule.override)
        if not rule.override:
            raise no_override(model.name, place)
        _record(writer, model, Departure(place=place, allowed=False, override=True), override, None)
        used = True
    if override and not used:
        raise nothing_to_override(command)


def _record(writer: Writer, model: RegisteredModel, found: Departure, override: str, version: int | None) -> None:
    details = {"target": found.place, "reason": override, "policy": {"leaving": list(found.may_take_out)}}
    writer.record("policy.overridden", model, details, version)


def _refusal(version: ModelVersion, found: Departure, command: str) -> ApprovalMissing:
    what = f"cannot take {version.reference} out of {found.place}"
    stages = {stage.value for stage in ModelStage}
    replace = "promote another version in its place" if found.place in stages else "point the alias to another version"
    if found.may_take_out:
        people = ", ".join(found.may_take_out)
        message = f"{what}: the policy reserves this to {people}"
        hint = f"{replace}, or ask {people}: {command}"
    else:
        to = "" if found.place == ModelStage.PRODUCTION.value else f" --to {found.place}"
        message = f"{what}: the policy allows only a replacement, a rollback or a rejection"
        hint = f"{replace}, or mreg reject {version.reference}{to} --reason REASON"
    if found.override:
        hint += f"\nor override the policy: {command} --override REASON"
    return ApprovalMissing(message, hint=hint, target=found.place, may_take_out=list(found.may_take_out))


def _refusal_of_model(
    name: ModelName, place: str, approvers: tuple[str, ...], command: str, *, override: bool
) -> ApprovalMissing:
    if approvers:
        people = ", ".join(approvers)
        message = f"cannot give up the name {name}: the policy for {place} reserves this to {people}"
        hint = f"ask {people}: {command}"
    else:
        message = f"cannot give up the name {name}: the policy guards {place}, and names no approvers"
        hint = f"change the policy first: mreg policy apply FILE --model {name}"
    if override:
        hint += f"\nor override the policy: {command} --override REASON"
    return ApprovalMissing(message, hint=hint, target=place, may_take_out=list(approvers))
