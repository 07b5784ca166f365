"""The configuration: profiles, trusted folders and logins."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import datetime

from mreg.domain.value import Result
from mreg.results.profiles import PROJECT_FILE
from mreg.results.tokens import Role


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfileEntry(Result):
    """A profile in a list.

    Attributes:
        origin: The file that defines it, or ``built in``.
        active: Whether it is in use in the working folder.
    """

    name: str
    origin: str
    active: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustedFolder(Result):
    """A folder whose project file the user has allowed to name a profile and a store.

    Attributes:
        folder: Absolute path, without symbolic links.
        profile: Profile that the file names, empty if none.
        catalog: Catalog that the file names, empty if none.
        artifacts: Artifact location that the file names, empty if none.
        server: Server that the file names, empty if none.
    """

    folder: str
    profile: str
    catalog: str
    artifacts: str
    server: str = ""

    @property
    def file(self) -> str:
        """The project file."""
        return os.path.join(self.folder, PROJECT_FILE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Login(Result):
    """A token for a server, and what the server says of it.

    Attributes:
        server: URL of the server.
        name: Name of the token: the user in the audit trail.
        role: Role of the token.
        models: Patterns of the names of the models that the token may see and change; none for all models.
        expires: Time from which on the token is refused; None for never.
        version: Version of mreg on the server.
        source: Where the token comes from: ``MREG_TOKEN``, ``token_command``, ``keyring``, the file of saved logins, or
            empty for a server that needs no token.
    """

    server: str
    name: str
    role: Role
    models: tuple[str, ...] = ()
    expires: datetime | None = None
    version: str
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Logout(Result):
    """A saved token that was removed.

    Attributes:
        server: Scheme, host and port of the server.
    """

    server: str
