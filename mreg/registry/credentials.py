"""The token that a client sends to a server: from the profile, the profile's command, or a login that was saved."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from mreg.domain.address import Address
from mreg.domain.password import Password
from mreg.domain.text import quoted
from mreg.errors import BadInput, Unavailable

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
        if profile.token_command is not None:
            return run_token_command(profile.token_command)
        return saved_token(Address.parse(profile.server).origin)

    return lambda: token().reveal()


def run_token_command(command: TokenCommand) -> Password:
    """Return the token that a command prints on one line; what it writes to standard error is shown.

    The command runs in the folder of the profile file, without a shell and without MREG_TOKEN.

    Raises:
        BadInput: The output is not a token.
        Unavailable: The command failed, or took too long.
    """
    from mreg.processes import read_output
    from mreg.profile.server import TOKEN_VARIABLE, checked_token

    environ = {name: value for name, value in os.environ.items() if name != TOKEN_VARIABLE}
    output, failure = read_output(
        command.words, folder=command.folder, environ=environ, seconds=COMMAND_SECONDS, limit=OUTPUT_LIMIT
    )
    what = f"the token_command {quoted(command.words[0])} ({command.place})"
    if failure:
        raise Unavailable(f"{what} failed: {failure}", hint="run it by hand, or set MREG_TOKEN")
    lines = output.decode("utf-8", "replace").strip().splitlines()
    if len(lines) > 1:
        raise BadInput(f"{what} printed more than one line", hint="print the token alone")
    return checked_token("".join(lines), f"the output of {what.removeprefix('the ')}")


def saved_token(origin: str) -> Password:
    """Return the token that was saved for an origin, empty if the user has not logged in to it.

    Raises:
        BadProfile: The saved logins are damaged, or another user can read them.
        Unavailable: The token is in the keyring, which cannot be used.
    """
    from mreg.profile.logins import find_login

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
        raise Unavailable(f"the keyring has no token for {origin} any more", hint=f"mreg login {origin}")
    return found
