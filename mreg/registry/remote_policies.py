"""Show, apply and check policies on a server."""

from __future__ import annotations

from mreg.domain.policy import Policy, policy_document
from mreg.registry.references import as_name
from mreg.registry.registry import Name
from mreg.registry.remote_session import RemoteSession
from mreg.remote.references import model_path
from mreg.results.policies import ModelPolicy, PolicyCheck


def policy(session: RemoteSession, name: Name | None = None) -> ModelPolicy:
    """See `mreg.Registry.policy`."""
    return session.result(ModelPolicy, session.call("GET", _path(name)))


def apply_policy(
    session: RemoteSession, policy: Policy | None, name: Name | None = None, *, seen: ModelPolicy | None = None
) -> ModelPolicy:
    """See `mreg.Registry.apply_policy`."""
    query = {}
    if seen is not None:
        from mreg.wire.envelope import state_digest

        query["seen"] = state_digest(seen)
    method, body = ("DELETE", None) if policy is None else ("PUT", policy_document(policy))
    return session.result(ModelPolicy, session.call(method, _path(name), query=query, body=body))


def check_policy(session: RemoteSession, policy: Policy, name: Name | None = None) -> tuple[PolicyCheck, ...]:
    """See `mreg.Registry.check_policy`."""
    opened = session.call("POST", f"{_path(name)}/check", body=policy_document(policy), repeatable=True)
    return session.results(PolicyCheck, opened)


def _path(name: Name | None) -> str:
    return "/policy" if name is None else model_path(as_name(name), "policy")
