"""Tokens of a server's clients: created, listed and revoked in the catalog.

A token has 256 random bits. So its SHA-256 reveals nothing and can be stored where others read it, and no one finds a
secret by trying.
"""

from __future__ import annotations

import hashlib
import os
import re
from base64 import urlsafe_b64encode
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from math import ceil
from typing import TYPE_CHECKING

from mreg.catalog.tokens import Tokens, TokenWriter, unknown_token
from mreg.domain.digest import Digest
from mreg.domain.events import parse_time, time_text
from mreg.domain.scope import ModelScope
from mreg.domain.stored import check_year
from mreg.domain.text import Caution, counted, quoted, shell_word
from mreg.errors import BadInput, NotAllowed, OutsideScope
from mreg.results.tokens import (
    EXPIRY_HINT,
    NewToken,
    Role,
    Token,
    TokenInfo,
    check_token_name,
    create_command,
    is_below,
    patterns_text,
    scope_of,
)

if TYPE_CHECKING:
    from mreg.catalog.reader import Reader
    from mreg.catalog.writer import Writer
    from mreg.registry.session import Session

PREFIX = "mreg_"
"""Prefix of every token, so that a leaked token is recognized."""

LIMITED_CLIENT_TOKENS = 1_000
"""Maximum number of tokens, not revoked, that a client that is limited to some models and its own tokens can create."""

