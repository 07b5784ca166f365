"""Times on the command line; a time without a zone is local time, as in the tables."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from mreg.cli.table import zone_name
from mreg.domain.events import invalid_time, read_time

if TYPE_CHECKING:
    from mreg.cli.output import Output


def instant(text: str, output: Output) -> str:
    """Return a time with its zone; standard error says how a time without one was understood.

    A time as a table shows it, with the abbreviation of the local zone (``2026-03-01 12:00 CET``), has a zone.

    Raises:
        BadInput: The text is not a valid time.
    """
    named = _named(text)
    if named is not None:
        return named
    naive = read_time(text)
    if naive.tzinfo is not None:
        return text
    try:
        first, second = _utc(naive.replace(fold=0)), _utc(naive.replace(fold=1))
        local = first.astimezone()
    except (ValueError, OverflowError, OSError):
        raise invalid_time(text) from None
    found = _text(first)
    if local.replace(tzinfo=None) != naive:
        output.note(f"{text} does not exist in local time (the clocks go forward); {found} is used: {_text(local)}")
    elif first != second:
        other = _text(second.astimezone())
        output.note(f"{text} occurs twice in local time; the first is used: {found}; for the second, write {other}")
    else:
        output.note(f"{text} is local time (UTC{local.isoformat()[len(naive.isoformat()) :]}): {found}")
    return found


def _named(text: str) -> str | None:
    """Return a time that ends in UTC or in the abbreviation of the local zone, with its offset; None for others."""
    start, _, name = text.rpartition(" ")
    try:
        naive = datetime.fromisoformat(start)
        if naive.tzinfo is not None:
            return None
        if name == "UTC":
            return _text(naive.replace(tzinfo=UTC))
        for fold in (0, 1):  # the two abbreviations tell the two times of the same text apart
            local = _utc(naive.replace(fold=fold)).astimezone()
            if local.replace(tzinfo=None) == naive and zone_name(local) == name:
                return local.isoformat()
    except (ValueError, OverflowError, OSError):
        pass
    return None


def expression(text: str, output: Output) -> str:
    """Return a search expression in which every time has its zone; standard error says how the times were understood.

    Raises:
        BadInput: The expression cannot be parsed.
    """
    from mreg.domain.parsing import with_instants

    return with_instants(text, lambda time: instant(time, output))


def _utc(naive: datetime) -> datetime:
    # astimezone() of a naive time gives another result where the clocks go forward, so this uses the timestamp.
    whole = naive.replace(microsecond=0)
    return datetime.fromtimestamp(int(whole.timestamp()), UTC) + timedelta(microseconds=naive.microsecond)


def _text(at: datetime) -> str:
    return at.isoformat().replace("+00:00", "Z")
