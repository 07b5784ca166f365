"""Tokens: the clients of a server, their roles, and the models that they are limited to."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import IntEnum

from mreg.domain.digest import Digest
from mreg.domain.events import time_text
from mreg.domain.scope import EVERYTHING, ModelScope
from mreg.domain.text import check_line, nearest, quoted, shell_word
from mreg.domain.value import Result, Value
from mreg.errors import BadInput

EVERY_MODEL = "*"
"""The pattern of all models."""

EXPIRY_HINT = "write 12h, 90d, or a date or time, such as 2027-01-31 or 2027-01-31T12:00Z"
"""Hint for an invalid expiry of a new token."""

USE_INTERVAL = timedelta(hours=1)
"""Minimum time between two records of a token's last use."""


class Role(IntEnum):
    """Role of a token; each role includes the permissions of the lower ones."""

    READER = 1
    """Read everything and download."""
    WRITER = 2
    """Register, push, edit, and change stages as the policy allows."""
    APPROVER = 3
    """Approve and reject."""
    ADMIN = 4
    """Delete, rename, and set policies."""

    @classmethod
    def parse(cls, word: str) -> Role:
        """Return the role of a name, compared without regard to case.

        Raises:
            BadInput: The name is not a role.
        """
        try:
            return cls[word.upper()]
        except KeyError:
            names = [role.name.lower() for role in cls]
            near = nearest(word, names, 1)
            hint = f"did you mean {near[0]}?" if near else f"use one of: {', '.join(names)}"
            raise BadInput(f"invalid role {quoted(word)}", hint=hint) from None

    def __str__(self) -> str:
        return self.name.lower()


def check_token_name(name: str) -> str:
    """Return the name if a token can have it: a word that fits into a line of a token file.

    Raises:
        BadInput: The name is invalid.
    """
    if len(name.split()) != 1 or any(mark in name for mark in "#;"):
        raise BadInput(f"invalid token name {quoted(name)}", hint="use a word without '#' and ';'")
    return check_line("token's name", name)


def create_command(name: str, role: Role, models: Iterable[str] = (), *, expires: str = "") -> str:
    """Return the command that creates a token, for hints: each value is one word of the shell, whatever it contains."""
    words = ["mreg token create", shell_word(name), f"--role {role}"]
    if patterns := ",".join(models):
        words.append(f"--models {shell_word(patterns)}")
    if expires:
        words.append(f"--expires {shell_word(expires)}")
    return " ".join(words)


def is_below(owner: str, name: str) -> bool:
    """Return whether a client that is limited to some models may create a token with a name."""
    return name.startswith(f"{owner}/") and name != f"{owner}/"


def scope_of(patterns: Iterable[str]) -> ModelScope:
    """Return the scope of patterns of model names; `EVERYTHING` for none, and if one of them is `EVERY_MODEL`.

    Raises:
        BadInput: A pattern is invalid, or there are too many.
    """
    scope = ModelScope(tuple(patterns))
    return scope if scope.limited else EVERYTHING


def patterns_text(patterns: tuple[str, ...]) -> str:
    """Return the patterns separated by commas; `EVERY_MODEL` for none."""
    return ",".join(patterns) or EVERY_MODEL


@dataclass(frozen=True, slots=True, kw_only=True)
class Token(Value):
    """A token as a server knows it.

    Attributes:
        name: Owner of the token, and actor of the changes made with it.
        digest: SHA-256 of the secret.
        models: Patterns of the names of the models that the token may see and change; none for all models.
        expires: Time from which on the token is refused (aware UTC); None for never.
        root: Name of the first of the tokens that created each other and then this one; see `Token.counts_as`.
    """

    name: str
    role: Role
    digest: Digest
    models: tuple[str, ...] = ()
    expires: datetime | None = None
    root: str = ""

    @property
    def scope(self) -> ModelScope:
        """The models that the token may see and change."""
        return scope_of(self.models)

    @property
    def counts_as(self) -> str:
        """The name with whose limits the token counts: its own, or that of the token that created it below its name.

        So a client that is limited to some models cannot multiply its space on the server with tokens that it creates.
        """
        return self.root or self.name

    @property
    def line(self) -> str:
        """The line of a token file."""
        words = [self.name, str(self.role), str(self.digest)]
        if self.models:
            words.append(f"models={patterns_text(self.models)}")
        if self.expires is not None:
            words.append(f"expires={time_text(self.expires)}")
        return " ".join(words)

    def is_expired(self, now: datetime) -> bool:
        """Return whether the token is refused because of its age."""
        return self.expires is not None and self.expires <= now


@dataclass(frozen=True, slots=True, kw_only=True)
class NewToken(Result):
    """A new token with its secret, which is stored nowhere.

    Attributes:
        stored: Whether the catalog has the token; otherwise its line is for a token file.
    """

    token: Token
    secret: str
    stored: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenInfo(Result):
    """A token of the catalog, without its secret and digest.

    Attributes:
        models: Patterns of model names; none for all models.
        created_by: User who created it.
        expires: Time from which on it is refused; None for never.
        last_used_at: Time of a recent use, at most about an hour before the last one; None if it was never used.
        revoked_at: Time at which it was revoked; None if it was not.
        expired: Whether it had expired by the clock of the registry or server when it was read.
    """

    name: str
    role: Role
    models: tuple[str, ...]
    created_at: datetime
    created_by: str
    expires: datetime | None = None
    last_used_at: datetime | None = None
    revoked_at: datetime | None = None
    expired: bool = False

    def is_expired(self, now: datetime) -> bool:
        """Return whether the token is refused because of its age."""
        return self.expires is not None and self.expires <= now


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity(Result):
    """A client as the server knows it.

    Attributes:
        name: Name of its token; of the server's user if the server needs no tokens.
        models: Patterns of model names; none for all models.
        expires: Time from which on the token is refused; None for never.
        version: Version of mreg on the server.
    """

    name: str
    role: Role
    models: tuple[str, ...] = ()
    expires: datetime | None = None
    version: str
