"""Check that catalog and store can be used (`mreg profile check`)."""

from __future__ import annotations

from collections.abc import Callable

from mreg.artifacts.access import check_parent
from mreg.catalog.access import check_folder
from mreg.catalog.schema import older_note
from mreg.domain.digest import Digest
from mreg.errors import MregError
from mreg.registry.permissions import permission_problems
from mreg.registry.session import Session
from mreg.results.upkeep import Check


def check(session: Session) -> tuple[Check, ...]:
    """See `mreg.Registry.check`."""
    profile = session.profile
    done = [_tried("read the catalog", profile.catalog, lambda: _read_catalog(session))]
    if not done[0].error:
        done.append(_tried("write to the catalog", profile.catalog, lambda: _write_catalog(session)))
        done += _settings(session)
    try:
        steps = session.artifacts().probing()
    except MregError as error:
        return (*done, Check(name="find the store", place=profile.artifacts, error=error.message, hint=error.hint))
    for name, work in steps:
        done.append(_tried(name, profile.artifacts, work))
        if done[-1].error:
            break
    done += [
        Check(name="permissions", place=problem.place, lacks=f"{problem.message}: {problem.remedy}")
        for problem in permission_problems(profile)
    ]
    return tuple(done)


def check_places(session: Session) -> None:
    """Check that the folders exist in which the catalog and the artifact folder are, or would be created.

    Raises:
        Unavailable: One of them does not exist, and is not one that mreg creates.
    """
    profile = session.profile
    if profile.own_folder or profile.base:
        return
    if "://" not in profile.catalog:
        check_folder(profile.catalog)
    if "://" not in profile.artifacts:
        check_parent(profile.artifacts)


def refuse_unfit(session: Session) -> str:
    """Test the conditional writes of a catalog in a bucket with a probe object.

    Returns:
        Why the test could not be made, empty if it passed or the catalog is not in a bucket.

    Raises:
        Unavailable: The bucket ignores the condition of a write, or refuses a write whose condition holds.
    """
    if not session.profile.catalog.startswith("s3://"):
        return ""
    from mreg.s3.probing import ConditionalWritesUnsupported

    try:
        session.catalog.try_writing()
    except ConditionalWritesUnsupported:
        raise
    except MregError as error:
        return error.message
    return ""


def reachable(session: Session) -> tuple[Check, ...]:
    """Check that the catalog can be read and the store responds; writes nothing, and makes one request to each."""
    return (
        _tried("read the catalog", session.profile.catalog, lambda: _read_catalog(session)),
        _tried("ask the store", session.profile.artifacts, lambda: _ask_store(session)),
    )


def _ask_store(session: Session) -> str:
    session.artifacts().has(Digest.sha256("0" * 64))
    return ""


def _read_catalog(session: Session) -> str:
    session.catalog.read(lambda reader: reader.model_names("", 1))
    return older_note(session.catalog.schema())


def _write_catalog(session: Session) -> str:
    session.catalog.try_writing()
    return ""


def _settings(session: Session) -> list[Check]:
    """Return a check for each remark about the settings of the catalog's server."""
    place = session.profile.catalog
    try:
        return [Check(name="settings of the server", place=place, lacks=one) for one in session.catalog.remarks()]
    except MregError as error:
        return [Check(name="settings of the server", place=place, error=error.message, hint=error.hint)]


def _tried(name: str, place: str, work: Callable[[], str]) -> Check:
    try:
        return Check(name=name, place=place, lacks=work())
    except MregError as error:
        return Check(name=name, place=place, error=error.message, hint=error.hint)
