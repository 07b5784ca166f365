"""Tokens of a server's clients, managed over HTTP."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from urllib.parse import quote

from mreg.domain.events import time_text
from mreg.domain.text import quoted
from mreg.errors import BadInput
from mreg.registry.remote_session import RemoteSession
from mreg.results.tokens import EXPIRY_HINT, NewToken, Role, TokenInfo


def create_token(
    session: RemoteSession,
    name: str,
    *,
    role: Role | str = "reader",
    models: Iterable[str] = (),
    expires: datetime | timedelta | str | None = None,
) -> NewToken:
    """See `mreg.Registry.create_token`."""
    body = {
        "name": name,
        "role": str(role),
        "models": [models] if isinstance(models, str) else list(models),
        "expires": _expiry(expires),
    }
    return session.result(NewToken, session.call("POST", "/tokens", body=body))


def tokens(session: RemoteSession) -> tuple[TokenInfo, ...]:
    """See `mreg.Registry.tokens`."""
    return session.results(TokenInfo, session.call("GET", "/tokens"))


def revoke_token(session: RemoteSession, name: str, *, with_created: bool = False) -> TokenInfo:
    """See `mreg.Registry.revoke_token`."""
    path, query = f"/tokens/{quote(name, safe='')}", {"with_created": with_created or None}
    return session.result(TokenInfo, session.call("DELETE", path, query=query))


def _expiry(expires: datetime | timedelta | str | None) -> str | None:
    """Return an expiry as the server reads it: a period stays one, since the clock of this machine can be wrong."""
    if isinstance(expires, timedelta):
        seconds = expires.days * 86_400 + expires.seconds + bool(expires.microseconds)
        if seconds <= 0:
            raise BadInput(f"invalid expiry {quoted(str(expires))}: it is in the past", hint=EXPIRY_HINT)
        return f"{seconds}s"
    if isinstance(expires, datetime):
        if expires.tzinfo is None:
            raise BadInput(f"invalid expiry {quoted(str(expires))}: it has no time zone", hint=EXPIRY_HINT)
        return time_text(expires)
    return expires
