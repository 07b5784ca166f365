"""The commands that make mreg use a server, for notes and hints."""

from __future__ import annotations

import re
from collections.abc import Mapping

from mreg.domain.address import Address
from mreg.domain.text import shell_word
from mreg.errors import MregError
from mreg.profile.load import ProfileFile, filled
from mreg.profile.logins import saved_logins
from mreg.profile.reading import NAME
from mreg.profile.variables import clearing, setting

STORE_VARIABLES = ("MREG_CATALOG", "MREG_ARTIFACTS")
"""Variables that exclude MREG_SERVER."""


def for_this_shell(url: str, variables: Mapping[str, str]) -> tuple[str, ...]:
    """Return the commands that make all commands of a shell use a server."""
    store = [name for name in STORE_VARIABLES if variables.get(name)]
    return (*([clearing(*store)] if store else ()), setting("MREG_SERVER", url))


def by_default(url: str, file: ProfileFile, variables: Mapping[str, str]) -> tuple[str, ...]:
    """Return the commands that make a server the default, with a new profile unless the file has one for it."""
    address = Address.parse(url)
    name = next((name for name in file.profiles if _has_server(name, file, address, variables)), "")
    if name:
        return (f"mreg profile use {name}",)
    host = re.sub(r"[^A-Za-z0-9._-]+", "-", address.authority).strip("-")[:64]
    names = ("team", host, *(f"team-{number}" for number in range(2, 100)))
    name = next((name for name in names if NAME.fullmatch(name) and name not in file.profiles), "NAME")
    return f"mreg profile add {name} --server {shell_word(url)}", f"mreg profile use {name}"


def _has_server(name: str, file: ProfileFile, address: Address, variables: Mapping[str, str]) -> bool:
    own = file.profiles[name]
    try:
        return "server" in own and filled({"server": own["server"]}, variables, "")["server"][0] == str(address)
    except MregError:
        return False  # has a variable that is not set


def for_saved_servers(variables: Mapping[str, str]) -> tuple[str, ...]:
    """Return a line that names the servers that the user has logged in to, and the commands that use the first one.

    Without a saved login, nothing is returned.
    """
    try:
        urls = [login.url for login in saved_logins(variables)]
    except MregError:
        return ()  # reported by the commands that need them
    if not urls:
        return ()
    which = "it" if len(urls) == 1 else urls[0]
    return f"you are logged in to {', '.join(urls)}; to use {which}:", *for_this_shell(urls[0], variables)
