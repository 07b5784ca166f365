"""Paths and addresses of the server in errors: only an admin for all models sees them; the log has them, too.

Errors of drivers name the folder, file or URL that failed, as a local user needs it. A client cannot use it, and it
tells where the server keeps its data.
"""

from __future__ import annotations

import logging
import os
import re
import tempfile
from dataclasses import replace
from typing import TYPE_CHECKING

from mreg.domain.text import printable
from mreg.results.tokens import Role
from mreg.wire.errors import OPERATOR, make_error

if TYPE_CHECKING:
    from collections.abc import Mapping

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

_QUOTED = re.compile(r"'(?:~?/|[A-Za-z]:\\|[a-z][a-z0-9+.-]*://)[^']*'")
_ANY = re.compile(rf"(?:\b[a-z][a-z0-9+.-]*://|(?<![\w.~/*?-])~?/(?=\.?\w)|\b[A-Za-z]:\\){_END}")
_QUOTES = re.compile(r"('[^']*')")

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
            for form in (place, os.path.realpath(place) if os.path.isabs(place) else ""):
                if len(form) > 1:
                    known.setdefault(form, word)
        # The longest first: the catalog is usually in a folder of the home folder.
        self._known = [
            (re.compile(rf"(?:{re.escape(word)} )?(?:file://)?{re.escape(place)}(?![\w-]){_END}"), word)
            for place, word in sorted(known.items(), key=lambda item: -len(item[0]))
        ]

    def hide(self, text: str, *, failed: bool) -> str:
        """Return a text of an error without places of the server.

        Args:
            failed: Whether the server failed, so that every path in the text is its own. Otherwise only its known
                places are replaced, and nothing in quotes: that is what the client sent, and an answer that depends on
                it would confirm a guess.
        """
        if not failed:
            return "".join(part if part.startswith("'") else self._without_known(part) for part in _QUOTES.split(text))
        return _replace(_ANY, PATH, _QUOTED.sub(PATH, self._without_known(text)))

    def _without_known(self, text: str) -> str:
        for pattern, word in self._known:
            text = _replace(pattern, word, text)
        return text

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


def _replace(pattern: re.Pattern[str], word: str, text: str) -> str:
    return pattern.sub(lambda found: word + found[0][len(found[0].rstrip(_PUNCTUATION)) :], text)


def sees_places(scope: Mapping[str, object] | Scope) -> bool:
    """Return whether a client can see the places of the server: only admins for all models can."""
    caller: Caller | None = scope.get("mreg.caller")  # type: ignore[assignment]
    return caller is not None and caller.role >= Role.ADMIN and not caller.scope.limited
