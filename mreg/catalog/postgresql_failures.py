"""Translation of PostgreSQL's errors."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator

import psycopg
from psycopg import errors

from mreg.catalog.embedded import damaged
from mreg.domain.redaction import attributed, redacted
from mreg.errors import BadProfile, Conflict, MregError, Unavailable

BEGIN_AGAIN = (errors.SerializationFailure, errors.DeadlockDetected)
"""Errors of a transaction that was aborted for another one; a retry can succeed."""

STARTING = ("starting up", "shutting down", "recovery mode", "too many", "not yet accepting", "remaining connection")
"""Parts of the messages of a server that will respond soon."""

FINAL = ("FATAL", "certificate", "SSL", "no password supplied", "root.crt", "definition of service", "service file")
"""Parts of messages about a connection that a retry cannot make."""

MALFORMED = re.compile(
    r"invalid (URI|port|integer value|percent|[a-z_]+ value)|bad value for|Servname not supported|end of string reached"
    r"|unexpected character"
)
"""Messages about an invalid URL."""

HINTS = (
    ("service", "define the service in ~/.pg_service.conf, or in the file of PGSERVICEFILE"),
    ("no password supplied", "set the password in PGPASSWORD, ~/.pgpass or a service file"),
    ("password authentication failed", "check PGPASSWORD, ~/.pgpass or the service file"),
    ("no pg_hba.conf entry", "ask the administrator of the server to allow this user from this host, or use TLS"),
    ("certificate", "check sslmode and sslrootcert in the catalog's URL"),
    ("SSL", "check sslmode in the catalog's URL"),
    ("role", "create the role: createuser NAME"),
    ("database", "create the database: createdb NAME"),
)


def worth_waiting(error: BaseException) -> bool:
    """Return whether a retry can succeed after a connection was lost or not made."""
    if isinstance(error, errors.ConnectionTimeout):
        return False  # the timeout has passed already
    if not isinstance(error, psycopg.OperationalError):
        return False
    if error.sqlstate is not None:
        return error.sqlstate.startswith(("08", "57P"))
    message = str(error)
    if MALFORMED.search(message):
        return False
    return any(word in message for word in STARTING) or not any(word in message for word in FINAL)


def unreachable(place: str, why: str, hint: str) -> Unavailable:
    """Return the error for a catalog that cannot be used."""
    return Unavailable(f"cannot use the catalog {place}: {why}", hint=hint)


@contextlib.contextmanager
def translated(place: str) -> Iterator[None]:
    """Translate PostgreSQL's errors to those of mreg."""
    try:
        yield
    except MregError:
        raise
    except psycopg.Error as error:
        raise _translation(error, place) from error


def _reason(lines: list[str]) -> str:
    """Return why no connection was made to each address, without libpq's questions and headings."""
    kept = [line for line in lines if not line.startswith(("\t", "Multiple connection attempts"))]
    return "; ".join(dict.fromkeys(filter(None, map(_reason_of_line, kept))))


def _reason_of_line(line: str) -> str:
    _, fatal, of_server = line.rpartition("FATAL:")
    return f"the server says: {redacted(of_server)}" if fatal else redacted(_without_prefix(line))


def _without_prefix(line: str) -> str:
    return re.sub(r"^(- host: .*?, hostaddr: \S+: )?(connection (failed|is bad): )?", "", line.strip())


def _words_of_server(error: psycopg.Error, first: str) -> str:
    """Return ``; the server says: TEXT`` with the server's detail and hint, or the client library's reason."""
    parts = (error.diag.message_primary, error.diag.message_detail, error.diag.message_hint)
    of_server = "; ".join(part.strip().rstrip(".") for part in parts if part)
    return attributed("the server", of_server) or f": {redacted(first)}"


def _translation(error: psycopg.Error, place: str) -> MregError:
    lines = str(error).strip().splitlines()
    first = lines[0] if lines else type(error).__name__
    reason = _words_of_server(error, first)
    if isinstance(error, (errors.QueryCanceled, errors.LockNotAvailable, *BEGIN_AGAIN)):
        return Conflict(f"the catalog {place} is busy{reason}", hint="nothing was changed; try again")
    if isinstance(error, errors.InsufficientPrivilege):
        hint = (
            "reading needs SELECT; writing also INSERT, UPDATE and DELETE, and restore UPDATE on the sequences: see "
            "the page on PostgreSQL in the documentation; the first write creates the schema mreg"
        )
        return unreachable(place, f"permission denied{reason}", hint)
    if isinstance(error, errors.ReadOnlySqlTransaction):
        return unreachable(place, f"the server is read-only{reason}", "name the primary server in the catalog's URL")
    if isinstance(error, errors.DiskFull):
        return unreachable(place, f"the server's disk is full{reason}", "free some space there; nothing was changed")
    if isinstance(error, errors.ConnectionTimeout):
        why = redacted(first) if first.startswith("no response") else "it does not respond"
        return unreachable(place, why, "check the network, and host and port in the catalog's URL")
    if error.sqlstate is None and (isinstance(error, psycopg.ProgrammingError) or MALFORMED.search(first)):
        return BadProfile(
            f"cannot use the catalog {place}: {redacted(_without_prefix(first))}",
            hint="write postgresql://user@host:port/database?parameter=value, with libpq's parameters",
        )
    if isinstance(error, psycopg.OperationalError):
        whole = " ".join(lines)
        hint = next((hint for word, hint in HINTS if word in whole), "check that the server runs at this address")
        if error.diag.message_primary:
            return unreachable(place, f"the server failed{reason}", hint)
        return unreachable(place, _reason(lines) or redacted(first), hint)
    return damaged(place, f"does not respond like a catalog{reason}")
