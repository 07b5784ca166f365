"""Stage changes, decisions and hook runs on a server."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from mreg.domain.model import ModelStage
from mreg.errors import BadInput
from mreg.registry.references import as_name, as_reference
from mreg.registry.registry import Name, Reference
from mreg.registry.remote_session import RemoteSession
from mreg.remote.references import model_path, reference_text, version_path
from mreg.results.changes import StageChange

if TYPE_CHECKING:
    from mreg.domain.names import ModelName
    from mreg.results import Page
    from mreg.results.deployments import DeploymentReport
    from mreg.results.policies import DecisionResult, PendingApproval, Plan

NEXT = "next"
"""The target of a transition to the next stage."""


def promote(
    session: RemoteSession,
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
    body = {
        "stage": _target(to) or NEXT,
        "archive_existing": not keep_existing,
        "leave_production": leave_production,
        "seen": seen.value if seen is not None else None,
        "reason": reason,
        "override": override,
    }
    return _moved(session, version_path(as_reference(reference), "transition"), body)


def plan(
    session: RemoteSession,
    reference: Reference,
    to: ModelStage | str | None = None,
    *,
    keep_existing: bool = False,
    override: str = "",
) -> Plan:
    """See `mreg.Registry.plan`."""
    from mreg.results.policies import Plan

    query = {"stage": _target(to), "archive_existing": not keep_existing, "override": override or None}
    return session.result(Plan, session.call("GET", version_path(as_reference(reference), "plan"), query=query))


def archive(
    session: RemoteSession,
    reference: Reference,
    *,
    leave_production: bool = True,
    seen: ModelStage | None = None,
    reason: str = "",
    override: str = "",
) -> StageChange:
    """See `mreg.Registry.archive`."""
    wanted = as_reference(reference)
    if wanted.selector is None:
        _check_no_model(session, wanted.name)
    body = {
        "stage": ModelStage.ARCHIVED.value,
        "leave_production": leave_production,
        "seen": seen.value if seen is not None else None,
        "reason": reason,
        "override": override,
    }
    return _moved(session, version_path(wanted, "transition"), body)


def _check_no_model(session: RemoteSession, name: ModelName) -> None:
    """Check that a name without a selector is not that of a model: the route of ``archive`` takes the latest version.

    Raises:
        BadInput: It is the name of a model.
    """
    from mreg.errors import NotFound
    from mreg.registry.references import no_selector
    from mreg.registry.remote_queries import model

    try:
        found = model(session, name)
    except NotFound:  # the server reads team/3 as team@3
        return
    raise no_selector(found.name)


def rollback(
    session: RemoteSession,
    name: Name,
    *,
    stage: ModelStage | str = "Production",
    to: Reference | None = None,
    leave_production: bool = False,
    seen: ModelStage | None = None,
    reason: str = "",
) -> StageChange:
    """See `mreg.Registry.rollback`."""
    body = {
        "stage": _target(stage),
        "to": reference_text(as_reference(to)) if to is not None else None,
        "leave_production": leave_production,
        "seen": seen.value if seen is not None else None,
        "reason": reason,
    }
    return _moved(session, model_path(as_name(name), "rollback"), body)


def approve(
    session: RemoteSession, reference: Reference, *, to: str = ModelStage.PRODUCTION.value, comment: str = ""
) -> DecisionResult:
    """See `mreg.Registry.approve`."""
    return _decided(session, "approve", reference, {"stage": to, "comment": comment})


def reject(
    session: RemoteSession,
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
    body = {
        "stage": to,
        "reason": reason,
        "leave_production": leave_production,
        "seen": seen.value if seen is not None else None,
    }
    return _decided(session, "reject", reference, body)


def withdraw_decision(
    session: RemoteSession, reference: Reference, *, to: str = ModelStage.PRODUCTION.value
) -> DecisionResult:
    """See `mreg.Registry.withdraw_decision`."""
    from mreg.results.policies import DecisionResult

    path = version_path(as_reference(reference), "decision")
    return session.result(DecisionResult, session.call("DELETE", path, query={"stage": to}))


def approvals(session: RemoteSession) -> tuple[PendingApproval, ...]:
    """See `mreg.Registry.approvals`."""
    from mreg.results.policies import PendingApproval

    return session.results(PendingApproval, session.call("GET", "/approvals"))


def deploy(session: RemoteSession, reference: Reference | None = None) -> tuple[DeploymentReport, ...]:
    """See `mreg.Registry.deploy`."""
    from mreg.results.deployments import DeploymentReport

    path = version_path(as_reference(reference), "deploy") if reference is not None else "/deploy"
    return session.results(DeploymentReport, session.call("POST", path))


def deployments(session: RemoteSession, name: Name, *, limit: int = 100, offset: int = 0) -> Page[DeploymentReport]:
    """See `mreg.Registry.deployments`."""
    from mreg.results.deployments import DeploymentReport

    path = model_path(as_name(name), "deployments")
    return session.page(DeploymentReport, path, limit=limit, offset=offset)


def _target(stage: ModelStage | str | None) -> str | None:
    """Return the name of a stage, which is checked here: only the server knows `NEXT`."""
    if stage is None:
        return None
    return (ModelStage.parse(stage) if isinstance(stage, str) else stage).value


def _moved(session: RemoteSession, path: str, body: Mapping[str, object]) -> StageChange:
    return session.result(StageChange, session.call("POST", path, body=body))


def _decided(session: RemoteSession, action: str, reference: Reference, body: Mapping[str, object]) -> DecisionResult:
    from mreg.results.policies import DecisionResult

    wanted = as_reference(reference)
    return session.result(DecisionResult, session.call("POST", version_path(wanted, action), body=body))
