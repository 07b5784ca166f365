"""Commands for the tokens of a client: login, logout, whoami."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from mreg import streams
from mreg.cli.completion import complete_login
from mreg.cli.invocation import Invocation, invocation_of
from mreg.domain.address import Address
from mreg.domain.text import shell_word
from mreg.errors import BadInput, MregError, NotFound, Unavailable
from mreg.results.profiles import PROJECT_FILE

if TYPE_CHECKING:
    from mreg.domain.password import Password
    from mreg.results.configuration import Login
    from mreg.results.profiles import Profile
    from mreg.results.tokens import Identity

INPUT_LIMIT = 64 << 10
"""Maximum number of bytes that are read from standard input."""

ServerUrl = Annotated[
    str | None,
    typer.Argument(
        metavar="URL", help="URL of the server (default: that of the profile).", autocompletion=complete_login
    ),
]


def login(
    ctx: typer.Context,
    url: ServerUrl = None,
    more: Annotated[list[str] | None, typer.Argument(hidden=True)] = None,
    token_stdin: Annotated[
        bool,
        typer.Option("--token-stdin", help="Read the token from standard input (default: if there is no terminal)."),
    ] = False,
    insecure: Annotated[
        bool, typer.Option("--insecure", help="Allow this server without TLS, also in later commands.")
    ] = False,
) -> None:
    """Check a token for a server, and save it.

    On a terminal, the command asks for the token and does not show it; otherwise it reads standard input. The token is
    saved in the keyring of your system if the package keyring is installed and works, otherwise in a file that only you
    can read. It is sent only to this scheme, host and port. MREG_TOKEN and the token_command of your profile take
    precedence. A login does not change which registry commands use: the command prints the next step, unless they use
    this server already.

    Examples:
      mreg login https://models.example
      mreg login https://models.example --token-stdin < token.txt
    """
    from mreg.profile.credentials import keep_token
    from mreg.profile.server import checked_token

    if more:  # not repeated, as it can be the token
        raise BadInput(
            "the token is not an argument: other users could see it",
            hint="mreg login URL asks for it; or pipe it: mreg login URL --token-stdin < FILE",
        )
    run = invocation_of(ctx)
    address = _address(run, url) if url is not None else _server(run, "mreg login https://HOST")
    if url is not None and run.profile:
        _check_profile(run, address)
    if not address.is_protected and not insecure:
        raise BadInput(
            f"{address} has no TLS: the token would be sent unencrypted",
            hint=f"use {address.other_scheme()}, or in a network that you trust: {run.command_with('--insecure')}",
        )
    _check_needs_token(run, address)
    text = _read_token(address, piped=token_stdin)
    token = checked_token(text, "the input")
    identity = _identify(run, address, token)
    source, reason = keep_token(address, identity.name, token)
    if reason:
        run.output.note(reason)
    _tell_next_steps(run, address)
    run.output.result(_made(address, identity, source))


def _address(run: Invocation, url: str) -> Address:
    """Return the address of a URL.

    Raises:
        BadInput: It is not a URL; the hint tells if it is the name of a profile.
    """
    from mreg.profile.load import config_file, read_profiles

    try:
        return Address.parse(url)
    except BadInput as error:
        if url in read_profiles(config_file(run.config, os.environ), required=False).profiles:
            error.hint = f"for the server of the profile: mreg login --profile {shell_word(url)}"
        raise


def _check_profile(run: Invocation, address: Address) -> None:
    """Check that the profile of ``--profile`` has the server of the argument.

    Raises:
        BadInput: It has another server, or none.
        NotFound: The profile does not exist.
    """
    try:
        profile = run.load_profile()
    except NotFound as error:
        if error.details.get("kind") == "profile":
            error.hint = f"mreg profile add {run.profile} --server {shell_word(str(address))}"
        raise
    if not _has_origin(profile, address):
        has = f"has the server {profile.server}" if profile.server else "has no server"
        raise BadInput(
            f"the profile {profile.name} {has}, and the URL is {address}",
            hint=f"leave one of them out: mreg login {shell_word(str(address))}",
        )


def _has_origin(profile: Profile, address: Address) -> bool:
    return bool(profile.server) and Address.parse(profile.server).origin == address.origin


def _tell_next_steps(run: Invocation, address: Address) -> None:
    """Tell how to use the server, unless commands use it already, and which variable has another token."""
    from mreg.profile.load import config_file, load_profile, read_profiles
    from mreg.profile.switching import by_default, for_this_shell

    if os.environ.get("MREG_TOKEN"):
        run.output.warn("MREG_TOKEN is set and takes precedence over the saved token")
    try:
        profile = load_profile(
            profile=run.profile, config=run.config, trust_project=run.trust_project, notice=lambda _text: None
        )
    except MregError as error:
        run.output.note(f"commands fail here: {error.message}")
        return
    if _has_origin(profile, address):
        return
    url = str(address)
    run.output.steps(
        f"commands still use {profile.server or profile.described} here; to use this server in this shell:",
        for_this_shell(url, os.environ),
    )
    by_name = profile.origins["name"]
    if not (profile.overridden_by or by_name.startswith("MREG_") or f"{PROJECT_FILE}, line" in by_name):
        file = read_profiles(config_file(run.config, os.environ), required=False)
        run.output.steps("or by default:", by_default(url, file, os.environ))


def _server(run: Invocation, command: str) -> Address:
    """Return the server of the chosen profile.

    Args:
        command: The command that names a server, for the hint.

    Raises:
        BadInput: The profile has no server.
    """
    profile = run.load_profile()
    if not profile.server:
        raise BadInput(f"{profile.chooser} names no server", hint=f"name it: {command}")
    return Address.parse(profile.server)


def _check_needs_token(run: Invocation, address: Address) -> None:
    """Check that a server of mreg that needs tokens is there, before the token is sent to it.

    Raises:
        Unavailable: The server cannot be reached, or is not one of mreg.
        BadInput: The server needs no token.
    """
    from mreg.domain.password import Password
    from mreg.registry.open import open_server

    with open_server(_profile(address), notice=run.notice, token=Password()) as registry:
        try:
            registry.whoami()
        except Unavailable as error:
            if error.details.get("status") == 401 and registry.connection.server_api is not None:
                return
            raise
    raise BadInput(f"{address} needs no token", hint=f"mreg profile add NAME --server {address}")


def _read_token(address: Address, *, piped: bool) -> str:
    if piped or not streams.is_terminal("stdin"):
        data = sys.stdin.buffer.read(INPUT_LIMIT)
        return data.decode("utf-8", "replace")
    from getpass import getpass

    return getpass(f"token for {address}: ")


def _profile(address: Address) -> Profile:
    from mreg.results.profiles import Profile

    return Profile(name="login", server=str(address))


def _identify(run: Invocation, address: Address, token: Password) -> Identity:
    """Return what a server says of a token.

    Raises:
        Unavailable: The server does not accept it.
    """
    from mreg.registry.open import open_server

    with open_server(_profile(address), notice=run.notice, token=token) as registry:
        try:
            return registry.whoami()
        except MregError as error:
            if error.details.get("status") == 401:
                _, _, new_token = error.hint.partition("\n")
                error.hint = (
                    new_token or "check that the token is complete, belongs to this server, and was not revoked"
                )
            raise


def _made(address: Address, identity: Identity, source: str) -> Login:
    from mreg.results.configuration import Login

    return Login(
        server=str(address),
        name=identity.name,
        role=identity.role,
        models=identity.models,
        expires=identity.expires,
        version=identity.version,
        source=source,
    )


def logout(
    ctx: typer.Context,
    url: ServerUrl = None,
    all_of_them: Annotated[bool, typer.Option("--all", help="Remove the tokens of all servers.")] = False,
) -> None:
    """Remove the saved token of a server.

    The token stays valid until it expires or an administrator revokes it.

    Examples:
      mreg logout https://models.example
      mreg logout --all
    """
    from mreg.profile.credentials import drop_token
    from mreg.profile.logins import find_login, saved_logins
    from mreg.results.configuration import Logout

    run = invocation_of(ctx)
    if all_of_them:
        if url is not None:
            raise BadInput("--all and a URL exclude each other", hint="give one of them")
        logins = saved_logins(os.environ)
    else:
        saved = [login.url for login in saved_logins(os.environ)]
        command = f"mreg logout {shell_word(saved[0]) if saved else 'https://HOST'}"
        origin = (Address.parse(url) if url is not None else _server(run, command)).origin
        found = find_login(origin, os.environ)
        if found is None:
            known = ", ".join(login.origin for login in saved_logins(os.environ))
            hint = f"there are tokens for {known}" if known else "no tokens are saved"
            raise NotFound(f"no token is saved for {origin}", hint=hint, kind="login", name=origin)
        logins = (found,)
    for login in logins:
        reason = drop_token(login)
        if reason:
            run.output.warn(f"the token for {login.origin} can still be in the keyring: {reason}")
    if os.environ.get("MREG_TOKEN"):
        run.output.warn("MREG_TOKEN is still set")
    run.output.results(tuple(Logout(server=login.origin) for login in logins), Logout)


def whoami(ctx: typer.Context) -> None:
    """Show the name and role of your token on the server.

    Examples:
      mreg whoami
      mreg whoami --json
    """
    from mreg.profile.credentials import source_of_token
    from mreg.profile.switching import for_saved_servers
    from mreg.registry.remote import RemoteRegistry

    run = invocation_of(ctx)
    profile = run.load_profile()
    registry = run.registry if profile.server else None
    if not isinstance(registry, RemoteRegistry):
        lines = for_saved_servers(os.environ) or ("log in to a server: mreg login https://HOST",)
        raise BadInput(
            f"{profile.chooser} names no server",
            hint="\n".join(
                (
                    *lines,
                    "or name a profile with a server: --profile NAME",
                    "your name in the audit trail here: mreg profile show",
                )
            ),
        )
    identity = registry.whoami()
    run.output.result(_made(Address.parse(profile.server), identity, source_of_token(profile)))
