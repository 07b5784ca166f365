"""The token that a client sends to a server: from the profile, the profile's command, or a login that was saved."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from mreg.domain.address import Address
from mreg.domain.password import Password
from mreg.domain.text import quoted, shell_word
from mreg.errors import BadInput, Unavailable
from mreg.profile.logins import SavedLogin, find_login, forget_login, logins_file, save_login, saved_logins
from mreg.profile.server import TOKEN_VARIABLE, checked_token

if TYPE_CHECKING:
    from mreg.domain.token_command import TokenCommand
    from mreg.results.profiles import Profile

COMMAND_SECONDS = 60.0
"""Time limit of a token command, in which the user can unlock a password manager."""

OUTPUT_LIMIT = 64 << 10
"""Maximum number of bytes that are read of a token command's output."""


def token_source(profile: Profile) -> Callable[[], str]:
    """Return the function that returns the token for the server of a profile, empty if there is none.

    Nothing is read or run before its first call, which alone can raise; the token is kept for further calls.

    Raises:
        BadInput: The command's output, or the saved token, is not a token.
        Unavailable: The command failed, or the keyring with the saved token cannot be used.
    """

    @functools.cache
    def token() -> Password:
        if profile.token:
            return profile.token
        if profile.token_command is not None:  # which can ask the user
            return Password() if "_MREG_COMPLETE" in os.environ else run_token_command(profile.token_command)
        return saved_token(Address.parse(profile.server).origin)

    return lambda: token().reveal()


def source_of_token(profile: Profile) -> str:
    """Return where the token for the server of a profile comes from; empty if there is none. See `Login.source`."""
    if profile.token:
        return TOKEN_VARIABLE
    if profile.token_command is not None:
        return "token_command"
    login = find_login(Address.parse(profile.server).origin, os.environ)
    return "" if login is None else "keyring" if login.in_keyring else logins_file(os.environ)


def way_to_replace(profile: Profile, login: str) -> str:
    """Return how to use another token for the server of a profile, after the server refused the one that it has.

    Args:
        login: The command to log in, which is the way unless the token has another source.
    """
    if profile.origins.get("token") == "argument":
        return "pass another token, or none to use a saved one"
    if profile.token:
        return f"replace the token in {TOKEN_VARIABLE}, or use a saved one: unset {TOKEN_VARIABLE}"
    if profile.token_command is not None:
        command = " ".join(map(shell_word, profile.token_command.words))
        return f"check the token that the token_command prints ({profile.token_command.place}): {command}"
    return login if source_of_token(profile) else f"{login}\nor set the token: export {TOKEN_VARIABLE}=..."


def keep_token(address: Address, name: str, token: Password) -> tuple[str, str]:
    """Save the token of a login: in the keyring of the system if that works, otherwise in the file of saved logins.

    Returns:
        The place, as in `Login.source`, and why it is not in the keyring (empty if the package is not installed).

    Raises:
        BadProfile: The file is damaged, or another user can read it; nothing was saved.
        Unavailable: The file cannot be written.
    """
    from mreg.profile.keyring import has_keyring, store_in_keyring

    saved_logins(os.environ)  # a damaged file is reported before the keyring has the token
    login = SavedLogin(origin=address.origin, server=str(address), name=name, insecure=not address.is_protected)
    reason = ""
    if has_keyring():
        try:
            store_in_keyring(address.origin, token)
        except Unavailable as error:
            reason = error.message
        else:
            save_login(login, os.environ)
            return "keyring", ""
    return save_login(replace(login, token=token), os.environ), reason


def drop_token(login: SavedLogin) -> str:
    """Remove a saved login and its token; return why the keyring kept the token, empty if it did not.

    Raises:
        BadProfile, Unavailable: The file cannot be changed.
    """
    forget_login(login.origin, os.environ)
    if not login.in_keyring:
        return ""
    from mreg.profile.keyring import remove_from_keyring

    try:
        remove_from_keyring(login.origin)
    except Unavailable as error:
        return error.message
    return ""


def run_token_command(command: TokenCommand) -> Password:
    """Return the token that a command prints on one line; what it writes to standard error is shown.

    The command runs in the folder of the profile file, without a shell and without MREG_TOKEN.

    Raises:
        BadInput: The output is not a token.
        Unavailable: The command failed, or took too long.
    """
    from mreg.processes import read_output

    environ = {name: value for name, value in os.environ.items() if name != TOKEN_VARIABLE}
    output, failure = read_output(
        command.words, folder=command.folder, environ=environ, seconds=COMMAND_SECONDS, limit=OUTPUT_LIMIT
    )
    what = f"the token_command {quoted(command.words[0])} ({command.place})"
    if failure:
        raise Unavailable(f"{what} failed: {failure}", hint="run it yourself to see the reason, or set MREG_TOKEN")
    lines = output.decode("utf-8", "replace").strip().splitlines()
    if len(lines) > 1:
        raise BadInput(f"{what} printed more than one line", hint="print the token alone")
    return checked_token(
        "".join(lines),
        f"the output of {what.removeprefix('the ')}",
        empty_hint="run it by hand: it must print the token to standard output",
    )


def saved_token(origin: str) -> Password:
    """Return the token that was saved for an origin, empty if the user has not logged in to it.

    Raises:
        BadProfile: The saved logins are damaged, or another user can read them.
        Unavailable: The token is in the keyring, which cannot be used.
    """
    login = find_login(origin, os.environ)
    if login is None or not login.in_keyring or "_MREG_COMPLETE" in os.environ:  # a keyring can ask the user
        return login.token if login else Password()
    from mreg.profile.keyring import read_from_keyring

    try:
        found = read_from_keyring(origin)
    except Unavailable as error:
        raise Unavailable(
            f"cannot read the token for {origin}: {error.message}", hint=f"set MREG_TOKEN, or run mreg login {origin}"
        ) from error
    if not found:
        raise Unavailable(f"the token for {origin} is no longer in the keyring", hint=f"mreg login {origin}")
    return found
