"""A password that no message, table, document or pickle shows."""

from __future__ import annotations

import re
from typing import Self

SECRET = re.compile(r"mreg_[A-Za-z0-9_-]{43}")
"""The form of the secret of a token."""

_IN_TEXT = re.compile(SECRET.pattern, re.IGNORECASE)
"""A secret in a text, which can have it in lower case, as the host of a URL."""


def without_secrets(text: str) -> str:
    """Return a text with the secrets of tokens in it replaced by ``mreg_***``."""
    return _IN_TEXT.sub("mreg_***", text)


class Password:
    """A password that no representation of an object has; empty for none."""

    __slots__ = ("_text",)

    def __init__(self, text: str = "") -> None:
        self._text = text

    def reveal(self) -> str:
        """Return the password."""
        return self._text

    def __bool__(self) -> bool:
        return bool(self._text)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Password) and self._text == other._text

    def __hash__(self) -> int:
        return hash(self._text)

    def __repr__(self) -> str:
        return "***" if self._text else "''"

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, _memo: object) -> Self:
        return self

    def __reduce__(self) -> tuple[type[Password], tuple[()]]:
        return Password, ()  # a pickle can be stored or sent
