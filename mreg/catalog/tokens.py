"""Tokens of a server's clients in the catalog, by the SHA-256 of their secrets."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING

from mreg.catalog.rows import number, read_time, row_of, text
from mreg.domain.digest import Digest
from mreg.domain.events import time_text
from mreg.domain.text import check_line, folded_text, quoted, shell_word
from mreg.errors import AlreadyExists, BadInput, NotFound
from mreg.results.tokens import (
    USE_INTERVAL,
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
    from mreg.catalog.database import Row
    from mreg.catalog.reader import Reader
    from mreg.catalog.writer import Writer

TOKENS_LIMIT = 10_000
"""Maximum number of tokens of a catalog that are not revoked."""


class Tokens:
    """Queries of tokens in a transaction."""

    def __init__(self, reader: Reader) -> None:
        self._connection = reader.connection

    def by_digest(self, digest: Digest) -> tuple[Token, TokenInfo] | None:
        """Return the token with a digest, also if it is expired or revoked; None if it is unknown.

        One look at an index. A comparison in constant time is not needed: to find a digest by the time of this look, a
        client needs secrets whose SHA-256 begin like it, which is as hard as guessing; see `mreg.server.tokens`.
        """
        row = self._connection.one("tokens.by_digest", digest=digest.value)
        return None if row is None else (_token(row), _info(row))

    def usable(self) -> tuple[TokenInfo, ...]:
        """Return the tokens that are not revoked, including expired ones, oldest first."""
        return tuple(map(_info, self._connection.all("tokens.usable", row_limit=TOKENS_LIMIT)))

    def named(self, name: str) -> TokenInfo | None:
        """Return the token with a name that is not revoked, otherwise the last revoked one; None if there is none."""
        row = self._connection.one("tokens.by_name", name=name)
        return None if row is None else _info(row)

    def root(self, token: TokenInfo) -> str:
        """Return the name of the first of the tokens that created each other, each below its own name.

        It is empty for a token that was not created in this way.
        """
        root = ""
        while is_below(token.created_by, token.name):
            root = token.created_by  # which is shorter
            creator = self.named(root)
            if creator is None:
                break
            token = creator
        return root

    def created_with(self, name: str, now: datetime) -> tuple[TokenInfo, ...]:
        """Return the valid tokens that were created under a name, directly or through other tokens, oldest first."""
        usable = self.usable()
        creators: dict[str, str] = {token.name: token.created_by for token in usable}

        def creator_of(name: str) -> str:
            if name not in creators:
                token = self.named(name)  # revoked, or of a user without a token
                creators[name] = "" if token is None else token.created_by
            return creators[name]

        def is_created(token: TokenInfo) -> bool:
            chain = [token.name]
            while (creator := creator_of(chain[-1])) not in ("", name, *chain):
                chain.append(creator)
            return creator == name

        return tuple(one for one in usable if one.name != name and not one.is_expired(now) and is_created(one))

    def any(self) -> bool:
        """Return whether the catalog has a token, be it expired or revoked."""
        return self._connection.one("tokens.any") is not None

    def any_active(self, now: datetime) -> bool:
        """Return whether there is a token that is neither expired nor revoked."""
        return self._connection.one("tokens.any_active", now=time_text(now)) is not None


class TokenWriter(Tokens):
    """Changes of tokens; creation and revocation are audit events."""

    def __init__(self, writer: Writer) -> None:
        super().__init__(writer)
        self._writer = writer

    def create(self, token: Token) -> TokenInfo:
        """Store a token; an expired token with its name is revoked.

        A name has one spelling, also after its token was revoked, so that no token passes for that of another user.

        Raises:
            AlreadyExists: An active token has the name, or a token has another spelling of it.
            BadInput: There are too many tokens.
        """
        there = self.named(token.name)
        if there is not None and there.revoked_at is None:
            if not there.is_expired(self._writer.at):
                raise AlreadyExists(
                    f"token {quoted(token.name)} already exists",
                    hint=f"choose another name, or revoke it first: mreg token revoke {shell_word(token.name)}",
                )
            self._connection.run("tokens.revoke", name=token.name, at=self._writer.time)
        if there is None:
            self._check_spelling(token.name)
        row = self._connection.one("tokens.count")
        if row is not None and number(row, "many") >= TOKENS_LIMIT:
            raise BadInput(
                f"too many tokens: the limit is {TOKENS_LIMIT:,}", hint="revoke unused ones: mreg token list"
            )
        expires = None if token.expires is None else time_text(token.expires)
        self._connection.run(
            "tokens.insert",
            digest=token.digest.value,
            name=token.name,
            role=str(token.role),
            models=patterns_text(token.models),
            at=self._writer.time,
            actor=self._writer.actor,
            expires_at=expires,
        )
        details = {"token": token.name, "role": str(token.role), "models": list(token.models), "expires": expires or ""}
        self._writer.record("token.created", None, details)
        return TokenInfo(
            name=token.name,
            role=token.role,
            models=token.models,
            created_at=self._writer.at,
            created_by=self._writer.actor,
            expires=token.expires,
        )

    def _check_spelling(self, name: str) -> None:
        form = folded_text(name)
        for row in self._connection.all("tokens.names"):
            other = text(row, "name")
            if folded_text(other) == form:
                raise AlreadyExists(
                    f"token {quoted(name)} already exists as {quoted(other)}",
                    hint="choose a name that differs in more than case and Unicode form",
                )

    def revoke(self, name: str) -> TokenInfo:
        """Revoke the token with a name, and return it.

        Raises:
            NotFound: No token has the name, or it is revoked already.
        """
        token = self.named(name)
        if token is None or token.revoked_at is not None:
            raise unknown_token(name, [one.name for one in self.usable()], token, at=self._writer.at)
        self._connection.run("tokens.revoke", name=name, at=self._writer.time)
        self._writer.record("token.revoked", None, {"token": name, "role": str(token.role)})
        found = self.named(name)
        return token if found is None else found

    def record_uses(self, uses: Mapping[Digest, datetime]) -> None:
        """Record when tokens were used, each at most once per `USE_INTERVAL`; no events."""
        for digest, at in uses.items():
            before = time_text(at - USE_INTERVAL)
            self._connection.run("tokens.use", digest=digest.value, at=time_text(at), before=before)


def unknown_token(
    name: str, others: Iterable[str], token: TokenInfo | None = None, *, at: datetime | None = None
) -> NotFound:
    """Return the error for a name that no token has.

    Args:
        others: Names of tokens, for a hint.
        token: The revoked token that had the name last, if any.
        at: The current time: the hint repeats an expiry after it.
    """
    from mreg.domain.text import nearest_names

    if token is not None and token.revoked_at is not None:
        expires = token.expires if at is not None and not token.is_expired(at) else None
        create = create_command(name, token.role, token.models, expires="" if expires is None else time_text(expires))
        return NotFound(
            f"token {quoted(name)} is revoked already, since {time_text(token.revoked_at)}",
            hint=f"create another one with its name: {create}",
            kind="token",
        )
    near = nearest_names(name, set(others), 1)
    hint = f"did you mean {near[0]}?" if near else "mreg token list"
    return NotFound(f"token {quoted(name)} not found", hint=hint, kind="token")


@row_of("tokens", "name")
def _token(row: Row) -> Token:
    return Token(
        name=check_token_name(text(row, "name")),
        role=_role(row),
        digest=Digest.sha256(text(row, "digest")),
        models=_patterns(row),
        expires=_time(row, "expires_at"),
    )


@row_of("tokens", "name")
def _info(row: Row) -> TokenInfo:
    return TokenInfo(
        name=check_token_name(text(row, "name")),
        role=_role(row),
        models=_patterns(row),
        created_at=read_time(row["created_at"]),
        created_by=check_line("created_by", text(row, "created_by")),
        expires=_time(row, "expires_at"),
        last_used_at=_time(row, "last_used_at"),
        revoked_at=_time(row, "revoked_at"),
    )


def _role(row: Row) -> Role:
    role = text(row, "role")
    found = Role.parse(role)
    if str(found) != role:
        raise BadInput(f"invalid role {quoted(role)}")
    return found


def _patterns(row: Row) -> tuple[str, ...]:
    """Return the stored patterns; a damaged text is an error, and never all models."""
    stored = text(row, "models")
    found = scope_of(stored.split(",")).patterns
    if patterns_text(found) != stored:
        raise BadInput(f"invalid patterns {quoted(stored)}")
    return found


def _time(row: Row, column: str) -> datetime | None:
    value = row[column]
    return None if value is None else read_time(value)
