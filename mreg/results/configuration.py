"""Lists of the configuration: profiles and trusted folders."""

from __future__ import annotations

import os
from dataclasses import dataclass

from mreg.results.profiles import PROJECT_FILE


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfileEntry:
    """A profile that can be chosen.

    Attributes:
        origin: The file that defines it, or ``built in``.
        active: Whether it is in use here.
    """

    name: str
    origin: str
    active: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustedFolder:
    """A folder whose project file can name a store.

    Attributes:
        folder: Its absolute path, without symbolic links.
        profile: The profile that the file names; empty if it names none.
        catalog: The catalog that the file names; empty if it names none.
        artifacts: The artifact store that the file names; empty if it names none.
    """

    folder: str
    profile: str
    catalog: str
    artifacts: str

    @property
    def file(self) -> str:
        """The project file."""
        return os.path.join(self.folder, PROJECT_FILE)
