"""Tokens of a server: create, list and revoke."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from mreg.domain.events import time_text
from mreg.registry.remote_session import RemoteSession
from mreg.results.tokens import NewToken, Role, TokenInfo


def create_token(
    session: RemoteSession,
    name: str,
    *,
    role: Role | str = "reader",
    models: Iterable[str] = (),
    expires: datetime | timedelta | str | None = None,
) -> NewToken:
    """See `mreg.Registry.create_token`."""
    if isinstance(expires, timedelta):
        expires = datetime.now(UTC) + expires
    if isinstance(expires, datetime):
        expires = time_text(expires if expires.tzinfo else expires.replace(tzinfo=UTC))
    body = {
        "name": name,
        "role": str(role),
        "models": [models] if isinstance(models, str) else list(models),
        "expires": expires,
    }
    return session.result(NewToken, session.call("POST", "/tokens", body=body))


def tokens(session: RemoteSession) -> tuple[TokenInfo, ...]:
    """See `mreg.Registry.tokens`."""
    return session.results(TokenInfo, session.call("GET", "/tokens"))


def revoke_token(session: RemoteSession, name: str) -> TokenInfo:
    """See `mreg.Registry.revoke_token`."""
    from mreg.remote.references import segment

    return session.result(TokenInfo, session.call("DELETE", f"/tokens/{segment(name)}"))
