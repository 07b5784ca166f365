"""Where a version comes from and what came of it."""

from __future__ import annotations

from collections.abc import Callable

from mreg.domain.digest import Digest
from mreg.domain.text import check_line, quoted
from mreg.errors import BadInput


def check_data(name: str, value: str) -> str:
    """The reference to data itself, if it can be kept: an address, perhaps with ``@`` and a digest behind it.

    Raises:
        BadInput: It is empty, has characters that can't be printed, or a password.
    """
    check_line(f"data {name}", value)
    _, scheme, rest = value.partition("://")
    login = rest.partition("/")[0].rpartition("@")[0] if scheme else ""
    if ":" in login:
        raise BadInput(f"the address of the data {quoted(name)} has a password in it", hint="leave it out")
    _, at, digest = value.rpartition("@")
    algorithm, colon, _ = digest.partition(":")
    if at and colon and algorithm == "sha256":
        Digest.parse(digest)
    return value


def would_cycle(version: int, parent: int, parent_of: Callable[[int], int | None]) -> bool:
    """Whether making ``parent`` the parent of ``version`` would make a version its own ancestor.

    Args:
        version: The id of the version.
        parent: The id of its parent to be.
        parent_of: The id of a version's parent, None at a root.
    """
    seen: set[int] = set()
    current: int | None = parent
    while current is not None and current not in seen:
        if current == version:
            return True
        seen.add(current)
        current = parent_of(current)
    return False
