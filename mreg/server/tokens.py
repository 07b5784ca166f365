"""Tokens: who may come in, and what each may do.

A token is 256 random bits, so that its SHA-256 can be kept in a file that others read: there is nothing to guess. A
line of such a file is ``NAME ROLE sha256:DIGEST``; ``#`` begins a comment.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum

from mreg.domain.digest import Digest
from mreg.domain.text import check_line, nearest, quoted
from mreg.errors import BadInput

PREFIX = "mreg_"
"""By which a token is known where it has got into a place that it should not be in."""

TOKENS_LIMIT = 10_000


class Role(IntEnum):
    """What a token may do; each may do what those before it may."""

    READER = 1
    """See everything and download."""
    WRITER = 2
    """Register, push, edit, and change stages as the policy allows."""
    APPROVER = 3
    """Approve and reject."""
    ADMIN = 4
    """Delete, rename, and set policies."""

    @classmethod
    def parse(cls, word: str) -> Role:
        """The role of that name, in any case.

        Raises:
            BadInput: There is none.
        """
        try:
            return cls[word.upper()]
        except KeyError:
            names = [role.name.lower() for role in cls]
            near = nearest(word, names, 1)
            hint = f"did you mean {near[0]}?" if near else f"use {', '.join(names)}"
            raise BadInput(f"there is no role {quoted(word)}", hint=hint) from None

    def __str__(self) -> str:
        return self.name.lower()


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """A token as the server keeps it.

    Attributes:
        name: Whose it is: the actor of what is done with it.
        digest: SHA-256 of the secret.
    """

    name: str
    role: Role
    digest: Digest

    @property
    def line(self) -> str:
        """The line of a token file."""
        return f"{self.name} {self.role} {self.digest}"


@dataclass(frozen=True, slots=True, kw_only=True)
class NewToken:
    """A token that was just made, with its secret, which is kept nowhere."""

    token: Token
    secret: str


def new_token(name: str, role: Role) -> NewToken:
    """A token that nobody has.

    Raises:
        BadInput: Nobody can be called that.
    """
    secret = PREFIX + secrets.token_urlsafe(32)
    return NewToken(token=Token(name=_checked_name(name), role=role, digest=_digest(secret)), secret=secret)


def parse_tokens(text: str, place: str) -> tuple[Token, ...]:
    """The tokens of a file or variable.

    Args:
        place: What messages call it; they never show a line, since it may hold a secret by mistake.

    Raises:
        BadInput: A line is none, or a name or digest is there twice.
    """
    found: list[Token] = []
    for number, line in enumerate(text.replace(";", "\n").splitlines(), 1):
        words = line.partition("#")[0].split()
        if not words:
            continue
        where = f"{place}, line {number}"
        if len(words) != 3:
            raise BadInput(
                f"{where} is no token", hint="write NAME ROLE sha256:DIGEST, which mreg token NAME --role ROLE prints"
            )
        try:
            role, digest = Role.parse(words[1]), Digest.parse(words[2])
        except BadInput as error:
            raise BadInput(
                f"{where} is no token: its {'role' if 'role' in error.message else 'digest'} is none",
                hint="write NAME ROLE sha256:DIGEST, which mreg token NAME --role ROLE prints",
            ) from None
        found.append(Token(name=_checked_name(words[0]), role=role, digest=digest))
        if len(found) > TOKENS_LIMIT:
            raise BadInput(f"{place} has more than {TOKENS_LIMIT} tokens")
    for what, values in (("name", [one.name for one in found]), ("digest", [one.digest.value for one in found])):
        if len(set(values)) != len(values):
            raise BadInput(f"{place} has a {what} twice")
    return tuple(found)


def find_token(tokens: Iterable[Token], secret: str) -> Token | None:
    """The token of a secret, or None; in a time that does not tell how near it was."""
    digest = _digest(secret).value
    found = None
    for token in tokens:
        if hmac.compare_digest(token.digest.value, digest):
            found = token
    return found


def _digest(secret: str) -> Digest:
    return Digest.sha256(hashlib.sha256(secret.encode("utf-8", "surrogateescape")).hexdigest())


def _checked_name(name: str) -> str:
    if len(name.split()) != 1 or any(mark in name for mark in "#;"):
        raise BadInput(f"{quoted(name)} is no name for a token", hint="use a word without '#' and ';'")
    return check_line("token's name", name)
