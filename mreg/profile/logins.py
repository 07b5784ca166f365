"""Saved logins: the origins of servers with which the user has logged in, and their tokens, in the user's data folder.

A token is in this file, which only the user can read, or in the system's keyring. An origin is scheme, host and port.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from mreg.domain.password import Password
from mreg.domain.text import quoted
from mreg.errors import BadProfile, Unavailable
from mreg.files import WINDOWS, open_file, user_text
from mreg.profile.edit import rewrite
from mreg.profile.load import user_folder

SIZE_LIMIT = 1 << 20
"""Maximum size of the file in bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedLogin:
    """A server with which the user has logged in.

    Attributes:
        origin: Scheme, host and port of the server: the token is for all paths of it.
        server: URL of the server, with the prefix of its paths.
        name: Name of the token; empty if the server did not tell.
        insecure: Whether the user allowed the token to be sent without TLS.
        token: The token, empty if it is in the keyring.
    """

    origin: str
    server: str = ""
    name: str = ""
    insecure: bool = False
    token: Password = field(default_factory=Password, repr=False)

    @property
    def in_keyring(self) -> bool:
        """Whether the token is in the system's keyring."""
        return not self.token

    @property
    def url(self) -> str:
        """The URL of the server; its origin if a login without the URL was saved."""
        return self.server or self.origin


def logins_file(variables: Mapping[str, str]) -> str:
    """Return the path of the file of saved logins.

    Raises:
        Unavailable: The home folder cannot be determined.
    """
    return os.path.join(user_folder("data", variables), "logins.json")


def saved_logins(variables: Mapping[str, str]) -> tuple[SavedLogin, ...]:
    """Return the saved logins, sorted by origin; none without a home folder.

    Raises:
        BadProfile: The file is damaged, or another user can read it or write to it.
        Unavailable: The file cannot be read.
    """
    try:
        file = logins_file(variables)
    except Unavailable:
        return ()
    return _read(file)


def find_login(origin: str, variables: Mapping[str, str]) -> SavedLogin | None:
    """Return the saved login of an origin, None if there is none; see `saved_logins`."""
    return next((login for login in saved_logins(variables) if login.origin == origin), None)


def save_login(login: SavedLogin, variables: Mapping[str, str]) -> str:
    """Save a login replacing an earlier one with the same origin; return the path of the file.

    Raises:
        BadProfile: The file is damaged, or another user can read it or write to it; nothing was changed.
        Unavailable: The file cannot be written.
    """
    return _change(lambda logins: [*(one for one in logins if one.origin != login.origin), login], variables)


def forget_login(origin: str, variables: Mapping[str, str]) -> str:
    """Remove the saved login of an origin; return the path of the file. See `save_login`."""
    return _change(lambda logins: [login for login in logins if login.origin != origin], variables)


def _change(
    change: Callable[[tuple[SavedLogin, ...]], list[SavedLogin]],
    variables: Mapping[str, str],
) -> str:
    file = logins_file(variables)
    _read(file)  # a damaged file is reported here, not replaced

    def changed(_text: str) -> str:
        logins = sorted(change(_read(file)), key=lambda login: login.origin)
        return json.dumps({"logins": [_written(login) for login in logins]}, indent=2) + "\n"

    rewrite(file, changed, what="file of saved logins")
    return file


def _written(login: SavedLogin) -> dict[str, object]:
    written: dict[str, object] = {
        "origin": login.origin,
        "server": login.url,
        "name": login.name,
        "insecure": login.insecure,
    }
    return written if login.in_keyring else {**written, "token": login.token.reveal()}


def _read(file: str) -> tuple[SavedLogin, ...]:
    try:
        descriptor = open_file(file)
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise Unavailable(f"cannot read the saved logins {quoted(file, 200)}: {error.strerror}") from error
    try:
        _check_access(file, os.fstat(descriptor))
        data = _content(descriptor)
    except OSError as error:
        raise Unavailable(f"cannot read the saved logins {quoted(file, 200)}: {error.strerror}") from error
    finally:
        os.close(descriptor)
    try:
        document = json.loads(data) if len(data) <= SIZE_LIMIT else {}
        return tuple(_login(entry) for entry in document["logins"])
    except (ValueError, TypeError, KeyError, RecursionError):
        # Without the cause, which would show a part of the file.
        raise BadProfile(
            f"the saved logins {quoted(file, 200)} are damaged", hint=f"rm {file}; then log in again: mreg login URL"
        ) from None


def _content(descriptor: int) -> bytes:
    with os.fdopen(descriptor, "rb", closefd=False) as stream:
        return stream.read(SIZE_LIMIT + 1)


def _login(entry: object) -> SavedLogin:
    if not isinstance(entry, dict) or not entry.keys() <= {"origin", "server", "name", "insecure", "token"}:
        raise TypeError
    origin, server = entry["origin"], entry.get("server", "")
    name, token = entry.get("name", ""), entry.get("token", "")
    if {type(origin), type(server), type(name), type(token)} != {str} or type(entry.get("insecure", False)) is not bool:
        raise TypeError
    insecure = entry.get("insecure", False)
    return SavedLogin(origin=origin, server=server, name=name, insecure=insecure, token=Password(token))


def _check_access(file: str, status: os.stat_result) -> None:
    """Refuse a file that another user can read, or could have written, as ssh refuses such a key."""
    import shlex

    if not stat.S_ISREG(status.st_mode):
        raise BadProfile(f"the saved logins {quoted(file, 200)} are not a regular file", hint="replace it with a file")
    if WINDOWS:
        return
    folder = os.path.dirname(os.path.realpath(file))
    around = os.stat(folder)
    for what, found in ((file, status), (folder, around)):
        if found.st_uid not in (0, os.geteuid()) and os.geteuid() != 0:
            raise BadProfile(
                f"the saved logins are not used: {quoted(what, 200)} belongs to {user_text(found.st_uid)}",
                hint="set MREG_TOKEN instead",
            )
    if status.st_mode & 0o077:
        raise BadProfile(
            f"the saved logins are not used: other users can access {quoted(file, 200)}",
            hint=f"chmod 600 {shlex.quote(file)}; if another user could have read it, replace the tokens",
        )
    if around.st_mode & 0o022:
        raise BadProfile(
            f"the saved logins are not used: other users can write to {quoted(folder, 200)}",
            hint=f"chmod go-w {shlex.quote(folder)}",
        )
