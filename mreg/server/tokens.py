"""Tokens of HTTP clients in a file or an environment variable; `mreg.registry.tokens` has those of the catalog.

A line is ``NAME ROLE sha256:DIGEST``, and after it optionally ``models=PATTERN,PATTERN`` and ``expires=TIME``; ``#``
starts a comment. A server reads the file again when it changes.
"""

from __future__ import annotations

import hmac
import logging
import os
import stat
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import TypeVar

from mreg.domain.digest import Digest
from mreg.domain.events import parse_time
from mreg.domain.stored import check_year
from mreg.domain.text import folded_text, printable, quoted
from mreg.errors import BadInput, MregError, NotFound, Unavailable
from mreg.registry.tokens import digest_of
from mreg.results.tokens import Role, Token, check_token_name, scope_of

T = TypeVar("T")

TOKENS_LIMIT = 10_000

FILE_BYTES = 2 << 20
"""Maximum size of a token file."""

SETTLED_SECONDS = 2.0
"""A file with a more recent change is read again: it can change once more without a new time stamp."""

LINE_HINT = "write NAME ROLE sha256:DIGEST, as printed by mreg token create NAME --role ROLE --line"

REPEATED_HINT = "each line needs its own digest, and a name that differs in more than case and Unicode form"

CREATE_LINE = "mreg token create NAME --role writer --line -q >> FILE"

_LOG = logging.getLogger("mreg.server")


def _parsed(parse: Callable[[str], T], word: str, message: str) -> T:
    """Return a parsed word of a line; an error does not repeat the word, which can be a secret."""
    try:
        return parse(word)
    except BadInput:
        raise BadInput(message, hint=LINE_HINT) from None


def parse_tokens(text: str, place: str) -> tuple[Token, ...]:
    """Return the tokens of a file or an environment variable.

    Args:
        place: Name of the file or variable for messages; they never show a line, which could be a secret by mistake.

    Raises:
        BadInput: A line is not a token, or a name or digest is repeated; names are compared in one form of case and
            Unicode.
    """
    tokens: list[Token] = []
    for number, line in enumerate(text.replace(";", "\n").splitlines(), 1):
        words = line.partition("#")[0].split()
        if not words:
            continue
        where = f"{place}, line {number}"
        if len(words) < 3:
            raise BadInput(f"{where}: invalid token", hint=LINE_HINT)
        role = _parsed(Role.parse, words[1], f"{where}: invalid role")
        digest = _parsed(Digest.parse, words[2], f"{where}: invalid digest")
        models, expires = _limits(words[3:], where)
        name = check_token_name(words[0])
        tokens.append(Token(name=name, role=role, digest=digest, models=models, expires=expires))
        if len(tokens) > TOKENS_LIMIT:
            raise BadInput(f"{place} has too many tokens: the maximum is {TOKENS_LIMIT}")
    for key, values in (
        ("name", [folded_text(token.name) for token in tokens]),
        ("digest", [token.digest.value for token in tokens]),
    ):
        if len(set(values)) != len(values):
            raise BadInput(f"{place}: repeated {key}", hint=REPEATED_HINT)
    return tuple(tokens)


def _limits(words: Sequence[str], where: str) -> tuple[tuple[str, ...], datetime | None]:
    """Return the models and the expiry of the optional words of a line."""
    models: tuple[str, ...] = ()
    expires: datetime | None = None
    seen: set[str] = set()
    for word in words:
        key, equals, value = word.partition("=")
        if not equals or key not in ("models", "expires") or key in seen:
            raise BadInput(f"{where}: invalid token", hint=LINE_HINT)
        seen.add(key)
        if key == "models":
            models = _parsed(lambda text: scope_of(text.split(",")).patterns, value, f"{where}: invalid models")
        else:
            expires = _parsed(_time, value, f"{where}: invalid expiry")
    return models, expires


def _time(text: str) -> datetime:
    return check_year(datetime.fromisoformat(parse_time(text)).astimezone(UTC))


