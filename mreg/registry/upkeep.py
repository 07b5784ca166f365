"""Looking after a registry."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from mreg.errors import MregError
from mreg.registry.session import Session


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing that was tried.

    Attributes:
        place: Where.
        error: What failed, empty where it worked.
        hint: What to do about it.
    """

    name: str
    place: str
    error: str = ""
    hint: str = ""


def check(session: Session) -> tuple[Check, ...]:
    """Whether the catalog can be read, and the store written, read and cleaned; a probe is all that is written."""
    profile = session.profile
    return (
        _tried(
            "read the catalog", profile.catalog, lambda: session.catalog.read(lambda reader: reader.model_names("", 1))
        ),
        _tried("write, read and remove a probe", profile.artifacts, lambda: session.artifacts().probe()),
    )


def _tried(name: str, place: str, work: Callable[[], object]) -> Check:
    try:
        work()
    except MregError as error:
        return Check(name=name, place=place, error=error.message, hint=error.hint)
    return Check(name=name, place=place)
