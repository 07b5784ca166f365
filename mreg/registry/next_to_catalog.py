"""Operations that need the catalog itself, which a client of a server does not have."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import TYPE_CHECKING, NoReturn

from mreg.errors import BadInput

if TYPE_CHECKING:
    from mreg.registry.registry import Name, Progress
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


def import_mlflow(
    session: RemoteSession,
    place: str,  # noqa: ARG001
    *,
    models: Iterable[str] = (),  # noqa: ARG001
    dry_run: bool = False,  # noqa: ARG001
    progress: Progress = None,  # noqa: ARG001
) -> NoReturn:
    """See `mreg.Registry.import_mlflow`; a server does not offer it: versions keep their numbers and times."""
    raise needs_catalog("mreg import mlflow:PLACE", session.profile)


def import_hub(
    session: RemoteSession,
    repository: str,  # noqa: ARG001
    name: Name | None = None,  # noqa: ARG001
    *,
    revision: str = "",  # noqa: ARG001
    dry_run: bool = False,  # noqa: ARG001
    progress: Progress = None,  # noqa: ARG001
) -> NoReturn:
    """See `mreg.Registry.import_hub`; a server does not offer it: the origin of the version is recorded with it."""
    raise needs_catalog("mreg import hf:NAME", session.profile)
