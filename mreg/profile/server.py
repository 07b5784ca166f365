"""The server of a profile: whether it is used, and whether the token of MREG_TOKEN or a command is sent to it.

A token is sent only to a server that the user has named: by an option, a variable or their own profile file, by
``mreg trust`` of a project, or at ``mreg login``, which saves a token for one origin. A project file alone has no token
sent to its server. Nor can it choose among the servers of the user the one that gets the token of MREG_TOKEN.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from mreg.domain.address import Address
from mreg.domain.password import Password
from mreg.domain.text import Caution, shell_word
from mreg.domain.token_command import TokenCommand
from mreg.errors import BadInput, BadProfile
from mreg.profile.load import BUILT_IN, ProfileFile, filled
from mreg.profile.project import ProjectFile
from mreg.profile.reading import Values
from mreg.profile.variables import setting
from mreg.results.profiles import Profile

TOKEN_VARIABLE = "MREG_TOKEN"  # noqa: S105

TOKEN_LIMIT = 4_096
"""Maximum length of a token in characters."""


def checked_token(text: str, source: str, *, empty_hint: str = "") -> Password:
    """Return the token in a text, without the white space around it; messages never repeat a part of it.

    Args:
        source: Where the text comes from, for messages: ``MREG_TOKEN``.
        empty_hint: Hint if the text is empty (default: to paste the token).

    Raises:
        BadInput: The text is not a token.
    """
    word = text.strip()
    if not word:
        raise BadInput(
            f"{source} has no token", hint=empty_hint or "paste the token that an administrator of the server created"
        )
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


def check_token_has_server(profile: Profile, token: str | None, variables: Mapping[str, str]) -> None:
    """Check that a token is not given without a server, which was probably forgotten.

    MREG_TOKEN can be set for all commands of a user, so it is ignored if the user has chosen a registry without a
    server. It is not if nothing names a registry.

    Raises:
        BadInput: There is a token, and no server.
    """
    if profile.server:
        return
    if token is not None:
        raise BadInput(
            f"a token is given, and no server: the profile {profile.name} has the catalog {profile.catalog}",
            hint="give the URL of the server, too: server='https://HOST'; or leave the token out",
        )
    if profile.is_fallback and variables.get(TOKEN_VARIABLE):
        from mreg.profile.switching import for_saved_servers

        ways = for_saved_servers(variables) or (f"name the server: {setting('MREG_SERVER', 'https://HOST')}",)
        raise BadInput(
            f"{TOKEN_VARIABLE} is set, and no server is named",
            hint="\n".join((*ways, f"or use the registry of this machine: --profile {BUILT_IN}")),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """The sources of a profile with a server, besides its values.

    Attributes:
        file: The profile file.
        read: Its content.
        project: The project file, if it names the server and no higher source does.
        chosen_at: The file and line of a project file that names the server, or selects the profile that does; empty if
            a higher source does.
        project_here: The project file that applies in the working folder.
        project_values: Its values.
        alone: Whether MREG_TOKEN is ignored.
        trusting: Whether every project file is trusted.
    """

    file: str
    read: ProfileFile
    project: ProjectFile | None
    chosen_at: str
    project_here: ProjectFile | None
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
    _check_server(address, place, sources)
    command = _token_command(name, address, sources)
    if sources.read.hooks.get(name):
        notice(Caution(f"the hooks of the profile {name} do not run: the server runs the hooks of its profile"))
    try:
        given = checked_token(token, "the argument token") if token is not None else None
        secret = given or _variable_token(address, sources, has_command=command is not None, notice=notice)
    except BadInput as error:
        raise BadProfile(error.message, hint=error.hint) from None
    return Profile(
        **{key: value for key, (value, _) in values.items()},  # type: ignore[arg-type]
        token=secret,
        token_command=command,
        origins={key: origin for key, (_, origin) in values.items()} | ({"token": "argument"} if given else {}),
    )


def _check_server(address: Address, place: str, sources: Sources) -> None:
    """Check that a server is allowed.

    Args:
        place: The file and line, option or variable that names the server.

    Raises:
        BadProfile: Only a project file names the server, and the user has neither logged in to it nor trusted the file;
            or the server is reached without TLS, which the user has not allowed at a login.
    """
    project = sources.project
    is_own = project is None or address.origin in _own_origins(sources) or _is_trusted(sources)
    if is_own and address.is_protected:
        return
    from mreg.profile.logins import find_login

    login = find_login(address.origin, sources.variables)
    if project is not None and not is_own and login is None:
        raise BadProfile(
            f"{place}: the project file sets server to {address}, and you have not logged in to it",
            hint=_ways_to_allow(address, project),
            file=project.path,
            server=str(address),
        )
    if not address.is_protected and not (login and login.insecure):
        token = "" if sources.alone else sources.variables.get(TOKEN_VARIABLE, "")
        piped = f"printenv {TOKEN_VARIABLE} | " if token else ""
        raise BadProfile(
            f"{place}: {address} has no TLS: the token and all data would be sent unencrypted",
            hint=f"use {address.other_scheme()}\n"
            f"or allow it for this server once, in a network that you trust: {piped}mreg login {address} --insecure",
        )


def _ways_to_allow(address: Address, project: ProjectFile) -> str:
    """Return the hint how to use a server that only a project file chooses."""
    return (
        f"mreg login {shell_word(str(address))}\n"
        f"or trust the folder: mreg trust {shell_word(project.folder)}; for one command: --trust-project\n"
        f"or name the server yourself: {setting('MREG_SERVER', str(address))}"
    )


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


def _default_origin(sources: Sources) -> str:
    """Return the origin of the server of the user's default profile; empty if it has no server."""
    default = sources.read.default
    entry = sources.read.profiles.get(default[0] if default else BUILT_IN, {})
    return _origin(entry, sources) if "server" in entry else ""


def _is_trusted(sources: Sources) -> bool:
    from mreg.profile.trust import is_trusted

    project = sources.project_here
    return sources.trusting or (project is not None and is_trusted(project, sources.project_values, sources.variables))


def _variable_token(
    address: Address, sources: Sources, *, has_command: bool, notice: Callable[[str], None]
) -> Password:
    """Return the token of MREG_TOKEN if it is for a server; empty if the variable is not set or for another one.

    With MREG_SERVER, the token is for that server only. Otherwise it is for the server that the user has named: not for
    one that a project file chooses, unless it is that of the default profile or the user trusts the file.

    Args:
        has_command: Whether a command has a token for the server.

    Raises:
        BadInput: The variable has no token.
        BadProfile: Only a project file chooses the server, and the user has no other token for it.
    """
    text = "" if sources.alone else sources.variables.get(TOKEN_VARIABLE, "")
    if not text:
        return Password()
    origin = address.origin
    server = sources.variables.get("MREG_SERVER", "")
    if server and Address.parse(server).origin != origin:
        notice(Caution(f"{TOKEN_VARIABLE} is not sent to {origin}: it is for the server of MREG_SERVER"))
        return Password()
    project, place = sources.project_here, sources.chosen_at
    if not place or project is None or origin == _default_origin(sources) or _is_trusted(sources):
        return checked_token(text, TOKEN_VARIABLE)
    from mreg.profile.logins import find_login

    if not has_command and find_login(origin, sources.variables) is None:
        raise BadProfile(
            f"{place}: {TOKEN_VARIABLE} is not sent to {origin}, which only the project file chooses",
            hint=_ways_to_allow(address, project),
            file=project.path,
            server=str(address),
        )
    notice(Caution(f"{TOKEN_VARIABLE} is not sent to {origin}, which only {place} chooses; to send it: mreg trust"))
    return Password()


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
