"""Looking after a registry."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from mreg.errors import BadInput, MregError
from mreg.registry.session import Session

GRACE = timedelta(hours=24)
"""No push takes longer between two parts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing that was tried.

    Attributes:
        place: Where.
        error: What failed, empty where it worked.
        hint: What to do about it.
        lacks: What the place can't do, where mreg works all the same.
    """

    name: str
    place: str
    error: str = ""
    hint: str = ""
    lacks: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Garbage:
    """What a killed push left in the artifact store.

    Attributes:
        place: The store's URL.
        name: By which the store knows it.
        size_bytes: As far as it arrived.
        modified: When something of it last arrived.
        removed: Whether it is gone now.
    """

    place: str
    name: str
    size_bytes: int
    modified: datetime
    removed: bool


def collect(session: Session, *, grace: timedelta = GRACE, remove: bool = False) -> tuple[Garbage, ...]:
    """What killed pushes left on its way into the store; only looked at unless ``remove``.

    Args:
        grace: What changed within this time is left alone: it may belong to a push that lives.

    Raises:
        BadInput: The grace period is negative.
        Unavailable: The store can't be read or written.
    """
    if grace < timedelta(0):
        raise BadInput("a grace period can't be negative")
    store = session.artifacts()
    before = session.now() - grace
    found = []
    for one in store.unfinished():
        if one.modified <= before:
            if remove:
                store.discard(one)
            found.append(
                Garbage(
                    place=session.profile.artifacts,
                    name=one.name,
                    size_bytes=one.size,
                    modified=one.modified,
                    removed=remove,
                )
            )
    return tuple(found)


def check(session: Session) -> tuple[Check, ...]:
    """Whether the catalog can be read, and the store listed, written, read and cleaned; a probe is all that is written.

    What can't be tried because something before it failed is left out.
    """
    profile = session.profile
    done = [_tried("read the catalog", profile.catalog, lambda: _read_catalog(session))]
    try:
        steps = session.artifacts().probing()
    except MregError as error:
        return (*done, Check(name="find the store", place=profile.artifacts, error=error.message, hint=error.hint))
    for name, work in steps:
        done.append(_tried(name, profile.artifacts, work))
        if done[-1].error:
            break
    return tuple(done)


def _read_catalog(session: Session) -> str:
    session.catalog.read(lambda reader: reader.model_names("", 1))
    return ""


def _tried(name: str, place: str, work: Callable[[], str]) -> Check:
    try:
        return Check(name=name, place=place, lacks=work())
    except MregError as error:
        return Check(name=name, place=place, error=error.message, hint=error.hint)
