"""Paths and addresses of the server in errors: only an admin for all models sees them; the log has them, too.

Errors of drivers name the folder, file, URL, host, database or user that failed, as a local user needs it. A client
cannot use it, and it tells where the server keeps its data.
"""

from __future__ import annotations

import logging
import os
import re
import tempfile
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from mreg.domain.text import printable
from mreg.results.tokens import Role
from mreg.wire.errors import OPERATOR, make_error

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from starlette.types import Scope

    from mreg.errors import MregError
    from mreg.results.profiles import Profile
    from mreg.results.upkeep import Verification
    from mreg.server.guard import Caller

SEE_LOG = f"{OPERATOR}see the log"

PATH = "a path of the server"

_END = r"[^\s'\",;]*"
_PUNCTUATION = ":.)"
"""Characters at the end of a path that belong to the sentence."""

_TO_QUOTE = r"(?:[^'\n]|'(?=\w))*'"
"""The rest of a quoted text. An apostrophe is part of it: a letter follows."""

_START = r"(?:[a-z][a-z0-9+.-]*://|~?//?(?=\.?\w)|\\{2,4}(?=[\w?.])|[a-z]:[\\/])"
"""The start of a URL, a path of POSIX, a share, or a path with a drive."""

_QUOTED = re.compile(rf"'{_START}{_TO_QUOTE}|\"{_START}[^\"\n]*\"", re.IGNORECASE)
_ANY = re.compile(rf"(?<![\w.~/\\*?-]){_START}{_END}", re.IGNORECASE)
_QUOTES = rf"(?<!\w)'{_TO_QUOTE}"

NAME = "***"

_NAMED = re.compile(
    r"\b(host name|server at|host|user|role|database|service|bucket|container)( )\"[^\"]*\""
    r"|\b(hostaddr|host|port)(: )'[^']*'|\b(User)( )\S+(?= has no permissions)"
)
"""A host, database, user or bucket in the words of libpq, PostgreSQL, Redis and object stores."""

_ADDRESS = re.compile(
    r"(?<![\w.:])(?:[0-9]{1,3}(?:\.[0-9]{1,3}){3}|\[?(?:(?:[0-9a-f]{1,4}:){7}[0-9a-f]{1,4}"
    r"|(?:[0-9a-f]{1,4}(?::[0-9a-f]{1,4}){0,6})?::(?:[0-9a-f]{1,4}(?::[0-9a-f]{1,4}){0,6})?)\]?"
    r"|localhost(?=:)|(?:[a-z0-9-]{1,63}\.){1,20}[a-z][a-z0-9-]{0,62}(?=:[0-9]))(?::[0-9]{1,5})?(?![\w:]|\.\w)",
    re.IGNORECASE,
)
"""An IP address, or a host name with a port."""

_LOG = logging.getLogger("mreg.server")