class TokenFile:
    """The tokens of a file, which is read again when it changes; used by one thread.

    Args:
        warn: Called with a warning if another user can write to the file when it is first read; later warnings go to
            the log.

    Raises:
        NotFound: The file does not exist.
        Unavailable: The file cannot be read, or every user may write to it.
        BadInput: The file has no tokens, or a line is not a token.
    """

    def __init__(self, path: str, warn: Callable[[str], None]) -> None:
        self._path = path
        self._warn = warn
        self._seen: tuple[int, ...] | None = None
        self._read_once = False
        self._error: MregError | None = None
        self._tokens: tuple[Token, ...] = ()
        self._held: dict[Digest, Token] = {}
        self._warned = ""
        self._read()
        self._warn = _LOG.warning

    def current(self) -> tuple[Token, ...]:
        """Return the tokens that are in the file now.

        Raises:
            MregError: The file is not a valid token file; until it is, every token is refused.
        """
        self._refresh()
        if self._error is not None:
            raise self._error
        return self._tokens

    def still_has(self, token: Token) -> bool:
        """Return whether the file, when it was last valid, had the token with the same permissions or more."""
        self._refresh()
        held = self._held.get(token.digest)
        return held is not None and held.role >= token.role and held.models in ((), token.models)

    def _refresh(self) -> None:
        if self._read_once:
            return
        try:
            if self._seen is not None and _signature(os.stat(self._path)) == self._seen:
                return
        except OSError:
            pass  # _read reports the cause
        before, had = self._error, self._tokens
        try:
            self._read()
        except MregError as error:
            self._error = error
            if before is None or before.message != error.message:
                _LOG.error("all tokens are refused: %s", printable(error.message))
            return
        self._error = None
        if before is not None or had != self._tokens:
            _LOG.info("read %d tokens from %s", len(self._tokens), printable(self._path))

    def _read(self) -> None:
        self._seen = None
        try:
            with open(self._path, "rb") as stream:
                status = os.fstat(stream.fileno())
                data = stream.read(FILE_BYTES + 1)
            text = data.decode()
        except (FileNotFoundError, NotADirectoryError):
            raise NotFound(f"token file {quoted(self._path)} not found", hint=CREATE_LINE) from None
        except (OSError, UnicodeDecodeError) as error:
            raise Unavailable(f"cannot read the token file {quoted(self._path)}: {error}") from error
        if len(data) > FILE_BYTES:
            raise BadInput(f"the token file {quoted(self._path)} is too large: the maximum is {FILE_BYTES} bytes")
        regular = stat.S_ISREG(status.st_mode)
        if regular:
            self._check_writers(status)
        tokens = parse_tokens(text, self._path)
        if not tokens:
            raise BadInput(f"the token file {quoted(self._path)} has no tokens", hint=CREATE_LINE)
        self._tokens = tokens
        self._held = {token.digest: token for token in tokens}
        self._read_once = not regular  # a pipe cannot be read twice
        if time.time() - max(status.st_mtime, status.st_ctime) > SETTLED_SECONDS:
            self._seen = _signature(status)

    def _check_writers(self, status: os.stat_result) -> None:
        own = getattr(os, "geteuid", lambda: status.st_uid)()
        warning = ""
        if os.name == "posix" and status.st_mode & stat.S_IWOTH:
            raise Unavailable(
                f"cannot trust the token file {quoted(self._path)}: every user can write to it",
                hint=f"chmod o-w {self._path}",
            )
        if os.name == "posix" and status.st_mode & stat.S_IWGRP:
            warning = f"the group of the token file {self._path} can write to it: chmod g-w {self._path}"
        elif status.st_uid not in (own, 0):
            warning = f"the token file {self._path} belongs to user {status.st_uid}, not to the server or root"
        if warning and warning != self._warned:
            self._warn(warning)
        self._warned = warning


def _signature(status: os.stat_result) -> tuple[int, ...]:
    return (
        status.st_dev,
        status.st_ino,
        status.st_size,
        status.st_mtime_ns,
        status.st_ctime_ns,
        status.st_mode,
        status.st_uid,
    )


def find_token(tokens: Iterable[Token], secret: str) -> Token | None:
    """Return the token of a secret, or None; the time does not depend on the secret."""
    digest = digest_of(secret).value
    match = None
    for token in tokens:
        if hmac.compare_digest(token.digest.value, digest):
            match = token
    return match
