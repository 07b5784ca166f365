"""Verify stored bytes, collect garbage and examine the registry of a server."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING

from mreg.errors import BadInput, NotAllowed
from mreg.registry.references import as_reference
from mreg.registry.remote_identity import reach
from mreg.registry.remote_operations import REPEAT, UNCHANGED, run
from mreg.registry.remote_session import RemoteSession
from mreg.remote.references import model_or_version_path
from mreg.results.upkeep import Check, Finding, Garbage, Verification

if TYPE_CHECKING:
    from datetime import timedelta

    from mreg.registry.registry import Reference
    from mreg.results.history import AuditReport

BODY_BYTES = 64 << 20
"""Maximum size of the list of garbage that a server accepts."""


def verify(
    session: RemoteSession,
    reference: Reference | None = None,
    *,
    sample: float = 1.0,
    progress: Callable[[int, int], None] | None = None,
) -> Verification:
    """See `mreg.Registry.verify`."""

    def call(path: str) -> Verification:
        outcome = run(session, "POST", path, query={"sample": sample}, progress=progress)
        return session.result(Verification, outcome.envelope)

    if reference is None:
        return call("/verify")
    return session.split(as_reference(reference), lambda one: call(model_or_version_path(one, "verify")))


def verify_audit(session: RemoteSession) -> AuditReport:
    """See `mreg.Registry.verify_audit`."""
    from mreg.results.history import AuditReport

    return session.result(AuditReport, run(session, "GET", "/audit").envelope)


def gc(
    session: RemoteSession,
    *,
    grace: timedelta | None = None,
    remove: bool = False,
    seen: Collection[Garbage] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[Garbage, ...]:
    """See `mreg.Registry.gc`."""
    body = {
        "grace_seconds": None if grace is None else grace.total_seconds(),
        "remove": remove,
        "seen": None if seen is None else [{"kind": one.kind, "name": one.name} for one in seen],
    }
    data = json.dumps(body).encode()
    if len(data) > BODY_BYTES:
        raise BadInput(
            f"cannot remove the garbage that was listed: the list has {len(data)} bytes, the maximum is {BODY_BYTES}",
            hint="remove all that is found: mreg gc --remove --yes",
        )
    outcome = run(
        session,
        "POST",
        "/gc",
        body=data,
        content_type="application/json",
        left="part of the garbage might have been removed" if remove else UNCHANGED,
        hint="repeat the command: it removes the rest" if remove else REPEAT,
        repeatable=not remove,
        progress=progress,
    )
    return session.results(Garbage, outcome.envelope)


def examine(session: RemoteSession) -> tuple[Finding, ...]:
    """See `mreg.Registry.examine`."""
    return session.results(Finding, run(session, "GET", "/doctor").envelope)


def check(session: RemoteSession) -> tuple[Check, ...]:
    """See `mreg.Registry.check`: first the connection, and then the checks of the server, which need role admin."""
    reached = reach(session)
    if any(check.error for check in reached):
        return reached
    try:
        found = session.results(Check, run(session, "GET", "/check").envelope)
    except NotAllowed as error:
        session.notice(f"the catalog and the artifact store of the server were not checked: {error.message}")
        return reached
    return (*reached, *found)
