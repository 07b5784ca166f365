"""Lineage: the parent and the data of a version."""

from __future__ import annotations

from collections.abc import Callable

from mreg.domain.digest import Digest
from mreg.domain.text import check_line, quoted
from mreg.errors import BadInput


def check_data(name: str, value: str) -> str:
    """Return a reference to data if it can be stored: an address, optionally followed by ``@`` and a digest.

    Raises:
        BadInput: The reference is empty, is not printable, has a password or an invalid digest.
    """
    check_line(f"data {name}", value)
    _, scheme, rest = value.partition("://")
    login = rest.partition("/")[0].rpartition("@")[0] if scheme else ""
    if ":" in login:
        raise BadInput(
            f"the address of the data {quoted(name)} contains a password", hint="remove the password from the address"
        )
    _, at, digest = value.rpartition("@")
    algorithm, colon, _ = digest.partition(":")
    if at and colon and algorithm == "sha256":
        Digest.parse(digest)
    return value


def would_cycle(version: int, parent: int, parent_of: Callable[[int], int | None]) -> bool:
    """Return whether a new parent would make a version its own ancestor.

    Args:
        version: Id of the version.
        parent: Id of the new parent.
        parent_of: Returns the id of a version's parent, or None at a root.
    """
    seen: set[int] = set()
    current: int | None = parent
    while current is not None and current not in seen:
        if current == version:
            return True
        seen.add(current)
        current = parent_of(current)
    return False
