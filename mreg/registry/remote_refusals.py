"""Operations that a server does not offer, with the command to use instead; `docs/decisions/0069` explains each."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, NoReturn

from mreg.domain.text import shell_word
from mreg.errors import BadInput
from mreg.results.profiles import PROJECT_FILE

if TYPE_CHECKING:
    from mreg.registry.registry import Name
    from mreg.registry.remote_session import RemoteSession
    from mreg.results.imports import ImportReport
    from mreg.results.profiles import Profile
    from mreg.results.upkeep import CatalogCopy, Upgrade

SERVER_VARIABLE = "MREG_SERVER"

DIRECT_ACCESS = "the command needs direct access to the catalog"


def restore(session: RemoteSession, file: str | os.PathLike[str], *, with_tokens: bool = False) -> CatalogCopy:
    """See `mreg.Registry.restore`; always raises `BadInput`."""
    tokens = " --with-tokens" if with_tokens else ""
    raise _needs_catalog(session, "restore a backup", f"mreg restore {shell_word(os.fspath(file))}{tokens}")


def upgrade(session: RemoteSession, *, dry_run: bool = False) -> Upgrade:
    """See `mreg.Registry.upgrade`; always raises `BadInput`."""
    raise _needs_catalog(session, "upgrade the catalog", f"mreg upgrade{' --dry-run' if dry_run else ''}")


def import_mlflow(
    session: RemoteSession,
    place: str,
    *,
    models: Iterable[str] = (),
    dry_run: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> ImportReport:
    """See `mreg.Registry.import_mlflow`; always raises `BadInput`."""
    options = "".join(f" --model {shell_word(pattern)}" for pattern in models)
    source = f"mlflow:URI{options}"  # a URI can have a password
    _refuse_import(session, "MLflow", source, "MODEL", dry_run=dry_run)


def import_hub(
    session: RemoteSession,
    repository: str,
    name: Name | None = None,
    *,
    revision: str = "",
    dry_run: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> ImportReport:
    """See `mreg.Registry.import_hub`; always raises `BadInput`."""
    source = shell_word(f"hf:{repository}{f'@{revision}' if revision else ''}")
    if name is not None:
        source += f" --name {shell_word(str(name))}"
    _refuse_import(session, "the Hugging Face Hub", source, str(name or repository), dry_run=dry_run)


def cannot_copy(profile: Profile, source: str, target: str) -> BadInput:
    """Return the error for a copy of a catalog from one profile to another, one of which has a server.

    Args:
        profile: The profile with the server.
    """
    error = needs_catalog("copy a catalog", profile)
    if profile.origins.get("server") != SERVER_VARIABLE:
        copy = f"mreg catalog copy --from-profile {source} --to-profile {target}"
        bundle = f"mreg export MODEL -o model.mreg --profile {source}\nmreg import model.mreg --profile {target}"
        error.hint = f"on the machine of the server, with profiles that have a catalog, run: {copy}\n"
        error.hint += f"or copy each model in a bundle:\n{bundle}"
    return error


def needs_catalog(action: str, profile: Profile, command: str = "", *, address: str = "") -> BadInput:
    """Return the error for an operation that a profile with a server cannot do.

    Args:
        action: The operation: ``restore a backup``.
        command: The command that does it where the server runs.
        address: Address of the server (default: the profile's).
    """
    origin = profile.origins.get("server", "")
    way = "name a profile with a catalog: --profile NAME"
    if origin == SERVER_VARIABLE:  # overrides every profile, and without it the default profile can have a server, too
        way = f"unset {SERVER_VARIABLE}, and {way}"
    elif PROJECT_FILE in origin:
        way = "name a catalog instead of the server of the project file: export MREG_CATALOG=PLACE"
    server = address or profile.server
    named = f", which {profile.chooser} names" if profile.server and origin != "argument" else ""
    there = f"on the machine of the server, run: {command}" if command else "use it where the server runs"
    return BadInput(
        f"cannot {action} through {server}{named}: {DIRECT_ACCESS}", hint=f"{there}\nor {way}", server=server
    )


def _needs_catalog(session: RemoteSession, action: str, command: str) -> BadInput:
    return needs_catalog(action, session.profile, command, address=str(session.connection.address))


def _refuse_import(session: RemoteSession, origin: str, source: str, model: str, *, dry_run: bool) -> NoReturn:
    """Raise the error for an import.

    Args:
        source: The source with its options, as words of a shell.
        model: The model that it adds.
    """
    model = shell_word(model)
    # A profile would not override a server of MREG_SERVER or of a project file.
    unset = f"env -u {SERVER_VARIABLE} " if session.profile.origins.get("server") == SERVER_VARIABLE else ""
    local = f"{unset}MREG_CATALOG=copy.db mreg"
    raise BadInput(
        f"cannot import from {origin} through {session.connection.address}: {DIRECT_ACCESS}",
        hint=f"on the machine of the server, run: mreg import {source}{' --dry-run' if dry_run else ''}\n"
        "or import it into a local catalog, and send a bundle:\n"
        f"{local} import {source}\n{local} export {model} -o model.mreg\nmreg import model.mreg",
    )
