"""Where nothing that a command makes may go: onto the registry itself."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

from mreg.artifacts.file_names import check_encodable
from mreg.domain.text import quoted
from mreg.errors import BadInput

if TYPE_CHECKING:
    from mreg.registry.session import Session

PARTS = ("", "-wal", "-shm", "-journal")
"""A catalog in a file, and what SQLite has beside it: without them, or with another's, it is damaged."""


def check_destination(session: Session, destination: str | os.PathLike[str]) -> None:
    """Refuse a destination that is the registry's own, whatever name or link leads there, also with ``--force``.

    Raises:
        BadInput: It is the catalog or a log of it, or holds it; or it overlaps the artifact store; or the locale cannot
            encode its name.
    """
    place = os.fspath(destination)
    check_encodable(place, "export PYTHONUTF8=1; or name another destination")
    if "://" not in session.profile.catalog:
        catalog, wanted = os.path.realpath(session.profile.catalog), os.path.realpath(place)
        for own in (f"{catalog}{part}" for part in PARTS):
            if own == wanted or own.startswith(f"{wanted.rstrip(os.sep)}{os.sep}") or _is_same(own, place):
                what = "belongs to" if own != catalog else "holds" if os.path.isdir(wanted) else "is"
                raise BadInput(
                    f"{quoted(place, 200)} {what} the catalog {session.profile.catalog}",
                    hint="name another destination",
                )
    session.artifacts().refuse_overlap(Path(place))


def check_database(path: str) -> None:
    """Refuse a place for a database where another one's log lies, which SQLite would bring into it.

    Raises:
        BadInput: There is such a log: of a catalog that is in use, or was when its process died.
    """
    for part in ("-wal", "-journal"):
        if os.path.lexists(f"{path}{part}"):
            raise BadInput(
                f"{quoted(path + part, 200)} is the log of another database, which would be taken for this one's",
                hint="name another destination",
            )


def _is_same(one: str, other: str) -> bool:
    with contextlib.suppress(OSError):
        return os.path.samefile(one, other)
    return False
