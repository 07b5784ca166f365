"""Lists of the configuration: profiles and trusted folders."""

from __future__ import annotations

import os
from dataclasses import dataclass

from mreg.domain.value import Result
from mreg.results.profiles import PROJECT_FILE


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
