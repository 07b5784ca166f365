"""Where a version comes from and what came of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from mreg.domain.digest import Digest
from mreg.domain.model import ModelVersion
from mreg.domain.names import VersionRef
from mreg.domain.text import check_line, quoted
from mreg.errors import BadInput


@dataclass(frozen=True, slots=True, kw_only=True)
class LineageNode:
    """A version in a tree of parents or of children.

    Attributes:
        reference: The version, also where it was deleted since.
        version: The version whole, or None where it was deleted.
        related: Its parents (at most one) or its children, by the tree's way.
    """

    reference: VersionRef
    version: ModelVersion | None
    related: tuple[LineageNode, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Lineage:
    """Both ways from one version.

    Attributes:
        version: The one that was asked for.
        parents: What it was made from, and that from, up to the roots.
        children: What was made from it, and from that.
    """

    version: ModelVersion
    parents: tuple[LineageNode, ...]
    children: tuple[LineageNode, ...]


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


def flatten(nodes: Iterable[LineageNode]) -> tuple[tuple[int, LineageNode], ...]:
    """Every node with its depth from 0, each before its related ones, as a tree is read."""
    found: list[tuple[int, LineageNode]] = []
    pending = [(0, node) for node in reversed(tuple(nodes))]
    while pending:
        depth, node = pending.pop()
        found.append((depth, node))
        pending.extend((depth + 1, child) for child in reversed(node.related))
    return tuple(found)
