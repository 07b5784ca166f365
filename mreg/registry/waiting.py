"""Wait until a reference names another version."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from mreg.domain.model import ModelVersion
from mreg.domain.names import SelectorKind
from mreg.errors import BadInput, Conflict, MregError, NotFound, Unavailable, Unchanged
from mreg.registry.references import as_reference, find_version

if TYPE_CHECKING:
    from collections.abc import Callable

    from mreg.domain.names import VersionRef
    from mreg.registry.registry import Reference
    from mreg.registry.session import Session

LONGEST = 1_000_000_000.0
"""Maximum number of seconds that can be asked for."""


def wait(
    session: Session,
    reference: Reference,
    *,
    changed_from: ModelVersion | int | None = None,
    timeout: float | None = None,
    interval: float = 5.0,
) -> ModelVersion:
    """See `mreg.Registry.wait`."""
    wanted = as_reference(reference)
    return wait_for(
        wanted,
        lambda: session.catalog.read(lambda reader: find_version(reader, wanted)),
        session.notice,
        changed_from=changed_from,
        timeout=timeout,
        interval=interval,
        again="the catalog can be read again",
    )


def wait_for(
    wanted: VersionRef,
    find: Callable[[], ModelVersion],
    notice: Callable[[str], None],
    *,
    changed_from: ModelVersion | int | None,
    timeout: float | None,
    interval: float,
    again: str,
) -> ModelVersion:
    """Wait until a reference names another version, for any registry; see `mreg.Registry.wait`.

    Args:
        find: Returns the version that the reference names now.
        again: Notice for the first success after a failure.
    """
    before = changed_from.version if isinstance(changed_from, ModelVersion) else changed_from
    _check(wanted, before, timeout, interval)
    deadline = None if timeout is None else time.monotonic() + timeout
    failure: MregError | None = None
    noted = ""
    version, note = _look(find, wanted, before)
    while version is None:
        if failure is None and note != noted:
            notice(f"waiting: {note}")
            noted = note
        left = interval if deadline is None else deadline - time.monotonic()
        if left <= 0:
            raise failure or Unchanged(
                f"nothing changed in {timeout:g} second{'s' * (timeout != 1)}: {note}",
                hint="wait longer, or without --timeout",
            )
        time.sleep(min(interval, left))
        try:
            version, note = _look(find, wanted, before)
        except (Unavailable, Conflict) as error:
            if "schema" in error.details:  # a newer release upgraded the catalog: this process can never read it again
                raise
            if failure is None:
                notice(f"{error.message}; retrying every {interval:g} seconds")
            failure = error
        else:
            if failure is not None:
                notice(again)
            failure = None
    return version


def _check(wanted: VersionRef, before: int | None, timeout: float | None, interval: float) -> None:
    selector = wanted.selector
    if before is not None and selector is not None and not selector.back:
        fixed = selector.kind in (SelectorKind.NUMBER, SelectorKind.DIGEST)
        if fixed:
            raise BadInput(
                f"{wanted} always names the same version",
                hint=f"name a stage or an alias: {wanted.name}@production",
            )
    if before is not None and before < 1:
        raise BadInput(f"invalid version number {before}", hint="version numbers start at 1")
    for what, seconds in (("timeout", timeout), ("interval", interval)):
        if seconds is not None and not 0 < seconds <= LONGEST:
            raise BadInput(
                f"invalid {what}: expected a number of seconds above 0, got {seconds:g}", hint="write 30 or 0.5"
            )


def _look(find: Callable[[], ModelVersion], wanted: VersionRef, before: int | None) -> tuple[ModelVersion | None, str]:
    """Return the version that the reference names, or None and the reason to wait longer.

    Raises:
        NotFound: The model does not exist.
    """
    try:
        version = find()
    except NotFound as error:
        if error.details.get("kind") != "version":
            raise
        return None, error.message
    if version.version == before:
        return None, f"{wanted} is {version.reference}"
    return version, ""
