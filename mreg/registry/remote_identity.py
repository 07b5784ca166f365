"""What a client can learn about itself and its connection: its token, the versions, the clocks."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from mreg import __version__
from mreg.domain.text import printable
from mreg.errors import MregError
from mreg.registry.remote_session import RemoteSession
from mreg.results.tokens import Identity
from mreg.results.upkeep import Check

SKEW_SECONDS = 60.0
"""Difference of the clocks from which on it is reported: times of events would be confusing."""


def whoami(session: RemoteSession) -> Identity:
    """Return the name, role and limits of the token, as the server knows it.

    Raises:
        Unavailable: The server cannot be reached, does not accept the token, or is not a server of mreg.
    """
    return session.result(Identity, session.call("GET", "/whoami"))


def reach(session: RemoteSession) -> tuple[Check, ...]:
    """Check that the server answers, that it accepts the token, that its release fits, and that the clocks agree."""
    place = session.profile.server
    try:
        before = time.monotonic()
        with session.connection.request("GET", "/whoami", expect=(401,)) as response:
            latency = time.monotonic() - before
            date = response.headers.get("Date", "")
            accepted = response.status != 401
    except MregError as error:
        return (Check(name="reach the server", place=place, error=error.message, hint=error.hint),)
    done = (Check(name="reach the server", place=place), Check(name="server latency", place=place, latency=latency))
    try:
        identity = whoami(session)
    except MregError as error:
        name = "read the identity" if accepted else "accept the token"
        return (*done, Check(name=name, place=place, error=error.message, hint=error.hint))
    other = identity.version != __version__
    release = (
        f"the server runs mreg {printable(identity.version)}, this machine runs mreg {__version__}" if other else ""
    )
    return (
        *done,
        Check(name="accept the token", place=f"{place} ({identity.name}, role {identity.role})"),
        Check(name="version of the server", place=place, lacks=release),
        Check(name="clocks", place=place, lacks=_skew(date)),
    )


def _skew(date: str) -> str:
    """Return the difference of this clock to the Date header of an answer, empty if it is small."""
    try:
        ahead = (datetime.now(UTC) - parsedate_to_datetime(date)).total_seconds()
    except (TypeError, ValueError):
        return ""
    if abs(ahead) < SKEW_SECONDS:
        return ""
    return f"this machine's clock is {abs(ahead):,.0f} s {'ahead of' if ahead > 0 else 'behind'} the server's"