_PERIOD = re.compile(r"([0-9]{1,12})([smhd])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}

Expiry = datetime | timedelta | str | None


def new_token(
    name: str,
    role: Role | str = "reader",
    models: Iterable[str] = (),
    expires: Expiry = None,
    *,
    now: datetime | None = None,
) -> NewToken:
    """Return a new random token; nothing is stored.

    Raises:
        BadInput: A value is invalid, or the token would have expired already.
    """
    secret = PREFIX + urlsafe_b64encode(os.urandom(32)).decode().rstrip("=")
    token = Token(
        name=check_token_name(name),
        role=Role.parse(role) if isinstance(role, str) else role,
        digest=digest_of(secret),
        models=scope_of(models).patterns,
        expires=_expiry(expires, now or datetime.now(UTC)),
    )
    return NewToken(token=token, secret=secret)


def digest_of(secret: str) -> Digest:
    """Return the SHA-256 of a secret."""
    return Digest.sha256(hashlib.sha256(secret.encode("utf-8", "surrogateescape")).hexdigest())


def create_token(
    session: Session, name: str, *, role: Role | str = "reader", models: Iterable[str] = (), expires: Expiry = None
) -> NewToken:
    """See `mreg.Registry.create_token`."""
    if any(part in ("", ".", "..") for part in name.split("/")):  # a proxy can remove these from the path of a request
        raise BadInput(
            f"invalid token name {quoted(name)}: a part between slashes is empty, '.' or '..'",
            hint="remove that part",
        )
    given = (models,) if isinstance(models, str) else models
    made = new_token(name, role, given, expires, now=session.now())
    token = _limited(session, made.token, _expiry_text(expires))

    def work(writer: Writer) -> None:
        there = TokenWriter(writer)
        _check_client(session, there)
        if _scope(session).limited:
            _check_count(session, there)
        there.create(token)

    session.write(work)
    return NewToken(token=token, secret=made.secret, stored=True)


def _check_client(session: Session, tokens: Tokens) -> None:
    """Check in a transaction that the client's own token is still not revoked.

    A request that waited for the transaction that revoked it would otherwise leave a token that this one did not see.

    Raises:
        NotAllowed: It was revoked.
    """
    found = None if session.client is None else tokens.by_digest(session.client.digest)
    if found is not None and found[1].revoked_at is not None:
        raise NotAllowed(f"the token {quoted(found[0].name)} was revoked")


def _check_count(session: Session, tokens: Tokens) -> None:
    """Check that a limited client can create one more token, so that others can still create theirs."""
    owner = session.actor() if session.client is None else session.client.counts_as
    if sum(is_below(owner, token.name) for token in tokens.usable()) >= LIMITED_CLIENT_TOKENS:
        raise BadInput(
            f"too many tokens below {owner}/: the limit is {LIMITED_CLIENT_TOKENS:,}",
            hint="revoke unused ones: mreg token list",
        )


def tokens(session: Session) -> tuple[TokenInfo, ...]:
    """See `mreg.Registry.tokens`."""
    return session.catalog.read(lambda reader: _managed(session, Tokens(reader)))


def revoke_token(session: Session, name: str, *, with_created: bool = False) -> TokenInfo:
    """See `mreg.Registry.revoke_token`."""

    def work(writer: Writer) -> tuple[TokenInfo, tuple[TokenInfo, ...]]:
        there = TokenWriter(writer)
        _check_client(session, there)
        token = there.named(name)
        if token is None or not _manages(session, token):
            raise unknown_token(name, [one.name for one in _managed(session, there)])
        own = session.client.name if session.client is not None else ""
        found = there.created_with(name, session.now())
        if _scope(session).limited and own in (one.name for one in found):
            raise NotAllowed(
                f"cannot revoke the token {quoted(name)}: your own token {quoted(own)} was created with it",
                hint="ask an administrator for all models",
            )
        created = tuple(one for one in found if _manages(session, one) and one.name != own)
        revoked = token
        if token.revoked_at is None or not (with_created and created):
            revoked = there.revoke(name)
        for one in created if with_created else ():
            there.revoke(one.name)
        return revoked, created

    revoked, created = session.write(work)
    if created:
        count, names = counted(len(created), "token"), ", ".join(one.name for one in created)
        if with_created:
            text = f"revoked {count} that {name} created: {names}"
        else:
            command = f"mreg token revoke {shell_word(name)} --with-created"
            text = f"{count} that {name} created can still be used: {names}; to revoke them: {command}"
        session.notice(Caution(text))
    return replace(revoked, expired=revoked.is_expired(session.now()))


def _managed(session: Session, tokens: Tokens) -> tuple[TokenInfo, ...]:
    """Return the tokens that the client of this session may see and revoke."""
    now = session.now()
    found = (token for token in tokens.usable() if _manages(session, token))
    return tuple(replace(token, expired=token.is_expired(now)) for token in found)


def _limited(session: Session, token: Token, expires: str) -> Token:
    """Return the token that the client of this session may create: it permits no more, and expires no later.

    A client that is limited to some models creates tokens below its own name, so that it cannot act under the name of
    anybody else: of an approver in a policy, of another token, or of a user without a token.

    Args:
        expires: The expiry as it was given, for hints.

    Raises:
        OutsideScope: It would permit more models than the client's own token, or has another name.
        NotAllowed: It would last longer.
    """
    own, scope = session.client, _scope(session)
    owner = own.name if own is not None else session.actor()
    name = token.name if is_below(owner, token.name) else f"{owner}/{token.name}"
    if not covers(scope, token.scope):
        raise OutsideScope(
            f"cannot create a token for the models {quoted(patterns_text(token.models))}: your own token is limited to "
            f"{quoted(patterns_text(scope.patterns))}",
            hint=f"limit it too: {create_command(name, token.role, scope.patterns, expires=expires)}",
        )
    if scope.limited and not is_below(owner, token.name):
        raise OutsideScope(
            f"cannot create the token {quoted(token.name)}: your own token is limited to "
            f"{quoted(patterns_text(scope.patterns))}, so the names of tokens that you create begin with {owner}/",
            hint=create_command(name, token.role, token.models, expires=expires),
        )
    if own is None or own.expires is None:
        return token
    if token.expires is None:
        return Token(name=token.name, role=token.role, digest=token.digest, models=token.models, expires=own.expires)
    if token.expires > own.expires:
        raise NotAllowed(
            f"cannot create a token that expires after your own, which expires at {time_text(own.expires)}",
            hint=create_command(token.name, token.role, token.models, expires=time_text(own.expires)),
        )
    return token


def _manages(session: Session, token: TokenInfo) -> bool:
    """Return whether the client of this session may see and revoke a token."""
    return covers(_scope(session), scope_of(token.models))


def _scope(session: Session) -> ModelScope:
    """Return the models that the tokens of a session's client can be limited to."""
    return session.client.scope if session.client is not None else session.scope


def covers(scope: ModelScope, other: ModelScope) -> bool:
    """Return whether a scope has every model of another one.

    Each pattern of the other scope must be covered by one pattern, so a few scopes that are covered by several patterns
    together count as not covered.
    """
    if not scope.limited:
        return True
    return other.limited and all(any(_matches(one, each) for one in scope.patterns) for each in other.patterns)


def _matches(pattern: str, other: str) -> bool:
    """Return whether a pattern matches every name that another pattern matches.

    The other pattern is matched as a text in which ``*`` is matched by ``*`` alone, and ``?`` also by ``?``.
    """
    reached = {0}  # positions in the other pattern
    for sign in pattern:
        if sign == "*":
            reached = set(range(min(reached), len(other) + 1))
        else:
            reached = {
                at + 1 for at in reached if at < len(other) and other[at] != "*" and (sign == "?" or other[at] == sign)
            }
        if not reached:
            return False
    return len(other) in reached


def _expiry(expires: Expiry, now: datetime) -> datetime | None:
    if expires is None:
        return None
    shown = expires if isinstance(expires, str) else str(expires)
    try:
        at = _instant(expires, now)
    except OverflowError:
        raise BadInput(f"invalid expiry {quoted(shown)}: it is out of range", hint=EXPIRY_HINT) from None
    if at <= now:
        raise BadInput(f"invalid expiry {quoted(shown)}: it is in the past", hint=EXPIRY_HINT)
    return check_year(at)


def _expiry_text(expires: Expiry) -> str:
    """Return an expiry as an option takes it; empty for none."""
    if isinstance(expires, timedelta):
        return f"{ceil(expires.total_seconds())}s"
    return time_text(expires) if isinstance(expires, datetime) else expires or ""


def _instant(expires: datetime | timedelta | str, now: datetime) -> datetime:
    if isinstance(expires, timedelta):
        return now + expires
    if isinstance(expires, datetime):
        if expires.tzinfo is None:
            raise BadInput(f"invalid expiry {quoted(str(expires))}: it has no time zone", hint=EXPIRY_HINT)
        return expires.astimezone(UTC)
    period = _PERIOD.fullmatch(expires)
    if period is not None:
        return now + timedelta(**{_UNITS[period[2]]: int(period[1])})
    try:
        return datetime.fromisoformat(parse_time(expires)).astimezone(UTC)
    except BadInput:
        raise BadInput(f"invalid expiry {quoted(expires)}", hint=EXPIRY_HINT) from None


# For a server


def find_tokens(session: Session, digests: Iterable[Digest]) -> tuple[dict[Digest, tuple[Token, TokenInfo]], bool]:
    """Return the tokens with these digests, and whether the catalog has any token, be it expired or revoked."""

    def look(reader: Reader) -> tuple[dict[Digest, tuple[Token, TokenInfo]], bool]:
        stored = Tokens(reader)
        found = {digest: one for digest in digests if (one := stored.by_digest(digest)) is not None}
        with_roots = {digest: (replace(token, root=stored.root(info)), info) for digest, (token, info) in found.items()}
        return with_roots, bool(found) or stored.any()

    return session.catalog.read(look)


def record_uses(session: Session, uses: Mapping[Digest, datetime]) -> None:
    """Record when tokens were used; see `mreg.catalog.tokens.TokenWriter.record_uses`."""
    session.write_quietly(lambda writer: TokenWriter(writer).record_uses(uses))


def has_active_token(session: Session) -> bool:
    """Return whether the catalog has a token that is neither expired nor revoked."""
    now = session.now()
    return session.catalog.read(lambda reader: Tokens(reader).any_active(now))
