"""Policy checks for versions that leave a stage or lose an alias.

A version leaves a guarded place without a check only by replacement, by a rollback, or from Staging to Production;
``docs/decisions/0028`` explains why.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mreg.catalog.policies import Policies
from mreg.domain.model import ModelStage, ModelVersion, RegisteredModel
from mreg.domain.names import ModelName, Selector
from mreg.domain.policy import Departure, Policy, depart
from mreg.errors import ApprovalMissing, MregError
from mreg.registry.admission import no_override, nothing_to_override
from mreg.registry.references import find_model

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mreg.catalog.reader import Reader
    from mreg.catalog.writer import Writer


def departure(
    reader: Reader, version: ModelVersion, place: str, person: str, policy: Policy | None = None
) -> Departure | None:
    """Return the policy's answer for a person who takes a version out of a place; None if no rule guards the place.

    Args:
        policy: Policy to check against (default: the policy in force).
    """
    used = policy if policy is not None else Policies(reader).effective(find_model(reader, version.model_name))
    return depart(used, place, version, Policies(reader).decisions_on(version), person)


def stage_departure(reader: Reader, version: ModelVersion, to: ModelStage, person: str) -> Departure | None:
    """Return the policy's answer for a person who moves a version to another stage; None if nothing is checked."""
    if version.stage is to or (version.stage, to) == (ModelStage.STAGING, ModelStage.PRODUCTION):
        return None
    return departure(reader, version, version.stage.value, person)


def check_departures(
    writer: Writer, version: ModelVersion, departures: Iterable[Departure | None], command: str, override: str = ""
) -> bool:
    """Check departures of a version within a transaction; return whether the override was needed.

    Args:
        command: The command that the user runs, for the hint.
        override: Reason to override the policy.

    Raises:
        ApprovalMissing: The actor is not allowed to take the version out of one of the places.
        NotAllowed: The rule of such a place does not allow overrides.
    """
    used = False
    for leaving in departures:
        if leaving is None or leaving.allowed:
            continue
        refused = departure_refusal(version, leaving, command, override)
        if refused is not None:
            raise refused
        _record(writer, find_model(writer, version.model_name), leaving, override, version.version)
        used = True
    return used


def departure_refusal(
    version: ModelVersion, leaving: Departure | None, command: str, override: str = ""
) -> MregError | None:
    """Return the error for a departure that the policy refuses, also with an override; None if it can be made."""
    if leaving is None or leaving.allowed:
        return None
    if not override:
        return _refusal(version, leaving, command)
    return None if leaving.override else no_override(version.model_name, leaving.place)


def check_removal(writer: Writer, version: ModelVersion, places: Iterable[str], command: str, override: str) -> None:
    """Check within a transaction that a version can leave places without a replacement.

    Raises:
        ApprovalMissing, NotAllowed: As `check_departures`.
        BadInput: Nothing needs an override.
    """
    found = [departure(writer, version, place, writer.actor) for place in places]
    if not check_departures(writer, version, found, command, override) and override:
        raise nothing_to_override(command)


def check_whole_model(writer: Writer, model: RegisteredModel, command: str, override: str) -> None:
    """Check within a transaction that a model can give up its name, by renaming or deletion.

    A new model with that name would have an empty history, so its gates would pass. A rule therefore guards the name
    from the first time that a version enters its stage or takes its alias.

    Raises:
        ApprovalMissing, NotAllowed: As `check_departures`.
        BadInput: Nothing needs an override.
    """
    used = False
    for place, rule in Policies(writer).effective(model).rules.items():
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


def _record(writer: Writer, model: RegisteredModel, departure: Departure, override: str, version: int | None) -> None:
    details = {"target": departure.place, "reason": override, "policy": {"leaving": list(departure.may_take_out)}}
    writer.record("policy.overridden", model, details, version)


def _refusal(version: ModelVersion, departure: Departure, command: str) -> ApprovalMissing:
    what = f"cannot take {version.reference} out of {departure.place}"
    stages = {stage.value for stage in ModelStage}
    replace = (
        "promote another version in its place" if departure.place in stages else "point the alias to another version"
    )
    if departure.may_take_out:
        people = ", ".join(departure.may_take_out)
        message = f"{what}: the policy allows this only to {people}"
        hint = f"{replace}, or ask {people}: {command}"
    else:
        to = "" if departure.place == ModelStage.PRODUCTION.value else f" --to {departure.place}"
        message = f"{what}: the policy allows only a replacement, a rollback or a rejection"
        hint = f"{replace}, or mreg reject {version.reference}{to} --reason REASON"
    if departure.override:
        hint += f"\nor override the policy: {command} --override REASON"
    return ApprovalMissing(message, hint=hint, target=departure.place, may_take_out=list(departure.may_take_out))


def _refusal_of_model(
    name: ModelName, place: str, approvers: tuple[str, ...], command: str, *, override: bool
) -> ApprovalMissing:
    if approvers:
        people = ", ".join(approvers)
        message = f"cannot rename or delete {name}: the policy for {place} allows this only to {people}"
        hint = f"ask {people}: {command}"
    else:
        message = f"cannot rename or delete {name}: the policy protects {place} and names no approvers"
        hint = f"change the policy first: mreg policy apply FILE --model {name}"
    if override:
        hint += f"\nor override the policy: {command} --override REASON"
    return ApprovalMissing(message, hint=hint, target=place, may_take_out=list(approvers))
