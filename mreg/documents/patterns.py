"""Patterns that select files of a folder: the syntax of ``.gitignore``, matched in bounded time.

``pathspec`` translates a pattern to a regular expression, in which several wildcards make a search take time that is
exponential in their number. `_Linear` rewrites the expression so that no wildcard is tried again once the text after it
matched, which changes no result: in a part of a path the first place where the text after ``*`` occurs is as good as
any later one, and so is the first folder after ``**``.
"""

from __future__ import annotations

import re
import time
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from pathspec import GitIgnoreSpec
from pathspec.patterns.gitignore.spec import GitIgnoreSpecPattern

from mreg.documents import read_bytes, text_in
from mreg.documents.node import location
from mreg.domain.text import counted, quoted, shell_word
from mreg.errors import BadInput, NotFound

FILE_LIMIT = 64 << 10
"""Maximum size of a file of patterns in bytes."""

RULES_LIMIT = 1_000
"""Maximum number of patterns."""

PATTERN_LIMIT = 1_000
"""Maximum length of a pattern in characters."""

START_SECONDS = 10.0
PATH_SECONDS = 0.005
"""Processor time for matching: a start and a share for each path, 100 times what 100 ordinary patterns need."""


@dataclass(frozen=True, slots=True)
class Rule:
    """A pattern with its origin.

    Attributes:
        text: The pattern.
        origin: Origin for messages: an option, or a file with the line.
    """

    text: str
    origin: str


class Patterns:
    """Decides which files of a folder are selected.

    A path is selected if no exclude pattern leaves it out and, if there are include patterns, one of them matches it.
    A pattern that matches a folder matches everything in it. Of the exclude patterns the last that matches decides,
    and one with ``!`` in front takes back what an earlier one leaves out.

    Args:
        include: Patterns of ``--include``; without any, everything is included.
        exclude: Patterns of ``--exclude`` as text, or rules of other origins, in ascending precedence.

    Raises:
        BadInput: A pattern is invalid, or there are too many.
    """

    def __init__(self, include: Iterable[str | Rule] = (), exclude: Iterable[str | Rule] = ()) -> None:
        self._include = _compiled(_rules(include, "--include"))
        self._exclude = _compiled(_rules(exclude, "--exclude"))
        self._spent = 0.0
        self._paths = 0
        if self._include is not None:
            _refuse_negated(self._include.rules)

    def __bool__(self) -> bool:
        """True if there is any pattern."""
        return self._include is not None or self._exclude is not None

    def selects(self, path: str) -> bool:
        """Return whether a path is selected.

        Args:
            path: Relative path with ``/``; a folder ends in ``/``.

        Raises:
            BadInput: Matching takes too long.
        """
        return self.includes(path) and self.left_out_by(path) is None

    def includes(self, path: str) -> bool:
        """Return whether there are no include patterns, or one of them matches a path; see `selects`."""
        return self._include is None or self._timed(self._include, path) is not None

    def left_out_by(self, path: str) -> Rule | None:
        """Return the exclude pattern that leaves out a path, or None; see `selects`."""
        return None if self._exclude is None else self._timed(self._exclude, path)

    def _timed(self, compiled: _Compiled, path: str) -> Rule | None:
        start = time.thread_time()
        found = compiled.match(path)
        self._spent += time.thread_time() - start
        self._paths += 1
        if self._spent > START_SECONDS + self._paths * PATH_SECONDS:
            longest = max(compiled.rules, key=lambda rule: len(rule.text))
            raise BadInput(
                f"the patterns take too long: {self._spent:.0f} s for {counted(self._paths, 'path')}",
                hint=f"use fewer or shorter patterns than {quoted(longest.text)} ({longest.origin})",
            )
        return found


def read_rules(path: str) -> tuple[Rule, ...]:
    """Return the patterns of a file in the syntax of ``.gitignore``; empty if the file does not exist.

    Raises:
        BadInput: It is not a regular file, is a link, is larger than `FILE_LIMIT` or not UTF-8, or has too many
            patterns.
        Unavailable: It cannot be read.
    """
    try:
        data = read_bytes(path, "pattern file", FILE_LIMIT, follow=False)
    except NotFound:
        return ()
    text = text_in(data, path, what="pattern file", limit=FILE_LIMIT)
    lines = enumerate(text.split("\n"), 1)
    return tuple(Rule(line.removesuffix("\r"), location(path, number)) for number, line in lines if _is_rule(line))


def _is_rule(line: str) -> bool:
    return bool(line.strip()) and not line.startswith("#")


def _rules(patterns: Iterable[str | Rule], origin: str) -> tuple[Rule, ...]:
    rules = tuple(Rule(pattern, origin) if isinstance(pattern, str) else pattern for pattern in patterns)
    if len(rules) > RULES_LIMIT:
        raise BadInput(f"{len(rules):,} patterns; the limit is {RULES_LIMIT:,}")
    return rules


