"""The server of a profile: whether it is used, and whether the token of MREG_TOKEN or a command is sent to it.

A token is sent only to a server that the user has named: by an option, a variable or their own profile file, by
``mreg trust`` of a project, or at ``mreg login``, which saves a token for one origin. A project file alone has no token
sent to its server.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from mreg.domain.address import Address
from mreg.domain.password import Password
from mreg.domain.text import Caution
from mreg.domain.token_command import TokenCommand
from mreg.errors import BadInput, BadProfile
from mreg.profile.load import ProfileFile, filled
from mreg.profile.project import ProjectFile
from mreg.profile.reading import Values
from mreg.results.profiles import Profile

TOKEN_VARIABLE = "MREG_TOKEN"  # noqa: S105

TOKEN_LIMIT = 4_096
"""Maximum length of a token in characters."""


def checked_token(text: str, source: str) -> Password:
    """Return the token in a text, without the white space around it; messages never repeat a part of it.

    Args:
        source: Where the text comes from, for messages: ``MREG_TOKEN``.

    Raises:
        BadInput: The text is not a token.
    """
    word = text.strip()
    if not word:
        raise BadInput(f"{source} has no token", hint="paste the token that an administrator of the server created")
    if re.search(r"(?:^|\s)sha256:[0-9a-fA-F]{64}$", word):
        raise BadInput(
            f"{source} has the line of a token file, not the token",
            hint="use the secret, which begins with mreg_ and was shown when the token was created",
        )
    if word[:7].lower() == "bearer ":
        raise BadInput(f"{source} begins with 'Bearer'", hint="give the token alone")
    if not word.isascii() or not word.isprintable() or " " in word:
        raise BadInput(
            f"{source} contains a character that cannot be part of a token",
            hint="give the token alone, on one line, without quotes",
        )
    if word[0] in "'\"":
        raise BadInput(f"{source} begins with a quote", hint="give the token without quotes")
    if len(word) > TOKEN_LIMIT:
        raise BadInput(
            f"{source} is too long for a token: the maximum is {TOKEN_LIMIT:,} characters", hint="give the token alone"
        )
    return Password(word)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """The sources of a profile with a server, besides its values.

    Attributes:
        file: The profile file.
        read: Its content.
        project: The project file, if it names the server and no higher source does.
        project_values: The values of the project file.
        alone: Whether MREG_TOKEN is ignored.
        trusting: Whether every project file is trusted.
    """

    file: str
    read: ProfileFile
    project: ProjectFile | None
    project_values: Values
    variables: Mapping[str, str]
    alone: bool
    trusting: bool


def server_profile(values: Values, sources: Sources, token: str | None, notice: Callable[[str], None]) -> Profile:
    """Return the profile with a server; see `mreg.profile.load.load_profile`.

    Raises:
        BadProfile: The server is not allowed, or the token is invalid.
    """
    name, (url, place) = values["name"][0], values["server"]
    address = Address.parse(url)
    is_own = _check_server(address, place, sources)
    if sources.read.hooks.get(name):
        notice(Caution(f"the hooks of the profile {name} do not run: the server runs the hooks of its profile"))
    try:
        given = checked_token(token, "token") if token is not None else None
        secret = given or _variable_token(address, place, sources, is_own=is_own, notice=notice)
    except BadInput as error:
        raise BadProfile(error.message, hint=error.hint) from None
    return Profile(
        **{key: value for key, (value, _) in values.items()},  # type: ignore[arg-type]
        token=secret,
        token_command=_token_command(name, address, sources),
        origins={key: origin for key, (_, origin) in values.items()},
    )


def _check_server(address: Address, place: str, sources: Sources) -> bool:
    """Check that a server is allowed; return whether the user has named it, so that MREG_TOKEN can be sent to it.

    Args:
        place: The file and line, option or variable that names the server.

    Raises:
        BadProfile: Only a project file names the server, and the user has neither logged in to it nor trusted the file;
            or the server is reached without TLS, which the user has not allowed at a login.
    """
    project = sources.project
    is_own = project is None or sources.trusting or address.origin in _own_origins(sources) or _is_trusted(sources)
    if is_own and address.is_protected:
        return True
    from mreg.profile.logins import find_login

    login = find_login(address.origin, sources.variables)
    if not is_own and login is None:
        raise BadProfile(
            f"{place}: the project file sets server to {address}, and you have not logged in to it",
            hint=f"mreg login {address}",
            file=project.path if project else "",
            server=str(address),
        )
    if not address.is_protected and not (login and login.insecure):
        raise BadProfile(
            f"{place}: {address} has no TLS: the token and all data would be sent unencrypted",
            hint=f"use https://{address.host}, or allow it for this server: mreg login {address} --insecure",
        )
    return is_own


def _own_origins(sources: Sources) -> frozenset[str]:
    """Return the origins of the servers that the user's profiles name."""
    found = (_origin(entry, sources) for entry in sources.read.profiles.values() if "server" in entry)
    return frozenset(filter(None, found))


def _origin(entry: Values, sources: Sources) -> str:
    """Return the origin of the server of a profile; empty if it has a variable that is not set."""
    try:
        url, _ = filled({"server": entry["server"]}, sources.variables, sources.file)["server"]
    except BadProfile:
        return ""  # the profile is not in use, or another source names the server
    return Address.parse(url).origin


def _is_trusted(sources: Sources) -> bool:
    from mreg.profile.trust import is_trusted

    return sources.project is not None and is_trusted(sources.project, sources.project_values, sources.variables)


def _variable_token(
    address: Address, place: str, sources: Sources, *, is_own: bool, notice: Callable[[str], None]
) -> Password:
    """Return the token of MREG_TOKEN if it is for a server; empty if the variable is not set or for another one.

    With MREG_SERVER, the token is for that server only. Otherwise it is for the server that the user has named.

    Raises:
        BadInput: The variable has no token.
    """
    text = "" if sources.alone else sources.variables.get(TOKEN_VARIABLE, "")
    if not text:
        return Password()
    origin = address.origin
    server = sources.variables.get("MREG_SERVER", "")
    if server and Address.parse(server).origin != origin:
        notice(Caution(f"{TOKEN_VARIABLE} is not sent to {origin}: it is for the server of MREG_SERVER"))
        return Password()
    if not is_own:
        notice(
            Caution(f"{TOKEN_VARIABLE} is not sent to {origin}: only {place} names this server; to send it: mreg trust")
        )
        return Password()
    return checked_token(text, TOKEN_VARIABLE)


def _token_command(name: str, address: Address, sources: Sources) -> TokenCommand | None:
    """Return the token command of a profile if its own server has this origin; it is for that one only.

    Raises:
        BadProfile: The profile has a token command and no server.
    """
    command = sources.read.token_commands.get(name)
    if command is None:
        return None
    own = sources.read.profiles[name]
    if "server" not in own:
        raise BadProfile(
            f"{command.place}: a token_command needs a server", hint="add the server to the profile: server: URL"
        )
    return command if _origin(own, sources) == address.origin else None
