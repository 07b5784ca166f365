"""Operations that need the catalog itself, which a client of a server does not have."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NoReturn

from mreg.errors import BadInput

if TYPE_CHECKING:
    from mreg.registry.remote_session import RemoteSession
    from mreg.results.profiles import Profile


def needs_catalog(what: str, profile: Profile) -> BadInput:
    """Return the error for an operation that a profile with a server cannot do.

    Args:
        what: The operation, in words that begin a message: ``mreg restore``.
    """
    return BadInput(
        f"{what} needs the catalog itself, but the profile {profile.name} has the server {profile.server}",
        hint="use it where the server runs, or name a profile with a catalog: --profile NAME",
        server=profile.server,
    )


def restore(session: RemoteSession, file: str | os.PathLike[str], *, with_tokens: bool = False) -> NoReturn:  # noqa: ARG001
    """See `mreg.Registry.restore`; a server does not offer it."""
    raise needs_catalog("mreg restore", session.profile)


def upgrade(session: RemoteSession, *, dry_run: bool = False) -> NoReturn:  # noqa: ARG001
    """See `mreg.Registry.upgrade`; a server does not offer it."""
    raise needs_catalog("mreg upgrade", session.profile)