class _Compiled:
    """The patterns of one kind; the last that matches a path decides."""

    def __init__(self, rules: tuple[Rule, ...]) -> None:
        self.rules = rules
        self._spec = GitIgnoreSpec([_pattern(rule) for rule in rules], backend="simple")

    def match(self, path: str) -> Rule | None:
        """Return the rule that decides that a path matches, or None."""
        found = self._spec.check_file(path)
        return self.rules[found.index] if found.include and found.index is not None else None


def _compiled(rules: tuple[Rule, ...]) -> _Compiled | None:
    return _Compiled(rules) if rules else None


def _refuse_negated(rules: tuple[Rule, ...]) -> None:
    for rule in rules:
        if rule.text.startswith("!"):
            raise BadInput(
                f"{rule.origin}: {quoted(rule.text)} excludes files",
                hint=f"--exclude {shell_word(rule.text[1:] or 'PATTERN')}",
            )


def _pattern(rule: Rule) -> GitIgnoreSpecPattern:
    if len(rule.text) > PATTERN_LIMIT:
        raise BadInput(
            f"{rule.origin}: the pattern {quoted(rule.text)} has {len(rule.text):,} characters; "
            f"the limit is {PATTERN_LIMIT:,}"
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # of "[[", which has another meaning in other languages
            pattern = _Linear(rule.text)
    except (ValueError, re.error):
        raise BadInput(f"{rule.origin}: invalid pattern {quoted(rule.text)}") from None
    if pattern.include is None:
        raise BadInput(f"{rule.origin}: the pattern {quoted(rule.text)} matches no file")
    return pattern


class _Linear(GitIgnoreSpecPattern):
    """A pattern of pathspec whose regular expression is matched without exponential backtracking."""

    __slots__ = ()

    @classmethod
    def pattern_to_regex(cls, pattern: Any) -> Any:
        """Return the regular expression of a pattern, and whether it excludes (True) or takes back (False)."""
        regex, include = super().pattern_to_regex(pattern)
        return (regex if regex is None else _rewritten(regex)), include


_WHOLE = frozenset({".", "/", "(?P<ps_d>/)"})
_ENDS = ("(?:(?P<ps_d>/)|$)", "(?P<ps_d>/)", "/")
_ANYWHERE = "(?:.+/)?"
_FOLDERS = "(?:/.+)?"
_TOKEN = re.compile(
    r"(?P<star>(?:\[\^/\]\*)+)|(?P<part>\[\^/\]\+)|(?P<slash>/)|(?P<any>\[\^/\])"
    r"|(?P<set>\[\^?\]?[^\]]*\])|(?P<plain>\\.|[^\\\[\]*+?.(){}|^$/])",
    re.DOTALL,
)
"""The parts of an expression of pathspec between ``**``; anything else is refused, since it could be slow."""


def _rewritten(regex: str) -> str:
    """Return an equal regular expression without exponential backtracking.

    Each group between ``**`` is atomic and begins at the first folder where it matches. The last begins at the last
    such folder, as in the expression of pathspec, since it decides whether a folder or a file in it was matched.

    Raises:
        ValueError: The expression has another form than those of `GitIgnoreSpecPattern`.
    """
    if regex in _WHOLE:
        return regex
    if not regex.startswith("^"):
        raise ValueError(regex)
    body = regex.removeprefix("^")
    anywhere = body.startswith(_ANYWHERE)
    end = next((end for end in _ENDS if body.endswith(end)), "")
    *first, last = body.removeprefix(_ANYWHERE).removesuffix(end).split(_FOLDERS)
    found = "^"
    for place, group in enumerate(first):
        skipped = "(?:/.+?)??" if place else "(?:.+?/)??" if anywhere else ""
        found += f"(?>{skipped}{_group(group)})"
    skipped = _FOLDERS if first else _ANYWHERE if anywhere else ""
    return f"{found}{skipped}{_group(last)}{end}"


def _group(regex: str) -> str:
    """Return the expression of consecutive parts of a path; each part is atomic and extends to its end."""
    parts: list[list[str]] = [[""]]
    place = 0
    while place < len(regex):
        token = _TOKEN.match(regex, place)
        if token is None:
            raise ValueError(regex)
        place = token.end()
        if token.lastgroup == "slash":
            parts.append([""])
        elif token.lastgroup == "star":
            parts[-1].append("")
        elif token.lastgroup == "part":
            parts[-1][-1] += "[^/]++"
        else:
            parts[-1][-1] += f"(?!/){token[0]}" if token.lastgroup == "set" else token[0]  # [!a] is not a slash
    return "/".join(_part(*pieces) for pieces in parts)


def _part(start: str, *pieces: str) -> str:
    """Return the expression of one part of a path.

    Args:
        pieces: What follows each ``*``.
    """
    if not pieces:
        return f"{start}(?=/|$)" if start else ""
    *inner, last = pieces
    return f"(?>{start}{''.join(f'(?>[^/]*?{piece})' for piece in inner)}[^/]*{last}(?=/|$))"