class Places:
    """The places of a registry and of this process, and what clients read instead."""

    def __init__(self, profile: Profile) -> None:
        named = (
            (profile.artifacts, "the artifact store"),
            (profile.catalog, "the catalog"),
            (tempfile.gettempdir(), "the temporary folder"),
            (os.path.expanduser("~"), "the home folder"),
            (_working_folder(), "the working folder"),
        )
        known: dict[str, str] = {}
        for place, word in named:
            for form in (place, place.partition("?")[0], os.path.realpath(place) if os.path.isabs(place) else ""):
                if len(form) > 1:
                    known.setdefault(form, word)
        # The longest first: the catalog is usually in a folder of the home folder.
        self._known = [
            (rf"(?:{re.escape(word)} )?(?:file://)?{re.escape(place)}(?![\w-]){_END}", word)
            for place, word in sorted(known.items(), key=lambda item: -len(item[0]))
        ]
        urls = (profile.catalog, profile.artifacts, profile.endpoint_url)
        self._hosts = [_host_pattern(host) for host in sorted({host for url in urls for host in _hosts_of(url)})]

    def hide(self, text: str, *, failed: bool) -> str:
        """Return a text of an error without places of the server.

        Args:
            failed: Whether the server failed, so that every path, host and database in the text is its own. Otherwise
                only its known places are replaced, and nothing in quotes: that is what the client sent, and an answer
                that depends on it would confirm a guess.
        """
        if not failed:
            for known, word in self._known:
                text = re.sub(f"{_QUOTES}|{known}", partial(_shown, word, quotes=True), text)
            return text
        text = _QUOTED.sub(self._word_for, text)
        for known, word in self._known:
            text = re.sub(known, partial(_shown, word), text)
        text = _ANY.sub(partial(_shown, PATH), text)
        for name in (_ADDRESS, *self._hosts):
            text = name.sub(NAME, text)
        return _NAMED.sub(lambda found: "".join(filter(None, found.groups())) + NAME, text)

    def _word_for(self, quoted: re.Match[str]) -> str:
        """Return the word for a place in quotes."""
        place = quoted[0][1:-1]
        return next((word for known, word in self._known if re.match(known, place)), PATH)

    def error(self, error: MregError, *, failed: bool) -> MregError:
        """Return an error without places of the server; the log gets the whole one.

        An error that has none is returned itself.
        """
        message, hint = self.hide(error.message, failed=failed), self.hide(error.hint, failed=failed)
        details = {key: value for key, value in error.details.items() if not self._has_place(value, failed=failed)}
        if (message, hint, len(details)) == (error.message, error.hint, len(error.details)):
            return error
        _LOG.error("%s", printable(f"{error.message} ({error.hint})" if error.hint else error.message))
        return make_error(type(error), message, hint if hint == error.hint else SEE_LOG, details)

    def _has_place(self, value: object, *, failed: bool) -> bool:
        if isinstance(value, str):
            return self.hide(value, failed=failed) != value
        if isinstance(value, (list, tuple)):
            return any(self._has_place(item, failed=failed) for item in value)
        if isinstance(value, dict):
            return any(self._has_place(item, failed=failed) for item in value.values())
        return isinstance(value, os.PathLike)

    def verification(self, result: Verification) -> Verification:
        """Return the result of a verification without places of the server."""
        problems = []
        for problem in result.problems:
            hint = self.hide(problem.hint, failed=True)
            message = self.hide(problem.message, failed=True)
            problems.append(replace(problem, message=message, hint=hint if hint == problem.hint else SEE_LOG))
        return replace(result, problems=tuple(problems))


def _working_folder() -> str:
    try:
        return os.getcwd()
    except FileNotFoundError:  # it was removed
        return ""


def _shown(word: str, found: re.Match[str], *, quotes: bool = False) -> str:
    """Return the word for a place, with the punctuation that follows it.

    Args:
        quotes: Whether a text in quotes stays.
    """
    place = found[0]
    return place if quotes and place.startswith("'") else word + place[len(place.rstrip(_PUNCTUATION)) :]


def _hosts_of(url: str) -> Iterator[str]:
    """Yield the hosts of a URL of a database or an object store; that of a bucket is its name."""
    authority = re.match(r"[a-z][a-z0-9+.-]*://([^/?]*)", url, re.IGNORECASE)
    given = re.findall(r"[?&](?:host|hostaddr)=([^&]*)", url)
    for one in ",".join([authority[1].rpartition("@")[2] if authority else "", *given]).split(","):
        host = re.sub(r":[0-9]*$", "", one).strip("[]")
        if host and "/" not in host and "%" not in host:
            yield host


def _host_pattern(host: str) -> re.Pattern[str]:
    """Return the pattern of a host; one without a dot can be any word, unless it has a port or is in quotes."""
    name, port = re.escape(host), r":[0-9]{1,5}"
    if "." in host:
        return re.compile(rf"(?<![\w.-]){name}(?:{port})?(?![\w-]|\.\w)", re.IGNORECASE)
    return re.compile(rf"(?<![\w.-]){name}{port}|'{name}'|\"{name}\"", re.IGNORECASE)


def sees_places(scope: Mapping[str, object] | Scope) -> bool:
    """Return whether a client can see the places of the server: only admins for all models can."""
    caller: Caller | None = scope.get("mreg.caller")  # type: ignore[assignment]
    return caller is not None and caller.role >= Role.ADMIN and not caller.scope.limited
