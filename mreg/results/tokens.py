"""Tokens: the clients of a server, and their roles."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from mreg.domain.digest import Digest
from mreg.domain.text import nearest, quoted
from mreg.domain.value import Result, Value
from mreg.errors import BadInput


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Token(Value):
    """A token as the server stores it.

    Attributes:
        name: Owner of the token, and actor of the changes made with it.
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
class NewToken(Result):
    """A new token with its secret, which is stored nowhere."""

    token: Token
    secret: str
