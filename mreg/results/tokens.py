"""Tokens: the clients of a server, and their roles."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from mreg.domain.digest import Digest
from mreg.domain.text import nearest, quoted
from mreg.errors import BadInput


class Role(IntEnum):
    """The permissions of a token; each role includes those before it."""

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
        """Return the role of a name, in any case.

        Raises:
            BadInput: No role has that name.
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
    """A token in the form that the server stores.

    Attributes:
        name: The user of the token, who is the actor of its changes.
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
    """A token that was just made, with its secret, which is stored nowhere."""

    token: Token
    secret: str
