"""Check that catalog and store can be used (`mreg profile check`)."""

from __future__ import annotations

from collections.abc import Callable

from mreg.artifacts.access import check_parent
from mreg.catalog.access import check_folder
from mreg.catalog.schema import older_note
from mreg.domain.buckets import is_bucket
from mreg.domain.digest import Digest
from mreg.errors import MregError
from mreg.registry.permissions import permission_problems
from mreg.registry.session import Session
from mreg.results.upkeep import Check


def check(session: Session) -> tuple[Check, ...]:
    """See `mreg.Registry.check`."""
    session.scope.check_unlimited("check the registry")
    profile = session.profile
    done = [_tried("read the catalog", profile.catalog, lambda: _read_catalog(session))]
    if not done[0].error:
        done.append(_tried("write to the catalog", profile.catalog, lambda: _write_catalog(session)))
        done += _settings(session)
        done.append(_attempt("catalog latency", profile.catalog, lambda: _catalog_latency(session)))
    try:
        steps = session.artifacts().probing()
    except MregError as error:
        return (*done, Check(name="find the store", place=profile.artifacts, error=error.message, hint=error.hint))
    tried: list[Check] = []
    for name, work in steps:
        tried.append(_tried(name, profile.artifacts, work))
        if tried[-1].error:
            break
    done += tried
    if not tried[0].error:
        done.append(_attempt("store latency", profile.artifacts, lambda: _store_latency(session)))
    if not tried[-1].error:  # all that a measurement writes can be removed
        done.append(_attempt("store throughput", profile.artifacts, lambda: _store_throughput(session)))
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
    if not is_bucket(session.profile.catalog):
        return ""
    from mreg.stores.probing import ConditionalWritesUnsupported

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


def _catalog_latency(session: Session) -> Check:
    from mreg.artifacts.speed import latency

    found = latency(lambda: session.catalog.read(lambda reader: reader.model_names("", 1)))
    return Check(name="catalog latency", place=session.profile.catalog, latency=found)


def _store_latency(session: Session) -> Check:
    return Check(name="store latency", place=session.profile.artifacts, latency=session.artifacts().latency())


def _store_throughput(session: Session) -> Check:
    upload, download = session.artifacts().throughput()
    return Check(name="store throughput", place=session.profile.artifacts, upload=upload, download=download)


def _tried(name: str, place: str, work: Callable[[], str]) -> Check:
    return _attempt(name, place, lambda: Check(name=name, place=place, lacks=work()))


def _attempt(name: str, place: str, check: Callable[[], Check]) -> Check:
    """Return a check, or the failed check if it raises an error."""
    try:
        return check()
    except MregError as error:
        return Check(name=name, place=place, error=error.message, hint=error.hint)
