"""The JSON form of a type, and the values that shapes share."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Generic, Literal, TypeVar

from mreg.domain.events import parse_time, time_text

R = TypeVar("R")
S = TypeVar("S")

Number = int | float
Stage = Literal["None", "Staging", "Production", "Archived"]
Direction = Literal["higher", "lower"]


class Form(Generic[R, S]):
    """The JSON form of a type.

    Attributes:
        kind: The type.
        shape: The typed dict that ``encode`` returns and ``decode`` takes.
    """

    def __init__(self, kind: type[R], shape: type[S], encode: Callable[[R], S], decode: Callable[[S], R]) -> None:
        self.kind, self.shape, self.encode, self.decode = kind, shape, encode, decode


def encode_time(at: datetime | None) -> str | None:
    """Return the text of a time, None for none."""
    return None if at is None else time_text(at)


def decode_time(text: str) -> datetime:
    """Return the time of a text, aware UTC.

    Raises:
        BadInput: The text is not a valid time.
    """
    return datetime.fromisoformat(parse_time(text)).astimezone(UTC)


def decode_optional_time(text: str | None) -> datetime | None:
    """Return the time of a text, None for none."""
    return None if text is None else decode_time(text)
